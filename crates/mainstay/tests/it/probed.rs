//! How a version is asked: as users do, from inside, from the place of another container; and what needs it.

use std::path::Path;

use serde_json::Value;

use crate::lab::process::{Run, Running};
use crate::lab::{Lab, docker, eventually};

/// Everything that was remarked while it was verified and watched, and everything that was found.
fn told(run: &Run) -> String {
    let of = |step: &str| run.fact(step)["observations"].to_string();
    format!("{} {} {:?}", of("verify-new"), of("watch"), run.findings())
}

/// Reads events until it is watched and everything has been looked at once.
fn until_watched(running: &mut Running) {
    let watched =
        |e: &Value| e["event"] == "progress" && e["step"] == "watch" && e["done"].as_u64() > Some(400);
    running.until("the watch", watched);
}

fn plan(run: &Run) -> &Value {
    let event = run.events.iter().find(|event| event["event"] == "plan");
    &event.unwrap_or_else(|| panic!("no plan: {run}"))["plan"]
}

/// The application of a shop behind its proxy, asked through the proxy with a certificate of the lab's.
fn shop() -> (Lab, Vec<String>) {
    let lab = Lab::new("shop").up();
    let url = format!("https://app.lab.test:{}/", lab.port());
    let ca = lab.path("certs/ca.pem").to_str().unwrap().to_owned();
    let asked = ["--url", &url, "--ca", &ca, "--resolve", "127.0.0.1", "--watch", "25s"];
    (lab, asked.map(str::to_owned).to_vec())
}

/// Makes a certificate for `name`, by an authority of its own or the one that is there.
fn certify(directory: &Path, name: &str, days: u32) {
    let mut made = std::process::Command::new(crate::lab::repository().join("lab/ca"));
    made.arg(directory).arg(name).env("CA_DAYS", days.to_string());
    crate::lab::process::bounded(made).success("lab/ca");
}

/// Has a shop's proxy show the certificate in a directory.
fn show(lab: &Lab, from: &Path) {
    let certs = lab.path("certs");
    for name in ["server.pem", "server.key"].map(Path::new).into_iter().filter(|_| from != certs) {
        std::fs::copy(from.join(name), certs.join(name)).unwrap();
    }
    docker(&["exec", &lab.container_id("proxy"), "nginx", "-s", "reload"]);
}

#[test]
fn an_application_is_asked_from_the_place_of_its_proxy() {
    let (lab, mut asked) = shop();
    asked.truncate(6);
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let run = lab.update("app", "1.1.0", &asked).expect_kept();
    let neighbour = &plan(&run)["probes"]["neighbour"];
    let proxy = lab.container("proxy")["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
    assert_eq!(neighbour["container"].as_str(), Some(proxy.as_str()), "{run}");
    assert_eq!(neighbour["host"], "app", "{run}");
    assert_eq!(neighbour["probe"]["baseline_status"], 200, "{run}");
    assert!(!told(&run).contains("missed"), "{run}");
    assert_eq!(plan(&run)["probes"]["dependents"][0]["service"], "proxy", "{run}");
}

/// The container and its published port answer, and who asks by name gets nothing: the alias is another's.
#[test]
fn a_name_that_leads_nowhere_in_the_network_is_bad() {
    let text = "services:\n  app:\n    image: IMAGE:1.0.0\n    ports: [\"127.0.0.1:PORT:8080\"]\n    \
                volumes: [\"data:/data\"]\n  client:\n    image: IMAGE:1.0.0\nvolumes: {data: {}}\n";
    let lab = Lab::of(&[("compose.yaml", text)]).up();
    lab.write("mainstay.toml", "[service.app]\nfrom = \"client\"\n");
    let args = lab.update_args("app", "1.1.0", &["--watch", "25s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    until_watched(&mut running);
    // Out of the network and in again under another name: the address answers, the name is unknown.
    let (network, id) = (format!("{}_default", lab.project), lab.container_id("app"));
    docker(&["network", "disconnect", &network, &id]);
    docker(&["network", "connect", "--alias", "elsewhere", &network, &id]);
    let run = running.finish().expect(4);
    let evidence = run.ended()["conclusion"].to_string();
    assert!(evidence.contains("from a neighbour in the network"), "{run}");
    assert!(evidence.contains("knows no address of app"), "{run}");
    assert_eq!(lab.version(), "1.0.0");
}

/// A neighbour that was wished for and is not there is told, and judges nothing.
#[test]
fn a_neighbour_that_is_not_there_is_told() {
    let lab = Lab::new("solo").up();
    lab.write("mainstay.toml", "[service.app]\nfrom = \"nginx-proxy\"\n");
    let run = lab.update("app", "1.1.0", &[]).expect(3);
    assert!(plan(&run)["probes"]["neighbour"].is_null(), "{run}");
    assert!(told(&run).contains("no container nginx-proxy runs"), "{run}");
}

#[test]
fn a_certificate_that_goes_wrong_is_the_cause() {
    let (lab, asked) = shop();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let args = lab.update_args("app", "1.1.0", &asked);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    until_watched(&mut running);
    let (certs, own) = (lab.path("certs"), lab.home().join("own"));
    std::fs::create_dir(&own).unwrap();
    for name in ["server.pem", "server.key"] {
        std::fs::copy(certs.join(name), own.join(name)).unwrap();
    }
    let other = lab.home().join("other");
    certify(&other, "elsewhere.lab.test", 365);
    let show = |from: &Path| show(&lab, from);
    show(&other);
    // It is the proxy's: the old version would have it as well, so it is put right meanwhile.
    running.until_started("stop");
    show(&own);
    let run = running.finish().expect(4);
    let evidence = run.ended()["conclusion"].to_string();
    assert!(evidence.contains("certificate"), "{run}");
    assert_eq!(run.tier(), "image-only", "inside it answers: {run}");
}

/// The proxy speaks HTTP/2 and shows a certificate for a year; while the new version is watched that is one for 5 days, and
/// HTTP/1.1.
#[test]
fn a_certificate_that_ends_sooner_is_warned_of_and_a_lost_http2_is_a_remark() {
    let (lab, asked) = shop();
    let conf = "proxy/app.conf";
    let http1 = lab.read(conf);
    lab.write(conf, &http1.replace("listen 443 ssl;", "listen 443 ssl http2;"));
    show(&lab, &lab.path("certs"));
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let args = lab.update_args("app", "1.1.0", &asked);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    until_watched(&mut running);
    lab.write(conf, &http1);
    certify(&lab.path("certs"), "app.lab.test", 5);
    show(&lab, &lab.path("certs"));
    let run = running.finish().expect(3);
    assert_eq!(plan(&run)["probes"]["outside"]["baseline_http"], "HTTP/2", "{run}");
    let verified = run.fact("verify-new")["observations"].to_string();
    assert!(verified.contains("(HTTP/2, TLS 1.3)"), "{run}");
    let watched = run.fact("watch")["observations"].to_string();
    assert!(watched.contains("it speaks HTTP/1.1; before the update it spoke HTTP/2"), "{run}");
    let warned: Vec<_> = run.findings().into_iter().filter(|f| f["check"] == "certificate").collect();
    assert_eq!(warned.len(), 1, "{run}");
    let message = warned[0]["message"].as_str().unwrap();
    assert!(message.contains("expires in 4 days") || message.contains("expires in 5 days"), "{run}");
    assert!(message.contains("earlier than the one that was shown before"), "{run}");
}

/// Two fixtures: `worker` needs `app`, and has its health from a file that the test makes.
const NEEDED: &str = "services:\n  app:\n    image: IMAGE:1.0.0\n    ports: [\"127.0.0.1:PORT:8080\"]\n    \
                      volumes: [\"data:/data\"]\n  worker:\n    image: IMAGE:1.0.0\n    depends_on: [app]\n    \
                      restart: \"no\"\nvolumes: {data: {}}\n";

#[test]
fn a_dependent_that_breaks_brings_the_old_version_back() {
    let lab = Lab::of(&[("compose.yaml", NEEDED)]).up();
    let args = lab.update_args("app", "1.1.0", &["--watch", "25s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    until_watched(&mut running);
    // It dies by itself, as far as the engine can tell: nobody has asked the engine for it.
    let pid = lab.container("worker")["State"]["Pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let run = running.finish().expect(4);
    assert_eq!(run.code_of_problem(), "dependent-broken", "{run}");
    assert!(run.words().contains("exited with 137"), "{run}");
    assert_eq!(run.tier(), "image-only", "the service itself answers: {run}");
}

#[test]
fn a_dependent_that_somebody_stops_or_that_was_bad_before_does_not_count() {
    let lab = Lab::of(&[("compose.yaml", NEEDED)]).up();
    let args = lab.update_args("app", "1.1.0", &["--watch", "6s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    until_watched(&mut running);
    docker(&["stop", "-t", "1", &lab.container_id("worker")]);
    let run = running.finish().expect_kept();
    assert!(told(&run).contains("was stopped by somebody else"), "{run}");
    let run = lab.update("app", "1.2.0", &[]).expect_kept();
    assert!(told(&run).contains("which needs the service, is not watched"), "{run}");
    assert!(plan(&run)["probes"]["dependents"].is_null(), "{run}");
}

/// The engine runs the health check once a minute; ours tells soon.
#[test]
fn a_health_check_that_is_rarely_run_is_run_by_us() {
    let text = "services:\n  app:\n    image: IMAGE:1.0.0\n    volumes: [\"data:/data\"]\n    \
                healthcheck: {test: [\"CMD\", \"/fixture\", \"health\"], interval: 60s, retries: 3}\n\
                volumes: {data: {}}\n";
    let lab = Lab::of(&[("compose.yaml", text)]);
    lab.compose(&["up", "-d"]).success("up");
    eventually("the first answer", || lab.get_inside("app", "/version").ok());
    let run = lab.update("app", "2.0.0-unhealthy-after-5", &["--watch", "40s"]).expect(4);
    assert_eq!(run.code_of_problem(), "version-unhealthy", "{run}");
    let evidence = run.ended()["conclusion"]["failure"]["evidence"].to_string();
    assert!(evidence.contains("health check"), "what it said is evidence: {run}");
}
