//! nginx and Caddy: they keep no data whose format changes.

use super::{Ask, Data, Live, Profile, Signs};

const ANY: Data = Data { fixed: 0, back: 0, gates: &[], takes: &[], way: "" };

pub(super) const CADDY: Profile = Profile {
    name: "caddy",
    title: "Caddy",
    signs: Signs { variables: &["CADDY_VERSION"], programs: &["caddy"], titles: &["caddy"] },
    ready: Ask { name: "caddy ready", command: "wget -q -O /dev/null http://127.0.0.1:2019/config/" },
    figures: &[],
    data: ANY,
    live: Live::Usable,
};

pub(super) const NGINX: Profile = Profile {
    name: "nginx",
    title: "nginx",
    signs: Signs { variables: &["NGINX_VERSION"], programs: &["nginx"], titles: &["nginx"] },
    ready: Ask { name: "nginx ready", command: "nginx -t -q" },
    figures: &[],
    data: ANY,
    live: Live::Usable,
};
