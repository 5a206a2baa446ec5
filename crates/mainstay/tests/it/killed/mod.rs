//! kill -9 at exact points of a run, in every command that changes a service, and in what resumes it.
//!
//! Invariant: nothing in the command under test knows that it is killed, and only its process is: what it has begun goes
//! on without it, as after a real kill -9. After each trial the run was resumed unattended to its end, the version
//! that the end names answers, its data and the operator's files are to the byte what they have to be, Compose would
//! change nothing, and nothing is left of what was begun.
//! What it does not do: pull the plug. The disk is trusted with what it says it has written.
//!
//! The sample is a part of [`soak::every_point`], which `script/soak` runs.

mod course;
pub mod gate;
mod hundred;
pub mod soak;
mod trial;

use std::io::Write as _;

use course::Course;
use gate::{Line, When};
use trial::{Bench, Blow};

fn named(line: &str, when: When) -> Blow {
    Blow { line: Line::Named(line.to_owned()), when }
}

/// As soon as a step has begun.
fn at(step: &str) -> Blow {
    named(&format!("{step} started"), When::After)
}

/// When it has done its work, and before that is journaled.
fn done(step: &str) -> Blow {
    named(&format!("{step} started"), When::BeforeNext)
}

/// In the middle, by the time that it takes undisturbed.
fn in_the_middle(bench: &Bench, step: &str) -> Blow {
    let line = format!("{step} started");
    let took = bench.took(&line).unwrap_or_else(|| panic!("no {step}: {:?}", bench.lines));
    named(&line, When::Within(took / 3))
}

/// One kill after the other on the same project. Each of them has to hit.
fn survives(course: Course, blows: impl Fn(&Bench) -> Vec<Vec<Blow>>) {
    let bench = Bench::new(course);
    for blows in blows(&bench) {
        let seen = bench.perform(&blows);
        let _ = writeln!(std::io::stderr(), "{}: {blows:?}: {seen:?}", course.name);
        assert_eq!(seen.killed.len(), blows.len(), "{blows:?} did not hit: {seen:?}");
        assert_eq!(seen.left, Vec::<String>::new(), "{blows:?}");
    }
}

#[test]
fn an_update_before_the_cutover() {
    survives(course::KEPT, |bench| {
        vec![
            vec![at("confirm")],
            vec![done("save-configuration")],
            vec![in_the_middle(bench, "back-up-live")],
            vec![done("back-up-live")],
            vec![in_the_middle(bench, "pull-image")],
            vec![at("edit-files")],
            vec![done("edit-files")],
            vec![in_the_middle(bench, "take-baseline")],
        ]
    });
}

#[test]
fn an_update_during_the_cutover() {
    survives(course::KEPT, |bench| {
        vec![
            vec![at("create-containers")],
            vec![in_the_middle(bench, "create-containers")],
            vec![done("create-containers")],
            vec![in_the_middle(bench, "back-up-cutover")],
            vec![done("back-up-cutover")],
            vec![at("start-new")],
            vec![done("start-new")],
            vec![in_the_middle(bench, "verify-new")],
        ]
    });
}

#[test]
fn an_update_that_was_verified() {
    survives(course::KEPT, |bench| {
        vec![
            vec![named("verify-new done", When::After)],
            vec![in_the_middle(bench, "watch")],
            vec![done("document"), Blow { line: Line::Nth(1), when: When::After }],
        ]
    });
}

#[test]
fn an_update_of_two_services() {
    survives(course::PAIR, |bench| {
        vec![
            vec![in_the_middle(bench, "create-containers")],
            vec![done("start-new")],
            vec![done("verify-new")],
        ]
    });
}

#[test]
fn a_rollback_of_the_image() {
    survives(course::IMAGE_ONLY, |bench| {
        vec![
            vec![in_the_middle(bench, "stop")],
            vec![done("back-up-safety")],
            vec![done("restore-files")],
            vec![in_the_middle(bench, "recreate-old")],
            vec![in_the_middle(bench, "verify-old")],
        ]
    });
}

#[test]
fn a_rollback_of_image_and_data() {
    survives(course::FULL, |bench| {
        vec![
            vec![done("stop")],
            vec![in_the_middle(bench, "back-up-safety")],
            vec![at("restore-files")],
            vec![done("recreate-old")],
            vec![at("restore-data")],
            vec![in_the_middle(bench, "restore-data")],
            vec![done("restore-data")],
        ]
    });
}

#[test]
fn a_run_that_is_resumed() {
    let next = |nth| Blow { line: Line::Nth(nth), when: When::After };
    let last = |nth| Blow { line: Line::Nth(nth), when: When::BeforeNext };
    survives(course::FULL, |bench| {
        vec![
            vec![in_the_middle(bench, "create-containers"), next(1), last(3)],
            vec![at("start-new"), last(2), next(4), last(5)],
            vec![in_the_middle(bench, "restore-data"), last(2), next(3)],
        ]
    });
}

#[test]
fn the_rollback_of_a_kept_update() {
    survives(course::ROLLBACK, |bench| {
        vec![vec![in_the_middle(bench, "recreate-old")], vec![in_the_middle(bench, "restore-data")]]
    });
}

#[test]
fn a_restoration() {
    survives(course::RESTORE, |bench| {
        vec![
            vec![at("stop")],
            vec![in_the_middle(bench, "restore-data")],
            vec![done("restore-data"), Blow { line: Line::Nth(2), when: When::BeforeNext }],
        ]
    });
}

#[test]
fn a_backup() {
    survives(course::BACKUP_STILL, |bench| {
        vec![vec![in_the_middle(bench, "back-up-live")], vec![done("stop")], vec![at("back-up-still")]]
    });
}
