//! Backups for which a service stands still, and its own commands around a backup.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::lab::process::{Run, bounded};
use crate::lab::{Lab, built, docker, engine, eventually};

/// A service that never stops writing, in an image with a shell.
fn ticker() -> Lab {
    let text = "services:
  app:
    image: 127.0.0.1:5000/lab/postgres:TAG
    entrypoint: [\"sh\", \"-c\", \"trap 'exit 0' TERM; i=0; while :; do i=$$((i+1)); echo $$i >>/data/ticks; [ ! -e /data/large ] || touch /data/large; sleep 0.01; done\"]
    stop_grace_period: 3s
    mem_limit: 64m
    healthcheck:
      disable: true
    volumes:
      - data:/data
volumes:
  data:
";
    let lab = Lab::of(&[("compose.yaml", &text.replace("TAG", &built("PG_OLD")))]).up();
    eventually("the first tick", || lab.volume("data").join("ticks").exists().then_some(()));
    lab
}

fn configure(lab: &Lab, text: &str) {
    lab.write("mainstay.toml", &format!("[service.app]\n{text}\n"));
}

/// What would make the still pass take a while.
fn much_that_changes(lab: &Lab) {
    let block: Vec<u8> =
        (0..1_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut bytes = Vec::new();
    for n in 0..25_u8 {
        bytes.extend(block.iter().map(|b| b ^ n));
    }
    std::fs::write(lab.volume("data").join("large"), bytes).unwrap();
}

fn state(lab: &Lab) -> (bool, bool) {
    let state = &lab.container("app")["State"];
    (state["Running"] == true, state["Paused"] == true)
}

/// It runs, is not paused, and writes on.
fn goes_on(lab: &Lab) {
    assert_eq!(state(lab), (true, false));
    let ticks = lab.volume("data").join("ticks");
    let now = std::fs::metadata(&ticks).unwrap().len();
    eventually("another tick", || (std::fs::metadata(&ticks).unwrap().len() > now).then_some(()));
}

fn until_paused(lab: &Lab) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !engine::containers(&lab.project).iter().any(|c| c["State"]["Paused"] == true) {
        assert!(Instant::now() < deadline, "it was never paused");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The file of the newest backup.
fn restored(lab: &Lab, service: &str, name: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let target = lab.home().join(format!("restored-{number}"));
    lab.mainstay(&["restore", &lab.id(service), "--to", target.to_str().unwrap()]).expect(0);
    std::fs::read_to_string(target.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn changed(run: &Run, step: &str) -> u64 {
    let backups = run.fact(step)["backups"].as_array().unwrap();
    backups.iter().map(|b| b["changed_while_reading"].as_u64().unwrap()).sum()
}

fn evidence(run: &Run) -> String {
    run.ended()["conclusion"]["failure"]["evidence"].to_string()
}

#[test]
fn a_pause_is_short_and_what_is_backed_up_in_it_stands_still() {
    let lab = ticker();
    much_that_changes(&lab);
    let before = lab.now().containers;
    let run = lab.mainstay(&["backup", &lab.id("app"), "--quiesce", "pause"]).expect(0);
    assert_eq!(run.steps()[3..], ["back-up-live", "back-up-still", "document"], "{run}");
    assert!(changed(&run, "back-up-live") > 0, "it is meant to write: {run}");
    assert_eq!(changed(&run, "back-up-still"), 0, "{run}");
    assert!(
        run.findings().iter().any(|f| f["message"].as_str().unwrap().contains("was paused for")),
        "{run}"
    );
    assert_eq!(lab.now().containers, before, "the same container, never restarted");
    goes_on(&lab);

    let ticks = restored(&lab, "app", "ticks");
    let numbers: Vec<u64> = ticks.lines().map(|l| l.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let listed = lab.mainstay(&["backups"]).expect(0);
    let kinds: Vec<&Value> =
        listed.events.iter().filter(|e| e["event"] == "backup").map(|e| &e["kind"]).collect();
    assert_eq!(kinds, ["manual", "live"], "{listed}");
    let progress = run.events.iter().filter(|e| e["event"] == "progress");
    assert!(progress.clone().any(|e| e["bytes_per_second"].is_u64()), "no rate");
    assert!(progress.clone().any(|e| e["seconds_left"].is_u64() && e["files"].is_u64()), "no time left");
}

#[test]
fn a_service_can_be_stopped_for_its_backup() {
    let lab = ticker();
    configure(&lab, "quiesce = \"stop\"");
    let id = lab.container_id("app");
    let run = lab.mainstay(&["backup", &lab.id("app")]).expect_kept();
    let expected = ["back-up-live", "stop", "back-up-still", "start-old", "verify-old", "document"];
    assert_eq!(run.steps()[3..], expected, "{run}");
    assert_eq!(changed(&run, "back-up-still"), 0, "{run}");
    assert_eq!(lab.container_id("app"), id, "started again, not made again");
    goes_on(&lab);
    let flag = lab.mainstay(&["backup", &lab.id("app"), "--quiesce", "none"]).expect_kept();
    assert_eq!(flag.steps()[3..], ["back-up-live", "document"], "the flag wins: {flag}");
    assert_eq!(lab.container_id("app"), id);
}

#[test]
fn an_interruption_ends_the_pause() {
    let lab = ticker();
    much_that_changes(&lab);
    let mut running = lab.begin(&["backup", &lab.id("app"), "--quiesce", "pause"]);
    running.until_started("back-up-still");
    until_paused(&lab);
    running.signal(Signal::INT);
    let run = running.finish().expect(130);
    assert_eq!(run.ended()["verdict"], "as-before", "{run}");
    goes_on(&lab);
}

#[test]
fn a_pause_that_outlived_its_run_is_ended_by_resume() {
    let lab = ticker();
    much_that_changes(&lab);
    let mut running = lab.begin(&["backup", &lab.id("app"), "--quiesce", "pause"]);
    running.until_started("back-up-still");
    until_paused(&lab);
    running.kill();
    assert_eq!(state(&lab), (true, true), "nobody is left to let it go on");
    let run = lab.mainstay(&["resume"]).expect_kept();
    assert!(run.steps().contains(&"back-up-still"), "{run}");
    goes_on(&lab);
}

#[test]
fn a_pause_of_somebody_else_is_theirs() {
    let lab = ticker();
    // What makes processes all the time may escape the freezer at first.
    eventually("a pause", || {
        let mut pause = std::process::Command::new("docker");
        pause.args(["pause", &lab.container_id("app")]);
        (bounded(pause).code == Some(0)).then_some(())
    });
    let before = lab.now();
    let run = lab.mainstay(&["backup", &lab.id("app"), "--quiesce", "pause"]).expect(6);
    assert_eq!(run.code_of_problem(), "quiesce", "{run}");
    let forced = lab.mainstay(&["backup", &lab.id("app"), "--quiesce", "pause", "--force", "quiesce"]);
    assert_eq!(forced.expect(1).code_of_problem(), "containers-changed");
    lab.assert_untouched(&before);
    docker(&["unpause", &lab.container_id("app")]);
}

#[test]
fn what_a_command_puts_into_the_data_is_in_the_backup() {
    let lab = ticker();
    configure(
        &lab,
        "before_backup = \"echo TOKEN=hunter2-$$ >/data/dump\"\nafter_backup = [\"rm\", \"/data/dump\"]",
    );
    let run = lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    assert_eq!(
        run.steps()[3..],
        ["run-before-backup", "back-up-live", "run-after-backup", "document"],
        "{run}"
    );
    assert!(!lab.volume("data").join("dump").exists(), "what comes after has run");
    assert!(restored(&lab, "app", "dump").contains("hunter2"));
    let plan = &run.events.iter().find(|e| e["event"] == "plan").unwrap()["plan"];
    assert_eq!(plan["unit"]["services"][0]["hooks"]["after"], "rm /data/dump");
    assert!(!run.stdout.contains("hunter2"), "a secret is shown");
    let journal = std::fs::read(lab.state().join("journal.db")).unwrap();
    assert!(!journal.windows(7).any(|w| w == b"hunter2"), "a secret is journaled");
}

#[test]
fn a_command_that_fails_refuses_with_its_last_words() {
    let lab = ticker();
    configure(
        &lab,
        "before_backup = \"echo it can not be done; echo password=hunter2 >&2; exit 3\"\nafter_backup = \"echo after >>/data/after\"",
    );
    let container = lab.container_id("app");
    let run = lab.mainstay(&["backup", &lab.id("app")]).expect(1);
    assert_eq!((run.code_of_problem(), run.ended()["verdict"].as_str()), ("hook-failed", Some("as-before")));
    assert!(run.words().contains("exit code 3"), "{run}");
    assert!(evidence(&run).contains("it can not be done") && !run.stdout.contains("hunter2"), "{run}");
    assert_eq!(run.steps()[3..], ["run-before-backup", "run-after-backup", "document"], "{run}");
    assert_eq!(std::fs::read_to_string(lab.volume("data").join("after")).unwrap(), "after\n");
    assert_eq!(lab.container_id("app"), container);
    goes_on(&lab);

    configure(&lab, "after_backup = \"exit 4\"");
    let run = lab.mainstay(&["backup", &lab.id("app")]).expect(3);
    assert!(run.stdout.contains("exit code 4"), "the backup is there, and what failed is told: {run}");
}

#[test]
fn a_command_that_hangs_is_ended_and_refuses() {
    let lab = ticker();
    configure(&lab, "before_backup = \"echo waiting; sleep 987; true\"\nhook_timeout = \"1s\"");
    let run = lab.mainstay(&["backup", &lab.id("app")]).expect(1);
    assert_eq!(run.code_of_problem(), "hook-timeout", "{run}");
    assert!(run.words().contains("it was killed") && evidence(&run).contains("waiting"), "{run}");
    assert!(!docker(&["top", &lab.container_id("app")]).contains("sleep 987"), "it still runs");
    goes_on(&lab);

    configure(&lab, "before_backup = \"sleep 987; true\"");
    let mut running = lab.begin(&["backup", &lab.id("app")]);
    running.until_started("run-before-backup");
    eventually("the command", || {
        docker(&["top", &lab.container_id("app")]).contains("sleep 987").then_some(())
    });
    running.signal(Signal::INT);
    let run = running.finish().expect(130);
    assert_eq!(run.code_of_problem(), "interrupted", "{run}");
    assert!(!docker(&["top", &lab.container_id("app")]).contains("sleep 987"), "it still runs");
}

#[test]
fn a_command_whose_run_died_is_ended_and_run_again() {
    let lab = ticker();
    configure(&lab, "before_backup = \"echo begun >>/data/begun; sleep 3; echo done >>/data/done\"");
    let mut running = lab.begin(&["backup", &lab.id("app")]);
    running.until_started("run-before-backup");
    let begun = lab.volume("data").join("begun");
    eventually("the command", || begun.exists().then_some(()));
    running.kill();
    lab.mainstay(&["resume"]).expect_kept();
    assert_eq!(std::fs::read_to_string(begun).unwrap().lines().count(), 2, "run twice");
    let done = std::fs::read_to_string(lab.volume("data").join("done")).unwrap();
    assert_eq!(done.lines().count(), 1, "the first one did not get to its end beside the second one");
}

#[test]
fn an_image_without_a_shell_takes_a_list() {
    let lab = Lab::new("solo").up();
    configure(&lab, "before_backup = [\"/fixture\", \"health\"]");
    lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    configure(&lab, "before_backup = \"true\"");
    let before = lab.now();
    let run = lab.update("app", "1.1.0", &[]).expect(1);
    assert_eq!(run.code_of_problem(), "hook-failed", "{run}");
    assert!(run.words().contains("list"), "{run}");
    assert!(!run.steps().contains(&"edit-files"), "{run}");
    lab.assert_untouched(&before);
}

/// It works the first time, and no more when the cutover comes: the files are edited by then, and put back.
#[test]
fn a_command_that_fails_before_the_cutover_ends_the_update() {
    let lab = Lab::new("pg").up();
    let once = "[ ! -e /tmp/once ] || exit 5; touch /tmp/once";
    lab.write("mainstay.toml", &format!("[service.db]\nbefore_backup = \"{once}\"\n"));
    let before = lab.now().containers;
    let env = lab.read(".env");
    let run = lab.update("db", &built("PG_NEW"), &[]).expect(1);
    assert_eq!((run.code_of_problem(), run.ended()["verdict"].as_str()), ("hook-failed", Some("as-before")));
    let tail = ["edit-files", "run-before-cutover", "restore-files", "document"];
    assert_eq!(run.steps()[run.steps().len() - 4..], tail, "{run}");
    assert_eq!((lab.now().containers, lab.read(".env")), (before, env));
}

#[test]
fn a_database_is_dumped_into_its_volume_before_an_update() {
    let lab = Lab::new("pg").up();
    lab.psql("db", "create table precious (what text); insert into precious values ('must not be lost')");
    lab.write(
        "mainstay.toml",
        "[service.db]\nbefore_backup = \"psql -U postgres -c CHECKPOINT && \
         pg_dump -U postgres postgres >/var/lib/postgresql/data/dump.sql\"\n",
    );
    let run = lab.update("db", &built("PG_NEW"), &[]).expect_kept();
    for step in ["run-before-backup", "run-before-cutover"] {
        assert!(run.steps().contains(&step), "{run}");
    }
    assert!(restored(&lab, "db", "dump.sql").contains("must not be lost"));
    assert_eq!(lab.psql("db", "select what from precious"), "must not be lost");
}
