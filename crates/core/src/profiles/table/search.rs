//! Elasticsearch and OpenSearch.
//!
//! Elasticsearch starts on the data of the last minor versions before its own major version and of nothing older, and never on
//! that of a newer version: its `NodeMetadata` says «cannot upgrade a node from version … directly» and «cannot downgrade a node
//! from version …»; <https://www.elastic.co/docs/deploy-manage/upgrade>,
//! <https://www.elastic.co/guide/en/elasticsearch/reference/8.18/rolling-upgrades.html>. OpenSearch came from version 7.10.2 of
//! it, and says the same about data of older major versions than the one before its own:
//! <https://docs.opensearch.org/1.3/upgrade-to/upgrade-to>. Copies of the files of a running node are no backups:
//! <https://www.elastic.co/guide/en/elasticsearch/reference/8.18/snapshot-restore.html>.
//! Variables: <https://www.elastic.co/guide/en/elasticsearch/reference/8.18/docker.html>,
//! <https://docs.opensearch.org/latest/install-and-configure/install-opensearch/docker/>,
//! <https://github.com/bitnami/containers/tree/main/bitnami/elasticsearch>, `…/opensearch`.

use super::{Ask, Data, Figure, Gate, Live, Profile, Signs};

/// `ask PATH`, by TLS or without; first as it most likely is, because a node logs what it can't understand. `curl` takes the password from its standard input; the certificate is the node's own.
macro_rules! login {
    ($($user:literal),+; $default:literal; $($password:literal),+; $port:literal) => {
        concat!(
            given!(),
            "u=$(given", $(" ", $user),+, ") p=$(given", $(" ", $password),+, "); u=${u:-", $default, "}\n",
            "port=${", $port, ":-9200}\n",
            r#"first='http https'; [ -z "$p" ] || first='https http'
quoted() { printf %s "$1" | sed 's/[\\"]/\\&/g'; }
ask() {
for s in $first; do
if [ -n "$p" ]; then printf 'user = "%s:%s"\n' "$(quoted "$u")" "$(quoted "$p")"; fi |
curl -K - -sfk --max-time 20 "$s://127.0.0.1:$port/$1" && return
done
echo "nothing answers to /$1 on port $port, or the login is refused" >&2; return 1
}
"#
        )
    };
    ("elasticsearch") => {
        login!("ELASTIC_USERNAME", "ELASTICSEARCH_USERNAME"; "elastic"; "ELASTIC_PASSWORD", "ELASTICSEARCH_PASSWORD";
            "ELASTICSEARCH_HTTP_PORT_NUMBER")
    };
    ("opensearch") => {
        login!("OPENSEARCH_USERNAME"; "admin"; "OPENSEARCH_INITIAL_ADMIN_PASSWORD", "OPENSEARCH_PASSWORD";
            "OPENSEARCH_HTTP_PORT_NUMBER")
    };
}

/// Red: parts of the data are missing, also while a node reads them after its start.
macro_rules! ready {
    ($program:tt) => {
        concat!(
            login!($program),
            r#"s=$(ask '_cat/health?h=status') || exit 1
case $s in green* | yellow*) ;; *) echo "the status is $s" >&2; exit 1 ;; esac"#
        )
    };
}

/// Also those of data streams; not the programs' own, whose names begin with a point.
macro_rules! indices {
    ($program:tt) => {
        concat!(
            login!($program),
            r#"list=$(ask '_cat/indices?h=index&expand_wildcards=all') || exit 1
n=0
for i in $list; do case $i in .ds-* | [!.]*) n=$((n + 1)) ;; esac; done
echo "$n""#
        )
    };
}

macro_rules! documents {
    ($program:tt) => {
        concat!(login!($program), r#"n=$(ask '_cat/count?h=count') || exit 1; echo $n"#)
    };
}

const TORN: Live =
    Live::Torn { why: "the files of an index that are copied while it writes may not belong together" };

// Indices of data streams are removed by their age, with what is in them.
const OLD_GO: f64 = 0.5;

pub(super) const OPENSEARCH: Profile = Profile {
    name: "opensearch",
    title: "OpenSearch",
    signs: Signs {
        variables: &["OPENSEARCH_VERSION", "OPENSEARCH_HOME"],
        programs: &["opensearch", "opensearch-docker-entrypoint.sh"],
        titles: &["opensearch"],
    },
    ready: Ask { name: "opensearch ready", command: ready!("opensearch") },
    figures: &[
        Figure {
            ask: Ask { name: "opensearch indices", command: indices!("opensearch") },
            min_ratio: OLD_GO,
        },
        Figure {
            ask: Ask { name: "opensearch documents", command: documents!("opensearch") },
            min_ratio: OLD_GO,
        },
    ],
    data: Data {
        fixed: 0,
        back: 3,
        gates: &[Gate { to: "3.0", from: "2.0" }],
        takes: &[("elasticsearch", Some("7.11"))],
        way: "go one major version at a time, and index again what an older one made; down leads only a snapshot that was taken before",
    },
    live: TORN,
};

pub(super) const ELASTICSEARCH: Profile = Profile {
    name: "elasticsearch",
    title: "Elasticsearch",
    signs: Signs {
        variables: &["ELASTICSEARCH_VERSION"],
        programs: &["elasticsearch"],
        titles: &["elasticsearch"],
    },
    ready: Ask { name: "elasticsearch ready", command: ready!("elasticsearch") },
    figures: &[
        Figure {
            ask: Ask { name: "elasticsearch indices", command: indices!("elasticsearch") },
            min_ratio: OLD_GO,
        },
        Figure {
            ask: Ask { name: "elasticsearch documents", command: documents!("elasticsearch") },
            min_ratio: OLD_GO,
        },
    ],
    data: Data {
        fixed: 0,
        back: 3,
        gates: &[
            Gate { to: "7.0", from: "6.0" },
            Gate { to: "8.0", from: "7.17" },
            Gate { to: "9.0", from: "8.18" },
            Gate { to: "9.1", from: "8.19" },
        ],
        takes: &[],
        way: "go to the last release of each major version first (6.8, 7.17, 8.19), and index again what an older one made; down leads only a snapshot that was taken before",
    },
    live: TORN,
};
