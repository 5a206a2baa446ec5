//! Good updates: the new version runs, verified, and everything else is as it was.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::lab::{Lab, built, engine, net};

/// A file is byte for byte what it was but for one piece of text.
fn assert_edited(lab: &Lab, name: &str, before: &str, old: &str, new: &str) {
    assert_eq!(before.matches(old).count(), 1, "{before}");
    assert_eq!(lab.read(name), before.replace(old, new));
}

fn image(lab: &Lab, service: &str) -> String {
    lab.container(service)["Config"]["Image"].as_str().unwrap().to_owned()
}

#[test]
fn a_new_version_runs_on_the_old_data() {
    let lab = Lab::new("solo").up();
    lab.add_record("written by the old version");
    let (before, file) = (lab.now(), lab.read("compose.yaml"));

    let run = lab.update("app", "1.1.0", &[]).expect(0);
    assert_eq!(run.ended()["verdict"], "done");
    assert_eq!(run.ended()["service"], "new-version");
    assert_eq!(lab.version(), "1.1.0");
    assert_eq!(lab.now().data, before.data, "the schema is the same, so nothing is rewritten");
    assert_edited(&lab, "compose.yaml", &file, "fixture:1.0.0", "fixture:1.1.0");
    assert!(file.contains("# the tag that an update changes"));
    lab.compose_changes_nothing();

    assert_eq!(
        run.steps(),
        [
            "confirm",
            "keep-image",
            "save-configuration",
            "back-up-live",
            "pull-image",
            "edit-files",
            "take-baseline",
            "create-containers",
            "back-up-cutover",
            "start-new",
            "verify-new",
            "watch",
            "document"
        ]
    );
    assert!(run.fact("verify-new")["downtime_ms"].is_u64(), "{run}");
    assert_eq!(run.fact("watch")["cut_short"], false);
    assert_eq!(run.fact("back-up-cutover")["backups"][0]["files"], 1);
    let kept = engine::kept_images(&lab.project);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].1, before.containers[0].image, "the old image is kept");
    assert!(lab.run_file(&run, "report.txt").contains("fixture:1.0.0"));
    assert_eq!(lab.run_file(&run, "configuration/0-compose.yaml"), file, "the files are saved");
    let mode = std::fs::metadata(lab.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_version_that_migrates_its_data_is_kept() {
    let lab = Lab::new("solo").up();
    lab.add_record("written by the old version");
    let run = lab.update("app", "2.0.0", &[]).expect(0);
    assert_eq!(lab.get("/schema").as_deref(), Ok("2"));
    let records = lab.get("/records").unwrap();
    assert!(records.contains("written by the old version") && records.contains("\"count\":4"), "{records}");
    assert_eq!(lab.version(), "2.0.0");
    lab.compose_changes_nothing();
    assert!(run.findings().iter().all(|f| f["severity"] == "note"), "{run}");
}

#[test]
fn two_services_that_share_a_tag_move_together() {
    let lab = Lab::new("pair").up();
    let (before, file) = (lab.now(), lab.read("compose.yaml"));
    let run = lab.update("worker", "1.1.0", &[]).expect_kept();
    assert_edited(&lab, "compose.yaml", &file, "fixture:1.0.0", "fixture:1.1.0");
    for service in ["app", "worker"] {
        assert!(image(&lab, service).ends_with("fixture:1.1.0"));
        assert_eq!(lab.get_inside(service, "/version").as_deref(), Ok("1.1.0"));
    }
    assert_eq!(lab.now().data, before.data);
    let backups = run.fact("back-up-cutover")["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 2, "{run}");
    lab.compose_changes_nothing();
}

#[test]
fn an_application_behind_a_proxy_with_tls() {
    let lab = Lab::new("shop").up();
    let (ca, env) = (lab.path("certs/ca.pem"), lab.read(".env"));
    let url = format!("https://app.lab.test:{}/", lab.port());
    let others = ["db", "proxy"].map(|service| lab.container_id(service));
    let asked = ["--url", &url, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1"];

    let run = lab.update("app", "1.1.0", &asked).expect_kept();
    assert_edited(&lab, ".env", &env, "APP_TAG=1.0.0", "APP_TAG=1.1.0");
    assert_eq!(lab.get_inside("app", "/version").as_deref(), Ok("1.1.0"));
    assert_eq!(["db", "proxy"].map(|service| lab.container_id(service)), others, "nobody else was touched");
    let plan = &run.events[0]["plan"];
    assert_eq!(plan["probes"]["outside"]["baseline_status"], 200);
    let mounts = plan["data"].as_array().unwrap().iter().filter_map(|m| m["kind"].as_str());
    let mounts: std::collections::BTreeSet<&str> = mounts.collect();
    assert_eq!(mounts, ["bind", "volume"].into(), "named volume and bind mount are data: {run}");
    assert!(run.fact("verify-new")["downtime_ms"].is_u64(), "{run}");
    lab.compose_changes_nothing();
}

/// A certificate that nobody here trusts condemns no version, but it refuses the update: nothing could be verified.
#[test]
fn an_untrusted_certificate_refuses_and_can_be_overridden() {
    let lab = Lab::new("shop").up();
    let before = lab.now();
    let url = format!("https://app.lab.test:{}/", lab.port());
    let asked = ["--url", &url, "--resolve", "127.0.0.1"];
    let run = lab.update("app", "1.1.0", &asked).expect(6);
    assert!(run.words().contains("certificate"), "{run}");
    lab.assert_untouched(&before);
    let forced = ["--url", &url, "--resolve", "127.0.0.1", "--force", "certificate"];
    lab.update("app", "1.1.0", &forced).expect(3);
    assert_eq!(lab.get_inside("app", "/version").as_deref(), Ok("1.1.0"));
}

#[test]
fn a_database_keeps_its_rows() {
    let lab = Lab::new("pg").up();
    let env = lab.read(".env");
    lab.psql("db", "create table t (n int); insert into t select generate_series(1, 1000)");
    lab.update("db", &built("PG_NEW"), &[]).expect_kept();
    lab.healthy();
    assert!(lab.psql("db", "show server_version").starts_with(&built("PG_NEW")));
    assert_eq!(lab.psql("db", "select count(*), sum(n) from t"), "1000|500500");
    let (old, new) = (format!("PG_TAG={}", built("PG_OLD")), format!("PG_TAG={}", built("PG_NEW")));
    assert_edited(&lab, ".env", &env, &old, &new);
    lab.compose_changes_nothing();
}

#[test]
fn what_an_image_without_health_check_or_with_patience_needs() {
    let lab = Lab::new("pair").up();
    lab.update("app", "1.1.0-nohealth", &[]).expect_kept();
    assert_eq!(lab.version(), "1.1.0-nohealth");
    lab.update("app", "2.0.0-slow-start-8", &[]).expect_kept();
    assert_eq!(lab.version(), "2.0.0-slow-start-8");
    lab.compose_changes_nothing();
}

const WITH_ENV_FILE: &str = "services:
  app:
    image: IMAGE:1.0.0
    env_file: app.env
    environment: {FROM_PROJECT: \"${FROM_PROJECT:-}\"}
    ports: [\"127.0.0.1:PORT:8080\"]
    volumes: [\"data:/data\"]
volumes: {data: {}}
";

#[test]
fn new_secrets_and_variables_go_into_the_env_file_and_nowhere_else() {
    let text = "# Settings\nZEBRA=1\n\n# quoted\nAPPLE=\"two words\"   # why\n";
    let lab = Lab::of(&[("compose.yaml", WITH_ENV_FILE), ("app.env", text)]).up();
    let private = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(lab.path("app.env"), private).unwrap();
    let set = ["--new-secret", "NEW_KEY", "--set", "GREETING=hello"];
    let run = lab.update("app", "1.1.0", &set).expect_kept();

    let after = lab.read("app.env");
    let added = after.strip_prefix(text).unwrap_or_else(|| panic!("what was there is changed: {after}"));
    assert!(added.contains("GREETING=hello\n"), "{after}");
    let secret = added.lines().find_map(|line| line.strip_prefix("NEW_KEY=")).unwrap();
    assert_eq!((secret.len(), secret.ends_with('=')), (44, true), "32 bytes in base64");
    let mode = std::fs::metadata(lab.path("app.env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let environment = lab.container("app")["Config"]["Env"].to_string();
    assert!(environment.contains(secret) && environment.contains("GREETING=hello"), "{environment}");
    lab.compose_changes_nothing();

    assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "the secret is on the screen");
    for file in ["journal.db", "journal.db-wal"] {
        let bytes = std::fs::read(lab.state().join(file)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "the secret is in {file}");
    }
    for file in ["report.txt", "BACKUP_INFO.txt"] {
        assert!(!lab.run_file(&run, file).contains(secret), "the secret is in {file}");
    }

    let before = lab.now();
    for again in [["--new-secret", "ZEBRA"], ["--set", "APPLE=3"]] {
        let run = lab.update("app", "1.2.0", &again).expect(6);
        assert!(run.words().contains(again[1].split('=').next().unwrap()), "{run}");
        lab.assert_untouched(&before);
    }
}

#[test]
fn without_an_env_file_of_the_service_they_go_into_the_projects() {
    let compose = WITH_ENV_FILE.replace("    env_file: app.env\n", "");
    let lab = Lab::of(&[("compose.yaml", &compose)]).up();
    let run = lab.update("app", "1.1.0", &["--set", "FROM_PROJECT=here", "--set", "UNUSED=1"]).expect(3);
    assert_eq!(lab.read(".env"), "FROM_PROJECT=here\nUNUSED=1\n");
    assert!(lab.container("app")["Config"]["Env"].to_string().contains("FROM_PROJECT=here"));
    let unused: Vec<_> = run.findings().into_iter().filter(|f| f["check"] == "variable-unused").collect();
    assert!(unused.len() == 1 && unused[0]["message"].as_str().unwrap().contains("UNUSED"), "{run}");
}

/// A project of an image in a repository of its own, and that repository.
pub fn with_own_repository() -> (Lab, String) {
    let compose = WITH_ENV_FILE.replace("    env_file: app.env\n", "").replace("IMAGE:1.0.0", "OWN:stable");
    let mut lab = Lab::of(&[("compose.yaml", "")]);
    let repository = format!("test/{}", lab.project);
    let own = format!("127.0.0.1:5000/{repository}");
    let text = compose.replace("OWN", &own).replace("PORT", &lab.port().to_string());
    lab.write("compose.yaml", &text);
    lab.own_repositories.push(own);
    net::publish(&repository, "stable", "1.0.0");
    (lab.up(), repository)
}

#[test]
fn a_tag_that_moved_is_an_update_without_an_edit() {
    let (lab, repository) = with_own_repository();
    let file = lab.read("compose.yaml");
    net::publish(&repository, "stable", "1.1.0");
    let run = lab.update("app", "stable", &[]).expect_kept();
    assert_eq!(run.events[0]["plan"]["edits"], Value::Array(Vec::new()));
    assert_eq!(lab.version(), "1.1.0");
    assert_eq!(lab.read("compose.yaml"), file);
    lab.compose_changes_nothing();
}

#[test]
fn the_version_that_runs_already_is_nothing_to_do() {
    let lab = Lab::new("solo").up();
    let before = lab.now();
    for command in ["update", "plan"] {
        let run = lab.mainstay(&[command, &lab.id("app"), "--to", "1.0.0", "--yes"]).expect(0);
        assert_eq!(run.ended()["verdict"], "nothing-to-do");
        assert!(run.stdout.contains("1.0.0 already"), "{run}");
        lab.assert_untouched(&before);
    }
    assert!(!lab.mainstay(&["runs"]).expect(0).stdout.contains("\"event\":\"run\""), "no run was begun");
}
