//! What all rules have in common, and what hides what.

use super::*;

fn facts(container: Container) -> Facts {
    Facts { service: "app".to_owned(), listed: true, containers: vec![container], ..Facts::default() }
}

fn running() -> Container {
    Container { name: "shop-app-1".into(), status: "running".into(), running: true, ..Container::default() }
}

fn ids(facts: &Facts) -> Vec<String> {
    diagnose(facts).into_iter().map(|d| d.id).collect()
}

fn no_answer(port: u16) -> Inside {
    Inside { port, from: "VIRTUAL_PORT".into(), detail: "connection refused".into(), ..Inside::default() }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let mut well = facts(running());
    well.inside = Some(Inside { port: 80, connects: true, ok: true, status: Some(200), ..Inside::default() });
    well.outside =
        Some(Outside { url: "https://a.test/".into(), ok: true, status: Some(200), ..Outside::default() });
    well.neighbours = vec![Neighbour {
        service: "db".into(),
        needed: true,
        state: "running".into(),
        status: "Up".into(),
        job: false,
    }];
    well.spaces = vec![Space { free: 10 << 30, total: 20 << 30, ..Space::default() }];
    well.clocks = vec![Clock { whose: "the engine".into(), ahead_ms: 900, within_ms: 100 }];
    assert!(ids(&well).is_empty(), "{:?}", diagnose(&well));
    // Lines of long ago, or that mean nothing while all is well.
    well.containers[0].log =
        vec!["ERROR connection refused by db:5432".into(), "password authentication failed".into()];
    assert!(ids(&well).is_empty(), "{:?}", diagnose(&well));
}

#[test]
fn ids_are_unique_and_what_is_explained_stands_below() {
    let order: Vec<&str> = rules::RULES.iter().map(|rule| rule.id).collect();
    for (at, rule) in rules::RULES.iter().enumerate() {
        assert_eq!(order.iter().filter(|id| **id == rule.id).count(), 1, "{}", rule.id);
        for explained in rule.explains.iter().copied().flatten() {
            assert!(order.contains(explained), "{explained} is no rule");
            let above = order.iter().position(|id| id == explained).unwrap() < at;
            assert!(!above || PEERS.contains(explained), "{} explains {explained}, which is above", rule.id);
        }
    }
}

/// Ways not to start, and not to answer: one rules out the others, whichever comes first.
const PEERS: &[&str] = &["bad-entrypoint", "missing-library", "start-failed", "hangs", "bad-answer"];

#[test]
fn every_rule_is_documented_in_order() {
    let document = include_str!("../../../../docs/diagnosis.md");
    let mut rest = document;
    for (id, _) in all() {
        let row = format!("\n| `{id}` |");
        let at =
            rest.find(&row).unwrap_or_else(|| panic!("docs/diagnosis.md has no row of {id} in its place"));
        rest = &rest[at + row.len()..];
    }
    assert_eq!(document.matches("\n| `").count(), all().len(), "docs/diagnosis.md has rows of no rule");
}

#[test]
fn every_diagnosis_has_evidence_and_advice() {
    let dead = Container { status: "exited".into(), running: false, exit_code: 1, ..running() };
    let mut many = facts(Container { out_of_memory: true, memory_limit: Some(64 << 20), ..dead });
    many.clocks = vec![Clock { whose: "the engine".into(), ahead_ms: 60_000, within_ms: 0 }];
    let found = diagnose(&many);
    assert_eq!(found.len(), 2);
    for diagnosis in found {
        assert!(!diagnosis.evidence.is_empty() && !diagnosis.advice.is_empty(), "{diagnosis:?}");
    }
}

#[test]
fn a_cause_hides_its_consequences() {
    let mut container = Container { exits: 4, exit_code: 137, out_of_memory: true, ..running() };
    container.listeners = Some(Vec::new());
    container.unhealthy = Some("connection refused".into());
    let mut facts = facts(container);
    facts.inside = Some(no_answer(8080));
    facts.outside = Some(Outside { status: Some(502), ..Outside::default() });
    assert_eq!(ids(&facts), ["out-of-memory"]);
    facts.containers[0].out_of_memory = false;
    assert_eq!(ids(&facts), ["crash-loop"]);
    facts.containers[0].exits = 0;
    assert_eq!(ids(&facts), ["not-listening"]);
}

#[test]
fn where_it_listens_is_told_from_where_it_should() {
    let at = |address: &str, port: u16| Listener { address: address.parse().unwrap(), port };
    let mut facts = facts(Container { listeners: Some(vec![at("127.0.0.1", 8080)]), ..running() });
    facts.inside = Some(no_answer(8080));
    assert_eq!(ids(&facts), ["loopback-only"]);
    facts.containers[0].listeners = Some(vec![at("0.0.0.0", 8081), at("127.0.0.1", 9000)]);
    let found = diagnose(&facts);
    assert_eq!(found[0].id, "wrong-port");
    assert!(found[0].what.contains("8081") && found[0].what.contains("8080"), "{found:?}");
    // It listens where it should: that it could not be reached is no matter of ports.
    facts.containers[0].listeners = Some(vec![at("::", 8080)]);
    assert!(ids(&facts).is_empty());
    facts.containers[0].listeners = None;
    assert!(ids(&facts).is_empty(), "what can't be seen is no fault");
}

#[test]
fn a_stopped_container_has_not_crashed() {
    let stopped = Container { status: "exited".into(), running: false, exit_code: 137, ..running() };
    assert_eq!(ids(&facts(stopped)), ["not-running"]);
    let crashed = Container { status: "exited".into(), running: false, exit_code: 1, ..running() };
    assert_eq!(ids(&facts(crashed)), ["crash-loop"]);
}

#[test]
fn who_may_not_write_is_told_where_that_matters() {
    let entry = Entry { path: "/data".into(), uid: 0, gid: 0, mode: 0o755 };
    let mount = Mount {
        destination: "/data".into(),
        source: "/v/_data".into(),
        entries: vec![entry],
        written_by: None,
    };
    let user = User { name: "app".into(), uid: Some(1000), gids: vec![1000] };
    let mut facts = facts(Container { mounts: vec![mount], user, ..running() });
    assert!(ids(&facts).is_empty(), "it may never have to write there");
    facts.containers[0].log = vec!["cannot write: /data/store.json: Permission denied (os error 13)".into()];
    let found = diagnose(&facts);
    assert_eq!(found[0].id, "volume-permission");
    assert!(found[0].advice[0].contains("chown -R 1000:1000 /v/_data"), "{found:?}");
    facts.containers[0].user.uid = Some(0);
    facts.containers[0].log = vec!["ERROR: permission denied for table users".into()];
    assert!(ids(&facts).is_empty());
}

#[test]
fn a_dependency_is_down_or_named_by_the_log() {
    let mut facts = facts(running());
    let db = |state: &str, status: &str| Neighbour {
        service: "db".into(),
        needed: true,
        state: state.into(),
        status: status.into(),
        job: true,
    };
    facts.neighbours = vec![db("exited", "Exited (0) 2 hours ago")];
    assert!(ids(&facts).is_empty(), "a job");
    facts.neighbours[0].job = false;
    assert_eq!(ids(&facts), ["dependency-down"], "a service that was stopped in order");
    facts.neighbours = vec![db("exited", "Exited (137) 2 hours ago")];
    assert_eq!(ids(&facts), ["dependency-down"]);
    facts.neighbours = vec![db("running", "Up 3 hours (unhealthy)")];
    assert!(diagnose(&facts)[0].what.contains("unhealthy"));
    facts.neighbours = vec![db("running", "Up 3 hours")];
    facts.condemned = true;
    facts.containers[0].log = vec!["could not connect to server: Connection refused: db:5432".into()];
    assert!(diagnose(&facts)[0].what.contains("can't reach db"), "{:?}", diagnose(&facts));
}

#[test]
fn clocks_differ_by_more_than_the_measurement() {
    let mut facts = facts(running());
    facts.clocks = vec![Clock { whose: "the engine".into(), ahead_ms: -9_000, within_ms: 0 }];
    assert!(ids(&facts).is_empty());
    facts.clocks[0].ahead_ms = -3_600_000;
    assert!(diagnose(&facts)[0].what.contains("3600 s behind"));
}

#[test]
fn who_has_the_data_brought_back_is_not_told_to_do_so() {
    let log = vec!["ERROR migration failed: a record cannot be read in its new form".to_owned()];
    let condemned = Facts { condemned: true, ..facts(Container { log: log.clone(), ..running() }) };
    let crashed = Container { log, status: "exited".into(), running: false, exit_code: 1, ..running() };
    let told = |facts: &Facts| {
        assert_eq!(ids(facts), ["migration-failed"]);
        diagnose(facts)[0].advice.iter().any(|advice| advice.contains("restore the backup"))
    };
    assert!(!told(&condemned), "the run does it");
    assert!(told(&facts(crashed)));
}
