//! Disks that fill up in the middle of a backup, and long work that is interrupted: the data and older backups stay
//! as they are, and nothing that was begun is left.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::lab::disk::Small;
use crate::lab::process::bounded;
use crate::lab::tree::Tree;
use crate::lab::{Lab, docker};

/// Data that can't be compressed.
fn much(lab: &Lab, name: &str, megabytes: u32) {
    let mut shell = Command::new("sh");
    let script = format!("head -c {megabytes}000000 /dev/urandom >{name}");
    shell.args(["-c", &script]).current_dir(lab.volume("data"));
    bounded(shell).success("data");
}

/// Stock restic reads everything, and finds no fault.
fn verified(lab: &Lab) {
    let mut restic = Command::new("restic");
    restic.arg("--repo").arg(lab.state().join("repository"));
    restic.arg("--password-file").arg(lab.state().join("repository.password"));
    restic.args(["--no-cache", "check", "--read-data"]);
    bounded(restic).success("restic check");
}

fn restored(lab: &Lab, args: &[&str]) -> Tree {
    let target = lab.home().join("restored");
    let id = lab.id("app");
    let command = [&["restore", &id, "--to", target.to_str().unwrap()], args].concat();
    lab.mainstay(&command).expect(0);
    let tree = Tree::of(&target);
    std::fs::remove_dir_all(target).unwrap();
    tree
}

#[test]
fn a_disk_that_fills_up_during_a_backup_leaves_data_and_older_backups() {
    let lab = Lab::new("solo").up();
    let _small = Small::mount(&lab.state(), "48m");
    lab.add_record("in the older backup");
    much(&lab, "old", 5);
    let older = lab.mainstay(&["backup", &lab.id("app"), "--force", "disk"]).expect_kept();
    let data = Tree::of(&lab.volume("data"));
    much(&lab, "new", 80);
    let before = lab.now();

    let run = lab.mainstay(&["backup", &lab.id("app"), "--force", "disk"]).expect(1);
    assert_eq!(
        (run.code_of_problem(), run.ended()["verdict"].as_str()),
        ("disk-full", Some("as-before")),
        "{run}"
    );
    lab.assert_untouched(&before);
    let run = lab.update("app", "1.1.0", &["--force", "disk"]).expect(1);
    assert!(!run.steps().contains(&"edit-files"), "{run}");
    lab.assert_untouched(&before);

    verified(&lab);
    assert_eq!(restored(&lab, &["--run", older.id()]), data);
}

/// There is no room for the safety backup: the way back ends there, and nothing is overwritten.
#[test]
fn a_disk_that_is_full_on_the_way_back_leaves_the_data() {
    let lab = Lab::new("solo").up();
    let _small = Small::mount(&lab.state(), "48m");
    lab.add_record("must not be lost");
    let args = lab.update_args("app", "2.0.0-exit-after-5", &["--force", "disk", "--watch", "30s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    much(&lab, "written-meanwhile", 80);
    let run = running.finish().expect(5);
    assert_eq!(run.steps().last(), Some(&"document"), "{run}");
    assert!(run.steps().contains(&"back-up-safety") && !run.steps().contains(&"restore-data"), "{run}");
    assert!(run.stdout.contains("disk-full"), "{run}");
    let volume = lab.volume("data");
    assert_eq!(std::fs::metadata(volume.join("written-meanwhile")).unwrap().len(), 80_000_000);
    assert!(std::fs::read_to_string(volume.join("store.json")).unwrap().contains("must not be lost"));
    verified(&lab);
    docker(&["start", &lab.container_id("app")]);
}

#[test]
fn what_is_needed_and_what_there_is_is_shown() {
    let lab = Lab::new("solo").up();
    much(&lab, "data", 3);
    let room = |run: &crate::lab::process::Run| {
        run.events.iter().find(|e| e["event"] == "plan").unwrap()["plan"]["room"].clone()
    };
    let first = lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    let rooms = room(&first);
    assert_eq!(
        (rooms[0]["purpose"].as_str(), rooms[1]["purpose"].as_str()),
        (Some("backup"), Some("restore"))
    );
    assert_eq!(rooms[0]["likely"], rooms[0]["at_worst"], "nothing is known yet: {rooms}");
    assert!(rooms[0]["free"].as_u64().unwrap() > 0, "{rooms}");
    let password = first.findings().into_iter().find(|f| f["check"] == "repository-password").cloned();
    assert!(password.unwrap()["advice"].as_str().unwrap().contains("COPY"), "{first}");

    let second = lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    assert!(!second.findings().iter().any(|f| f["check"] == "repository-password"), "it is new only once");
    lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    let plan = lab.mainstay(&["plan", &lab.id("app"), "--to", "1.1.0"]).expect(0);
    let rooms = room(&plan);
    assert!(rooms[0]["likely"].as_u64() < rooms[0]["at_worst"].as_u64(), "it has been seen: {rooms}");
    assert!(lab.mainstay(&["check", &lab.id("app")]).expect(0).stdout.contains("the backup needs about"));
}

fn interrupted_within_seconds(mut running: crate::lab::process::Running, step: &str) {
    running
        .until("progress", |e| e["event"] == "progress" && e["step"] == step && e["done"].as_u64() > Some(0));
    let began = Instant::now();
    running.signal(Signal::INT);
    let run = running.finish().expect(130);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}: {run}", began.elapsed());
}

#[test]
fn an_interrupted_backup_ends_at_once_and_leaves_nothing() {
    let lab = Lab::new("solo").up();
    much(&lab, "large", 150);
    let before = lab.now();
    interrupted_within_seconds(lab.begin(&["backup", &lab.id("app")]), "back-up-live");
    lab.assert_untouched(&before);
    assert!(!lab.mainstay(&["backups"]).expect(0).events.iter().any(|e| e["event"] == "backup"));
    let left = std::fs::read_dir(lab.state().join("repository/snapshots")).unwrap().count();
    assert_eq!(left, 0, "unfinished snapshots");
}

#[test]
fn an_interrupted_restoration_ends_at_once_and_leaves_nothing() {
    let lab = Lab::new("solo").up();
    much(&lab, "large", 150);
    lab.mainstay(&["backup", &lab.id("app")]).expect_kept();
    let (new, empty) = (lab.home().join("new"), lab.home().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    for target in [&new, &empty] {
        let args = ["restore", &lab.id("app"), "--to", target.to_str().unwrap()];
        interrupted_within_seconds(lab.begin(&args), "restore-data");
    }
    assert!(!new.exists(), "it was not there before");
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
    assert!(Path::new(&empty).is_dir());
}
