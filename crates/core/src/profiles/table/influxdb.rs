//! InfluxDB. Version 1 and 2 keep their data in other formats: <https://docs.influxdata.com/influxdb/v2/install/upgrade/>.

use super::{Ask, Data, Gate, Live, Profile, Signs};

pub(super) const INFLUXDB: Profile = Profile {
    name: "influxdb",
    title: "InfluxDB",
    signs: Signs { variables: &["INFLUXDB_VERSION"], programs: &["influxd"], titles: &["influxdb"] },
    ready: Ask { name: "influxdb ready", command: "influx ping" },
    figures: &[],
    data: Data {
        fixed: 1,
        back: 1,
        gates: &[Gate { to: "2.0", from: "2.0" }],
        takes: &[],
        way: "export with the old version and import into an empty volume with the new one, or run `influxd upgrade`",
    },
    live: Live::Usable,
};
