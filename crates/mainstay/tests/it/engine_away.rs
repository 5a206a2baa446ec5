//! The engine hangs, breaks connections, is gone, or answers late, for a while: nothing waits for it without a word or
//! without a limit, and when it is there again the run goes on, to one version or the other. In every phase this is tried
//! by [`crate::faults`].

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::lab::process::{Run, Running};
use crate::lab::proxy::{Mood, Proxy};
use crate::lab::{Before, Lab};

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

/// The engine is away for a while in a step.
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
