//! Ctrl-C and kill -9 in every phase: the service runs the new version, verified, or the old one with its data as
//! it was; never something between, and nothing that was begun stays behind.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::lab::process::{Run, Running, mainstay};
use crate::lab::{Before, Lab, docker, eventually};

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

/// Sends a signal as soon as a step has started.
fn interrupted(lab: &Lab, to: &str, step: &str, signal: Signal) -> Run {
    let mut running = begin(lab, to, "30s");
    running.until_started(step);
    running.signal(signal);
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

/// Interrupts an update to a good version in this step, or, as the signal may take its time, in a later one. How far
/// the run had come when it noticed decides how it has to end.
fn ends_well(step: &str) -> Run {
    ends_well_by(Signal::INT, step)
}

fn ends_well_by(signal: Signal, step: &str) -> Run {
    let (lab, before) = lab();
    let run = interrupted(&lab, GOOD, step, signal);
    let noticed = run.events.iter().take_while(|event| event["event"] != "run.interrupted");
    let (mut begun, mut done) = (Vec::new(), Vec::new());
    for event in noticed {
        match event["event"].as_str() {
            Some("step.started") => begun.push(event["step"].as_str().unwrap()),
            Some("step.ended") if event["outcome"]["outcome"] == "done" => {
                done.push(event["step"].as_str().unwrap());
            }
            _ => {}
        }
    }
    assert!(begun.contains(&step), "{run}");
    if done.contains(&"verify-new") {
        assert_eq!((run.code, &run.fact("watch")["cut_short"]), (Some(3), &true.into()), "{run}");
        assert_new(&lab);
    } else if begun.contains(&"create-containers") {
        assert_eq!((run.code, run.ended()["verdict"].as_str()), (Some(130), Some("rolled-back")), "{run}");
        assert_eq!(run.tier() == "never-started", !begun.contains(&"start-new"), "{run}");
        assert_eq!(lab.version(), "1.0.0");
        lab.assert_as_before(&before);
    } else {
        assert_eq!((run.code, run.ended()["verdict"].as_str()), (Some(130), Some("as-before")), "{run}");
        assert_eq!(run.ended()["service"], "untouched", "{run}");
        lab.assert_untouched(&before);
    }
    run
}

/// Planning waits for a registry that never answers.
#[test]
fn while_it_is_planned() {
    let registry = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = format!("{}/slow", registry.local_addr().unwrap());
    let mut lab = Lab::of(&[("compose.yaml", &format!("services:\n  app:\n    image: {own}:1.0.0\n"))]);
    docker(&["tag", "127.0.0.1:5000/lab/fixture:1.0.0", &format!("{own}:1.0.0")]);
    lab.own_repositories.push(own);
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
    let run = ends_well("back-up-live");
    assert!(!run.steps().contains(&"edit-files"), "{run}");
}

#[test]
fn while_the_image_is_pulled() {
    ends_well("pull-image");
}

#[test]
fn while_the_files_are_edited() {
    ends_well("edit-files");
}

#[test]
fn while_compose_replaces_the_container() {
    ends_well("create-containers");
}

#[test]
fn while_the_service_stands_still() {
    ends_well("back-up-cutover");
}

#[test]
fn while_the_new_version_starts() {
    ends_well("start-new");
}

#[test]
fn while_the_new_version_is_verified() {
    ends_well("verify-new");
}

#[test]
fn while_it_is_watched() {
    assert_eq!(ends_well("watch").code, Some(3));
}

#[test]
fn while_the_data_is_put_back() {
    let (lab, before) = lab();
    interrupted(&lab, BAD, "restore-data", Signal::TERM).expect(4);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}

#[test]
fn while_the_bad_version_is_stopped() {
    let (lab, before) = lab();
    interrupted(&lab, BAD, "stop", Signal::HUP).expect(4);
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

/// The terminal is closed, the machine is shut down: by phase, as with Ctrl-C.
#[test]
fn by_a_hangup_before_the_cutover() {
    let run = ends_well_by(Signal::HUP, "back-up-live");
    let signal = run.events.iter().find(|event| event["event"] == "run.interrupted").unwrap();
    assert_eq!(signal["signal"], "SIGHUP");
}

#[test]
fn by_a_shutdown_during_the_cutover() {
    ends_well_by(Signal::TERM, "back-up-cutover");
}

#[test]
fn by_a_hangup_while_it_is_watched() {
    assert_eq!(ends_well_by(Signal::HUP, "watch").code, Some(3));
}

/// Whoever read the output is gone, in the middle of the run: it goes on, and the journal has it all.
#[test]
fn a_closed_pipe_stops_nothing() {
    for json in [true, false] {
        let (lab, _) = lab();
        let args = lab.update_args("app", GOOD, &[]);
        let mut command =
            if json { lab.command(&[]) } else { mainstay(&lab.state(), &lab.home().join("lock")) };
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        drop((lines, child.stderr.take()));
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 3)), "{code:?}");
        assert_new(&lab);
        let shown = lab.mainstay(&["show"]).expect(0);
        assert!(shown.steps().contains(&"document"), "{shown}");
    }
}

/// At a terminal the next command offers to bring a run that was cut off to its end, and then does its own work.
#[test]
fn the_next_update_offers_to_resume() {
    let (lab, before) = lab();
    killed(&lab, GOOD, "create-containers");
    let mut words = vec![env!("CARGO_BIN_EXE_mainstay").to_owned()];
    words.extend(["--state-dir".to_owned(), lab.state().display().to_string()]);
    words.extend(["--lock-dir".to_owned(), lab.home().join("lock").display().to_string()]);
    words.extend(lab.update_args("app", GOOD, &[]).into_iter().filter(|word| word != "--yes"));
    let answered = |answers: &str| {
        let mut terminal = std::process::Command::new("script");
        crate::lab::process::clean(&mut terminal);
        terminal.args(["-qec", &words.join(" "), "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = terminal.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(answers.as_bytes()).unwrap();
        let said = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
        (child.wait().unwrap().code(), said)
    };
    let (code, said) = answered("n\n");
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("bring it to its end now?") && said.contains("mainstay resume"), "{said}");
    // The run is resumed, and turns back; the second question is about the new one.
    let (code, said) = answered("y\nn\n");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("update ") && said.contains("going on with a run that was cut off"), "{said}");
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}

/// Kills the run outright as soon as a step has started.
fn killed(lab: &Lab, to: &str, step: &str) {
    let mut running = begin(lab, to, "2s");
    running.until_started(step);
    running.kill();
}

const GO_ON: &[&str] = &["resume", "--on-resume", "continue"];

/// A run that was killed on its way forward goes on with it, if that is wanted.
fn goes_on(step: &str) {
    let (lab, _) = lab();
    killed(&lab, GOOD, step);
    let run = lab.mainstay(GO_ON).expect_kept();
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

/// The first step takes a millisecond or two, too short to be hit: what the journal says of later ones, none of
/// which has touched the service, is taken away.
fn killed_at_the_first_step(lab: &Lab) {
    killed(lab, GOOD, "back-up-live");
    let journal = lab.state().join("journal.db");
    let later = "delete from entry where seq > 2 and run = (select id from run where ended_at is null)";
    let done = std::process::Command::new("sqlite3").arg(journal).arg(later).status();
    assert!(done.expect("sqlite3 is installed by script/bootstrap").success());
}

/// What changed while the run lay dead is noticed before anything is done.
#[test]
fn killed_before_it_began_and_then_things_changed() {
    let (lab, _) = lab();
    let good = lab.read("compose.yaml");
    killed_at_the_first_step(&lab);
    lab.write("compose.yaml", &format!("{good}# added by somebody else\n"));
    let changed = lab.now();
    let run = lab.mainstay(GO_ON).expect(1);
    assert_eq!((run.code_of_problem(), run.steps()), ("file-changed", vec!["confirm", "document"]), "{run}");
    lab.assert_untouched(&changed);

    lab.write("compose.yaml", &good);
    killed_at_the_first_step(&lab);
    lab.compose(&["up", "-d", "--force-recreate"]).success("up");
    lab.healthy();
    let changed = lab.now();
    let run = lab.mainstay(GO_ON).expect(1);
    assert_eq!(
        (run.code_of_problem(), run.steps()),
        ("containers-changed", vec!["confirm", "document"]),
        "{run}"
    );
    lab.assert_untouched(&changed);
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

/// What an edited file holds may be a secret: Compose gets it out of memory, while the plan is made.
#[test]
fn killed_while_compose_reads_the_edited_files() {
    let (lab, before) = lab();
    let found = Command::new("sh").args(["-c", "command -v docker"]).output().unwrap().stdout;
    let docker = String::from_utf8(found).unwrap().trim().to_owned();
    let (bin, read, tmp) = (lab.home().join("bin"), lab.home().join("read"), lab.home().join("tmp"));
    std::fs::create_dir(&bin).unwrap();
    std::fs::create_dir(&tmp).unwrap();
    // A Compose that has read what it was given, and takes its time.
    let script = format!(
        "#!/bin/sh\nfor arg; do case $arg in /proc/*) cat \"$arg\" >'{0}.part'; mv '{0}.part' '{0}'; exec sleep 3;; \
         esac; done\nexec '{docker}' \"$@\"\n",
        read.display()
    );
    std::fs::write(bin.join("docker"), script).unwrap();
    std::fs::set_permissions(bin.join("docker"), Permissions::from_mode(0o755)).unwrap();
    let args = lab.update_args("app", GOOD, &[]);
    let mut command = lab.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", bin.display())).env("TMPDIR", &tmp);
    let running = Running::begin(command);
    let edited = eventually("the edited file", || std::fs::read_to_string(&read).ok());
    running.kill();
    assert_eq!(edited, lab.read("compose.yaml").replace(":1.0.0", ":2.0.0"));
    let left: Vec<_> = std::fs::read_dir(&tmp).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    lab.assert_untouched(&before);
}

/// The service may be down: that is no time to insist on a file in order that says where the run's backups are, which
/// the run has noted.
#[test]
fn killed_and_then_the_configuration_is_damaged() {
    let (lab, before) = lab();
    killed(&lab, BAD, "back-up-cutover");
    lab.write("mainstay.toml", "repository = [");
    let run = lab.mainstay(&["resume"]);
    assert!(matches!(run.code, Some(4 | 130)), "{run}");
    assert!(run.stdout.contains("the repository that the run began with"), "{run}");
    std::fs::remove_file(lab.path("mainstay.toml")).unwrap();
    lab.assert_as_before(&before);
}
