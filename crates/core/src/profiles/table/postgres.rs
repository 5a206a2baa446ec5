//! PostgreSQL and what is built on it (PostGIS, TimescaleDB, pgvector), whose images keep its variables.
//! Major versions: <https://www.postgresql.org/docs/current/upgrading.html>.

use super::{Ask, Data, Figure, Gate, Live, Profile, Signs};

pub(super) const POSTGRES: Profile = Profile {
    name: "postgres",
    title: "PostgreSQL",
    signs: Signs {
        variables: &["PG_VERSION", "PG_MAJOR"],
        programs: &["postgres", "postmaster"],
        titles: &["postgres", "postgresql"],
    },
    // Over TCP: while it sets up a new cluster, the official image lets in by the socket alone.
    ready: Ask { name: "postgres ready", command: "pg_isready -q -h 127.0.0.1" },
    figures: &[
        Figure {
            ask: Ask {
                name: "postgres databases",
                command: r#"psql -X -U "${POSTGRES_USER:-postgres}" -d template1 -tAc 'select count(*) from pg_database where not datistemplate'"#,
            },
            min_ratio: 1.0,
        },
        Figure {
            ask: Ask {
                name: "postgres tables",
                command: r#"psql -X -U "${POSTGRES_USER:-postgres}" -d template1 -tAc 'select datname from pg_database where datallowconn' |
while read -r db; do psql -X -U "${POSTGRES_USER:-postgres}" -d "$db" -tAc "select count(*) from pg_class where relkind in ('r', 'p', 'm') and relpersistence <> 't'" || echo failed; done |
awk '/failed/ { exit 1 } { n += $1 } END { print n }'"#,
            },
            min_ratio: 1.0,
        },
    ],
    data: Data {
        fixed: 1,
        back: 1,
        gates: &[Gate { to: "9.5", from: "9.5" }, Gate { to: "9.6", from: "9.6" }],
        takes: &[],
        way: "dump with the old version (`pg_dumpall`) and load into an empty volume with the new one, or run `pg_upgrade`; an update of the image alone stays within one major version",
    },
    live: Live::Torn {
        why: "files that are copied while it writes may not belong together, and then it can't start from them",
    },
};
