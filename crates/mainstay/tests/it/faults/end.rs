//! Whether an end is one of those that are promised.

use std::path::Path;

use super::fault::Fault;
use super::ground::{Ground, RECORD};
use super::phase::{GOOD, Phase};
use crate::lab::process::Run;

/// What came of it, in a word; anything that was not promised is a failure.
pub fn judge(ground: &Ground<'_>, phase: Phase, run: Option<&Run>) -> String {
    let verdict = run.map_or("as-before", |run| run.ended()["verdict"].as_str().unwrap()).to_owned();
    let said = run.map(ToString::to_string).unwrap_or_default();
    match (verdict.as_str(), ground.fault) {
        ("needs-person", _) => person(ground, run.unwrap()),
        ("done" | "done-with-warnings", Fault::MoveTag) => runs(ground, phase, &[GOOD, "1.1.0"], &said),
        ("done" | "done-with-warnings", _) => {
            assert_eq!(phase.version(), GOOD, "a bad version was kept: {said}");
            runs(ground, phase, &[GOOD], &said);
        }
        ("as-before" | "rolled-back" | "refused" | "failed" | "interrupted", fault) => {
            runs(ground, phase, &["1.0.0"], &said);
            if !fault.is_of_others() {
                ground.lab.assert_as_before(&ground.before);
            }
        }
        other => panic!("no such end: {other:?}: {said}"),
    }
    if ground.edited {
        let text = ground.lab.read("compose.yaml");
        assert!(
            text.contains("# added by somebody else"),
            "an edit of somebody else is gone: {text}\n{said}"
        );
    }
    if ground.fault == Fault::WriteData {
        let there = ground.data().join("written-by-somebody").exists();
        assert!(there || kept(ground, "written-by-somebody"), "data of somebody else is gone: {said}");
    }
    let nothing = ground.lab.mainstay(&["resume"]).expect(0);
    assert!(nothing.stdout.contains("nothing to resume"), "{nothing}");
    word(&verdict).to_owned()
}

/// As it stands in the table.
fn word(verdict: &str) -> &str {
    match verdict {
        "done" | "done-with-warnings" => "kept",
        "as-before" | "failed" | "interrupted" => "as before",
        "rolled-back" => "rolled back",
        "needs-person" => "a person",
        other => other,
    }
}

/// One of these versions answers, with the data. Where somebody took the service down, it is started as they would.
fn runs(ground: &Ground<'_>, phase: Phase, versions: &[&str], said: &str) {
    let lab = &ground.lab;
    // What somebody took down is started as they would; and what an engine that died doesn't start again before or after
    // the command looks at it.
    let unseen = ground.fault == Fault::EngineDies && matches!(phase, Phase::Validate | Phase::Document);
    if unseen || matches!(ground.fault, Fault::Down | Fault::Stop | Fault::Remove) {
        let up = lab.compose(&["up", "-d"]);
        assert_eq!(up.code, Some(0), "{}\n{said}", up.stderr);
    }
    // Somebody lets the tag mean a third version: whoever starts the project then gets that.
    let moved = ground.fault == Fault::MoveTag;
    let version = lab.version();
    assert!(versions.contains(&version.as_str()), "{version} runs: {said}");
    let records = lab.get("/records").unwrap();
    assert!(records.contains(RECORD), "{records}\n{said}");
    if version == GOOD {
        assert_eq!(lab.get("/schema").as_deref(), Ok("2"), "{said}");
    }
    if !moved {
        lab.compose_changes_nothing();
    }
}

/// Nobody could say that a version works. Then the data from before is there as it was: in its place, or in a verified
/// backup of this run.
fn person(ground: &Ground<'_>, run: &Run) {
    let advice = &run.ended()["conclusion"]["then"]["problem"]["advice"];
    let said = !advice.as_array().is_none_or(Vec::is_empty)
        || run.problem()["advice"].as_array().is_some_and(|a| !a.is_empty());
    assert!(said, "nobody says what to do: {run}");
    let old = ground.before.data.values().next();
    let present = ground.lab.now();
    let untouched = present.data.values().next() == old && old.is_some();
    assert!(untouched || kept(ground, RECORD), "the data from before is nowhere: {run}");
}

/// Whether a backup of the service holds a file of this name, or a text in its store.
fn kept(ground: &Ground<'_>, what: &str) -> bool {
    let lab = &ground.lab;
    let runs = std::fs::read_dir(lab.state().join("runs")).map(Iterator::count).unwrap_or_default();
    let kinds = ["safety", "cutover", "live"];
    (runs > 0)
        && kinds.iter().any(|kind| {
            let target = lab.home().join(format!("restored-{kind}-{}", what.len()));
            let args = ["restore", &lab.id("app"), "--to", target.to_str().unwrap(), "--kind", kind];
            lab.mainstay(&args).code == Some(0) && holds(&target, what)
        })
}

fn holds(directory: &Path, what: &str) -> bool {
    let store = std::fs::read_to_string(directory.join("store.json")).unwrap_or_default();
    directory.join(what).exists() || store.contains(what)
}
