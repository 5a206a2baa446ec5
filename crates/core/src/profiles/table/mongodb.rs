//! MongoDB. One major version at a time, each after `setFeatureCompatibilityVersion` of the one before:
//! <https://www.mongodb.com/docs/manual/release-notes/8.0-upgrade-standalone/>.

use super::{Ask, Data, Gate, Live, Profile, Signs};

pub(super) const MONGODB: Profile = Profile {
    name: "mongodb",
    title: "MongoDB",
    signs: Signs {
        variables: &["MONGO_VERSION", "MONGO_MAJOR"],
        programs: &["mongod"],
        titles: &["mongodb", "mongo"],
    },
    ready: Ask {
        name: "mongodb ready",
        command: "mongosh --quiet --eval 'db.adminCommand({ ping: 1 }).ok' | grep -qx 1",
    },
    figures: &[],
    data: Data {
        fixed: 0,
        back: 2,
        gates: &[
            Gate { to: "4.2", from: "4.0" },
            Gate { to: "4.4", from: "4.2" },
            Gate { to: "5.0", from: "4.4" },
            Gate { to: "6.0", from: "5.0" },
            Gate { to: "7.0", from: "6.0" },
            Gate { to: "8.0", from: "7.0" },
        ],
        takes: &[],
        way: "go one major version at a time, and set the `featureCompatibilityVersion` to each before the next",
    },
    live: Live::Usable,
};
