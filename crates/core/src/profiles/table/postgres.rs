//! PostgreSQL and what is built on it (PostGIS, TimescaleDB, pgvector), whose images keep its variables.
//!
//! Every major version has its own format of files, and a server refuses any other
//! (<https://www.postgresql.org/docs/current/upgrading.html>); up to 9.6 the first two numbers are the major version
//! (<https://www.postgresql.org/support/versioning/>). Within one, releases work both ways. A copy of the files of a running
//! server needs `pg_backup_start` in a session that stays open, which no command before a backup can hold
//! (<https://www.postgresql.org/docs/current/continuous-archiving.html>).
//! Variables: <https://github.com/docker-library/docs/tree/master/postgres>,
//! <https://github.com/bitnami/containers/tree/main/bitnami/postgresql>.

use super::{Ask, Data, Figure, Gate, Live, Profile, Signs};

macro_rules! login {
    () => {
        concat!(
            given!(),
            r#"PGUSER=$(given POSTGRESQL_USERNAME POSTGRES_USER); PGPASSWORD=$(given POSTGRESQL_PASSWORD POSTGRES_PASSWORD)
export PGUSER="${PGUSER:-postgres}" PGPASSWORD PGPORT="${PGPORT:-${POSTGRESQL_PORT_NUMBER:-5432}}" PGCONNECT_TIMEOUT=10
unset PGHOSTADDR PGSERVICE; case ${PGHOST:-/} in /*) ;; *) unset PGHOST ;; esac
ask() { psql -X -w -tA -d "$1" -c "$2"; }
"#
        )
    };
}

pub(super) const POSTGRES: Profile = Profile {
    name: "postgres",
    title: "PostgreSQL",
    signs: Signs {
        variables: &["PG_VERSION", "PG_MAJOR"],
        programs: &["postgres", "postmaster"],
        titles: &["postgres", "postgresql"],
    },
    // Over TCP: while it sets up a new cluster, the official image lets in by the socket alone.
    ready: Ask {
        name: "postgres ready",
        command: r#"pg_isready -q -h 127.0.0.1 -p "${PGPORT:-${POSTGRESQL_PORT_NUMBER:-5432}}""#,
    },
    figures: &[
        Figure {
            ask: Ask {
                name: "postgres databases",
                command: concat!(
                    login!(),
                    "ask template1 'select count(*) from pg_database where not datistemplate'"
                ),
            },
            min_ratio: 1.0,
        },
        // Neither temporary ones nor partitions, nor what TimescaleDB makes of its own: those come and go by themselves.
        Figure {
            ask: Ask {
                name: "postgres tables",
                command: concat!(
                    login!(),
                    r#"names=$(ask template1 'select datname from pg_database where datallowconn and not datistemplate') || exit 1
sum=0
while IFS= read -r name; do
n=$(ask "$name" "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't' and n.nspname !~ '^(pg_|information_schema$|_timescaledb_)'
and not exists (select 1 from pg_inherits i where i.inhrelid = c.oid)" </dev/null) || exit 1
sum=$((sum + n))
done <<E
$names
E
echo "$sum""#
                ),
            },
            min_ratio: 0.9,
        },
    ],
    data: Data {
        fixed: 1,
        back: 1,
        gates: &[
            Gate { to: "9.4", from: "9.4" },
            Gate { to: "9.5", from: "9.5" },
            Gate { to: "9.6", from: "9.6" },
        ],
        takes: &[],
        way: "dump with the old version (`pg_dumpall`) and load into an empty volume with the new one, or run `pg_upgrade`; an update of the image alone stays within one major version",
    },
    live: Live::Torn {
        why: "files that are copied while it writes may not belong together, and then it can't start from them",
    },
};
