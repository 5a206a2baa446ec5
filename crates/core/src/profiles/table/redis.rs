//! Redis and Valkey. A newer version writes a newer format of its files, that no older one reads; Redis from 7.4 on and
//! Valkey from 8 on have gone separate ways: <https://valkey.io/topics/migration/>.

use super::{Ask, Data, Figure, Live, Profile, Signs};

const SAVE_REDIS: &str =
    r#"export REDISCLI_AUTH="${REDISCLI_AUTH:-${REDIS_PASSWORD:-}}"; redis-cli save | grep -qx OK"#;
const SAVE_VALKEY: &str =
    r#"export REDISCLI_AUTH="${REDISCLI_AUTH:-${VALKEY_PASSWORD:-}}"; valkey-cli save | grep -qx OK"#;

pub(super) const VALKEY: Profile = Profile {
    name: "valkey",
    title: "Valkey",
    signs: Signs { variables: &["VALKEY_VERSION"], programs: &["valkey-server"], titles: &["valkey"] },
    ready: Ask {
        name: "valkey ready",
        command: r#"export REDISCLI_AUTH="${REDISCLI_AUTH:-${VALKEY_PASSWORD:-}}"; valkey-cli ping | grep -qx PONG"#,
    },
    figures: &[Figure {
        ask: Ask {
            name: "valkey keys",
            command: r#"export REDISCLI_AUTH="${REDISCLI_AUTH:-${VALKEY_PASSWORD:-}}"
valkey-cli info keyspace | sed -n 's/^db[0-9]*:keys=\([0-9]*\),.*/\1/p' | awk '{ n += $1 } END { print n + 0 }'"#,
        },
        min_ratio: 0.5,
    }],
    data: Data {
        fixed: 0,
        back: 1,
        gates: &[],
        takes: &[("redis", Some("7.4"))],
        way: "copy the keys from a server of the old version to an empty one of the new version, for example with `MIGRATE` or a replica",
    },
    live: Live::Prepared { before: SAVE_VALKEY, after: None },
};

pub(super) const REDIS: Profile = Profile {
    name: "redis",
    title: "Redis",
    signs: Signs { variables: &["REDIS_VERSION"], programs: &["redis-server"], titles: &["redis"] },
    ready: Ask {
        name: "redis ready",
        command: r#"export REDISCLI_AUTH="${REDISCLI_AUTH:-${REDIS_PASSWORD:-}}"; redis-cli ping | grep -qx PONG"#,
    },
    figures: &[Figure {
        ask: Ask {
            name: "redis keys",
            command: r#"export REDISCLI_AUTH="${REDISCLI_AUTH:-${REDIS_PASSWORD:-}}"
redis-cli info keyspace | sed -n 's/^db[0-9]*:keys=\([0-9]*\),.*/\1/p' | awk '{ n += $1 } END { print n + 0 }'"#,
        },
        min_ratio: 0.5,
    }],
    data: Data {
        fixed: 0,
        back: 1,
        gates: &[],
        takes: &[("valkey", Some("9.0"))],
        way: "copy the keys from a server of the old version to an empty one of the new version, for example with `MIGRATE` or a replica",
    },
    live: Live::Prepared { before: SAVE_REDIS, after: None },
};
