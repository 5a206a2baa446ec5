//! InfluxDB 1, 2 and 3, each with a format of its own. Version 2 takes over the data of 1 by `influxd upgrade`, into other
//! directories (<https://docs.influxdata.com/influxdb/v2/install/upgrade/v1-to-v2/>), and 3 is another program
//! (<https://docs.influxdata.com/influxdb3/core/get-started/>): what is recognised of 3 is only its version.
//! Files of a running server are copied by `influx backup` and `influxd backup`
//! (<https://docs.influxdata.com/influxdb/v2/admin/backup-restore/backup/>).
//! Variables: <https://github.com/docker-library/docs/tree/master/influxdb>,
//! <https://github.com/bitnami/containers/tree/main/bitnami/influxdb>; those of the clients: `INFLUX_USERNAME` and `INFLUX_PASSWORD`
//! (1), `INFLUX_TOKEN` and `INFLUX_ORG` (2), which else takes what the official image left in its `influx-configs`.

use super::{Ask, Data, Figure, Live, Profile, Signs};

/// `one` is true in version 1, whose `ask` takes a query. By the container's own name, not by the loopback: while it sets up new
/// data, the official image of 1 lets in by that alone.
macro_rules! login {
    () => {
        concat!(
            given!(),
            r#"one() { case $(influx version 2>/dev/null) in 'Influx CLI'*) return 1 ;; esac; }
read -r host </etc/hostname
if one; then
INFLUX_USERNAME=$(given INFLUX_USERNAME INFLUXDB_ADMIN_USER) INFLUX_PASSWORD=$(given INFLUX_PASSWORD INFLUXDB_ADMIN_PASSWORD INFLUXDB_ADMIN_USER_PASSWORD)
export INFLUX_USERNAME INFLUX_PASSWORD
ask() { influx -host "$host" -format csv -execute "$1"; }
else
t=$(given INFLUX_TOKEN DOCKER_INFLUXDB_INIT_ADMIN_TOKEN INFLUXDB_ADMIN_USER_TOKEN); [ -z "$t" ] || export INFLUX_TOKEN="$t"
o=$(given INFLUX_ORG DOCKER_INFLUXDB_INIT_ORG INFLUXDB_ADMIN_ORG); [ -z "$o" ] || export INFLUX_ORG="$o"
fi
"#
        )
    };
}

/// Their names, one a line.
macro_rules! databases {
    () => {
        concat!(
            login!(),
            r#"if one; then
list=$(ask 'show databases') || exit 1
case $list in name,*) ;; *) echo "$list" >&2; exit 1 ;; esac
list=$(printf '%s\n' "$list" | sed -n '/^databases,_internal$/d; s/^databases,"\{0,1\}\(.*[^"]\)"\{0,1\}$/\1/p')
else
list=$(influx bucket list --hide-headers) || exit 1
list=$(printf '%s\n' "$list" | cut -f 2 | sed '/^_/d')
fi
"#
        )
    };
}

pub(super) const INFLUXDB: Profile = Profile {
    name: "influxdb",
    title: "InfluxDB",
    signs: Signs {
        variables: &["INFLUXDB_VERSION"],
        programs: &["influxd", "influxdb3"],
        titles: &["influxdb"],
    },
    ready: Ask {
        name: "influxdb ready",
        command: concat!(
            login!(),
            "if one; then ask 'show databases' >/dev/null; else influx ping >/dev/null; fi"
        ),
    },
    figures: &[
        // Buckets, in version 2.
        Figure {
            ask: Ask {
                name: "influxdb databases",
                command: concat!(
                    databases!(),
                    r#"n=0
while IFS= read -r l; do [ -z "$l" ] || n=$((n + 1)); done <<E
$list
E
echo "$n""#
                ),
            },
            min_ratio: 1.0,
        },
        // Of the index, no scan; data goes with its age.
        Figure {
            ask: Ask {
                name: "influxdb measurements",
                command: concat!(
                    databases!(),
                    r#"n=0
while IFS= read -r d; do
[ -n "$d" ] || continue
if one; then
m=$(ask "show measurements on \"$d\"" </dev/null) || exit 1
else
m=$(influx query --raw "import \"influxdata/influxdb/schema\" schema.measurements(bucket: \"$d\")" </dev/null) || exit 1
fi
while IFS= read -r l; do case $l in measurements,* | ,,*) n=$((n + 1)) ;; esac; done <<M
$m
M
done <<E
$list
E
echo "$n""#
                ),
            },
            min_ratio: 0.5,
        },
    ],
    data: Data {
        fixed: 1,
        back: 1,
        gates: &[],
        takes: &[],
        way: "export with the old version and import into an empty volume with the new one, or from 1 to 2 run `influxd upgrade`; an update of the image alone stays within one major version",
    },
    live: Live::Torn {
        why: "the files of its shards and of its index that are copied while it writes may not belong together",
    },
};
