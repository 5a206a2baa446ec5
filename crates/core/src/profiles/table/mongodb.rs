//! MongoDB. One major version at a time, each after the `featureCompatibilityVersion` was set to the one before
//! (<https://www.mongodb.com/docs/manual/release-notes/8.0-upgrade-standalone/> and those of the other versions); a binary
//! of an older series starts only on data whose `featureCompatibilityVersion` was lowered first
//! (<https://www.mongodb.com/docs/manual/release-notes/8.0-downgrade/>).
//!
//! `fsyncLock` blocks writes until it was undone as often as it was done, best by the same connection
//! (<https://www.mongodb.com/docs/manual/reference/method/db.fsyncLock/>), which no command around a backup can promise.
//! Variables: <https://github.com/docker-library/docs/tree/master/mongo>,
//! <https://github.com/bitnami/containers/tree/main/bitnami/mongodb>.

use super::{Ask, Data, Figure, Gate, Live, Profile, Signs};

/// For `mongosh` and the `mongo` before 6.0. By the container's own name, not by the loopback: while it sets up new data, the
/// official image lets in by that alone. The password comes from the environment; a login that fails ends the script.
macro_rules! ask {
    ($script:literal) => {
        concat!(
            given!(),
            r#"read -r host </etc/hostname
# The client leaves files in its home, which is the data directory in the official image.
HOME=$(mktemp -d) && export HOME && trap 'rm -rf "$HOME"' EXIT
MAINSTAY_USER=$(given MONGO_INITDB_ROOT_USERNAME MONGODB_ROOT_USER) MAINSTAY_PASSWORD=$(given MONGO_INITDB_ROOT_PASSWORD MONGODB_ROOT_PASSWORD)
export MAINSTAY_USER="${MAINSTAY_USER:-root}" MAINSTAY_PASSWORD
c=mongo; ! command -v mongosh >/dev/null || c=mongosh
"$c" --quiet --norc --host "$host" --port "${MONGODB_PORT_NUMBER:-27017}" --eval '
function of(name) { return typeof process === "undefined" ? _getEnv(name) : process.env[name] || ""; }
function must(answer) { if (!answer || answer.ok !== 1) { throw new Error("no: " + JSON.stringify(answer)); } return answer; }
var admin = db.getSiblingDB("admin");
if (of("MAINSTAY_PASSWORD") && !admin.auth(of("MAINSTAY_USER"), of("MAINSTAY_PASSWORD"))) { throw new Error("the login is refused"); }
function each(what) {
  must(admin.runCommand({ listDatabases: 1, nameOnly: true })).databases.forEach(function (d) {
    if (["admin", "config", "local"].indexOf(d.name) >= 0) { return; }
    var own = db.getSiblingDB(d.name);
    must(own.runCommand({ listCollections: 1, nameOnly: true, authorizedCollections: true, cursor: { batchSize: 100000 } })).cursor.firstBatch
      .filter(function (c) { return c.type === "collection" && !/^(system|tmp)[.]/.test(c.name); })
      .forEach(function (c) { what(own, c.name); });
  });
}
"#,
            $script,
            "'"
        )
    };
}

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
        command: ask!(r#"must(admin.runCommand({ ping: 1 })); print("ready")"#),
    },
    figures: &[
        Figure {
            ask: Ask {
                name: "mongodb collections",
                command: ask!("var n = 0; each(function () { n += 1; }); print(n)"),
            },
            min_ratio: 1.0,
        },
        // Counts of the catalog, not of a scan; applications let documents expire.
        Figure {
            ask: Ask {
                name: "mongodb documents",
                command: ask!(
                    "var n = 0; each(function (own, name) { n += Number(must(own.runCommand({ count: name })).n); }); print(n)"
                ),
            },
            min_ratio: 0.5,
        },
    ],
    data: Data {
        fixed: 0,
        back: 2,
        gates: &[
            Gate { to: "3.4", from: "3.2" },
            Gate { to: "3.6", from: "3.4" },
            Gate { to: "4.0", from: "3.6" },
            Gate { to: "4.2", from: "4.0" },
            Gate { to: "4.4", from: "4.2" },
            Gate { to: "5.0", from: "4.4" },
            Gate { to: "6.0", from: "5.0" },
            Gate { to: "7.0", from: "6.0" },
            Gate { to: "8.0", from: "7.0" },
        ],
        takes: &[],
        way: "go one major version at a time, and set the `featureCompatibilityVersion` to each before the next; for a way down, lower it first",
    },
    live: Live::Torn {
        why: "files that are copied while it writes may not belong together, and a lock (`fsyncLock`) that outlives the copy would block all writes",
    },
};
