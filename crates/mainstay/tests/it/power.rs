//! Power cuts: the project, its data and mainstay's state are on a disk that forgets what was not synced.
//!
//! Everything of the run is stopped at once, the file system is shut down without a flush, all processes are killed, the disk is mounted
//! again and what ran before is started, as an engine does after a boot. Then `resume` has to bring about the new
//! version, or the old one with its data. What it does not do: cut the engine's own disk, which is the engine's matter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::process::{Run, Running, bounded};
use crate::lab::{Before, Lab, docker, engine, eventually};

/// How many cuts are tried at once: they mostly wait.
const JOBS: usize = 3;

const GOOD: &str = "2.0.0";
/// It has rewritten half of its data when it gives up, so that the data has to come back.
const BAD: &str = "2.0.0-migration-fails-half-way";

/// What an engine does after a boot with containers that ran.
pub const UNLESS_STOPPED: &str = "unless-stopped";
const NO: &str = "\"no\"";

const PROJECT: &str = "\
services:
  app:
    image: IMAGE:1.0.0 # the only line that an update changes
    restart: unless-stopped
    stop_grace_period: 2s
    ports: [\"127.0.0.1:PORT:8080\"]
    volumes: [\"./data:/data\"]
    healthcheck: {test: [CMD, /fixture, health], interval: 1s, timeout: 2s, retries: 3}
";

fn lab(restart: &str) -> (Lab, Before) {
    let project = PROJECT.replace("unless-stopped", restart);
    let lab = Lab::on_disk(&[("compose.yaml", &project)]).up();
    lab.add_record("must not be lost");
    for at in 0..40 {
        lab.write(&format!("data/file-{at}"), &format!("{at} ").repeat(10_000));
    }
    lab.disk().sync();
    let before = lab.now();
    (lab, before)
}

fn begin(lab: &Lab, to: &str) -> Running {
    let args = lab.update_args("app", to, &["--watch", "2s"]);
    lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether an event is one of the journal.
fn journaled(event: &Value) -> bool {
    matches!(
        event["event"].as_str(),
        Some("run.started" | "step.started" | "step.ended" | "run.resumed" | "run.ended")
    )
}

/// The process and all that it has begun, itself first.
fn family(root: u32) -> Vec<Pid> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may hold anything.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2)?.parse().ok());
        if let (Some(pid), Some(parent)) = (pid, parent) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        all.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    all.into_iter().filter_map(|pid| Pid::from_raw(pid.try_into().ok()?)).collect()
}

/// Cuts the power, and brings it back.
pub fn cut(lab: &Lab, running: Running, restart: &str) {
    // Nobody does anything between the moment of the cut and its death.
    let _ = kill_process(Pid::from_raw(running.pid().try_into().unwrap()).unwrap(), Signal::STOP);
    let all = family(running.pid());
    for pid in &all {
        let _ = kill_process(*pid, Signal::STOP);
    }
    lab.disk().cut();
    let ran: Vec<String> = containers(lab, true);
    for pid in &all {
        let _ = kill_process(*pid, Signal::KILL);
    }
    running.kill();
    // What the engine had been asked for may still come.
    eventually("all containers are down", || {
        let running = containers(lab, true);
        for id in &running {
            let mut kill = std::process::Command::new("docker");
            kill.args(["kill", id]);
            let _ = bounded(kill);
        }
        running.is_empty().then_some(())
    });
    lab.disk().back();
    for id in ran.iter().filter(|id| restart != NO && containers(lab, false).contains(id)) {
        docker(&["start", id]);
    }
}

fn containers(lab: &Lab, only_running: bool) -> Vec<String> {
    let all = engine::containers(&lab.project).into_iter();
    let wanted = all.filter(|c| !only_running || c["State"]["Running"] == true);
    wanted.map(|c| c["Id"].as_str().unwrap().to_owned()).collect()
}

/// Where the power is cut.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Right after this line of the journal, counted from 0.
    Line(usize),
    /// When a step has started or ended.
    Step(&'static str, &'static str),
    /// When the command has said how the run ended.
    End,
}

/// Cuts the power of an update once, resumes, and looks at what there is. The error is a run that was over before.
fn survives(to: &str, at: At, restart: &str) -> Result<(), Run> {
    let (lab, before) = lab(restart);
    let mut running = begin(&lab, to);
    let mut line = 0;
    let mut over = false;
    running.until("the moment of the cut", |event| {
        over = event["event"] == "run.ended";
        let here = journaled(event);
        line += usize::from(here);
        over || match at {
            At::Line(wanted) => here && line > wanted,
            At::Step(what, step) => event["event"] == what && event["step"] == step,
            At::End => false,
        }
    });
    if over && !matches!(at, At::End) {
        return Err(running.finish());
    }
    cut(&lab, running, restart);
    let resumed = lab.mainstay(&["resume"]);
    assert!(matches!(resumed.code, Some(0 | 3 | 4 | 130)), "{at:?}: {resumed}");
    if lab.version() == GOOD {
        assert!(to == GOOD, "{at:?}: {resumed}");
        assert_eq!(lab.get("/schema").as_deref(), Ok("2"), "{at:?}: {resumed}");
        assert!(lab.get("/records").unwrap().contains("must not be lost"), "{at:?}: {resumed}");
        lab.compose_changes_nothing();
    } else {
        assert!(!(over && to == GOOD), "a version that was kept is gone: {resumed}");
        lab.assert_as_before(&before);
    }
    let nothing = lab.mainstay(&["resume"]).expect(0);
    assert!(nothing.stdout.contains("nothing to resume"), "{at:?}: {nothing}");
    Ok(())
}

fn survives_at(to: &str, at: At) {
    survives(to, at, UNLESS_STOPPED).unwrap_or_else(|run| panic!("{at:?} never came: {run}"));
}

#[test]
fn while_the_data_is_backed_up() {
    survives_at(GOOD, At::Step("step.started", "back-up-live"));
}

#[test]
fn when_the_files_were_edited() {
    survives_at(GOOD, At::Step("step.ended", "edit-files"));
}

#[test]
fn while_compose_replaces_the_container() {
    survives_at(GOOD, At::Step("step.started", "create-containers"));
}

#[test]
fn when_the_data_was_backed_up_as_it_stands() {
    survives_at(GOOD, At::Step("step.ended", "back-up-cutover"));
}

#[test]
fn while_it_is_watched() {
    survives_at(GOOD, At::Step("step.started", "watch"));
}

/// What no engine starts again has not died of its version: it was verified, and stays, without a look at its data.
#[test]
fn while_it_is_watched_and_nobody_starts_it_again() {
    let (lab, _) = lab(NO);
    let mut running = begin(&lab, GOOD);
    running.until_started("watch");
    lab.disk().sync();
    cut(&lab, running, NO);
    lab.mainstay(&["resume"]).expect_kept();
    assert_eq!(lab.version(), GOOD);
    lab.compose_changes_nothing();
}

#[test]
fn while_the_old_version_is_verified_and_nobody_starts_it_again() {
    survives(BAD, At::Step("step.started", "verify-old"), NO).unwrap_or_else(|run| panic!("{run}"));
}

#[test]
fn when_the_new_version_was_kept() {
    survives_at(GOOD, At::End);
}

#[test]
fn while_the_data_is_put_back() {
    survives_at(BAD, At::Step("step.started", "restore-data"));
}

#[test]
fn when_the_files_were_put_back() {
    survives_at(BAD, At::Step("step.ended", "restore-files"));
}

#[test]
fn when_the_old_version_was_back() {
    survives_at(BAD, At::End);
}

/// After every line of the journal, on the way forward and on the way back.
#[test]
#[ignore = "takes minutes: script/soak runs it"]
fn after_every_line() {
    let (mut report, mut all) = (String::new(), 0);
    for to in [GOOD, BAD] {
        let (next, cuts) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..JOBS {
                scope.spawn(|| {
                    while survives(to, At::Line(next.fetch_add(1, Ordering::Relaxed)), UNLESS_STOPPED).is_ok()
                    {
                        cuts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let cuts = cuts.into_inner();
        assert!(cuts > 20, "{to}: {cuts} cuts");
        let _ = writeln!(report, "{cuts} power cuts in an update to {to}: nothing lost");
        all += cuts;
    }
    if let Ok(file) = std::env::var("SOAK_REPORT") {
        std::fs::write(file, format!("{report}{}\n", serde_json::json!({ "power_cuts": all }))).unwrap();
    }
}

/// Else none of these tests could fail.
#[test]
fn what_was_not_synced_is_gone_after_a_cut() {
    let lab = Lab::on_disk(&[("synced", "synced")]);
    lab.disk().sync();
    lab.write("written", "written");
    std::fs::rename(lab.path("synced"), lab.path("renamed")).unwrap();
    lab.disk().cut();
    assert!(std::fs::write(lab.path("later"), "later").is_err());
    lab.disk().back();
    assert_eq!(std::fs::read_dir(lab.directory()).unwrap().count(), 1);
    assert_eq!(lab.read("synced"), "synced");
}
