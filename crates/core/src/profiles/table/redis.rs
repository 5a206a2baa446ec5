//! Redis and Valkey. A newer version writes a newer format of its files, that no older one reads; Redis from 7.4 on and
//! Valkey from 9 on have gone separate ways: Valkey takes over files of Redis below 7.4
//! (<https://valkey.io/topics/migration/>), and up to 8.1 it keeps the format of Redis 7.2, version 11
//! (<https://github.com/valkey-io/valkey/pull/665>).
//!
//! Before a copy of files that are in use, both are told to write a new one (`BGSAVE`, and `BGREWRITEAOF` where there is an
//! append-only file, so that it isn't rewritten by itself meanwhile), as
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/> advises. One that is set to keep nothing on
//! disk isn't made to: what it wrote, it would read at its next start.
//! Variables: <https://github.com/bitnami/containers/tree/main/bitnami/redis>, `…/valkey`; the official images know none for a
//! password, and `REDISCLI_AUTH` is the clients' own.

use super::{Ask, Data, Figure, Live, Profile, Signs};

macro_rules! login {
    ("redis") => {
        concat!(
            given!(),
            r#"a=$(given REDISCLI_AUTH REDIS_PASSWORD); [ -z "$a" ] || export REDISCLI_AUTH="$a"
ask() { redis-cli -p "${REDIS_PORT_NUMBER:-6379}" "$@"; }
"#
        )
    };
    ("valkey") => {
        concat!(
            given!(),
            r#"a=$(given REDISCLI_AUTH VALKEYCLI_AUTH VALKEY_PASSWORD REDIS_PASSWORD); [ -z "$a" ] || export REDISCLI_AUTH="$a"
ask() { valkey-cli -p "${VALKEY_PORT_NUMBER:-6379}" "$@"; }
"#
        )
    };
}

/// It answers anything else while it reads its files, and without the password.
macro_rules! ready {
    ($program:tt) => {
        concat!(login!($program), r#"r=$(ask ping); [ "$r" = PONG ] || { echo "$r" >&2; exit 1; }"#)
    };
}

/// Only keys that don't expire: the others go by themselves, also while the service is down. Where nothing is kept on disk, a
/// restart empties it, and nothing can be said.
macro_rules! keys {
    ($program:tt) => {
        concat!(
            login!($program),
            r#"case $(ask info persistence) in
*aof_enabled:1*) ;;
*) [ "$(ask config get save)" != save ] || { echo 0; exit 0; } ;;
esac
r=$(ask info keyspace)
case $r in *'# Keyspace'*) ;; *) echo "$r" >&2; exit 1 ;; esac
n=0
for l in $r; do
case $l in db*:keys=*,expires=*) k=${l#*:keys=} e=${l#*,expires=}; n=$((n + ${k%%,*} - ${e%%,*})) ;; esac
done
echo "$n""#
        )
    };
}

macro_rules! save {
    ($program:tt) => {
        concat!(
            login!($program),
            r#"no() { echo "$1" >&2; exit 1; }
field() { for l in $(ask info persistence); do case $l in "$1":*) l=${l#*:}; printf %s "${l%"$(printf '\r')"}" ;; esac; done; }
still() {
i=0
while [ "$(field rdb_bgsave_in_progress)$(field aof_rewrite_in_progress)$(field aof_rewrite_scheduled)" != 000 ]; do
i=$((i + 1)); [ "$i" -le 900 ] || no 'it was still saving after 15 minutes'; sleep 1
done
}
aof=$(field aof_enabled); [ -n "$aof" ] || no "$(ask ping)"
[ "$aof" = 1 ] || [ "$(ask config get save)" != save ] || { echo 'it keeps nothing on disk'; exit 0; }
still
r=$(ask bgsave); case $r in *'saving started'*) ;; *) no "$r" ;; esac
still
[ "$(field rdb_last_bgsave_status)" = ok ] || no 'it could not save (rdb_last_bgsave_status), see its log'
[ "$aof" = 1 ] || exit 0
r=$(ask bgrewriteaof); case $r in *'rewriting '*) ;; *) no "$r" ;; esac
still
[ "$(field aof_last_bgrewrite_status)" = ok ] || no 'it could not rewrite its append-only file (aof_last_bgrewrite_status), see its log'"#
        )
    };
}

const WAY: &str = "copy the keys from a server of the old version to an empty one of the new version by their commands, for example with `MIGRATE` or RedisShake";

pub(super) const VALKEY: Profile = Profile {
    name: "valkey",
    title: "Valkey",
    signs: Signs { variables: &["VALKEY_VERSION"], programs: &["valkey-server"], titles: &["valkey"] },
    ready: Ask { name: "valkey ready", command: ready!("valkey") },
    figures: &[Figure { ask: Ask { name: "valkey keys", command: keys!("valkey") }, min_ratio: 0.5 }],
    data: Data { fixed: 0, back: 1, gates: &[], takes: &[("redis", Some("7.4"))], way: WAY },
    live: Live::Prepared { before: save!("valkey") },
};

pub(super) const REDIS: Profile = Profile {
    name: "redis",
    title: "Redis",
    // Official images of 8 and later have the address of their source alone.
    signs: Signs {
        variables: &["REDIS_VERSION", "REDIS_DOWNLOAD_URL"],
        programs: &["redis-server"],
        titles: &["redis"],
    },
    ready: Ask { name: "redis ready", command: ready!("redis") },
    figures: &[Figure { ask: Ask { name: "redis keys", command: keys!("redis") }, min_ratio: 0.5 }],
    data: Data { fixed: 0, back: 1, gates: &[], takes: &[("valkey", Some("9.0"))], way: WAY },
    live: Live::Prepared { before: save!("redis") },
};
