//! Elasticsearch and OpenSearch.
//! Ways up: <https://www.elastic.co/guide/en/elasticsearch/reference/8.17/setup-upgrade.html>.

use super::{Ask, Data, Gate, Live, Profile, Signs};

const TORN: Live =
    Live::Torn { why: "the files of an index that are copied while it writes may not belong together" };

pub(super) const OPENSEARCH: Profile = Profile {
    name: "opensearch",
    title: "OpenSearch",
    signs: Signs {
        variables: &["OPENSEARCH_VERSION"],
        programs: &["opensearch", "opensearch-docker-entrypoint.sh"],
        titles: &["opensearch"],
    },
    ready: Ask {
        name: "opensearch ready",
        command: "curl -sf http://127.0.0.1:9200/_cluster/health >/dev/null",
    },
    figures: &[],
    data: Data {
        fixed: 0,
        back: 3,
        gates: &[Gate { to: "3.0", from: "2.0" }],
        takes: &[("elasticsearch", Some("7.11"))],
        way: "go one major version at a time, and index again what an older one made",
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
    ready: Ask {
        name: "elasticsearch ready",
        command: "curl -sf http://127.0.0.1:9200/_cluster/health >/dev/null",
    },
    figures: &[],
    data: Data {
        fixed: 0,
        back: 3,
        gates: &[
            Gate { to: "7.0", from: "6.8" },
            Gate { to: "8.0", from: "7.17" },
            Gate { to: "9.0", from: "8.18" },
        ],
        takes: &[],
        way: "go to the last release of each major version first (6.8, 7.17, 8.19), and index again what an older one made",
    },
    live: TORN,
};
