//! Bad updates: noticed, undone by themselves, and nothing of them stays.
//!
//! Every test begins with data of schema 1 that holds a record of its own. Versions 2.0.0-… migrate it to
//! schema 2, which version 1.0.0 refuses: where the old version answers again, the data was put back.

use crate::kept::with_own_repository;
use crate::lab::process::Run;
use crate::lab::{Lab, built, eventually, net};

/// Updates to a bad version, and looks that everything is as before.
fn undone(to: &str, more: &[&str]) -> Run {
    let lab = Lab::new("solo").up();
    lab.add_record("must not be lost");
    let before = lab.now();
    let run = lab.update("app", to, more).expect(4);
    assert_eq!(
        (run.ended()["verdict"].as_str(), run.ended()["service"].as_str()),
        (Some("rolled-back"), Some("as-before"))
    );
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    assert_safe(&lab, &run);
    run
}

/// A rollback that touches data keeps first what is there, and the report says why it came to it.
fn assert_safe(lab: &Lab, run: &Run) {
    if matches!(run.tier(), "image-only" | "full") {
        assert!(!run.fact("back-up-safety")["backups"].as_array().unwrap().is_empty(), "{run}");
    }
    let created = run.fact("recreate-old");
    assert!(created["ran_meanwhile"].is_null(), "nobody ran anything, and nothing is kept twice: {created}");
    let what = run.problem()["what"].as_str().unwrap();
    assert!(lab.run_file(run, "report.txt").contains(what), "{what}");
}

/// Noticed while the version was coming up: it was never watched.
fn assert_never_verified(run: &Run) {
    assert!(!run.steps().contains(&"watch"), "{run}");
}

/// Verified, and then it went bad.
fn assert_in_watch(run: &Run) {
    assert!(run.steps().contains(&"watch"), "{run}");
}

#[test]
fn exits_at_start() {
    let run = undone("2.0.0-exit-at-start", &[]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "image-only", "it never touched the data");
    let evidence = run.ended()["conclusion"]["failure"]["evidence"].to_string();
    assert!(evidence.contains("exit-at-start"), "its last words are the evidence: {run}");
}

#[test]
fn cannot_be_started() {
    let run = undone("2.0.0-bad-entrypoint", &[]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "never-started", "nothing of it ran, so the data needs no look");
    assert!(!run.steps().contains(&"back-up-safety"), "{run}");
    assert!(run.words().contains("/usr/local/bin/fixture"), "{run}");
}

#[test]
fn never_listens() {
    let run = undone("2.0.0-never-listen", &["--startup", "5s"]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "full", "it had migrated the data");
}

#[test]
fn is_unhealthy() {
    let run = undone("2.0.0-unhealthy", &["--startup", "6s"]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn is_unhealthy_and_left_the_data_alone() {
    let run = undone("1.1.0-unhealthy", &["--startup", "6s"]);
    assert_eq!(run.tier(), "image-only");
}

#[test]
fn answers_500_from_the_start() {
    let run = undone("2.0.0-500-from-start", &["--startup", "5s"]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn answers_500_from_the_start_and_left_the_data_alone() {
    let run = undone("1.1.0-500-from-start", &["--startup", "5s"]);
    assert_eq!(run.tier(), "image-only");
}

#[test]
fn migrates_half_way() {
    let run = undone("2.0.0-migration-fails-half-way", &[]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "full");
    assert!(run.steps().contains(&"restore-data"));
}

/// What the new version did not touch comes through as well, whatever it is.
#[test]
fn migrates_half_way_among_other_files() {
    let lab = Lab::new("solo").up();
    lab.furnish("data");
    let before = lab.now();
    let run = lab.update("app", "2.0.0-migration-fails-half-way", &[]).expect(4);
    assert_eq!(run.tier(), "full");
    lab.assert_as_before(&before);
}

#[test]
fn listens_on_another_port() {
    let run = undone("2.0.0-wrong-port", &["--startup", "5s"]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn listens_for_itself_alone() {
    let run = undone("2.0.0-loopback-only", &["--startup", "5s"]);
    assert_never_verified(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn ends_well_again_and_again() {
    let run = undone("2.0.0-exit-0-loop", &["--watch", "20s"]);
    assert_eq!(run.tier(), "full");
}

#[test]
fn goes_bad_after_twenty_seconds() {
    let run = undone("2.0.0-migrate-then-bad-after-20", &["--watch", "40s"]);
    assert_in_watch(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn exits_in_the_watch() {
    let run = undone("2.0.0-exit-after-5", &["--watch", "20s"]);
    assert_in_watch(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn exits_in_the_watch_and_left_the_data_alone() {
    let run = undone("1.1.0-exit-after-5", &["--watch", "20s"]);
    assert_in_watch(&run);
    assert_eq!(run.tier(), "image-only");
}

#[test]
fn panics_in_the_watch() {
    let run = undone("2.0.0-panic-after-3", &["--watch", "20s"]);
    assert_eq!(run.tier(), "full");
}

/// Its memory has nothing to do with its data, so the image alone goes back first; but the old version refuses
/// the data, and then the data goes back too.
#[test]
fn runs_out_of_memory() {
    let run = undone("2.0.0-oom-after-3", &["--watch", "20s"]);
    assert_eq!(run.tier(), "full");
    assert!(run.ended()["conclusion"].to_string().contains("memory"), "{run}");
}

#[test]
fn answers_500_in_the_watch() {
    let run = undone("2.0.0-500-after-5", &["--watch", "20s"]);
    assert_in_watch(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn becomes_unhealthy_in_the_watch() {
    let run = undone("2.0.0-unhealthy-after-5", &["--watch", "20s"]);
    assert_in_watch(&run);
    assert_eq!(run.tier(), "full");
}

#[test]
fn stops_answering_in_the_watch() {
    let run = undone("2.0.0-hang-after-3", &["--watch", "25s"]);
    assert_eq!(run.tier(), "full");
}

/// What users wrote while the bad version seemed good is in the safety snapshot.
#[test]
fn what_was_written_meanwhile_is_kept_aside() {
    let lab = Lab::new("solo").up();
    lab.add_record("before");
    let before = lab.now();
    let args = lab.update_args("app", "2.0.0-exit-after-5", &["--watch", "20s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    lab.add_record("meanwhile");
    let run = running.finish().expect(4);
    lab.assert_as_before(&before);
    let target = lab.home().join("aside");
    let (id, service) = (run.id().to_owned(), lab.id("app"));
    let to = target.to_str().unwrap();
    lab.mainstay(&["restore", &service, "--run", &id, "--kind", "safety", "--to", to]).expect(0);
    let aside = std::fs::read_to_string(target.join("store.json")).unwrap();
    assert!(aside.contains("meanwhile") && aside.contains("before"), "{aside}");
}

#[test]
fn two_services_that_share_a_tag_go_back_together() {
    let lab = Lab::new("pair").up();
    lab.add_record("must not be lost");
    let before = lab.now();
    let run = lab.update("app", "2.0.0-migration-fails-half-way", &[]).expect(4);
    assert_eq!(run.tier(), "full");
    lab.assert_as_before(&before);
    for service in ["app", "worker"] {
        assert_eq!(lab.get_inside(service, "/version").as_deref(), Ok("1.0.0"));
    }
}

#[test]
fn a_database_that_refuses_its_data_files() {
    let lab = Lab::new("pg").up();
    lab.psql("db", "create table t (n int); insert into t select generate_series(1, 1000)");
    let before = lab.now();
    let run = lab.update("db", &built("PG_17"), &["--force", "profile-jump"]).expect(4);
    assert_never_verified(&run);
    let evidence = run.ended()["conclusion"].to_string();
    assert!(evidence.contains("incompatible with server"), "{run}");
    let rows = eventually("the database", || {
        (lab.container("db")["State"]["Health"]["Status"] == "healthy")
            .then(|| lab.psql("db", "select count(*), sum(n) from t"))
    });
    assert_eq!(rows, "1000|500500");
    assert!(lab.psql("db", "show server_version").starts_with(&built("PG_OLD")));
    let now = lab.now();
    assert_eq!(now.files, before.files);
    // A database that started again has written: but what lies beside its directory, and what files there are, …
    let names = |data: &crate::lab::Before| -> Vec<_> {
        data.data.values().flat_map(|tree| tree.0.keys().filter(|p| p.iter().count() < 4).cloned()).collect()
    };
    assert_eq!(names(&now), names(&before));
    lab.assert_old_version(&before);
}

#[test]
fn a_moved_tag_points_back_to_the_old_image() {
    let (lab, repository) = with_own_repository();
    lab.add_record("must not be lost");
    let before = lab.now();
    net::publish(&repository, "stable", "2.0.0-migration-fails-half-way");
    let run = lab.update("app", "stable", &[]).expect(4);
    assert_eq!(run.tier(), "full");
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}

#[test]
fn an_application_behind_a_proxy_goes_back_with_its_uploads() {
    let lab = Lab::new("shop").up();
    let (ca, others) = (lab.path("certs/ca.pem"), ["db", "proxy"].map(|s| lab.container_id(s)));
    let before = lab.now();
    let url = format!("https://app.lab.test:{}/", lab.port());
    let asked = ["--url", &url, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1", "--watch", "20s"];
    let run = lab.update("app", "2.0.0-500-after-5", &asked).expect(4);
    assert_in_watch(&run);
    assert_eq!(lab.get_inside("app", "/version").as_deref(), Ok("1.0.0"));
    let now = lab.now();
    assert_eq!(now.files, before.files, "uploads too");
    let app =
        |b: &crate::lab::Before| b.data.iter().find(|(n, _)| n.ends_with("_data")).map(|(_, t)| t.0.clone());
    assert_eq!(app(&now), app(&before));
    assert_eq!(["db", "proxy"].map(|s| lab.container_id(s)), others, "nobody else was touched");
    lab.assert_old_version(&before);
}

#[test]
fn a_project_of_the_older_compose_goes_back() {
    let lab = Lab::new("solo").v1().up();
    lab.add_record("must not be lost");
    let before = lab.now();
    let run = lab.update("app", "2.0.0-exit-after-5", &["--watch", "20s"]).expect(4);
    assert_eq!(run.tier(), "full");
    lab.assert_as_before(&before);
}

/// A file that the run made is gone again, and one that it added to is as it was.
#[test]
fn new_variables_go_away_again() {
    let text = "services:\n  app:\n    image: IMAGE:1.0.0\n    environment: {NEW: \"${NEW:-}\"}\n    \
                ports: [\"127.0.0.1:PORT:8080\"]\n    volumes: [\"data:/data\"]\nvolumes: {data: {}}\n";
    let lab = Lab::of(&[("compose.yaml", text)]).up();
    let before = lab.now();
    lab.update("app", "2.0.0-exit-at-start", &["--new-secret", "NEW"]).expect(4);
    lab.assert_as_before(&before);
    lab.write(".env", "# theirs\nOTHER=1");
    let before = lab.now();
    lab.update("app", "2.0.0-exit-at-start", &["--new-secret", "NEW"]).expect(4);
    lab.assert_as_before(&before);
}
