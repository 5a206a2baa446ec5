//! Each container of the unit: what the engine, its log, its process and its mounts tell, all at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::future::join_all;
use mainstay_core::diagnosis::{Container, Inside};
use mainstay_core::plan::{ContainerRef, Protocol};
use mainstay_core::redact;

use super::{Gatherer, Patient, history, mounts, process, secrets, sockets};
use crate::cgroup::{self, Group};
use crate::probes;
use crate::survey::{self, ContainerFacts, LayerFile};
use crate::watch::read_log;

/// Log lines that are looked at.
const LINES: &str = "300";
/// Of a container that runs well, only lines from these last minutes explain anything.
const RECENT: Duration = Duration::from_secs(10 * 60);

pub(super) async fn all(
    gatherer: &Gatherer,
    patient: &Patient,
    own: &[(String, ContainerRef)],
) -> Vec<Container> {
    let looks = own.iter().map(|(_, which)| one(gatherer, patient, which));
    join_all(looks).await.into_iter().flatten().collect()
}

async fn one(gatherer: &Gatherer, patient: &Patient, which: &ContainerRef) -> Option<Container> {
    let engine = &gatherer.engine;
    let facts = gatherer.surely(async { survey::inspected(engine, which).await.ok() }).await?;
    let pid = process::pid(engine, &facts);
    let (exits, image, log, layer, user, listeners, memory, mounts) = tokio::join!(
        gatherer.surely(history::exits(engine, &facts)),
        gatherer.surely(async { survey::image(engine, &facts.image_id).await.ok().flatten() }),
        gatherer.surely(log(gatherer, &facts)),
        gatherer.within(layer(gatherer, patient, &facts)),
        process::user(gatherer, &facts, pid),
        gatherer.blocking(move || pid.and_then(sockets::listeners)),
        gatherer.blocking({
            let id = facts.id.clone();
            move || pid.and_then(|pid| memory(pid, &id))
        }),
        mounts::writable(gatherer, &facts, pid),
    );
    let image = image.unwrap_or_default();
    let (peak, kills) = memory.unwrap_or_default();
    let before = patient.before.as_deref().and_then(|run| secrets::saved(run, &facts.name));
    Some(Container {
        status: facts.status.clone(),
        running: pid.is_some() || (facts.running && facts.status == "running"),
        exits: exits.by_itself.max(restarts(&facts)),
        exit_code: if facts.running { exits.last_code.unwrap_or(facts.exit_code) } else { facts.exit_code },
        start_error: if facts.status == "created" { facts.error.clone() } else { String::new() },
        out_of_memory: exits.out_of_memory || facts.oom_killed && !facts.running || kills > Some(0),
        memory_limit: facts.memory_limit,
        memory_peak: peak,
        unhealthy: unhealthy(&facts),
        log,
        image: facts.image_ref.clone(),
        image_architecture: image.architecture,
        program: program(&facts),
        old_user: before.as_ref().and_then(|old| secrets::other_user(old, &facts)),
        user,
        listeners,
        shares_network: shares_network(&facts),
        networks: facts.networks.iter().map(|n| n.name.clone()).collect(),
        mounts,
        variables: before.as_ref().map(|old| secrets::changes(old, &facts.env)).unwrap_or_default(),
        key_files: secrets::keys(&layer),
        server: mounts::server(&facts.env),
        name: facts.name.clone(),
    })
}

/// The most memory that it has used, and how many of its processes the kernel has killed for want of it, since its start.
fn memory(pid: u32, id: &str) -> Option<(Option<u64>, Option<u64>)> {
    let group = Group::of(&PathBuf::from(format!("/proc/{pid}")), Path::new(cgroup::MOUNTED), id)?;
    Some((group.peak(), group.kills()))
}

/// What it wrote outside its mounts. Listing that can take an engine seconds, and it is no reason for a verdict: left out
/// where the way back waits.
async fn layer(gatherer: &Gatherer, patient: &Patient, facts: &ContainerFacts) -> Vec<LayerFile> {
    if patient.condemned {
        return Vec::new();
    }
    survey::layer_of(&gatherer.engine, facts).await.unwrap_or_default()
}

/// The engine's own count, where its restarts are recent: events may have been lost.
fn restarts(facts: &ContainerFacts) -> u64 {
    let started = facts.started_at.parse::<jiff::Timestamp>().ok();
    let age = started.map(|at| jiff::Timestamp::now().duration_since(at).as_secs());
    if age.is_some_and(|seconds| seconds < 120) || facts.status == "restarting" { facts.restarts } else { 0 }
}

async fn log(gatherer: &Gatherer, facts: &ContainerFacts) -> Vec<String> {
    let started = facts.started_at.parse::<jiff::Timestamp>().ok();
    let now = jiff::Timestamp::now();
    let well = facts.status == "running" && facts.health.as_ref().is_none_or(|h| h.status != "unhealthy");
    let long = started.is_some_and(|at| now.duration_since(at).unsigned_abs() > RECENT);
    let mut options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(LINES);
    if well && long {
        let since = now.as_second() - i64::try_from(RECENT.as_secs()).unwrap_or(0);
        options = options.since(i32::try_from(since).unwrap_or(0));
    }
    let lines = read_log(&gatherer.engine, &facts.id, options.build()).await;
    lines.iter().map(|line| redact::line(&plain(line))).collect()
}

/// Without colours and other terminal escapes.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                let _sequence = rest.by_ref().find(char::is_ascii_alphabetic);
            }
            c if c.is_control() && c != '\t' => {}
            c => text.push(c),
        }
    }
    text
}

fn unhealthy(facts: &ContainerFacts) -> Option<String> {
    let health = facts.health.as_ref().filter(|_| facts.status == "running")?;
    let failing = health.status == "unhealthy" || (health.status == "starting" && health.streak > 2);
    let output =
        health.last.last().map(|(code, output)| format!("exit code {code}: {}", output.replace('\n', " | ")));
    failing.then(|| output.unwrap_or_else(|| health.status.clone()))
}

/// The program that the container starts, as the engine says it.
fn program(facts: &ContainerFacts) -> String {
    let config = &facts.inspect.0;
    let first = |list: &serde_json::Value| list.get(0).and_then(|word| word.as_str()).map(str::to_owned);
    config["Path"]
        .as_str()
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .or_else(|| first(&config["Config"]["Entrypoint"]))
        .or_else(|| first(&config["Config"]["Cmd"]))
        .unwrap_or_default()
}

fn shares_network(facts: &ContainerFacts) -> bool {
    let mode = facts.inspect.0["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
    mode == "host" || mode.starts_with("container:")
}

/// Asks the service inside, where something is known to ask.
pub(super) async fn ask(
    gatherer: &Gatherer,
    patient: &Patient,
    own: &[(String, ContainerRef)],
) -> Option<Inside> {
    let probe = patient.probes.inside.as_ref()?;
    let (_, which) = own.iter().find(|(service, _)| *service == probe.service)?;
    // Without time left to ask, silence is no fact.
    let patience = Some(gatherer.patience()).filter(|left| !left.is_zero())?;
    let answer = probes::inside(&gatherer.engine, &which.id, probe, patience).await;
    let connects = answer.ok || answer.status.is_some() || connected(&answer.detail);
    // Whether a port speaks HTTP is often a guess; that something else comes there is no fault.
    let guessed = probe.baseline_status.is_none() && probe.detected_from.contains("port");
    let other = probe.protocol == Protocol::Http && connects && answer.status.is_none();
    let other = other && guessed && !answer.detail.starts_with("no answer");
    Some(Inside {
        port: probe.port,
        from: probe.detected_from.clone(),
        connects,
        ok: answer.ok || other,
        status: answer.status,
        detail: answer.detail,
    })
}

/// Whether a question without an answer came as far as a connection.
fn connected(detail: &str) -> bool {
    ["(waiting for the answer)", "(listening)", "the server "].iter().any(|words| detail.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_colours() {
        assert_eq!(plain("\u{1b}[31mERROR\u{1b}[0m x\r"), "ERROR x");
    }

    #[test]
    fn a_health_check_that_fails_is_told_with_its_last_words() {
        let health =
            survey::HealthFacts { status: "unhealthy".into(), streak: 3, last: vec![(1, "a\nb".into())] };
        let mut facts =
            ContainerFacts { status: "running".into(), health: Some(health), ..ContainerFacts::default() };
        assert_eq!(unhealthy(&facts).as_deref(), Some("exit code 1: a | b"));
        facts.status = "exited".into();
        assert_eq!(unhealthy(&facts), None, "an exited container reads unhealthy whatever its exit code");
    }
}
