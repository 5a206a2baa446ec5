//! MySQL and MariaDB.
//! Ways up: <https://dev.mysql.com/doc/refman/8.4/en/upgrade-paths.html>, <https://mariadb.com/kb/en/upgrading/>; none leads down
//! but within one series of MariaDB.

use super::{Ask, Data, Figure, Gate, Live, Profile, Signs};

const TORN: Live = Live::Torn {
    why: "InnoDB's files that are copied while it writes may not belong together, and then it can't recover them",
};

pub(super) const MARIADB: Profile = Profile {
    name: "mariadb",
    title: "MariaDB",
    signs: Signs {
        variables: &["MARIADB_VERSION"],
        programs: &["mariadbd", "mariadbd-safe"],
        titles: &["mariadb", "mariadb database"],
    },
    ready: Ask {
        name: "mariadb ready",
        command: r#"if command -v mariadb >/dev/null; then c=mariadb; else c=mysql; fi
p=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}; f=${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-}}
[ -n "$p" ] || [ -z "$f" ] || p=$(cat "$f")
MYSQL_PWD=$p exec $c -u root -N -B -e 'select 1' >/dev/null"#,
    },
    figures: &[Figure {
        ask: Ask {
            name: "mariadb tables",
            command: r#"if command -v mariadb >/dev/null; then c=mariadb; else c=mysql; fi
p=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}; f=${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-}}
[ -n "$p" ] || [ -z "$f" ] || p=$(cat "$f")
MYSQL_PWD=$p exec $c -u root -N -B -e "select count(*) from information_schema.tables where table_schema not in ('mysql', 'information_schema', 'performance_schema', 'sys')""#,
        },
        min_ratio: 1.0,
    }],
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
    ready: Ask {
        name: "mysql ready",
        command: r#"p=${MYSQL_ROOT_PASSWORD:-}; f=${MYSQL_ROOT_PASSWORD_FILE:-}
[ -n "$p" ] || [ -z "$f" ] || p=$(cat "$f")
MYSQL_PWD=$p exec mysql -u root -N -B -e 'select 1' >/dev/null"#,
    },
    figures: &[Figure {
        ask: Ask {
            name: "mysql tables",
            command: r#"p=${MYSQL_ROOT_PASSWORD:-}; f=${MYSQL_ROOT_PASSWORD_FILE:-}
[ -n "$p" ] || [ -z "$f" ] || p=$(cat "$f")
MYSQL_PWD=$p exec mysql -u root -N -B -e "select count(*) from information_schema.tables where table_schema not in ('mysql', 'information_schema', 'performance_schema', 'sys')""#,
        },
        min_ratio: 1.0,
    }],
    data: Data {
        fixed: 0,
        back: 3,
        gates: &[
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
