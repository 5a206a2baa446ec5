//! MySQL (also as Percona builds it) and MariaDB.
//!
//! MySQL: no series may be skipped on the way up, and innovation releases lead to the next long-term series only
//! (<https://dev.mysql.com/doc/refman/9.7/en/upgrade-paths.html>); on the way down, a server takes the data of a later release
//! of its own series alone (<https://dev.mysql.com/doc/refman/9.0/en/downgrading.html>).
//! MariaDB: up from any earlier version, and from MySQL below 8.0
//! (<https://mariadb.com/kb/en/upgrading-between-major-mariadb-versions>); down within a series
//! (<https://mariadb.com/kb/en/downgrading-between-major-versions-of-mariadb>): 10.11 starts on data of 11.8 and complains of a
//! corrupt change buffer, so that nothing but this stops it.
//! A copy of `InnoDB`'s files of a running server can be recovered only together with the log of what was written meanwhile,
//! which `mariadb-backup` and `xtrabackup` collect.
//! Variables: <https://github.com/docker-library/docs/tree/master/mysql>, `…/mariadb`,
//! <https://github.com/bitnami/containers/tree/main/bitnami/mariadb>.

use super::{Ask, Data, Figure, Gate, Live, Profile, Signs};

const TORN: Live = Live::Torn {
    why: "InnoDB's files that are copied while it writes may not belong together, and then it can't recover them",
};

/// As the user of the application, who sees its own databases, where there is one: each login that fails is a line in the
/// server's log. Else as root. `MYSQL_PWD` is the one way that is neither an argument nor a file; and the clients would follow
/// a variable to another host.
macro_rules! login {
    () => {
        concat!(
            given!(),
            r#"c=mysql; ! command -v mariadb >/dev/null || c=mariadb
ask() { MYSQL_PWD=$p "$c" -u "$u" --connect-timeout=10 -N -B -e "$1"; }
unset MYSQL_HOST MARIADB_HOST
u=$(given MARIADB_USER MYSQL_USER) p=$(given MARIADB_PASSWORD MYSQL_PASSWORD)
if [ -z "$u" ] || ! ask 'select 1' >/dev/null 2>&1; then
u=$(given MARIADB_ROOT_USER MYSQL_ROOT_USER) p=$(given MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD) u=${u:-root}
fi
own="not in ('mysql', 'information_schema', 'performance_schema', 'sys')"
"#
        )
    };
}

/// While they set up new data or convert old, the official images run the server without network.
macro_rules! ready {
    () => {
        concat!(
            login!(),
            r#"s=$(ask 'select @@skip_networking') || exit 1
[ "$s" = 0 ] || { echo 'the server does not listen for others yet' >&2; exit 1; }"#
        )
    };
}

macro_rules! databases {
    () => {
        concat!(login!(), r#"ask "select count(*) from information_schema.schemata where schema_name $own""#)
    };
}

/// No views, and no temporary tables, which MariaDB lists since 11.2.
macro_rules! tables {
    () => {
        concat!(
            login!(),
            r#"ask "select count(*) from information_schema.tables where table_schema $own and table_type in ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')""#
        )
    };
}

pub(super) const MARIADB: Profile = Profile {
    name: "mariadb",
    title: "MariaDB",
    signs: Signs {
        variables: &["MARIADB_VERSION"],
        programs: &["mariadbd", "mariadbd-safe"],
        titles: &["mariadb", "mariadb database"],
    },
    ready: Ask { name: "mariadb ready", command: ready!() },
    figures: &[
        Figure { ask: Ask { name: "mariadb databases", command: databases!() }, min_ratio: 1.0 },
        Figure { ask: Ask { name: "mariadb tables", command: tables!() }, min_ratio: 0.9 },
    ],
    data: Data {
        fixed: 0,
        back: 2,
        gates: &[],
        takes: &[("mysql", Some("8.0"))],
        way: "dump with the old version (`mariadb-dump --all-databases`) and load into an empty volume with the new one",
    },
    live: TORN,
};

pub(super) const MYSQL: Profile = Profile {
    name: "mysql",
    title: "MySQL",
    signs: Signs {
        variables: &["MYSQL_VERSION", "MYSQL_MAJOR"],
        programs: &["mysqld", "mysqld_safe"],
        titles: &["mysql", "mysql server"],
    },
    ready: Ask { name: "mysql ready", command: ready!() },
    figures: &[
        Figure { ask: Ask { name: "mysql databases", command: databases!() }, min_ratio: 1.0 },
        Figure { ask: Ask { name: "mysql tables", command: tables!() }, min_ratio: 0.9 },
    ],
    data: Data {
        fixed: 0,
        back: 2,
        gates: &[
            Gate { to: "5.6", from: "5.5" },
            Gate { to: "5.7", from: "5.6" },
            Gate { to: "8.0", from: "5.7" },
            Gate { to: "8.1", from: "8.0" },
            Gate { to: "9.0", from: "8.4" },
        ],
        takes: &[],
        way: "go one long-term series at a time (5.7, 8.0, 8.4, 9.7), letting each start once; down leads only a dump (`mysqldump --all-databases`) into an empty volume",
    },
    live: TORN,
};
