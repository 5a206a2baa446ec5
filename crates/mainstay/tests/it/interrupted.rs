//! Ctrl-C and kill -9 in every phase: the service runs the new version, verified, or the old one with its data as
//! it was; never something between, and nothing that was begun stays behind.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::lab::process::{Run, Running};
use crate::lab::{Before, Lab, docker};

/// Good, and it migrates the data: where the old version answers, the data was put back.
const GOOD: &str = "2.0.0";
const BAD: &str = "2.0.0-migration-fails-half-way";

fn lab() -> (Lab, Before) {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let before = lab.now();
    (lab, before)
}

fn begin(lab: &Lab, to: &str, watch: &str) -> Running {
    let args = lab.update_args("app", to, &["--watch", watch]);
    lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Sends SIGINT as soon as a step has started.
fn interrupted(lab: &Lab, to: &str, step: &str) -> Run {
    let mut running = begin(lab, to, "30s");
    running.until_started(step);
    running.signal(Signal::INT);
    let run = running.finish();
    assert!(run.events.iter().any(|event| event["event"] == "run.interrupted"), "{run}");
    run
}

/// The new version answers, on the data that it migrated.
fn assert_new(lab: &Lab) {
    assert_eq!(lab.version(), GOOD);
    assert_eq!(lab.get("/schema").as_deref(), Ok("2"));
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    lab.compose_changes_nothing();
}

/// Before the containers are touched: as if nothing had been begun.
fn untouched(step: &str) {
    let (lab, before) = lab();
    let run = interrupted(&lab, GOOD, step).expect(130);
    assert_eq!(run.ended()["verdict"], "as-before", "{run}");
    assert_eq!(run.ended()["service"], "untouched", "{run}");
    lab.assert_untouched(&before);
}

/// After that, and before the new version is verified: everything back.
fn undone(step: &str) -> Run {
    let (lab, before) = lab();
    let run = interrupted(&lab, GOOD, step).expect(130);
    assert_eq!(run.ended()["verdict"], "rolled-back", "{run}");
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    run
}

/// Planning waits for a registry that never answers.
#[test]
fn while_it_is_planned() {
    let registry = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = format!("{}/slow", registry.local_addr().unwrap());
    let mut lab = Lab::of(&[("compose.yaml", &format!("services:\n  app:\n    image: {own}:1.0.0\n"))]);
    docker(&["tag", "127.0.0.1:5000/lab/fixture:1.0.0", &format!("{own}:1.0.0")]);
    lab.own_images.push(format!("{own}:1.0.0"));
    let lab = lab.up();
    let before = lab.now();
    let running = begin(&lab, GOOD, "30s");
    let _asked = registry.accept().unwrap();
    running.signal(Signal::INT);
    let run = running.finish().expect(130);
    assert_eq!(run.code_of_problem(), "interrupted", "{run}");
    lab.assert_untouched(&before);
}

#[test]
fn while_the_data_is_backed_up() {
    untouched("back-up-live");
}

#[test]
fn while_the_image_is_pulled() {
    untouched("pull-image");
}

#[test]
fn while_the_files_are_edited() {
    untouched("edit-files");
}

#[test]
fn while_compose_replaces_the_container() {
    assert_eq!(undone("create-containers").tier(), "never-started");
}

#[test]
fn while_the_service_stands_still() {
    assert_eq!(undone("back-up-cutover").tier(), "never-started");
}

#[test]
fn while_the_new_version_starts() {
    let run = undone("start-new");
    assert!(["image-only", "full"].contains(&run.tier()), "{run}");
}

/// Whether the version was verified before the signal came decides; both ends are good ones.
#[test]
fn while_the_new_version_is_verified() {
    let (lab, before) = lab();
    let run = interrupted(&lab, GOOD, "verify-new");
    if run.code == Some(130) {
        assert_eq!(lab.version(), "1.0.0");
        lab.assert_as_before(&before);
    } else {
        run.expect(3);
        assert_new(&lab);
    }
}

#[test]
fn while_it_is_watched() {
    let (lab, _) = lab();
    let run = interrupted(&lab, GOOD, "watch").expect(3);
    assert_eq!(run.fact("watch")["cut_short"], true);
    assert_new(&lab);
}

#[test]
fn while_the_data_is_put_back() {
    let (lab, before) = lab();
    interrupted(&lab, BAD, "restore-data").expect(4);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}

#[test]
fn while_the_bad_version_is_stopped() {
    let (lab, before) = lab();
    interrupted(&lab, BAD, "stop").expect(4);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}

/// A second Ctrl-C, and SIGTERM, make nothing worse.
#[test]
fn again_and_again() {
    let (lab, before) = lab();
    let mut running = begin(&lab, GOOD, "30s");
    running.until_started("back-up-cutover");
    for signal in [Signal::INT, Signal::INT, Signal::TERM] {
        running.signal(signal);
    }
    running.until_started("recreate-old");
    running.signal(Signal::INT);
    running.finish().expect(130);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}

/// Kills the run outright as soon as a step has started.
fn killed(lab: &Lab, to: &str, step: &str) {
    let mut running = begin(lab, to, "2s");
    running.until_started(step);
    running.kill();
}

/// A run that was killed on its way forward goes on with it.
fn goes_on(step: &str) {
    let (lab, _) = lab();
    killed(&lab, GOOD, step);
    let run = lab.mainstay(&["resume"]).expect_kept();
    assert!(run.events.iter().any(|event| event["event"] == "run.resumed"), "{run}");
    assert_new(&lab);
    assert!(lab.mainstay(&["resume"]).expect(0).stdout.contains("nothing to resume"));
}

#[test]
fn killed_while_the_data_is_backed_up() {
    goes_on("back-up-live");
}

#[test]
fn killed_while_compose_replaces_the_container() {
    goes_on("create-containers");
}

#[test]
fn killed_while_the_new_version_starts() {
    goes_on("start-new");
}

#[test]
fn killed_while_the_data_is_put_back() {
    let (lab, before) = lab();
    killed(&lab, BAD, "restore-data");
    let refused = lab.mainstay(&["backup", &lab.id("app")]).expect(6);
    assert_eq!(refused.code_of_problem(), "unfinished-run");
    assert!(refused.words().contains("resume"));
    assert!(lab.mainstay(&["status"]).expect(0).stdout.contains("mainstay resume"));
    let run = lab.mainstay(&["resume"]).expect(4);
    assert_eq!(run.tier(), "full");
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}
