//! Each rule of the diagnosis against the real failure: what is found, with what was seen and what to do.
//!
//! By the command where the service fails by itself, by an update where the new version does: there the diagnosis
//! has to be made before its containers go. That verdicts are right is the matter of `rolled_back`.

mod outside;

use std::net::TcpListener;

use serde_json::Value;

use crate::lab::process::Run;
use crate::lab::{Lab, built, docker, eventually};

/// The fixture alone, with more lines for its service.
fn solo(tag: &str, more: &str) -> Lab {
    let text = format!(
        "services:\n  app:\n    image: IMAGE:{tag}\n    restart: unless-stopped\n    stop_grace_period: 1s\n    \
         ports: [\"127.0.0.1:PORT:8080\"]\n    volumes: [\"data:/data\"]\n{more}volumes: {{data: {{}}}}\n"
    );
    Lab::of(&[("compose.yaml", &text)])
}

/// A service of the lab's nginx, which is an image with a shell, that does something else.
fn shell(more: &str) -> Lab {
    let nginx = built("NGINX");
    let text = format!("services:\n  app:\n    image: 127.0.0.1:5000/lab/nginx:{nginx}\n{more}");
    Lab::of(&[("compose.yaml", &text)])
}

fn image(name: &str) -> String {
    format!("127.0.0.1:5000/lab/nginx:{}", built(name))
}

/// Starts it, whatever becomes of it.
fn begun(lab: Lab) -> Lab {
    let _may_fail = lab.compose(&["up", "-d"]);
    lab
}

fn found(run: &Run) -> Vec<&Value> {
    run.events.iter().filter(|e| e["event"] == "diagnosis").map(|e| &e["diagnosis"]).collect()
}

fn ids<'a>(found: &[&'a Value]) -> Vec<&'a str> {
    found.iter().map(|d| d["id"].as_str().unwrap()).collect()
}

/// Diagnoses until this is the first thing that is found: some failures need a moment to show.
fn first(lab: &Lab, id: &str, more: &[&str]) -> String {
    let service = lab.id("app");
    let args: Vec<&str> = ["diagnose", &service].into_iter().chain(more.iter().copied()).collect();
    let mut last = String::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(40);
    loop {
        let run = lab.mainstay(&args);
        if ids(&found(&run)).first() == Some(&id) {
            let run = run.expect(3);
            let diagnosis = found(&run)[0].clone();
            assert!(!diagnosis["evidence"].as_array().unwrap().is_empty(), "{diagnosis}");
            assert!(!diagnosis["advice"].as_array().unwrap().is_empty(), "{diagnosis}");
            return diagnosis.to_string();
        }
        assert!(std::time::Instant::now() < deadline, "{id} was not found: {last}{run}");
        last = run.to_string();
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

fn says(diagnosis: &str, words: &[&str]) {
    for words in words {
        assert!(diagnosis.contains(words), "«{words}» is not in {diagnosis}");
    }
}

/// The diagnosis of an update that was rolled back, and that the report has it as well.
fn of_update(lab: &Lab, service: &str, to: &str, more: &[&str], id: &str) -> String {
    let run = lab.update(service, to, more).expect(4);
    let diagnosis = &run.ended()["conclusion"]["failure"]["diagnosis"];
    assert_eq!(diagnosis[0]["id"], id, "{run}");
    let what = diagnosis[0]["what"].as_str().unwrap();
    let report = lab.run_file(&run, "report.txt");
    assert!(report.contains(&format!("Diagnosis [{id}]: {what}")), "{report}");
    assert!(run.problem()["causes"].to_string().contains(&what[..what.len().min(20)]), "{run}");
    diagnosis[0].to_string()
}

#[test]
fn nothing_where_nothing_is_wrong() {
    let lab = Lab::new("solo").up();
    let run = lab.mainstay(&["diagnose", &lab.id("app")]).expect(0);
    assert!(found(&run).is_empty(), "{run}");
    let lab = Lab::new("shop").up();
    let (ca, url) = (lab.path("certs/ca.pem"), format!("https://app.lab.test:{}/", lab.port()));
    let asked = ["--url", &url, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1"];
    let service = lab.id("app");
    let args: Vec<&str> = ["diagnose", &service].into_iter().chain(asked).collect();
    let run = lab.mainstay(&args).expect(0);
    assert!(found(&run).is_empty(), "{run}");
    let run = lab.mainstay(&["diagnose", &lab.id("db")]).expect(0);
    assert!(found(&run).is_empty(), "{run}");
}

#[test]
fn out_of_memory() {
    let lab = solo("2.0.0-oom-after-3", "    mem_limit: 64m\n");
    let diagnosis = first(&begun(lab), "out-of-memory", &[]);
    says(&diagnosis, &["limit 64 MiB", "128 MiB", "mem_limit"]);
}

#[test]
fn out_of_memory_after_an_update() {
    let lab = Lab::new("solo").up();
    let diagnosis = of_update(&lab, "app", "2.0.0-oom-after-3", &["--watch", "20s"], "out-of-memory");
    says(&diagnosis, &["64 MiB"]);
}

/// The machine's own curl, in an image without the library that it needs.
#[test]
fn a_missing_library() {
    let lab = shell(
        "    entrypoint: [/opt/curl]\n    restart: always\n    volumes: [\"/usr/bin/curl:/opt/curl:ro\"]\n",
    );
    let diagnosis = first(&begun(lab), "missing-library", &[]);
    says(&diagnosis, &["libcurl.so.4", "/opt/curl", "exit code 127"]);
}

/// A real program, whose header names another machine.
#[test]
fn a_program_for_another_machine() {
    let lab = shell("    entrypoint: [/opt/program]\n    volumes: [\"./program:/opt/program:ro\"]\n");
    let mut program = std::fs::read("/bin/true").unwrap();
    program[18] = 0xF7; // e_machine: BPF
    std::fs::write(lab.path("program"), program).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(lab.path("program"), executable).unwrap();
    let diagnosis = first(&begun(lab), "wrong-architecture", &[]);
    says(&diagnosis, &["exec format error", "/opt/program"]);
}

#[test]
fn a_program_that_is_not_there() {
    let lab = begun(solo("2.0.0-bad-entrypoint", ""));
    says(&first(&lab, "bad-entrypoint", &[]), &["/usr/local/bin/fixture", "no such file"]);
}

#[test]
fn a_program_that_is_not_there_after_an_update() {
    let lab = Lab::new("solo").up();
    let diagnosis = of_update(&lab, "app", "2.0.0-bad-entrypoint", &[], "bad-entrypoint");
    says(&diagnosis, &["/usr/local/bin/fixture"]);
}

#[test]
fn a_program_that_may_not_be_executed() {
    let lab = shell("    entrypoint: [/opt/program]\n    volumes: [\"./program:/opt/program:ro\"]\n");
    lab.write("program", "#!/bin/sh\ntrue\n");
    says(&first(&begun(lab), "bad-entrypoint", &[]), &["may not execute /opt/program", "chmod +x"]);
}

#[test]
fn a_port_that_a_process_has() {
    let lab = solo("1.0.0", "");
    let taken = TcpListener::bind(("127.0.0.1", lab.port())).unwrap();
    let lab = begun(lab);
    let diagnosis = first(&lab, "port-conflict", &[]);
    says(&diagnosis, &[&lab.port().to_string(), &std::process::id().to_string()]);
    drop(taken);
}

#[test]
fn a_port_that_a_container_has() {
    let other = solo("1.0.0", "").up();
    let lab = solo("1.0.0", "");
    lab.write(
        "compose.yaml",
        &lab.read("compose.yaml").replace(&lab.port().to_string(), &other.port().to_string()),
    );
    let diagnosis = first(&begun(lab), "port-conflict", &[]);
    says(&diagnosis, &["the container", &other.project]);
}

#[test]
fn a_mount_that_cannot_be_made() {
    let lab = shell("    entrypoint: [sleep, \"60\"]\n    volumes: [\"./file:/etc:ro\"]\n");
    lab.write("file", "x");
    says(&first(&begun(lab), "start-failed", &[]), &["mount"]);
}

#[test]
fn data_of_another_major_version_after_an_update() {
    let lab = Lab::new("pg").up();
    let diagnosis = of_update(&lab, "db", &built("PG_17"), &["--force", "profile-jump"], "data-version");
    says(&diagnosis, &["PostgreSQL 15", "PostgreSQL 17", "pg_upgrade"]);
}

#[test]
fn data_that_is_too_new() {
    let lab = begun(solo("2.0.0", ""));
    eventually("the data is migrated", || lab.get("/schema").ok().filter(|schema| schema == "2"));
    lab.write("compose.yaml", &lab.read("compose.yaml").replace("2.0.0", "1.0.0"));
    says(&first(&begun(lab), "data-version", &[]), &["newer"]);
}

#[test]
fn a_migration_that_fails_after_an_update() {
    let lab = Lab::new("solo").up();
    of_update(&lab, "app", "2.0.0-migration-fails-half-way", &[], "migration-failed");
}

/// A filesystem in memory that somebody else fills while the service runs.
#[test]
fn a_full_disk() {
    let lab = solo("1.0.0", "");
    let small = "{data: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}}";
    lab.write("compose.yaml", &lab.read("compose.yaml").replace("{data: {}}", small));
    let lab = lab.up();
    let _full = std::fs::write(lab.volume("data").join("ballast"), vec![0; 2 << 20]);
    says(&first(&lab, "disk-full", &[]), &["/data", "0 kB"]);
}

#[test]
fn a_volume_of_somebody_else() {
    let lab = solo("1.0.0", "").up();
    // The next version has to write: it migrates.
    let text = lab.read("compose.yaml").replace("fixture:1.0.0", "fixture:2.0.0");
    lab.write("compose.yaml", &text.replace("    restart", "    user: \"1234:1234\"\n    restart"));
    let diagnosis = first(&begun(lab), "volume-permission", &[]);
    says(&diagnosis, &["user 1234", "belongs to 0:0", "chown -R 1234:1234"]);
}

/// The run saved as whom the old version ran.
#[test]
fn a_version_that_runs_as_somebody_else() {
    let lab = solo("1.0.0", "").up();
    lab.update("app", "1.1.0", &[]).expect_kept();
    let text = lab.read("compose.yaml").replace("fixture:1.1.0", "fixture:2.0.0");
    lab.write("compose.yaml", &text.replace("    restart", "    user: \"1234\"\n    restart"));
    says(&first(&begun(lab), "volume-permission", &[]), &["before as root"]);
}

#[test]
fn a_dependency_that_is_down() {
    let lab = Lab::new("shop").up();
    docker(&["stop", "-t", "5", &lab.container_id("db")]);
    let diagnosis = first(&lab, "dependency-down", &["--url", "none"]);
    says(&diagnosis, &["needs db", "Exited", "docker compose up -d db"]);
}

/// nginx doesn't start where the name of its upstream is unknown, and says so.
#[test]
fn a_dependency_that_only_the_log_names() {
    let config = "server { listen 8080; location / { proxy_pass http://backend:9000; } }\n";
    let text = format!(
        "services:\n  app:\n    image: {0}\n    restart: always\n    volumes: [\"./app.conf:/etc/nginx/conf.d/app.conf:ro\"]\n  \
         backend:\n    image: {0}\n    entrypoint: [sleep, \"60\"]\n",
        image("NGINX")
    );
    let lab = Lab::of(&[("compose.yaml", &text), ("app.conf", config)]);
    // Made and never started: it has no name in the network yet.
    lab.compose(&["create", "backend"]).success("create");
    lab.compose(&["up", "-d", "app"]).success("up");
    says(&first(&lab, "dependency-down", &[]), &["needs backend", "host not found in upstream"]);
}

#[test]
fn a_login_that_is_refused() {
    let text = format!(
        "services:\n  db:\n    image: 127.0.0.1:5000/lab/postgres:{0}\n    environment: {{POSTGRES_PASSWORD: right}}\n    \
         volumes: [\"data:/var/lib/postgresql/data\"]\n  app:\n    image: 127.0.0.1:5000/lab/postgres:{0}\n    restart: always\n    \
         environment: {{PGPASSWORD: wrong}}\n    command: [psql, -h, db, -U, postgres, -c, select 1]\n    \
         healthcheck: {{disable: true}}\nvolumes: {{data: {{}}}}\n",
        built("PG_OLD")
    );
    let lab = Lab::of(&[("compose.yaml", &text)]);
    lab.compose(&["up", "-d", "db"]).success("up");
    lab.healthy();
    says(&first(&begun(lab), "login-refused", &[]), &["password authentication failed"]);
}

#[test]
fn a_process_that_ends_again_and_again() {
    let lab = begun(solo("1.1.0-exit-at-start", ""));
    says(&first(&lab, "crash-loop", &[]), &["with 1: ", "fault exit-at-start"]);
}

#[test]
fn a_process_that_ends_well_again_and_again() {
    let lab = begun(solo("2.0.0-exit-0-loop", ""));
    says(&first(&lab, "crash-loop", &[]), &["exit code 0", "goes to the background"]);
}

/// Of a trace, the line that says something.
#[test]
fn the_root_of_a_trace() {
    let script = "echo starting; echo 'Traceback (most recent call last):' >&2; echo '  File \"x.py\", line 1, in <module>' >&2; \
                  echo 'ValueError: the store has no name' >&2; exit 1";
    let lab = shell(&format!(
        "    restart: always\n    entrypoint: [sh, -c, \"{}\"]\n",
        script.replace('"', "\\\"")
    ));
    says(&first(&begun(lab), "crash-loop", &[]), &["with 1: ValueError: the store has no name"]);
}

#[test]
fn what_was_stopped() {
    let lab = Lab::new("solo").up();
    docker(&["stop", "-t", "2", &lab.container_id("app")]);
    says(&first(&lab, "not-running", &[]), &["exited", "docker start"]);
}

#[test]
fn a_service_that_listens_for_itself_alone() {
    let lab = begun(solo("2.0.0-loopback-only", ""));
    says(&first(&lab, "loopback-only", &[]), &["127.0.0.1:8080", "0.0.0.0"]);
}

#[test]
fn a_service_that_listens_on_another_port() {
    let lab = begun(solo("2.0.0-wrong-port", ""));
    says(&first(&lab, "wrong-port", &[]), &["listens on port 8081, and port 8080 is expected"]);
}

/// The proxy answers 502, and that it does is only a consequence.
#[test]
fn another_port_behind_a_proxy_after_an_update() {
    let lab = Lab::new("shop").up();
    let (ca, url) = (lab.path("certs/ca.pem"), format!("https://app.lab.test:{}/", lab.port()));
    let asked = ["--url", &url, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1", "--startup", "6s"];
    let diagnosis = of_update(&lab, "app", "2.0.0-wrong-port", &asked, "wrong-port");
    says(&diagnosis, &["listens on port 8081", "VIRTUAL_"]);
}

#[test]
fn a_service_that_listens_on_nothing() {
    let lab = begun(solo("2.0.0-never-listen", ""));
    says(&first(&lab, "not-listening", &[]), &["listens on no port", "8080"]);
}

#[test]
fn a_service_that_hangs() {
    let lab = begun(solo("2.0.0-hang-after-3", ""));
    says(&first(&lab, "hangs", &[]), &["does not answer", "no answer within"]);
}

#[test]
fn a_service_that_answers_500_itself() {
    let lab = begun(solo("1.1.0-500-from-start", ""));
    says(&first(&lab, "bad-answer", &[]), &["itself answers HTTP 500"]);
}

#[test]
fn a_health_check_that_fails() {
    let lab = begun(solo("1.1.0-unhealthy", ""));
    says(&first(&lab, "unhealthy", &[]), &["503"]);
}

#[test]
fn a_health_check_that_the_image_cannot_run() {
    let check =
        "    healthcheck: {test: [CMD, curl, -f, \"http://localhost:8080/\"], interval: 1s, retries: 1}\n";
    says(&first(&begun(solo("1.0.0", check)), "unhealthy", &[]), &["a program that the image does not have"]);
}

/// Everybody is logged out: the run before knows what was there, and no value is shown.
#[test]
fn a_secret_that_vanished() {
    let lab = solo("1.0.0", "    environment: {SESSION_SECRET: hunter2hunter2, API_KEY: first}\n").up();
    lab.update("app", "1.1.0", &[]).expect_kept();
    let text =
        lab.read("compose.yaml").replace("SESSION_SECRET: hunter2hunter2, API_KEY: first", "API_KEY: second");
    lab.write("compose.yaml", &text);
    let diagnosis = first(&begun(lab), "secret-changed", &[]);
    says(&diagnosis, &["SESSION_SECRET: was set", "API_KEY: has another value", "logged out"]);
    assert!(!diagnosis.contains("hunter2") && !diagnosis.contains("second"), "{diagnosis}");
}

#[test]
fn a_key_that_only_the_container_has() {
    let lab = Lab::new("solo").up();
    lab.write("key", "0123456789abcdef");
    let to = format!("{}:/.app_secret_key", lab.container_id("app"));
    docker(&["cp", lab.path("key").to_str().unwrap(), &to]);
    says(&first(&lab, "key-in-container", &[]), &["/.app_secret_key (16 B)", "docker cp"]);
}
