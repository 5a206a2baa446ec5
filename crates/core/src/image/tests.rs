use super::*;
use crate::finding::Severity;

fn image(env: &[&str]) -> ImageConfig {
    ImageConfig {
        id: "sha256:old".to_owned(),
        size_bytes: 100 << 20,
        env: Env::from_lines(env),
        ports: ["8080/tcp".to_owned()].into(),
        volumes: ["/data".to_owned()].into(),
        user: "1000".to_owned(),
        health_check: Some("CMD /healthy".to_owned()),
        labels: [("org.opencontainers.image.version".to_owned(), "1.2.0".to_owned())].into(),
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        created: Some(Timestamp(1_700_000_000_000)),
        ..ImageConfig::default()
    }
}

fn next(change: impl FnOnce(&mut ImageConfig)) -> ImageConfig {
    let mut new = image(&["A=1"]);
    new.id = "sha256:new".to_owned();
    change(&mut new);
    new
}

fn findings(change: impl FnOnce(&mut ImageConfig)) -> Vec<Finding> {
    compare(&image(&["A=1"]), &next(change), &["/data".to_owned()], Some(8080))
}

#[track_caller]
fn only(change: impl FnOnce(&mut ImageConfig), check: &str, severity: Severity) -> Finding {
    let found = findings(change);
    assert_eq!(found.iter().map(|f| (f.check.as_str(), f.severity)).collect::<Vec<_>>(), [(check, severity)]);
    found[0].clone()
}

#[test]
fn nothing_is_said_about_what_stays() {
    assert_eq!(findings(|_| {}), []);
    only(|new| new.id = "sha256:old".to_owned(), "image-same", Severity::Note);
}

#[test]
fn each_difference_has_its_finding() {
    use Severity::{Note, Required, Warning};
    only(|new| new.architecture = "arm64".to_owned(), "image-platform", Required);
    only(|new| new.volumes.extend(["/cache".to_owned()]), "image-volume", Warning);
    only(|new| new.ports = ["80/tcp".to_owned()].into(), "image-port", Warning);
    only(|new| new.user = "app".to_owned(), "image-user", Warning);
    only(|new| new.health_check = None, "image-health-check", Warning);
    only(|new| new.health_check = Some("CMD /other".to_owned()), "image-health-check", Note);
    only(|new| new.env = Env::from_lines(["A=1", "LICENSE="]), "image-env-wanted", Warning);
    only(|new| new.env = Env::from_lines(["A=2"]), "image-env", Note);
    only(|new| new.env = Env::default(), "image-env", Note);
    only(|new| new.size_bytes = 300 << 20, "image-size", Note);
    only(|new| new.cmd = vec!["serve".to_owned()], "image-command", Note);
    only(|new| new.stop_signal = Some("SIGINT".to_owned()), "image-stop-signal", Note);
    only(|new| new.created = Some(Timestamp(1_600_000_000_000)), "image-older", Warning);
}

#[test]
fn versions_are_compared_as_numbers() {
    let to = |version: &str| {
        let version = version.to_owned();
        move |new: &mut ImageConfig| {
            drop(new.labels.insert("org.opencontainers.image.version".to_owned(), version))
        }
    };
    only(to("1.10.0"), "image-version", Severity::Note);
    only(to("v1.1.9"), "image-version", Severity::Warning);
    only(to("nightly"), "image-version", Severity::Note);
}

#[test]
fn what_cannot_matter_is_not_said() {
    assert_eq!(findings(|new| new.volumes.clear()), [], "the volume is mounted anyway");
    assert_eq!(findings(|new| new.created = Some(Timestamp(0))), [], "a reproducible build");
    assert_eq!(findings(|new| new.user = "1000:1000".to_owned()), []);
    assert_eq!(findings(|new| new.env = Env::from_lines(["A=1", "PG_VERSION=17", "PATH=/x"])), []);
    let root = |user: &str| next(|new| (new.user, new.id) = (user.to_owned(), format!("sha256:{user}")));
    assert_eq!(compare(&root("root"), &root("0:0"), &[], None), [], "the same user, written otherwise");
}

#[test]
fn a_data_directory_that_moves_away_from_its_mount_is_said() {
    let mounted = ["/var/lib/postgresql/data".to_owned()];
    let mut old = image(&["PGDATA=/var/lib/postgresql/data"]);
    old.volumes = mounted.clone().into();
    let mut new = image(&["PGDATA=/var/lib/postgresql/18/docker"]);
    new.id = "sha256:new".to_owned();
    new.volumes = ["/var/lib/postgresql".to_owned()].into();
    let found = compare(&old, &new, &mounted, None);
    let checks: Vec<&str> = found.iter().map(|f| f.check.as_str()).collect();
    assert_eq!(checks, ["image-volume", "image-data-path", "image-env"]);
}

#[test]
fn an_unmounted_volume_that_vanishes_takes_its_data_along() {
    let found = compare(&image(&[]), &next(|new| new.volumes.clear()), &[], None);
    assert!(found.iter().any(|f| f.check == "image-volume-gone"), "{found:?}");
}

#[test]
fn no_secret_is_shown_or_stored() {
    let mut old = image(&["API_KEY=hunter2"]);
    old.health_check = Some("curl -u x --password hunter2".to_owned());
    let new = next(|new| new.env = Env::from_lines(["API_KEY=hunter3"]));
    let found = compare(&old, &new, &[], None);
    let json = serde_json::to_string(&(&found, &old.env)).unwrap();
    assert!(json.contains("[hidden]"), "{json}");
    for text in [json, format!("{found:?} {:?}", old.env)] {
        assert!(!text.contains("hunter"), "{text}");
    }
    assert_eq!(old.env.get("API_KEY"), Some("hunter2"));
}
