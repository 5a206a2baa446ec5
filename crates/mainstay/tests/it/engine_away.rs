//! The engine hangs, breaks connections, is gone, or answers late, for a while and in every step: nothing waits for it
//! without a word or without a limit, and when it is there again the run goes on, to one version or the other.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::killed::soak::{attempt, number};
use rustix::process::Signal;

use crate::lab::process::{Run, Running};
use crate::lab::proxy::{Mood, Proxy};
use crate::lab::{Before, Lab};

/// The ways of an engine, in the order of the table.
const MOODS: [Mood; 4] = [Mood::Gone, Mood::Breaks, Mood::Hangs, Mood::Late];

/// The steps in which they are tried: those of a good update, then those that only a bad one has.
const STEPS: [(&str, &str); 17] = [
    ("2.0.0", "confirm"),
    ("2.0.0", "keep-image"),
    ("2.0.0", "save-configuration"),
    ("2.0.0", "back-up-live"),
    ("2.0.0", "pull-image"),
    ("2.0.0", "edit-files"),
    ("2.0.0", "take-baseline"),
    ("2.0.0", "create-containers"),
    ("2.0.0", "back-up-cutover"),
    ("2.0.0", "start-new"),
    ("2.0.0", "verify-new"),
    ("2.0.0", "watch"),
    ("2.0.0", "document"),
    (BAD, "stop"),
    (BAD, "recreate-old"),
    (BAD, "start-old"),
    (BAD, "verify-old"),
];
const BAD: &str = "2.0.0-migration-fails-half-way";

/// How long the engine is away.
const WHILE: Duration = Duration::from_secs(3);

fn lab() -> (Lab, Proxy, Before) {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let (proxy, before) = (Proxy::in_front_of_the_engine(lab.home()), lab.now());
    (lab, proxy, before)
}

fn begin(lab: &Lab, proxy: &Proxy, to: &str) -> Running {
    let args = lab.update_args("app", to, &["--watch", "3s"]);
    let mut command = lab.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("DOCKER_HOST", proxy.host());
    Running::begin(command)
}

/// One cell of the table: the engine is away for a while in a step.
fn cell(mood: Mood, (to, step): (&str, &str)) -> Run {
    let (lab, proxy, before) = lab();
    let mut running = begin(&lab, &proxy, to);
    running.until_started(step);
    proxy.set(mood);
    std::thread::sleep(WHILE);
    proxy.set(Mood::Well);
    let run = running.finish();
    if matches!(run.code, Some(0 | 3)) {
        assert_eq!((to, lab.version().as_str()), ("2.0.0", "2.0.0"), "{run}");
        assert!(lab.get("/records").unwrap().contains("must not be lost"));
        lab.compose_changes_nothing();
    } else {
        assert!(matches!(run.code, Some(1 | 4)), "{run}");
        assert_eq!(lab.version(), "1.0.0", "{run}");
        lab.assert_as_before(&before);
    }
    run
}

fn goes_on(mood: Mood, step: &str) {
    cell(mood, ("2.0.0", step)).expect_kept();
}

#[test]
fn is_gone_while_the_image_is_pulled() {
    goes_on(Mood::Gone, "pull-image");
}

#[test]
fn breaks_connections_while_compose_replaces_the_container() {
    goes_on(Mood::Breaks, "create-containers");
}

#[test]
fn is_gone_while_the_new_version_starts() {
    goes_on(Mood::Gone, "start-new");
}

#[test]
fn is_gone_while_the_new_version_is_watched() {
    goes_on(Mood::Gone, "watch");
}

#[test]
fn hangs_while_the_new_version_is_verified() {
    goes_on(Mood::Hangs, "verify-new");
}

#[test]
fn is_gone_on_the_way_back() {
    cell(Mood::Gone, (BAD, "recreate-old")).expect(4);
}

#[test]
fn is_late_all_the_time() {
    let (lab, proxy, _) = lab();
    proxy.set(Mood::Late);
    begin(&lab, &proxy, "2.0.0").finish().expect_kept();
    assert_eq!(lab.version(), "2.0.0");
}

/// Half a minute is what the engine may take to answer anything.
#[test]
fn hangs_for_good_while_it_is_planned() {
    let (lab, proxy, before) = lab();
    proxy.set(Mood::Hangs);
    let began = Instant::now();
    let run = begin(&lab, &proxy, "2.0.0").finish().expect(1);
    assert!(began.elapsed() < Duration::from_secs(60), "{run}");
    assert!(run.words().contains("docker ps") || run.words().contains("systemctl start docker"), "{run}");
    proxy.set(Mood::Well);
    lab.assert_untouched(&before);
}

/// At boot the engine may come after us.
#[test]
fn a_resume_waits_for_it() {
    let (lab, proxy, before) = lab();
    let mut running = begin(&lab, &proxy, "2.0.0");
    running.until_started("create-containers");
    running.kill();
    proxy.set(Mood::Gone);
    let resume = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env("DOCKER_HOST", proxy.host());
        Running::begin(command)
    };
    let run = resume(&["resume"]).finish().expect(1);
    assert_eq!(run.code_of_problem(), "engine-unreachable", "{run}");
    resume(&["resume", "--wait-engine=1s"]).finish().expect(1);
    // Whoever ends the waiting has resumed nothing, and must not be told what an end of the run would tell.
    for signal in [Signal::INT, Signal::TERM] {
        let waiting = resume(&["resume", "--wait-engine"]);
        std::thread::sleep(Duration::from_secs(2));
        waiting.signal(signal);
        let run = waiting.finish().expect(1);
        assert_eq!(run.code_of_problem(), "engine-wait-interrupted", "{run}");
        assert!(run.words().contains("still waits to be resumed"), "{run}");
    }
    let waiting = resume(&["resume", "--wait-engine"]);
    std::thread::sleep(Duration::from_secs(2));
    proxy.set(Mood::Well);
    waiting.finish().expect(130);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    assert!(resume(&["resume", "--wait-engine"]).finish().expect(0).stdout.contains("nothing to resume"));
}

/// Every way in every step. `SOAK_REPORT` is the file for the table, `SOAK_MINUTES` after how long no more cells are
/// begun: those stay empty, and are counted.
#[test]
#[ignore = "takes half an hour: script/soak runs it"]
fn in_every_step() {
    let until = number("SOAK_MINUTES").map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let cells: Vec<(usize, usize)> =
        (0..STEPS.len()).flat_map(|step| (0..MOODS.len()).map(move |mood| (step, mood))).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(&(step, mood)) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if until.is_some_and(|until| Instant::now() > until) {
                        return;
                    }
                    let seen = attempt(|| cell(MOODS[mood], STEPS[step]).ended()["verdict"].to_string());
                    let _ = writeln!(std::io::stderr(), "{:?} {:?}: {seen:?}", MOODS[mood], STEPS[step]);
                    done.lock().unwrap().insert((step, mood), seen);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let lost: Vec<_> = done.iter().filter_map(|(at, seen)| Some((at, seen.as_ref().err()?))).collect();
    let totals = json!({
        "fault_cells": cells.len(),
        "fault_cells_empty": cells.len() - done.len(),
        "fault_losses": lost.len(),
    });
    if let Ok(file) = std::env::var("SOAK_REPORT") {
        std::fs::write(file, format!("{}{totals}\n", table(&done))).unwrap();
    }
    println!("{}{totals}", table(&done));
    assert!(lost.is_empty(), "{lost:?}");
}

fn table(done: &BTreeMap<(usize, usize), Result<String, String>>) -> String {
    let names = MOODS.map(|mood| format!("{:<14}", format!("{mood:?}").to_lowercase()));
    let mut text = format!("{:<24}{}\n", "the engine is, in", names.concat());
    for (row, (_, step)) in STEPS.iter().enumerate() {
        let cells = (0..MOODS.len()).map(|column| match done.get(&(row, column)) {
            Some(Ok(verdict)) => format!("{:<14}", verdict.trim_matches('"')),
            Some(Err(_)) => format!("{:<14}", "LOST"),
            None => format!("{:<14}", "-"),
        });
        text += &format!("{step:<24}{}\n", cells.collect::<Vec<String>>().concat());
    }
    text
}
