//! The corpus: updates with the verdict that is right, tried with the real command on the real engine.
//!
//! Invariant: a case is data, and its limits are settings that an operator has, too; nothing of mainstay knows that
//! it is tried. [`the_whole_corpus`] is what `script/verdicts` runs; [`sample`] is a part of it for every change.
//! What it does not do: explain. Why a verdict is right stands in the case.

mod bad;
mod case;
mod good;
mod project;
mod report;
mod sample;
mod trial;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::{Case, Verdict};
use report::Mark;
use trial::Observed;

/// How many cases are tried at once, unless `VERDICTS_JOBS` says otherwise: they mostly wait.
const JOBS: usize = 3;

fn all() -> impl Iterator<Item = &'static Case> {
    bad::CASES.iter().chain(good::CASES)
}

fn named(name: &str) -> &'static Case {
    all().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"))
}

/// One case, whose verdict, tier and diagnosis have to be the expected ones.
fn right(name: &str) {
    let case = named(name);
    let trials = [(*case, trial::run(case))];
    let mark = Mark::of(case, &trials[0].1);
    assert!(mark == Mark::Right, "{}", report::table(&trials));
}

/// Tries several at once, in the order of the table; each says on standard error how it came out.
fn try_all(cases: &[Case], jobs: usize) -> Vec<(Case, Observed)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let trials = [(*case, trial::run(case))];
                    let table = report::table(&trials);
                    let _ = std::io::stderr().write_all(table.split_once('\n').unwrap().1.as_bytes());
                    done.lock().unwrap().extend(trials);
                }
            });
        }
    });
    let mut trials = done.into_inner().unwrap();
    trials.sort_by_key(|(case, _)| cases.iter().position(|other| other.name == case.name));
    trials
}

/// `VERDICTS_ONLY` holds pieces of names, `VERDICTS_REPORT` the file for the table.
#[test]
#[ignore = "takes ten minutes: script/verdicts runs it"]
fn the_whole_corpus() {
    let only = std::env::var("VERDICTS_ONLY").unwrap_or_default();
    let pieces: Vec<&str> = only.split_whitespace().collect();
    let chosen = |case: &&&Case| pieces.is_empty() || pieces.iter().any(|piece| case.name.contains(piece));
    let cases: Vec<Case> = all().collect::<Vec<_>>().iter().filter(chosen).map(|case| **case).collect();
    assert!(!cases.is_empty(), "no case is named like that: {only}");
    let jobs = std::env::var("VERDICTS_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(JOBS);
    let trials = try_all(&cases, jobs);
    let totals = report::totals(&trials);
    if let Ok(file) = std::env::var("VERDICTS_REPORT") {
        std::fs::write(file, format!("{}\n{totals}\n", report::table(&trials))).unwrap();
    }
    let wrong: Vec<&str> = trials
        .iter()
        .filter(|(case, seen)| Mark::of(case, seen) != Mark::Right)
        .map(|(case, _)| case.name)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_corpus_has_enough_of_both_and_no_name_twice() {
    let bad = all().filter(|case| case.expected != Verdict::Kept).count();
    let good = all().count() - bad;
    assert!(bad >= 20 && good >= 20, "{bad} bad, {good} good");
    assert_eq!(all().map(|case| case.name).collect::<BTreeSet<_>>().len(), bad + good);
    assert!(bad::CASES.iter().all(|case| case.expected != Verdict::Kept));
    assert!(good::CASES.iter().all(|case| case.expected == Verdict::Kept));
}
