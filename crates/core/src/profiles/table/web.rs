//! nginx and Caddy: they keep no data whose format changes, and write files as a whole (Caddy its certificates), so that any
//! copy is one. Whether they do their work is what the checks of the service's URL ask; this one is for where there is none.

use super::{Ask, Data, Live, Profile, Signs};

const ANY: Data = Data { fixed: 0, back: 0, gates: &[], takes: &[], way: "" };

/// A socket that listens (state `0A`) to others than the loopback (`7F` is the last byte of 127.0.0.1, ::1 ends with `01000000`),
/// where the engine's name server and Caddy's administration are. Both open theirs when their configuration was read and found
/// good. <https://docs.kernel.org/networking/proc_net_tcp.html>
const LISTENS: &str = r#"cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | {
while read -r _ at _ state _; do
case $state/$at in 0A/*7F:* | 0A/*01000000:*) ;; 0A/*) exit 0 ;; esac
done
echo 'it does not listen' >&2; exit 1
}"#;

pub(super) const CADDY: Profile = Profile {
    name: "caddy",
    title: "Caddy",
    signs: Signs { variables: &["CADDY_VERSION"], programs: &["caddy"], titles: &["caddy"] },
    ready: Ask { name: "caddy ready", command: LISTENS },
    figures: &[],
    data: ANY,
    live: Live::Usable,
};

pub(super) const NGINX: Profile = Profile {
    name: "nginx",
    title: "nginx",
    signs: Signs { variables: &["NGINX_VERSION"], programs: &["nginx"], titles: &["nginx"] },
    ready: Ask { name: "nginx ready", command: LISTENS },
    figures: &[],
    data: ANY,
    live: Live::Usable,
};
