//! Copies of the old image, kept as files: a way back where somebody removed the image and no registry has it. Whole or
//! not there, and gone when no way back needs them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::lab::disk::Small;
use crate::lab::process::{Run, Running, bounded};
use crate::lab::proxy::{Mood, Proxy};
use crate::lab::{Lab, docker, net};

/// It migrates the data, and goes bad while it is watched, but goes on answering.
const BAD: &str = "2.0.0-unhealthy-after-5";

/// A service whose old image has an id that nobody else has. It is in no registry unless it is pushed; the repository
/// there has only the version that goes bad, as 2.0.0, and a good one, as 1.1.0.
struct Own {
    lab: Lab,
    name: String,
    image: String,
}

impl Own {
    fn new(pushed: bool, megabytes: u32) -> Self {
        let mut lab = Lab::new("solo");
        let repository = format!("test/{}", lab.project);
        let name = format!("127.0.0.1:5000/{repository}");
        let container = docker(&["create", "127.0.0.1:5000/lab/fixture:1.0.0"]);
        if megabytes > 0 {
            let large = lab.home().join("large");
            let mut make = Command::new("sh");
            let script = format!("head -c {megabytes}000000 /dev/urandom >\"$1\"");
            make.args(["-c", &script, "sh"]).arg(&large);
            bounded(make).success("a large file");
            docker(&["cp", large.to_str().unwrap(), &format!("{}:/large", container.trim())]);
            std::fs::remove_file(large).unwrap();
        }
        let change = format!("LABEL of={}", lab.project);
        docker(&["commit", "--change", &change, container.trim(), &format!("{name}:1.0.0")]);
        docker(&["rm", container.trim()]);
        if pushed {
            docker(&["push", "--quiet", &format!("{name}:1.0.0")]);
        }
        net::publish(&repository, "2.0.0", BAD);
        net::publish(&repository, "1.1.0", "1.1.0");
        let text = lab.read("compose.yaml").replace("${REGISTRY:-127.0.0.1:5000}/lab/fixture", &name);
        lab.write("compose.yaml", &text);
        lab.own_repositories.push(name.clone());
        let lab = lab.up();
        lab.add_record("must not be lost");
        let image = lab.container("app")["Image"].as_str().unwrap().to_owned();
        Self { lab, name, image }
    }

    fn begin(&self, to: &str, more: &[&str], host: Option<&Proxy>) -> Running {
        let args = self.lab.update_args("app", to, &[&["--keep-image-copy"], more].concat());
        let mut command = self.lab.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        command.envs(host.map(|proxy| ("DOCKER_HOST", proxy.host())));
        Running::begin(command)
    }

    /// Under way to the bad version, which is watched.
    fn watched(&self) -> Running {
        let mut running = self.begin("2.0.0", &["--watch", "60s"], None);
        running.until_started("watch");
        running
    }

    fn copy(&self) -> PathBuf {
        let digits = self.image.strip_prefix("sha256:").unwrap();
        self.lab.state().join("images").join(format!("{digits}.tar"))
    }

    fn tags(&self) -> String {
        docker(&["image", "inspect", "--format", "{{.RepoTags}}", &self.image])
    }
}

/// Everything in the directory of copies.
fn copies(lab: &Lab) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(lab.state().join("images")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn finding<'a>(run: &'a Run, check: &str) -> Option<&'a Value> {
    run.findings().into_iter().find(|finding| finding["check"] == check)
}

/// Changes a byte of the largest part, which is a layer.
fn damage(own: &Own) {
    let mut bytes = std::fs::read(own.copy()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(own.copy(), bytes).unwrap();
}

#[test]
fn an_image_that_no_registry_has_comes_back_from_its_copy() {
    let own = Own::new(false, 0);
    let (lab, before) = (&own.lab, own.lab.now());
    let plan = lab.mainstay(&["plan", &lab.id("app"), "--to", "2.0.0"]).expect(0);
    let advice =
        finding(&plan, "image-copy").expect("it is advised where there is no other way")["advice"].clone();
    assert!(advice.as_str().unwrap().contains("--keep-image-copy"), "{advice}");

    let running = own.watched();
    let copy = std::fs::metadata(own.copy()).unwrap();
    assert_eq!(copy.permissions().mode() & 0o777, 0o600);
    docker(&["rmi", "--force", &own.image]);
    let run = running.finish().expect(4);
    assert_eq!(run.events[0]["plan"]["keep_image_copy"], true, "{run}");
    assert!(finding(&run, "image-copy").is_none(), "{run}");
    assert_eq!((run.tier(), lab.version().as_str()), ("full", "1.0.0"));
    lab.assert_as_before(&before);
    let tags = own.tags();
    assert!(tags.contains("mainstay/keep/") && tags.contains(&format!("{}:1.0.0", own.name)), "{tags}");

    // The next run needs the same copy, which is there.
    own.begin("1.1.0", &[], None).finish().expect_kept();
    assert_eq!(std::fs::metadata(own.copy()).unwrap().ino(), copy.ino());
    // It can be had without mainstay.
    docker(&["rmi", "--force", &own.image]);
    let info = lab.run_file(&run, "BACKUP_INFO.txt");
    let line = info.lines().find(|line| line.trim().starts_with("docker load -i ")).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", line]);
    bounded(shell).success(line);
    assert!(own.tags().contains("mainstay/keep/"));
    // And what was kept can be undone by hand, too.
    docker(&["rmi", "--force", &own.image]);
    lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    lab.assert_as_before(&before);
}

#[test]
fn a_damaged_copy_of_an_image_that_no_registry_has_closes_the_way_back_and_nothing_is_stopped() {
    let own = Own::new(false, 0);
    let lab = &own.lab;
    let running = own.watched();
    let container = lab.container_id("app");
    damage(&own);
    docker(&["rmi", "--force", &own.image]);
    let run = running.finish().expect(5);
    assert_eq!(run.steps()[run.steps().len() - 2..], ["confirm-way-back", "document"], "{run}");
    let then = &run.ended()["conclusion"]["then"]["problem"];
    assert_eq!(then["code"], "image-missing", "{run}");
    let causes = then["causes"].to_string();
    assert!(causes.contains(own.copy().to_str().unwrap()) && causes.contains("damaged"), "{causes}");
    assert!(causes.contains("it came from no registry"), "{causes}");
    assert!(then["advice"].to_string().contains("docker load"), "{then}");
    assert_eq!(lab.container_id("app"), container);
    assert_eq!(lab.container("app")["State"]["Running"], true, "bad as it is, it was not stopped");
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    assert_eq!(copies(lab).len(), 1, "nothing goes where a person is needed");
}

#[test]
fn a_damaged_copy_is_said_and_the_image_is_pulled_again() {
    let own = Own::new(true, 0);
    let (lab, before) = (&own.lab, own.lab.now());
    let running = own.watched();
    damage(&own);
    docker(&["rmi", "--force", &own.image]);
    let run = running.finish().expect(4);
    let said = finding(&run, "image-copy").unwrap_or_else(|| panic!("{run}"));
    assert!(said["evidence"].to_string().contains("is damaged"), "{said}");
    assert_eq!((run.tier(), lab.version().as_str()), ("full", "1.0.0"));
    lab.assert_as_before(&before);

    // A copy that is of no use is made again.
    own.begin("1.1.0", &[], None).finish().expect_kept();
    docker(&["rmi", "--force", &own.image]);
    let run = lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    assert!(finding(&run, "image-copy").is_none(), "{run}");
    lab.assert_as_before(&before);
}

#[test]
fn a_copy_that_no_way_back_needs_is_kept_no_longer() {
    let lab = Lab::new("solo").up();
    lab.write("mainstay.toml", "[defaults]\nkeep_days = 0\nkeep_last = 1\nkeep_image_copy = true\n");
    let image = |lab: &Lab| -> String {
        let id = lab.container("app")["Image"].as_str().unwrap().to_owned();
        format!("{}.tar", id.strip_prefix("sha256:").unwrap())
    };
    let oldest = image(&lab);
    lab.update("app", "1.1.0", &[]).expect(0);
    assert_eq!(copies(&lab), [oldest]);
    let newer = image(&lab);
    lab.update("app", "2.0.0", &[]).expect(0);
    assert_eq!(
        copies(&lab),
        std::slice::from_ref(&newer),
        "the way back from the last update needs this one alone"
    );
    lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    assert_eq!(copies(&lab), [newer], "a backup keeps none, and takes none away");
    lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    assert_eq!((lab.version().as_str(), copies(&lab).len()), ("1.1.0", 0));

    std::fs::write(lab.state().join("images/0123.tar"), "of nobody").unwrap();
    std::fs::write(lab.state().join("images/4567.tar.20260101-000000-abcd.tmp"), "of nobody").unwrap();
    lab.mainstay(&["prune"]).expect(0);
    assert_eq!(copies(&lab).len(), 0);
    lab.update("app", "1.2.0", &["--keep-image-copy=false"]).expect(0);
    assert_eq!(copies(&lab).len(), 0, "the word on the command line goes before the file's");
}

/// An update whose copy is being written by an engine that says nothing more.
fn hangs_while_copying(own: &Own, proxy: &Proxy) -> Running {
    let mut running = own.begin("1.1.0", &[], Some(proxy));
    running.until_started("keep-image");
    let begun = Instant::now();
    while copies(&own.lab).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(45), "no copy was begun");
        std::thread::sleep(Duration::from_millis(1));
    }
    proxy.set(Mood::Hangs);
    std::thread::sleep(Duration::from_millis(300));
    assert!(copies(&own.lab)[0].ends_with(".tmp"), "{:?}", copies(&own.lab));
    running
}

#[test]
fn a_copy_that_was_cut_off_is_made_again_or_removed() {
    let own = Own::new(false, 100);
    let (lab, before) = (&own.lab, own.lab.now());
    let proxy = Proxy::in_front_of_the_engine(lab.home());
    // Turned back.
    hangs_while_copying(&own, &proxy).kill();
    proxy.set(Mood::Well);
    assert_eq!(copies(lab).len(), 1);
    let run = lab.mainstay(&["resume"]);
    assert!(matches!(run.code, Some(1 | 130)), "{run}");
    lab.assert_untouched(&before);
    assert_eq!(copies(lab).len(), 0);
    // Interrupted, while the engine says nothing.
    let mut running = hangs_while_copying(&own, &proxy);
    let asked = Instant::now();
    running.signal(Signal::INT);
    running.until("the end of the step", |event| event["event"] == "step.ended");
    let took = asked.elapsed();
    proxy.set(Mood::Well);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let run = running.finish().expect(130);
    assert_eq!(run.ended()["verdict"], "as-before", "{run}");
    lab.assert_untouched(&before);
    assert_eq!(copies(lab).len(), 0);
    // Gone on with.
    hangs_while_copying(&own, &proxy).kill();
    proxy.set(Mood::Well);
    lab.mainstay(&["resume", "--on-resume", "continue"]).expect_kept();
    assert_eq!(copies(lab), [own.copy().file_name().unwrap().to_str().unwrap()]);
    assert_eq!(lab.version(), "1.1.0");
    docker(&["rmi", "--force", &own.image]);
    lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    lab.assert_as_before(&before);
}

#[test]
fn a_disk_without_room_for_a_copy_refuses_it_and_one_that_fills_up_ends_the_run_as_before() {
    let own = Own::new(false, 60);
    let (lab, before) = (&own.lab, own.lab.now());
    let _small = Small::mount(&lab.state(), "48m");
    let run = own.begin("1.1.0", &[], None).finish().expect(6);
    let refused = |f: &&Value| f["check"] == "disk" && f["severity"] == "required";
    assert!(run.findings().iter().any(refused), "{run}");
    assert!(run.events[0]["plan"]["room"].to_string().contains("image-copy"), "{run}");

    let run = own.begin("1.1.0", &["--force", "disk"], None).finish().expect(1);
    assert_eq!(
        (run.code_of_problem(), run.ended()["verdict"].as_str()),
        ("disk-full", Some("as-before")),
        "{run}"
    );
    assert!(run.words().contains("--keep-image-copy=false"), "{run}");
    assert_eq!(copies(lab).len(), 0);
    lab.assert_untouched(&before);
}
