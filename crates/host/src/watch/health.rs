//! The container's own health command, run by us: engines run it the first time only after a whole interval.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt as _;
use mainstay_core::watch::{Mode, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::containers::shortened;
use super::{Setup, Subject};
use crate::engine::Engine;

/// Between two runs of a command that has failed.
const AGAIN: Duration = Duration::from_millis(250);
/// A command that says nothing for so long is given up; health checks have their own limit, often 30 s.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the health commands until they succeed; only while a version comes up.
pub(super) fn spawn(sources: &mut JoinSet<()>, setup: &Setup<'_>, sender: &Sender<Signal>) {
    if setup.mode == Mode::Start {
        for subject in setup.subjects {
            sources.spawn(until_healthy(setup.engine.clone(), subject.clone(), sender.clone()));
        }
    }
}

async fn until_healthy(engine: Engine, subject: Subject, sender: Sender<Signal>) {
    let id = &subject.container.id;
    let Ok(answer) = engine.call("inspect a container", engine.docker().inspect_container(id, None)).await
    else {
        return;
    };
    let test = answer.config.and_then(|c| c.healthcheck).and_then(|h| h.test).unwrap_or_default();
    let Some(command) = command(&test) else { return };
    loop {
        // A container that does not run yet, or not any more, gives no answer; its state is told elsewhere.
        if let Some((healthy, output)) = run(&engine, id, &command).await {
            let signal = Signal::Health { container: subject.container.name.clone(), healthy, output };
            if sender.send(signal).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
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

async fn run(engine: &Engine, id: &str, command: &[String]) -> Option<(bool, String)> {
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
        tokio::time::timeout(LIMIT, all).await.ok()?;
    }
    let ended = engine.call("see how the health check ended", docker.inspect_exec(&exec)).await.ok()?;
    Some((ended.exit_code? == 0, shortened(&text)))
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn commands_of_every_form() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(command(&words(&["CMD", "/fixture", "health"])), Some(words(&["/fixture", "health"])));
        assert_eq!(command(&words(&["CMD-SHELL", "a || b"])), Some(words(&["/bin/sh", "-c", "a || b"])));
        assert_eq!(command(&words(&["NONE"])), None);
        assert_eq!(command(&[]), None);
    }
}
