//! The container's own health command, run by us where the engine's runs come late: engines run it the first time only
//! after a whole interval, and call a container unhealthy after several.
//!
//! Invariant: a command that hangs is not run again, since only the engine can end it.

use std::time::{Duration, Instant};

use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::HealthConfig;
use futures_util::StreamExt as _;
use mainstay_core::plan::Limits;
use mainstay_core::watch::{Mode, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::containers::{checked, shortened};
use super::{Setup, Subject};
use crate::engine::Engine;

/// Between two runs of a command while a version comes up.
const EAGER: Duration = Duration::from_millis(250);
/// While watching, the engine is late where it takes so many times longer than a probe to call a fault lasting. Its
/// retries are patience that somebody configured: it isn't overruled for less.
const LATE: u32 = 4;
/// The engine's own values where a health check doesn't say them: interval and time limit.
const USUAL: Duration = Duration::from_secs(30);

/// Runs the health commands.
pub(super) fn spawn(sources: &mut JoinSet<()>, setup: &Setup<'_>, sender: &Sender<Signal>) {
    for subject in setup.subjects {
        let (engine, subject, sender) = (setup.engine.clone(), subject.clone(), sender.clone());
        sources.spawn(again(engine, subject, setup.mode, setup.plan.limits, sender));
    }
}

async fn again(engine: Engine, subject: Subject, mode: Mode, limits: Limits, sender: Sender<Signal>) {
    let (id, name) = (&subject.container.id, &subject.container.name);
    let Ok(answer) = engine.call("inspect a container", engine.docker().inspect_container(id, None)).await
    else {
        return;
    };
    let check = answer.config.and_then(|c| c.healthcheck).unwrap_or_default();
    let Some(command) = command(check.test.as_deref().unwrap_or_default()) else { return };
    let Some(every) = every(mode, &check, limits) else { return };
    let limit = span(check.timeout);
    loop {
        let began = Instant::now();
        // A container that does not run yet, or not any more, gives no answer; its state is told elsewhere.
        if let Some((code, output)) = run(&engine, id, &command, limit).await {
            let hangs = code.is_none();
            let health =
                Signal::Health { container: name.clone(), healthy: code == Some(0), output: output.clone() };
            let told = checked(name.clone(), code.unwrap_or(-1), &output);
            if sender.send(told).await.is_err() || sender.send(health).await.is_err() || hangs {
                return;
            }
        }
        tokio::time::sleep(every.saturating_sub(began.elapsed()).max(EAGER)).await;
    }
}

/// How often we run it, if at all: while watching only where the engine would notice later than we may.
fn every(mode: Mode, check: &HealthConfig, limits: Limits) -> Option<Duration> {
    if mode == Mode::Start {
        return Some(EAGER);
    }
    let retries = check.retries.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(3);
    let notices = span(check.interval) * retries;
    let interval = Duration::from_millis(limits.probe_interval_ms);
    let patience = Duration::from_millis(limits.probe_grace_ms) + interval;
    (notices > patience * LATE).then_some(interval)
}

/// A setting of a health check, in nanoseconds; 0 stands for the engine's own value.
fn span(nanos: Option<i64>) -> Duration {
    nanos.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).map_or(USUAL, Duration::from_nanos)
}

/// The command of a health check, as the engine would run it.
fn command(test: &[String]) -> Option<Vec<String>> {
    match test.split_first() {
        Some((kind, rest)) if kind == "CMD" && !rest.is_empty() => Some(rest.to_vec()),
        Some((kind, [line])) if kind == "CMD-SHELL" => {
            Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()])
        }
        _ => None,
    }
}

/// Exit code and output; without a code where the command went on for longer than `limit`.
async fn run(
    engine: &Engine,
    id: &str,
    command: &[String],
    limit: Duration,
) -> Option<(Option<i64>, String)> {
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let docker = engine.docker();
    let exec = engine.call("prepare the health check", docker.create_exec(id, options)).await.ok()?.id;
    let started = engine.call("run the health check", docker.start_exec(&exec, None)).await.ok()?;
    let mut text = String::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        let all = async {
            while let Some(Ok(piece)) = output.next().await {
                text.push_str(&piece.to_string());
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            return Some((None, format!("no end within {} s", limit.as_secs())));
        }
    }
    let ended = engine.call("see how the health check ended", docker.inspect_exec(&exec)).await.ok()?;
    Some((Some(ended.exit_code?), shortened(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_watching_it_is_run_by_us_only_where_the_engine_would_be_late() {
        let check = |seconds: i64, retries| HealthConfig {
            interval: Some(seconds * 1_000_000_000),
            retries: Some(retries),
            ..HealthConfig::default()
        };
        let of = |check: &HealthConfig| every(Mode::Watch, check, Limits::default());
        assert_eq!(of(&check(20, 3)), None);
        assert_eq!(of(&check(21, 3)), Some(Duration::from_secs(5)));
        assert_eq!(of(&HealthConfig::default()), Some(Duration::from_secs(5)), "30 s, three times");
        assert_eq!(every(Mode::Start, &check(1, 1), Limits::default()), Some(EAGER));
    }

    #[test]
    fn commands_of_every_form() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(command(&words(&["CMD", "/fixture", "health"])), Some(words(&["/fixture", "health"])));
        assert_eq!(command(&words(&["CMD-SHELL", "a || b"])), Some(words(&["/bin/sh", "-c", "a || b"])));
        assert_eq!(command(&words(&["NONE"])), None);
        assert_eq!(command(&[]), None);
    }
}
