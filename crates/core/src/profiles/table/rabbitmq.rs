//! RabbitMQ. Ways up, one series at a time, with all feature flags enabled before each step: the table of
//! <https://www.rabbitmq.com/docs/upgrade#rabbitmq-version-upgradability>; downgrades are not supported (same place, «Downgrades»).
//! A node has to be stopped for a copy of its files (<https://www.rabbitmq.com/docs/backup#manual-messages-backup>).
//!
//! Its data lies in a directory with the node's name, which has the container's host name in it: a container that is made anew
//! without a fixed `hostname` has another one, and starts empty beside its data. The figures notice.

use super::{Ask, Data, Figure, Gate, Live, Profile, Signs};

/// The clients would make the cookie that they and the server share, and one that root made is of no use to the server. So
/// they aren't started before it has made its own.
macro_rules! cookie {
    () => {
        r#"[ "$(id -u)" != 0 ] || [ -s "${HOME:-/root}/.erlang.cookie" ] || { echo 'it has not made its cookie yet' >&2; exit 1; }
"#
    };
}

pub(super) const RABBITMQ: Profile = Profile {
    name: "rabbitmq",
    title: "RabbitMQ",
    signs: Signs { variables: &["RABBITMQ_VERSION"], programs: &["rabbitmq-server"], titles: &["rabbitmq"] },
    // Not its alarms: with much to do it stops taking messages for a while, which is how it is meant to be.
    ready: Ask {
        name: "rabbitmq ready",
        command: concat!(cookie!(), "rabbitmq-diagnostics -q check_running"),
    },
    figures: &[
        // Only those that outlive a restart: durable, of no one connection, not gone with their last consumer or after a while.
        Figure {
            ask: Ask {
                name: "rabbitmq queues",
                command: concat!(
                    cookie!(),
                    r#"names=$(rabbitmqctl -q --no-table-headers list_vhosts name) || exit 1
n=0
while IFS= read -r name; do
[ -n "$name" ] || continue
list=$(rabbitmqctl -q --no-table-headers list_queues -p "$name" durable auto_delete exclusive arguments </dev/null) || exit 1
while IFS= read -r queue; do
case $queue in *x-expires*) ;; true*false*false*) n=$((n + 1)) ;; esac
done <<Q
$list
Q
done <<E
$names
E
echo "$n""#
                ),
            },
            min_ratio: 1.0,
        },
        Figure {
            ask: Ask {
                name: "rabbitmq users",
                command: concat!(
                    cookie!(),
                    r#"names=$(rabbitmqctl -q --no-table-headers list_users) || exit 1
n=0
while IFS= read -r name; do [ -z "$name" ] || n=$((n + 1)); done <<E
$names
E
echo "$n""#
                ),
            },
            min_ratio: 1.0,
        },
    ],
    data: Data {
        fixed: 0,
        back: 2,
        gates: &[
            Gate { to: "3.9", from: "3.8" },
            Gate { to: "3.10", from: "3.9" },
            Gate { to: "3.11", from: "3.10" },
            Gate { to: "3.12", from: "3.11.18" },
            Gate { to: "3.13", from: "3.12" },
            Gate { to: "4.0", from: "3.13" },
            Gate { to: "4.3", from: "4.2" },
        ],
        takes: &[],
        way: "go one series at a time (3.11, 3.12, 3.13, 4.0, 4.2, …), and enable all feature flags before each step (`rabbitmqctl enable_feature_flag all`)",
    },
    live: Live::Torn { why: "its files only fit together once the node has stopped" },
};
