//! What others do while an update is at work, or lies dead: a file is edited, an image pruned, a container started or
//! removed. Nothing of theirs is overwritten, no data is lost, and the service is not left down for it.

use rustix::process::Signal;
use serde_json::Value;

use crate::kept::with_own_repository;
use crate::killed::gate::{Gate, Line, When};
use crate::lab::process::{Run, Running};
use crate::lab::{Lab, docker, engine, eventually, net};

/// It migrates the data, and goes bad while it is watched, but goes on answering.
const BAD: &str = "2.0.0-unhealthy-after-5";

fn begin(lab: &Lab, to: &str) -> Running {
    let args = lab.update_args("app", to, &["--watch", "60s"]);
    lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whoever resumes it, and whether it then goes on or turns back at once: it is rolled back.
fn rolled_back(run: Run) -> Run {
    assert!(matches!(run.code, Some(4 | 130)), "{run}");
    run
}

#[test]
fn a_file_that_somebody_edits_closes_the_way_back_and_nothing_is_stopped() {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let mut running = begin(&lab, BAD);
    running.until_started("watch");
    let container = lab.container_id("app");
    let edited = lab.read("compose.yaml") + "# added by somebody else\n";
    lab.write("compose.yaml", &edited);
    let run = running.finish().expect(5);
    assert_eq!(run.steps()[run.steps().len() - 2..], ["confirm-way-back", "document"], "{run}");
    let then = &run.ended()["conclusion"]["then"]["problem"];
    assert_eq!(then["code"], "file-changed", "{run}");
    assert_eq!(lab.read("compose.yaml"), edited);
    assert_eq!(lab.container_id("app"), container);
    assert_eq!(lab.container("app")["State"]["Running"], true, "bad as it is, it was not stopped");
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    assert!(!run.fact("back-up-cutover")["backups"].as_array().unwrap().is_empty(), "{run}");
}

#[test]
fn files_that_somebody_edits_before_the_cutover_are_nothing_to_create_from() {
    let lab = Lab::new("solo").up();
    let container = lab.container_id("app");
    let mut running = begin(&lab, "2.0.0");
    running.until_started("take-baseline");
    running.kill();
    let edited = lab.read("compose.yaml").replace("64m", "65m");
    lab.write("compose.yaml", &edited);
    let run = lab.mainstay(&["resume"]);
    assert!(matches!(run.code, Some(1 | 5 | 130)), "{run}");
    assert_eq!(lab.read("compose.yaml"), edited);
    assert_eq!((lab.container_id("app"), lab.version().as_str()), (container, "1.0.0"), "it was not touched");
}

/// The old image under tags of the test's own, with an id that nobody else has.
fn with_own_image() -> (Lab, String) {
    let mut lab = Lab::new("solo");
    let repository = format!("test/{}", lab.project);
    let own = format!("127.0.0.1:5000/{repository}");
    let container = docker(&["create", "127.0.0.1:5000/lab/fixture:1.0.0"]);
    let change = format!("LABEL of={}", lab.project);
    docker(&["commit", "--change", &change, container.trim(), &format!("{own}:1.0.0")]);
    docker(&["rm", container.trim()]);
    docker(&["push", "--quiet", &format!("{own}:1.0.0")]);
    net::publish(&repository, "2.0.0", BAD);
    let text = lab.read("compose.yaml").replace("${REGISTRY:-127.0.0.1:5000}/lab/fixture", &own);
    lab.write("compose.yaml", &text);
    lab.own_repositories.push(own.clone());
    (lab.up(), own)
}

#[test]
fn an_old_image_that_somebody_pruned_is_pulled_again() {
    let (lab, own) = with_own_image();
    lab.add_record("must not be lost");
    let before = lab.now();
    let image = lab.container("app")["Image"].as_str().unwrap().to_owned();
    let mut running = begin(&lab, "2.0.0");
    running.until_started("watch");
    docker(&["rmi", "--force", &image]);
    let run = running.finish().expect(4);
    assert_eq!((run.tier(), lab.version().as_str()), ("full", "1.0.0"));
    lab.assert_as_before(&before);
    let names = docker(&["image", "inspect", "--format", "{{.RepoTags}}", &image]);
    assert!(names.contains("mainstay/keep/") && names.contains(&format!("{own}:1.0.0")), "{names}");
}

/// Compose fails before it touches what runs: that is the way back itself, and never stops.
#[test]
fn a_new_image_that_somebody_pruned_leaves_the_old_container_running() {
    let (lab, own) = with_own_image();
    let before = lab.now();
    let mut running = begin(&lab, "2.0.0");
    running.until_started("take-baseline");
    docker(&["rmi", "--force", &format!("{own}:2.0.0")]);
    let own_tag = engine::kept_images(&lab.project);
    let old = &before.containers[0].image;
    for (tag, _) in own_tag.iter().filter(|(_, id)| id != old) {
        docker(&["rmi", "--force", tag]);
    }
    let run = running.finish().expect(4);
    assert_eq!(run.tier(), "never-started", "{run}");
    lab.assert_untouched(&before);
}

#[test]
fn a_version_that_somebody_starts_before_its_backup_is_none_that_never_ran() {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let mut running = begin(&lab, "1.1.0");
    running.until_started("back-up-cutover");
    running.kill();
    let container = lab.container_id("app");
    docker(&["start", &container]);
    assert_eq!(lab.version(), "1.1.0");
    lab.add_record("written to the new version");
    let run = rolled_back(lab.mainstay(&["resume"]));
    assert_eq!(run.tier(), "image-only", "{run}");
    assert!(!run.fact("back-up-safety")["backups"].as_array().unwrap().is_empty(), "{run}");
    assert_eq!(lab.version(), "1.0.0");
    let records = lab.get("/records").unwrap();
    assert!(
        records.contains("must not be lost") && records.contains("written to the new version"),
        "{records}"
    );
    lab.compose_changes_nothing();
}

/// Kills a process at a line of the run's journal.
fn kill(lab: &Lab, process: Running, line: &str, when: When) {
    let line = Line::Named(line.to_owned());
    eventually("the journal", || lab.state().join("journal.db").exists().then_some(()));
    Gate::at(&lab.state())
        .kill(process, (1, 0), &line, when)
        .unwrap_or_else(|| panic!("not killed: {line:?}"));
}

/// Nothing tells any more that the new version ran, but its data does.
#[test]
fn a_version_that_somebody_starts_and_removes_on_the_way_back_is_none_that_never_ran() {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let before = lab.now();
    kill(&lab, begin(&lab, "2.0.0"), "back-up-cutover done", When::After);
    assert_eq!(lab.container("app")["State"]["Status"], "created", "killed too late");
    // A line before Compose is begun, which would go on and remove what is started here.
    kill(&lab, lab.begin(&["resume"]), "restore-tag started", When::After);
    let container = lab.container_id("app");
    docker(&["start", &container]);
    eventually("the new version", || (lab.get("/version").ok()? == "2.0.0").then_some(()));
    lab.add_record("written to the new version");
    docker(&["rm", "--force", &container]);
    let run = rolled_back(lab.mainstay(&["resume"]));
    let steps = run.steps().into_iter().filter(|step| *step != "restore-tag").take(3).collect::<Vec<_>>();
    assert_eq!(steps, ["recreate-old", "back-up-safety", "restore-data"], "{run}");
    assert_eq!(
        (run.tier(), run.fact("recreate-old")["ran_meanwhile"].as_bool()),
        ("full", Some(true)),
        "{run}"
    );
    assert_eq!(run.fact("back-up-safety")["changed_since_cutover"], true, "{run}");
    lab.assert_as_before(&before);
}

/// Where Compose was cut off, the containers that it leaves are taken for what it made of those of the plan.
#[test]
fn containers_that_somebody_removes_at_the_cutover_are_none_to_replace() {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let before = lab.now();
    kill(&lab, begin(&lab, "2.0.0"), "create-containers started", When::BeforeNext);
    docker(&["rm", "--force", &lab.container_id("app")]);
    let run = rolled_back(lab.mainstay(&["resume", "--on-resume", "continue"]));
    assert_eq!(run.code_of_problem(), "containers-changed", "{run}");
    assert!(!run.steps().contains(&"back-up-cutover"), "{run}");
    assert_eq!((run.tier(), lab.version().as_str()), ("image-only", "1.0.0"), "{run}");
    lab.assert_as_before(&before);
}

/// Compose is cut off while it makes containers, of the new version and then, killed at this line, of the old one. `leaves`
/// does to the service's container what that leaves; it is given the temporary name.
fn compose_is_cut_off(leaves: impl Fn(&Value, &str), (line, when): (&str, When)) {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let before = lab.now();
    let leave = || {
        let container = lab.container("app");
        let (id, name) = (container["Id"].as_str().unwrap(), container["Name"].as_str().unwrap());
        leaves(&container, &format!("{}_{}", &id[..12], name.trim_start_matches('/')));
    };
    kill(&lab, begin(&lab, BAD), "create-containers started", When::BeforeNext);
    let made = lab.container_id("app");
    leave();
    let resume = lab.begin(&["resume", "--on-resume", "continue"]);
    kill(&lab, resume, "back-up-cutover started", When::BeforeNext);
    assert_eq!(lab.container("app")["Name"].as_str(), Some(before.containers[0].name.as_str()));
    assert_eq!(lab.container_id("app"), made, "what Compose had made is kept, and not what lies beside it");
    kill(&lab, lab.begin(&["resume"]), line, when);
    leave();
    rolled_back(lab.mainstay(&["resume"]));
    lab.assert_as_before(&before);
}

#[test]
fn a_container_that_compose_did_not_come_to_name_gets_its_name() {
    let rename = |container: &Value, name: &str| {
        docker(&["rename", container["Id"].as_str().unwrap(), name]);
    };
    compose_is_cut_off(rename, ("recreate-old started", When::BeforeNext));
}

/// Compose would remove the one and make another of the same name at the same time, and may fail, on the way back too.
#[test]
fn a_container_that_compose_made_and_did_not_come_to_put_in_place_goes() {
    let make_another = |container: &Value, name: &str| {
        let labels = container["Config"]["Labels"].as_object().unwrap().iter();
        let labels = labels.map(|(key, value)| format!("--label={key}={}", value.as_str().unwrap()));
        let labels = labels.collect::<Vec<_>>();
        let mut args = vec!["create", "--name", name];
        args.extend(labels.iter().map(String::as_str));
        args.push(container["Image"].as_str().unwrap());
        docker(&args);
    };
    compose_is_cut_off(make_another, ("restore-tag started", When::After));
}

#[test]
fn a_container_that_somebody_removes_is_no_version_that_works() {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let before = lab.now();
    let mut running = begin(&lab, "2.0.0");
    running.until_started("verify-new");
    running.kill();
    docker(&["rm", "--force", &lab.container_id("app")]);
    let run = rolled_back(lab.mainstay(&["resume"]));
    assert_eq!((run.tier(), lab.version().as_str()), ("full", "1.0.0"), "{run}");
    lab.assert_as_before(&before);
}

#[test]
fn a_tag_that_the_pull_moved_is_put_back_where_the_update_goes_no_further() {
    let (lab, repository) = with_own_repository();
    let before = lab.now();
    let tag = format!("127.0.0.1:5000/{repository}:stable");
    let id = || docker(&["image", "inspect", "--format", "{{.Id}}", &tag]);
    let old = id();
    net::publish(&repository, "stable", "1.1.0");
    let mut running = begin(&lab, "stable");
    running.until_started("take-baseline");
    running.signal(Signal::INT);
    let run = running.finish().expect(130);
    if !run.steps().contains(&"create-containers") {
        assert_eq!(run.steps()[run.steps().len() - 2..], ["restore-tag", "document"], "{run}");
        lab.assert_untouched(&before);
    }
    assert_eq!(id(), old);
    lab.assert_old_version(&before);
}

/// What was verified stays, and that the next `up -d` would replace it is said.
#[test]
fn a_tag_that_somebody_moves_in_the_watch_is_a_warning() {
    let (lab, repository) = with_own_repository();
    net::publish(&repository, "stable", "2.0.0");
    let args = lab.update_args("app", "stable", &["--watch", "6s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    net::publish(&repository, "stable", "1.1.0");
    docker(&["pull", "--quiet", &format!("127.0.0.1:5000/{repository}:stable")]);
    let run = running.finish().expect(3);
    let drift = run.findings().into_iter().filter(|f| f["check"] == "drift").collect::<Vec<_>>();
    assert_eq!(drift.len(), 1, "{run}");
    assert!(drift[0]["evidence"].to_string().contains("means sha256:"), "{run}");
    assert_eq!(lab.version(), "2.0.0");
}
