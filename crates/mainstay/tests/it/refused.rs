//! Bad input and bad circumstances: a clear error with advice, nothing lost, and the service untouched.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::lab::disk::Small;
use crate::lab::process::{Run, Running, bounded};
use crate::lab::{Lab, docker};

/// A command on a service that runs, which must end with this exit status and this problem, and touch nothing.
fn refused(lab: &Lab, args: &[&str], status: i32, code: &str) -> Run {
    refused_command(lab, lab.command(args), status, code)
}

fn refused_command(lab: &Lab, command: Command, status: i32, code: &str) -> Run {
    let before = lab.now();
    let run = Running::begin(command).finish().expect(status);
    assert_eq!(run.code_of_problem(), code, "{run}");
    let _has_advice = run.words();
    lab.assert_untouched(&before);
    run
}

fn update<'a>(id: &'a str, to: &'a str) -> [&'a str; 7] {
    ["update", id, "--to", to, "--yes", "--watch", "1s"]
}

#[test]
fn names_that_mean_no_service_or_tag() {
    let lab = Lab::new("solo").up();
    let id = lab.id("app");
    let run = refused(&lab, &update(&lab.id("ap"), "1.1.0"), 2, "unknown-service");
    assert!(run.words().contains(&format!("did you mean {id}")), "{run}");

    let run = refused(&lab, &update(&id, "9.9.9"), 6, "unknown-tag");
    assert!(run.words().contains("lab/fixture:9.9.9"), "{run}");
    refused(&lab, &update(&id, "not a tag"), 6, "tag-invalid");

    let run = refused(&lab, &["update", &id, "--to", "1.1.0"], 2, "usage");
    assert!(run.words().contains("--yes"), "nobody could be asked: {run}");
    refused(&lab, &["update", &id, "--yes"], 2, "usage");
    refused(&lab, &["rollback", &id, "--yes"], 2, "unknown-run");
    refused(&lab, &["restore", &id, "--yes"], 2, "unknown-backup");
    let run = refused(&lab, &["show", "20200101"], 2, "unknown-run");
    assert!(run.words().contains("mainstay runs"), "{run}");
    assert!(!lab.state().join("runs").exists(), "no run was begun");
}

#[test]
fn a_name_that_two_projects_have() {
    let service = format!("twin{}", std::process::id());
    let text = format!("services:\n  {service}:\n    image: IMAGE:1.0.0\n");
    let labs = [(); 2].map(|()| Lab::of(&[("compose.yaml", &text)]).up());
    let run = refused(&labs[0], &update(&service, "1.1.0"), 2, "ambiguous-service");
    for lab in &labs {
        assert!(run.words().contains(&lab.id(&service)), "both candidates are named: {run}");
    }
}

#[test]
fn an_engine_or_a_compose_that_is_not_there() {
    let lab = Lab::new("solo").up();
    let id = lab.id("app");
    let nowhere = "unix:///nonexistent/docker.sock";
    for command in [
        &update(&id, "1.1.0")[..],
        &["status"],
        &["check", &id],
        &["doctor"],
        &["plan", &id, "--to", "1.1.0"],
    ] {
        let args: Vec<&str> = ["--host", nowhere].iter().chain(command).copied().collect();
        let run = refused(&lab, &args, 1, "engine-unreachable");
        assert!(run.words().contains(nowhere), "{run}");
    }
    let mut command = lab.command(&update(&id, "1.1.0"));
    command.env("PATH", lab.home().join("empty"));
    let run = refused_command(&lab, command, 6, "compose-not-installed");
    assert!(run.words().contains("docker compose") || run.words().contains("docker-compose"), "{run}");
}

/// The containers are of the older Compose; that the newer one is installed does not help.
#[test]
fn the_compose_that_made_the_containers_is_gone() {
    let lab = Lab::new("solo").v1().up();
    let only_docker = lab.home().join("bin");
    std::fs::create_dir(&only_docker).unwrap();
    let docker = Command::new("sh").args(["-c", "command -v docker"]).output().unwrap().stdout;
    let docker = PathBuf::from(String::from_utf8(docker).unwrap().trim());
    std::os::unix::fs::symlink(docker, only_docker.join("docker")).unwrap();
    let mut command = lab.command(&update(&lab.id("app"), "1.1.0"));
    command.env("PATH", only_docker);
    let run = refused_command(&lab, command, 6, "compose-not-installed");
    assert!(run.words().contains("docker-compose"), "{run}");
}

#[test]
fn compose_files_that_cannot_be_used() {
    let lab = Lab::new("solo").up();
    let (id, good) = (lab.id("app"), lab.read("compose.yaml"));
    let file = lab.path("compose.yaml").display().to_string();
    lab.write("compose.yaml", &good.replace("    volumes:\n", "    volumes: - data:\n   x\n"));
    let run = refused(&lab, &update(&id, "1.1.0"), 6, "compose-file-invalid");
    assert!(run.words().contains(&file) && run.words().contains("line "), "{run}");

    lab.write("compose.yaml", &good.replace("mem_limit", "mem_limitt"));
    let run = refused(&lab, &update(&id, "1.1.0"), 6, "compose-file-invalid");
    assert!(run.words().contains(&file) && run.words().contains("mem_limitt"), "{run}");

    std::fs::remove_file(lab.path("compose.yaml")).unwrap();
    let run = refused(&lab, &update(&id, "1.1.0"), 6, "compose-file-unreadable");
    assert!(run.words().contains(&file), "{run}");
    // `down` needs it.
    lab.write("compose.yaml", &good);
}

#[test]
fn a_configuration_with_a_misspelt_key() {
    let lab = Lab::new("solo").up();
    lab.write("mainstay.toml", "[service.app]\nwacth = \"5m\"\n");
    let run = refused(&lab, &update(&lab.id("app"), "1.1.0"), 2, "config-invalid");
    assert!(run.words().contains("line 2") && run.words().contains("did you mean `watch`?"), "{run}");
}

#[test]
fn a_state_directory_below_a_file() {
    let lab = Lab::new("solo").up();
    std::fs::write(lab.state(), "not a directory").unwrap();
    let run = refused(&lab, &update(&lab.id("app"), "1.1.0"), 1, "state-unwritable");
    assert!(run.words().contains("--state-dir"), "{run}");
}

#[test]
fn a_state_directory_on_a_full_disk() {
    let lab = Lab::new("solo").up();
    let _small = Small::mount(&lab.state(), "64k");
    let full = std::fs::write(lab.state().join("filler"), vec![0; 128 * 1024]);
    assert!(full.is_err(), "the disk is meant to be full");
    let before = lab.now();
    let run = lab.mainstay(&update(&lab.id("app"), "1.1.0")).expect(1);
    assert!(run.words().contains(lab.state().to_str().unwrap()), "{run}");
    lab.assert_untouched(&before);
}

#[test]
fn a_disk_too_small_for_the_backup() {
    let lab = Lab::new("solo").up();
    let id = lab.id("app");
    let mut large = Command::new("sh");
    large.args(["-c", "head -c 12000000 /dev/urandom >large"]).current_dir(lab.volume("data"));
    bounded(large).success("data that can't be compressed");
    let _small = Small::mount(&lab.state(), "8m");
    let before = lab.now();
    let run = lab.mainstay(&update(&id, "1.1.0")).expect(6);
    assert!(run.findings().iter().any(|f| f["check"] == "disk" && f["severity"] == "required"), "{run}");
    assert!(run.words().contains("--force disk"), "{run}");
    lab.assert_untouched(&before);

    // Overridden, it really is too small: the backup fails, and that is all that happens.
    let run = lab.update("app", "1.1.0", &["--force", "disk"]);
    assert!(matches!(run.code, Some(1)), "{run}");
    assert!(!run.steps().contains(&"edit-files"), "{run}");
    lab.assert_untouched(&before);
}

/// The disk of the journal is full when the service has just been stopped. Unless it goes back by itself, a
/// person is needed: with room again, the run is brought to its end.
#[test]
fn a_disk_that_fills_up_at_the_worst_moment() {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let small = Small::mount(&lab.state(), "16m");
    let args = lab.update_args("app", "2.0.0", &["--force", "disk"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("create-containers");
    let filler = lab.state().join("filler");
    assert!(std::fs::write(&filler, vec![0; 32 << 20]).is_err(), "the disk is meant to be full");
    let run = running.finish();
    std::fs::remove_file(filler).unwrap();
    // The journal has room of its own: the run comes to its end. Whether a backup of little data still fitted decides.
    assert!(matches!(run.code, Some(0 | 3 | 4)), "{run}");
    assert_eq!(lab.version(), if run.code == Some(4) { "1.0.0" } else { "2.0.0" });
    assert!(lab.mainstay(&["resume"]).expect(0).stdout.contains("nothing to resume"));
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    lab.compose_changes_nothing();
    drop(small);
}

#[test]
fn another_run_at_the_same_time() {
    let lab = Lab::new("solo").up();
    let id = lab.id("app");
    let args = lab.update_args("app", "1.1.0", &["--watch", "60s"]);
    let mut first = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    first.until_started("watch");
    for command in [&["backup", &id][..], &update(&id, "1.2.0"), &["rollback", &id, "--yes"]] {
        let run = refused(&lab, command, 75, "locked");
        assert!(run.words().contains(&format!("update {id}")), "it says who: {run}");
        assert!(run.words().contains(&format!("process {}, since ", first.pid())), "and since when: {run}");
    }
    // Looking is always possible.
    lab.mainstay(&["plan", &id, "--to", "1.2.0"]).expect(0);
    lab.mainstay(&["runs"]).expect(0);
    first.signal(Signal::INT);
    first.finish().expect(3);
    assert_eq!(lab.version(), "1.1.0");
}

#[test]
fn a_required_finding_refuses_until_it_is_overridden() {
    let lab = Lab::new("solo").up();
    let id = lab.id("app");
    docker(&["stop", "-t", "1", &lab.container_id("app")]);
    let before = lab.now();
    for command in [&update(&id, "1.1.0")[..], &["check", &id], &["plan", &id, "--to", "1.1.0"]] {
        let run = lab.mainstay(command).expect(6);
        assert!(run.findings().iter().any(|f| f["check"] == "state" && f["severity"] == "required"), "{run}");
        let _has_advice = run.words();
        lab.assert_untouched(&before);
    }
    refused_by(&lab, &["--force", "drift"]);
    lab.update("app", "1.1.0", &["--force", "state"]).expect(3);
    assert_eq!(lab.version(), "1.1.0");
}

/// Named by its file, a project is found that has no containers; there is nothing to update in it.
#[test]
fn a_project_that_does_not_run() {
    let lab = Lab::new("solo");
    let file = lab.path("compose.yaml");
    let id = lab.id("app");
    let args: Vec<&str> = ["-f", file.to_str().unwrap()].into_iter().chain(update(&id, "1.1.0")).collect();
    let before = lab.now();
    let run = lab.mainstay(&args).expect(6);
    assert!(run.findings().iter().any(|f| f["check"] == "state" && f["severity"] == "required"), "{run}");
    lab.assert_untouched(&before);
    let without = lab.mainstay(&update(&id, "1.1.0")).expect(2);
    assert!(without.words().contains("-f FILE"), "{without}");
}

fn refused_by(lab: &Lab, more: &[&str]) {
    let before = lab.now();
    lab.update("app", "1.1.0", more).expect(6);
    lab.assert_untouched(&before);
}

/// Files that only the container has would be lost with it; and so would what the operator changed by hand.
#[test]
fn what_an_update_would_lose_refuses_it() {
    let lab = Lab::new("pg").up();
    let container = lab.container_id("db");
    docker(&["exec", &container, "sh", "-c", "mkdir -p /srv/app && echo precious >/srv/app/notes.txt"]);
    let before = lab.now();
    let run = lab.update("db", &crate::lab::built("PG_NEW"), &[]).expect(6);
    let found = run.findings().into_iter().find(|f| f["check"] == "writable-layer").cloned().unwrap();
    assert!(found.to_string().contains("/srv/app/notes.txt"), "{found}");
    assert_eq!(lab.now().containers, before.containers);

    let lab = Lab::new("solo").up();
    lab.write("compose.yaml", &lab.read("compose.yaml").replace("64m", "65m"));
    let before = lab.now();
    let run = lab.update("app", "1.1.0", &[]).expect(6);
    assert!(run.findings().iter().any(|f| f["check"] == "drift"), "{run}");
    lab.assert_untouched(&before);
}

/// A file that somebody changes while the run prepares is theirs.
#[test]
fn a_file_that_somebody_changes_meanwhile_is_not_overwritten() {
    let lab = Lab::new("solo").up();
    let args = lab.update_args("app", "1.1.0", &[]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("back-up-live");
    let theirs = lab.read("compose.yaml") + "# added by somebody else\n";
    lab.write("compose.yaml", &theirs);
    let before = lab.now();
    let run = running.finish().expect(1);
    assert_eq!(run.ended()["verdict"], "as-before");
    assert!(run.problem()["what"].as_str().unwrap().contains("compose.yaml"), "{run}");
    lab.assert_untouched(&before);
    assert_eq!(lab.read("compose.yaml"), theirs);
}

#[test]
fn a_user_who_may_not() {
    let lab = Lab::new("solo").up();
    let state = lab.home().join("theirs");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(lab.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&state, Some(65534), Some(65534)).unwrap();
    let binary = lab.home().join("mainstay");
    std::fs::copy(env!("CARGO_BIN_EXE_mainstay"), &binary).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
    command.arg("--json").arg("--state-dir").arg(state.join("state")).arg("--lock-dir").arg(&state);
    command.args(update(&lab.id("app"), "1.1.0"));
    let run = refused_command(&lab, command, 1, "engine-permission");
    assert!(run.words().contains("root") || run.words().contains("group"), "{run}");
}
