//! What is known about widespread images, on real databases: asked without any configuration, before an update and after it.

use serde_json::Value;

use crate::lab::process::Run;
use crate::lab::{Lab, built, docker, eventually, net};

/// The project `pg` with a table that must not be lost.
fn database() -> Lab {
    let lab = Lab::new("pg").up();
    fill(&lab);
    lab
}

fn fill(lab: &Lab) {
    lab.psql("db", "create table precious (what text); insert into precious values ('must not be lost')");
}

fn holds(lab: &Lab) {
    lab.healthy();
    assert_eq!(lab.psql("db", "select what from precious"), "must not be lost");
    assert!(lab.psql("db", "show server_version").starts_with(&built("PG_OLD")));
}

/// A database of two versions that behave differently by what `script` makes of `$V` and `$OLD`.
fn scripted(script: &str) -> Lab {
    let text = "services:
  db:
    image: 127.0.0.1:5000/lab/postgres:${V}
    entrypoint: [\"bash\", \"-c\", \"SCRIPT\"]
    environment: {V: \"${V}\", OLD: OLDTAG, POSTGRES_PASSWORD: right}
    mem_limit: 256m
    stop_grace_period: 30s
    volumes: [\"data:/var/lib/postgresql/data\"]
    healthcheck:
      test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, postgres]
      interval: 1s
      retries: 20
volumes: {data: {}}
";
    let script = script.replace('$', "$$").replace('"', "\\\"");
    let text = text.replace("SCRIPT", &script).replace("OLDTAG", &built("PG_OLD"));
    let lab = Lab::of(&[("compose.yaml", &text), (".env", &format!("V={}\n", built("PG_OLD")))]).up();
    fill(&lab);
    lab
}

/// A database takes its time to start on a busy machine.
const PATIENT: [&str; 4] = ["--startup", "60s", "--probe-grace", "20s"];

fn update(lab: &Lab, to: &str, more: &[&str]) -> Run {
    lab.update("db", to, &[&PATIENT[..], more].concat())
}

fn found<'a>(run: &'a Run, check: &str) -> Option<&'a Value> {
    run.findings().into_iter().find(|finding| finding["check"] == check)
}

fn of_plan(run: &Run) -> &Value {
    &run.events.iter().find(|event| event["event"] == "plan").unwrap_or_else(|| panic!("no plan: {run}"))["plan"]
}

#[test]
fn a_database_is_asked_without_any_configuration() {
    let lab = database();
    let check = lab.mainstay(&["check", &lab.id("db")]).expect(0);
    let known = format!("db: profile postgres, recognised by PG_VERSION, version {}", built("PG_OLD"));
    assert!(check.stdout.contains(&known), "{check}\n{}", check.stdout);
    assert!(
        check.stdout.contains("check postgres ready (profile postgres): good"),
        "{check}\n{}",
        check.stdout
    );

    let run = update(&lab, &built("PG_NEW"), &[]).expect_kept();
    let plan = of_plan(&run);
    let profile = &plan["unit"]["services"][0]["profile"];
    assert_eq!((&profile["name"], &profile["in_force"]), (&"postgres".into(), &true.into()), "{run}");
    let checks = plan["checks"].as_array().unwrap();
    assert!(checks.len() >= 2 && checks.iter().all(|check| check["profile"] == "postgres"), "{run}");
    let tables = checks.iter().find(|check| check["name"] == "postgres tables").unwrap();
    assert_eq!(tables["every_ms"], 60_000);
    let before = tables["before"]["figure"].as_f64().unwrap();
    assert!(before >= 1.0, "{tables}");
    let after = run.fact("verify-new")["observations"].to_string();
    assert!(after.contains(&format!("postgres tables: {before}, before the update {before}")), "{run}");
    let report = lab.run_file(&run, "report.txt");
    assert!(report.contains("profile postgres, recognised by PG_VERSION"), "{report}");
    assert!(report.contains(&format!("postgres tables: {before}, before the update {before}")), "{report}");
    assert_eq!(lab.psql("db", "select what from precious"), "must not be lost");
}

#[test]
fn a_jump_that_cannot_work_is_refused_with_the_way() {
    let lab = database();
    let before = lab.now().containers;
    let run = update(&lab, &built("PG_17"), &[]).expect(6);
    assert_eq!(run.code_of_problem(), "profile-jump", "{run}");
    let words = run.words();
    for says in ["PostgreSQL 17", "PostgreSQL 15", "pg_upgrade", "--force profile-jump"] {
        assert!(words.contains(says), "{says}: {run}");
    }
    assert_eq!(lab.now().containers, before);

    let forced = update(&lab, &built("PG_17"), &["--force", "profile-jump"]).expect(4);
    assert!(forced.ended().to_string().contains("incompatible with server"), "{forced}");
    holds(&lab);

    lab.write("mainstay.toml", "[service.db]\nprofile = \"none\"\n");
    let plan = lab.mainstay(&["plan", &lab.id("db"), "--to", &built("PG_17")]).expect(0);
    let plan = of_plan(&plan);
    assert!(plan["unit"]["services"][0]["profile"].is_null() && plan["checks"].is_null(), "{plan}");

    lab.write("mainstay.toml", "[service.db]\nprofile = \"postgers\"\n");
    let unknown = lab.mainstay(&["plan", &lab.id("db"), "--to", &built("PG_17")]).expect(2);
    assert!(unknown.words().contains("did you mean `postgres`?"), "{unknown}");
}

/// The tag says nothing; the image, once it is here, does.
#[test]
fn a_jump_that_only_the_new_image_tells_of_ends_the_update_before_the_service_is_touched() {
    let mut lab = Lab::of(&[]);
    let repository = format!("test/{}", lab.project);
    let own = format!("127.0.0.1:5000/{repository}");
    lab.own_repositories.push(own.clone());
    net::publish_as(("postgres", &built("PG_OLD")), &repository, "even");
    net::publish_as(("postgres", &built("PG_17")), &repository, "odd");
    lab.write(
        "compose.yaml",
        &format!(
            "services:\n  db:\n    image: {own}:even\n    environment: {{POSTGRES_PASSWORD: right}}\n    mem_limit: 256m\n    \
             volumes: [\"data:/var/lib/postgresql/data\"]\n    healthcheck: {{test: [CMD, pg_isready, -q, -h, 127.0.0.1], \
             interval: 1s, retries: 20}}\nvolumes: {{data: {{}}}}\n"
        ),
    );
    let lab = lab.up();
    fill(&lab);
    let before = lab.now().containers;
    let run = update(&lab, "odd", &[]).expect(1);
    assert_eq!(run.code_of_problem(), "profile-jump", "{run}");
    assert!(found(&run, "profile-jump").unwrap()["evidence"].to_string().contains("PG_VERSION"), "{run}");
    assert!(run.steps().contains(&"pull-image") && !run.steps().contains(&"edit-files"), "{run}");
    assert_eq!(lab.now().containers, before);
    holds(&lab);
}

#[test]
fn tables_that_are_gone_bring_the_data_back() {
    let lab = scripted(
        "[ $V = $OLD ] || echo 'drop table precious' | setpriv --reuid=postgres --regid=postgres --init-groups -- \
         postgres --single -D $PGDATA postgres; exec docker-entrypoint.sh postgres",
    );
    let run = update(&lab, &built("PG_NEW"), &[]).expect(4);
    assert_eq!((run.code_of_problem(), run.tier()), ("version-check-failed", "full"), "{run}");
    let failure = &run.ended()["conclusion"]["failure"];
    assert_eq!(failure["cause"]["data"], "certain", "{run}");
    assert!(run.words().contains("postgres tables"), "{run}");
    holds(&lab);
}

/// A library is missing, which is no matter of the data, so that the image alone goes back first; the figure says that
/// this is not enough.
#[test]
fn the_figure_is_asked_again_after_a_rollback_of_the_image_alone() {
    let lab = scripted(
        "[ $V != $OLD ] || exec docker-entrypoint.sh postgres; docker-entrypoint.sh postgres & \
         until [ -e /tmp/go ]; do sleep 0.2; done; psql -U postgres -c 'drop table precious'; kill -INT %1; wait; exit 127",
    );
    let args = lab.update_args("db", &built("PG_NEW"), &[&PATIENT[..], &["--watch", "60s"]].concat());
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    docker(&["exec", &lab.container_id("db"), "touch", "/tmp/go"]);
    let run = running.finish().expect(4);
    assert_eq!((run.code_of_problem(), run.tier()), ("version-exits", "full"), "{run}");
    assert_eq!(run.steps().iter().filter(|step| **step == "verify-old").count(), 2, "{run}");
    holds(&lab);
}

#[test]
fn a_check_of_the_operator_replaces_the_one_of_the_same_name() {
    let lab = database();
    let own = "[[service.db.check]]\nname = \"postgres tables\"\ncommand = \"echo 7\"\nfigure = true\n";
    lab.write("mainstay.toml", own);
    let run = lab.mainstay(&["plan", &lab.id("db"), "--to", &built("PG_NEW")]).expect(0);
    let checks = of_plan(&run)["checks"].as_array().unwrap();
    let tables: Vec<&Value> = checks.iter().filter(|check| check["name"] == "postgres tables").collect();
    assert_eq!((tables.len(), &tables[0]["profile"]), (1, &Value::Null), "{run}");
    assert_eq!(tables[0]["before"]["figure"], 7.0, "{run}");
    assert!(checks.iter().any(|check| check["profile"] == "postgres"), "the others stay: {run}");
}

#[test]
fn a_profile_that_does_not_fit_what_runs_is_left_out_with_a_note() {
    let compose = format!(
        "services:\n  db:\n    image: 127.0.0.1:5000/lab/postgres:{}\n    entrypoint: [sleep, \"600\"]\n    stop_grace_period: 1s\n    \
         healthcheck: {{disable: true}}\n    mem_limit: 64m\n    volumes: [\"data:/data\"]\nvolumes: {{data: {{}}}}\n",
        built("PG_OLD")
    );
    let lab = Lab::of(&[("compose.yaml", &compose)]).up();
    let plan =
        |to: &str, code| lab.mainstay(&["plan", &lab.id("db"), "--to", to, "--force", "inside"]).expect(code);
    let run = plan(&built("PG_17"), 0);
    let note = found(&run, "profile").unwrap();
    assert_eq!(note["severity"], "note");
    for says in ["not in force", "postgres ready", "profile = \\\"none\\\""] {
        assert!(note.to_string().contains(says), "{says}: {note}");
    }
    assert!(of_plan(&run)["checks"].is_null(), "{run}");

    // The operator says that it is one, though it doesn't look like it.
    lab.write("mainstay.toml", "[service.db]\nprofile = \"postgres\"\n");
    let run = plan(&built("PG_17"), 6);
    assert_eq!(run.code_of_problem(), "profile-jump", "{run}");
    assert!(found(&run, "profile").unwrap().to_string().contains("postgres tables"), "{run}");

    // What a profile wants to prepare fails: the backup is made, and a warning says what it is worth.
    lab.write("mainstay.toml", "[service.db]\nprofile = \"redis\"\n");
    let run = lab.mainstay(&["backup", &lab.id("db")]).expect(3);
    assert_eq!(of_plan(&run)["unit"]["services"][0]["hooks"]["profile"], "redis", "{run}");
    assert!(run.steps().contains(&"run-before-backup"), "{run}");
    assert!(
        found(&run, "live-copy").unwrap()["message"].to_string().contains("could not be prepared"),
        "{run}"
    );
    lab.write("mainstay.toml", "[service.db]\nprofile = \"redis\"\nbefore_backup = \"\"\n");
    let run = lab.mainstay(&["backup", &lab.id("db")]).expect_kept();
    assert!(!run.steps().contains(&"run-before-backup"), "the operator wants nothing run: {run}");
}

#[test]
fn a_copy_of_a_database_that_runs_is_warned_of() {
    let lab = database();
    let run = lab.mainstay(&["backup", &lab.id("db")]).expect(3);
    let warning = found(&run, "live-copy").unwrap().to_string();
    assert!(warning.contains("--quiesce stop") && warning.contains("before_backup"), "{warning}");
    let still = lab.mainstay(&["backup", &lab.id("db"), "--quiesce", "stop"]).expect_kept();
    assert_eq!(found(&still, "live-copy"), None, "{still}");
    eventually("the database", || {
        lab.container("db")["State"]["Running"].as_bool().filter(|running| *running)
    });
    lab.write("mainstay.toml", "[service.db]\nbefore_backup = \"pg_dump -U postgres >$PGDATA/dump.sql\"\n");
    lab.healthy();
    let dumped = lab.mainstay(&["backup", &lab.id("db")]).expect(0);
    assert_eq!(found(&dumped, "live-copy"), None, "{dumped}");
}

/// Its first process takes in what loses its parent, and takes the end of that for a crash of its own: then it restarts, and what
/// is in no log is gone.
#[test]
fn a_command_that_is_given_up_does_not_look_to_a_database_like_a_crash() {
    let lab = database();
    lab.psql("db", "create unlogged table fleeting (n int); insert into fleeting values (1)");
    let slow =
        "[[service.db.check]]\nname = \"slow\"\ncommand = \"sleep 60 | cat; true\"\ntimeout = \"1s\"\n";
    lab.write("mainstay.toml", slow);
    let run = lab.mainstay(&["check", &lab.id("db")]).expect(3);
    assert!(run.stdout.contains("did not end within 1 s and was killed"), "{run}");
    assert_eq!(lab.psql("db", "select count(*) from fleeting"), "1");
}
