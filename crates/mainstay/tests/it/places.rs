//! Where data can be, and who is around a service: every place is backed up and put back, and neighbours are left
//! alone.

use crate::lab::{Lab, built, docker, engine};

/// A project with its data in this place.
fn with_data(mount: &str) -> Lab {
    let text = format!(
        "services:\n  app:\n    image: IMAGE:1.0.0\n    restart: unless-stopped\n    \
         ports: [\"127.0.0.1:PORT:8080\"]\n    volumes: [\"{mount}\"]\nvolumes: {{data: {{}}}}\n"
    );
    let lab = Lab::of(&[("compose.yaml", &text)]).up();
    lab.add_record("must not be lost");
    lab
}

#[test]
fn in_a_bind_mount() {
    let lab = with_data("./data:/data");
    let before = lab.now();
    let run = lab.update("app", "2.0.0-migration-fails-half-way", &[]).expect(4);
    assert_eq!(run.tier(), "full");
    lab.assert_as_before(&before);
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    lab.update("app", "2.0.0", &[]).expect_kept();
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
}

/// A volume that nobody named goes with its container from version to version, and back.
#[test]
fn in_a_volume_without_a_name() {
    let lab = with_data("/data");
    let records = lab.get("/records").unwrap();
    let name = |lab: &Lab| lab.container("app")["Mounts"][0]["Name"].to_string();
    let volume = name(&lab);
    let run = lab.update("app", "2.0.0-migration-fails-half-way", &[]).expect(4);
    assert_eq!(run.tier(), "full");
    assert_eq!(lab.version(), "1.0.0");
    assert_eq!((lab.get("/records"), name(&lab)), (Ok(records), volume.clone()));
    lab.compose_changes_nothing();
    let run = lab.update("app", "1.1.0", &[]).expect(3);
    assert!(run.findings().iter().any(|f| f["check"] == "anonymous-volumes"), "{run}");
    assert_eq!((lab.version(), name(&lab)), ("1.1.0".to_owned(), volume));
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    lab.compose_changes_nothing();
}

#[test]
fn of_two_containers_of_one_service() {
    let text = "services:\n  app:\n    image: IMAGE:1.0.0\n    scale: 2\n    volumes: [\"data:/data\"]\n    \
                stop_grace_period: 2s\nvolumes: {data: {}}\n";
    let lab = Lab::of(&[("compose.yaml", text)]).up();
    let before = lab.now();
    assert_eq!(before.containers.len(), 2);
    lab.update("app", "2.0.0-migration-fails-half-way", &[]).expect(4);
    lab.assert_as_before(&before);
    lab.update("app", "2.0.0", &[]).expect_kept();
    let images = |lab: &Lab| -> Vec<String> {
        engine::containers(&lab.project).iter().map(|c| c["Config"]["Image"].to_string()).collect()
    };
    let images = images(&lab);
    assert!(images.len() == 2 && images.iter().all(|i| i.contains(":2.0.0")), "{images:?}");
    lab.compose_changes_nothing();
}

/// A database that others depend on is replaced under them; they are not.
#[test]
fn of_a_database_with_an_application_on_it() {
    let lab = Lab::new("shop").up();
    lab.psql("db", "create table t (n int); insert into t select generate_series(1, 1000)");
    let others = ["app", "proxy"].map(|service| lab.container_id(service));
    lab.update("db", &built("PG_NEW"), &[]).expect_kept();
    lab.healthy();
    assert_eq!(lab.psql("db", "select count(*) from t"), "1000");
    assert_eq!(["app", "proxy"].map(|service| lab.container_id(service)), others, "nobody else was touched");
    lab.compose_changes_nothing();
}

/// Somebody else writes to the same data: neither a backup nor a rollback would be worth anything.
#[test]
fn that_somebody_else_writes_to() {
    let lab = with_data("data:/data");
    let theirs = Theirs::start(&lab);
    let before = lab.now();
    let run = lab.update("app", "1.1.0", &[]).expect(6);
    let sharers = run.findings().into_iter().find(|f| f["check"] == "sharers").cloned().unwrap();
    assert!(sharers.to_string().contains(&theirs.0), "it says who: {sharers}");
    lab.assert_untouched(&before);
}

/// A container that is no part of the project and has its volume; removed in any case.
struct Theirs(String);

impl Theirs {
    fn start(lab: &Lab) -> Self {
        let name = format!("{}-theirs", lab.project);
        let volume = format!("{}_data:/theirs", lab.project);
        docker(&["run", "-d", "--name", &name, "-v", &volume, "127.0.0.1:5000/lab/fixture:1.0.0"]);
        Self(name)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        docker(&["rm", "-fv", &self.0]);
    }
}
