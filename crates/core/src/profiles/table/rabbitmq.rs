//! RabbitMQ. Ways up: <https://www.rabbitmq.com/docs/upgrade>.

use super::{Ask, Data, Gate, Live, Profile, Signs};

pub(super) const RABBITMQ: Profile = Profile {
    name: "rabbitmq",
    title: "RabbitMQ",
    signs: Signs { variables: &["RABBITMQ_VERSION"], programs: &["rabbitmq-server"], titles: &["rabbitmq"] },
    ready: Ask { name: "rabbitmq ready", command: "rabbitmq-diagnostics -q check_running" },
    figures: &[],
    data: Data {
        fixed: 0,
        back: 2,
        gates: &[
            Gate { to: "3.12", from: "3.11" },
            Gate { to: "3.13", from: "3.12" },
            Gate { to: "4.0", from: "3.13" },
        ],
        takes: &[],
        way: "go by each series of the table of upgrades, and enable all feature flags before each step (`rabbitmqctl enable_feature_flag all`)",
    },
    live: Live::Torn { why: "its node keeps files open that only fit together once it has stopped" },
};
