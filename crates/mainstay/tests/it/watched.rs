//! What only shows while a version is watched: its log, what it uses up, how fast it answers; against what was before.
//!
//! Windows are short here, and so is everything that is derived from them: how often is looked, how far ahead is told.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;

use crate::lab::process::Run;
use crate::lab::{Lab, docker, engine};

/// A project with one service of this version, that answers.
fn running(version: &str) -> Lab {
    let lab = Lab::new("solo");
    let text = lab.read("compose.yaml").replace("fixture:1.0.0", &format!("fixture:{version}"));
    lab.write("compose.yaml", &text);
    lab.up()
}

fn update(lab: &Lab, to: &str, window: &str) -> Run {
    lab.update("app", to, &["--watch", window])
}

/// Rolled back while it was watched, for this reason; what the problem says.
fn rolled_back(run: &Run, code: &str) -> String {
    assert!(run.steps().contains(&"watch"), "{run}");
    assert_eq!(run.code_of_problem(), code, "{run}");
    run.words()
}

/// The figures of the watch: from before and during it.
fn figures<'a>(run: &'a Run, when: &str) -> &'a Value {
    &run.fact("watch")[when]
}

fn warnings(run: &Run) -> Vec<&str> {
    let found = run.findings().into_iter().filter(|f| f["severity"] == "warning");
    found.filter_map(|f| f["check"].as_str()).collect()
}

#[test]
fn a_leak_is_rolled_back_long_before_memory_runs_out() {
    let lab = running("1.0.0");
    let before = lab.now();
    let run = update(&lab, "1.1.0-leak-1", "36s").expect(4);
    let words = rolled_back(&run, "version-memory");
    assert!(words.contains("rises steadily") && words.contains("before the update: at most"), "{words}");
    assert_eq!(run.tier(), "image-only", "memory is no matter of the data");
    assert!(
        run.ended()["conclusion"].to_string().contains("MiB (before: "),
        "the figures are evidence: {run}"
    );
    lab.assert_as_before(&before);
}

#[test]
fn a_memory_that_grows_and_levels_off_is_kept() {
    let lab = running("1.0.0");
    let run = update(&lab, "2.0.0-grows-then-levels-40", "20s").expect_kept();
    let memory = |when| {
        let containers = figures(&run, when)["containers"].as_object().unwrap();
        containers.values().next().unwrap()["memory"]["highest"].as_u64().unwrap()
    };
    assert!(memory("during") > memory("before") + (20 << 20), "{run}");
}

/// A service that may have as little of a processor as a machine gives also where many want it. Its health is not looked
/// at by commands, which would need more.
fn frugal() -> Lab {
    let text = "services:\n  app:\n    image: IMAGE:1.0.0\n    restart: unless-stopped\n    stop_grace_period: 5s\n    \
                ports: [\"127.0.0.1:PORT:8080\"]\n    volumes: [data:/data]\n    cpus: 0.03\n    \
                healthcheck: {disable: true}\nvolumes:\n  data:\n";
    Lab::of(&[("compose.yaml", text)]).up()
}

#[test]
fn a_processor_that_is_busy_throughout_is_rolled_back_at_the_end() {
    let lab = frugal();
    let before = lab.now();
    let run = update(&lab, "1.1.0-burns-cpu", "20s").expect(4);
    let words = rolled_back(&run, "version-cpu");
    assert!(words.contains("used more than 80 % of its processor time throughout"), "{words}");
    assert_eq!(run.tier(), "image-only", "processor time is no matter of the data");
    lab.assert_as_before(&before);
}

#[test]
fn a_burst_of_work_is_kept() {
    let lab = frugal();
    let run = update(&lab, "1.1.0-cpu-burst-after-12", "30s").expect_kept();
    let containers = figures(&run, "during")["containers"].as_object().unwrap();
    let highest = containers.values().next().unwrap()["cpu"]["highest"].as_u64().unwrap();
    assert!(highest > 500, "it was seen: {run}");
}

#[test]
fn memory_that_is_nearly_used_up_throughout_is_rolled_back_at_the_end() {
    let lab = running("1.0.0");
    let before = lab.now();
    let run = update(&lab, "1.1.0-holds-55", "8s").expect(4);
    let words = rolled_back(&run, "version-memory");
    assert!(words.contains("used more than 80 % of its memory throughout"), "{words}");
    lab.assert_as_before(&before);
}

/// A signal that has a program read its files again excuses no crash that comes later; without a restart it stays down.
#[test]
fn a_crash_after_a_message_by_the_operator_is_a_crash() {
    let lab = Lab::new("solo");
    let text = lab.read("compose.yaml").replace("restart: unless-stopped", "restart: \"no\"");
    lab.write("compose.yaml", &text);
    let lab = lab.up();
    let args = lab.update_args("app", "2.0.0-exit-after-5", &["--watch", "30s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    docker(&["kill", "-s", "HUP", &lab.container_id("app")]);
    let run = running.finish().expect(4);
    assert_eq!(run.code_of_problem(), "version-exits", "{run}");
    assert!(run.words().contains("exited with 1"), "{run}");
}

#[test]
fn an_error_storm_is_one_kind_of_error_with_a_count() {
    let lab = running("1.0.0");
    let run = update(&lab, "2.0.0-error-storm-after-3", "10s").expect(4);
    let words = rolled_back(&run, "version-errors");
    assert_eq!(words.matches("cannot reach the cache (attempt #)").count(), 1, "{words}");
    assert!(words.contains("that were not there before"), "{words}");
}

#[test]
fn errors_that_were_there_before_do_not_condemn() {
    let lab = running("1.0.0-steady-errors-60");
    let run = update(&lab, "2.0.0-steady-errors-60", "8s").expect_kept();
    let rate = |when| figures(&run, when)["errors_per_minute"].as_f64().unwrap();
    assert!(rate("before") > 1.0 && rate("during") > 1.0, "{run}");
    assert_eq!(figures(&run, "during")["errors"].as_array().unwrap().len(), 1, "{run}");
    assert!(!run.fact("watch")["observations"].to_string().contains("error"), "{run}");
}

#[test]
fn what_the_configuration_calls_harmless_is_kept() {
    let lab = running("1.0.0");
    lab.write("mainstay.toml", "[service.app]\nlog_ignore = ['cannot reach the cache']\n");
    let run = update(&lab, "2.0.0-error-storm-after-3", "8s").expect(0);
    assert_eq!(figures(&run, "during")["errors_per_minute"], 0.0, "{run}");
}

#[test]
fn answers_that_take_twice_as_long_are_rolled_back() {
    let lab = running("1.0.0");
    let before = lab.now();
    let run = update(&lab, "1.1.0-slow-answers-400", "12s").expect(4);
    let words = rolled_back(&run, "version-slow");
    assert!(words.contains("times as slow as before"), "{words}");
    assert_eq!(run.tier(), "image-only");
    lab.assert_as_before(&before);
}

#[test]
fn answers_that_were_as_slow_before_are_kept() {
    let lab = running("1.0.0-slow-answers-150");
    let run = update(&lab, "1.1.0-slow-answers-150", "10s").expect_kept();
    let p95 = |when| {
        let answers = figures(&run, when)["answers"].as_object().unwrap();
        answers.values().map(|l| l["p95_ms"].as_u64().unwrap()).max().unwrap()
    };
    assert!(p95("before") >= 150 && p95("during") >= 150, "{run}");
}

/// Two containers of one service; only the second one says that it is bad.
#[test]
fn the_logs_of_all_replicas_are_followed() {
    let lab = Lab::of(&[
        (
            "compose.yaml",
            "services:\n  app:\n    image: IMAGE:1.0.0\n    restart: unless-stopped\n    stop_grace_period: 5s\n    \
             scale: 2\n    volumes: [data:/data]\n    healthcheck:\n      test: [CMD, /fixture, health]\n      \
             interval: 1s\nvolumes:\n  data:\n",
        ),
        ("mainstay.toml", "[service.app]\nlog_fatal = ['licen[cs]e expired']\n"),
    ])
    .up();
    let args = lab.update_args("app", "1.1.0", &["--watch", "60s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until("the watch", |e| e["event"] == "progress" && e["step"] == "watch");
    let containers = engine::containers(&lab.project);
    assert_eq!(containers.len(), 2);
    let pid = containers[1]["State"]["Pid"].as_u64().unwrap();
    std::fs::write(format!("/proc/{pid}/fd/1"), "INFO the licence expired\n").unwrap();
    let run = running.finish().expect(4);
    assert!(rolled_back(&run, "version-log-fatal").contains("INFO the licence expired"), "{run}");
}

#[test]
fn a_line_to_be_warned_of_is_a_warning_and_no_reason_to_go_back() {
    let lab = running("1.0.0");
    let rules =
        "[service.app]\nlog_alert = ['cannot reach the cache']\nlog_ignore = ['attempt [1-9][0-9]']\n";
    lab.write("mainstay.toml", rules);
    let run = update(&lab, "2.0.0-error-storm-after-3", "8s").expect(3);
    assert!(warnings(&run).contains(&"log-alert"), "{run}");
    let told = run.findings().iter().map(|f| f["message"].to_string()).collect::<String>();
    assert!(told.contains("cannot reach the cache (attempt #)"), "{told}");
}

#[test]
fn the_watch_ends_early_where_that_is_configured_and_there_is_nothing_to_report() {
    let lab = running("1.0.0");
    lab.write("mainstay.toml", "[service.app]\nearly_keep = \"2s\"\n");
    let run = update(&lab, "1.1.0", "60s").expect(0);
    let watched = run.fact("watch");
    assert_eq!(watched["early"], true, "{run}");
    assert!((2_000..30_000).contains(&watched["watched_ms"].as_u64().unwrap()), "{run}");
    assert!(lab.run_file(&run, "report.txt").contains("`early_keep`"));
}

#[test]
fn what_a_run_saw_is_known_to_the_next_one() {
    let lab = running("1.0.0");
    let first = update(&lab, "1.1.0", "3s").expect(0);
    let sample = &first.fact("take-baseline")["measured"]["sample"];
    let (_, amounts) = sample["containers"].as_object().unwrap().iter().next().unwrap();
    for resource in ["memory", "cpu", "pids", "files"] {
        assert!(amounts[resource]["limit"].is_u64(), "{resource}: {sample}");
    }
    assert!(sample["answers"]["from inside"]["count"].as_u64() >= Some(3), "{sample}");
    let report = lab.run_file(&first, "report.txt");
    assert!(report.contains("before") && report.contains("95 of 100 answers from inside within"), "{report}");

    let plan = lab.mainstay(&["plan", &lab.id("app"), "--to", "1.2.0"]);
    let plan = &plan.events.iter().find(|e| e["event"] == "plan").unwrap()["plan"];
    assert_eq!(&plan["baseline"]["earlier"], figures(&first, "during"), "what the kept version did");
}

#[test]
fn a_pattern_that_is_none_is_refused_before_anything_begins() {
    let lab = running("1.0.0");
    let before = lab.now();
    lab.write("mainstay.toml", "[service.app]\nlog_alert = ['(']\n");
    let run = lab.update("app", "1.1.0", &[]);
    assert_eq!(run.code_of_problem(), "log-pattern", "{run}");
    assert!(run.words().contains("log_alert"), "{run}");
    std::fs::remove_file(lab.path("mainstay.toml")).unwrap();
    lab.assert_untouched(&before);
}

/// A service whose clients never go away: every one of them costs it a file and a thread.
fn ever_more_clients(limit: &str) -> Run {
    let text = format!(
        "services:\n  app:\n    image: IMAGE:1.0.0\n    restart: unless-stopped\n    stop_grace_period: 5s\n    \
         ports: [\"127.0.0.1:PORT:8080\"]\n    volumes: [data:/data]\n    {limit}\nvolumes:\n  data:\n"
    );
    let lab = Lab::of(&[("compose.yaml", &text)]).up();
    let args = lab.update_args("app", "1.1.0", &["--watch", "24s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    let (over, address) = (AtomicBool::new(false), ("127.0.0.1", lab.port()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut clients = Vec::new();
            while !over.load(Relaxed) && clients.len() < 150 {
                clients.extend(TcpStream::connect(address));
                std::thread::sleep(Duration::from_millis(250));
            }
        });
        running.until("the end of the watch", |e| e["event"] == "step.ended" && e["step"] == "watch");
        over.store(true, Relaxed);
    });
    running.finish().expect(4)
}

#[test]
fn files_that_are_never_closed_are_rolled_back() {
    let words = rolled_back(&ever_more_clients("ulimits: {nofile: 300}"), "version-files");
    assert!(words.contains("file descriptors of") && words.contains("ulimits.nofile"), "{words}");
}

#[test]
fn threads_that_never_end_are_rolled_back() {
    let words = rolled_back(&ever_more_clients("pids_limit: 300"), "version-pids");
    assert!(words.contains("processes and threads of") && words.contains("pids_limit"), "{words}");
}

#[test]
fn a_disk_that_fills_up_while_it_is_watched_is_a_warning() {
    let mut lab = Lab::of(&[(
        "compose.yaml",
        "services:\n  app:\n    image: IMAGE:1.0.0\n    restart: unless-stopped\n    stop_grace_period: 5s\n    \
         volumes: [./data:/data]\n    healthcheck:\n      test: [CMD, /fixture, health]\n      interval: 1s\n",
    )]);
    lab.mount_small(&lab.path("data"), "16m");
    let lab = lab.up();
    let args = lab.update_args("app", "1.1.0", &["--watch", "8s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let second =
        |e: &Value| e["event"] == "progress" && e["step"] == "watch" && e["done"].as_u64() >= Some(2_000);
    running.until("the second second of the watch", second);
    std::fs::write(lab.path("data/filler"), vec![1; 16_300_000]).unwrap();
    let run = running.finish().expect(3);
    assert!(warnings(&run).contains(&"disk-fills-up"), "{run}");
}
