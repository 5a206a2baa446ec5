//! Commands of functional checks, in the container and on this host.
//!
//! Invariant: a command has ended, or has been killed with everything that it started, when its answer is there or
//! nobody waits for it any more. One that runs on this host gets none of the credentials that mainstay has.

use std::time::Duration;

use super::Place;
use crate::compose::child;
use crate::exec::{self, Ended, Exec, Said};

/// Variables with this beginning are mainstay's, or lead to its backups.
const OURS: [&str; 3] = ["MAINSTAY_", "RESTIC_", "AWS_"];

/// How a command ended.
pub(super) struct Ran {
    pub(super) exit: i64,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Whether it said more than is kept: the beginning is.
    pub(super) cut: bool,
}

/// Runs a command in the first container of the service that runs.
pub(super) async fn in_container(place: &Place, words: &[String], limit: Duration) -> Result<Ran, String> {
    let container = place.container().await?;
    let exec = Exec::create(&place.engine, &container, words).await.map_err(|problem| {
        format!("the command can't be run: {problem}. An image without a shell needs a list of words")
    })?;
    let exec = exec.leaves_first();
    // In a task of its own, that goes on to kill it where nobody waits any more.
    let (waiting, gone) = tokio::sync::oneshot::channel::<()>();
    let counted = exec::Unended::one();
    let running = tokio::spawn(async move {
        let _counted = counted;
        let nobody_waits = async {
            let _ = gone.await;
        };
        exec.run(limit, nobody_waits).await
    });
    let ran = running.await.map_err(|error| error.to_string())?;
    drop(waiting);
    let ran = ran.map_err(|problem| problem.to_string())?;
    match ran.ended {
        Ended::Exited(exit) => {
            let Said { stdout, stderr, cut } = ran.said;
            Ok(Ran { exit, stdout, stderr, cut })
        }
        Ended::TimedOut { .. } | Ended::Interrupted { .. } => Err(late(limit)),
    }
}

/// Runs a command on this host, in the project's directory.
pub(super) async fn on_host(place: &Place, words: &[String], limit: Duration) -> Result<Ran, String> {
    let (program, rest) = words.split_first().ok_or("the command is empty")?;
    let mut command = tokio::process::Command::new(program);
    command.args(rest).current_dir(&place.project.directory);
    for (name, _) in std::env::vars_os() {
        if OURS.iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command.env("MAINSTAY_PROJECT", &place.project.name).env("MAINSTAY_SERVICE", &place.service);
    let ended = child::to_its_end(command, limit, None).await;
    let output =
        ended.map_err(|error| format!("the command can't be run: {error}"))?.ok_or_else(|| late(limit))?;
    Ok(Ran {
        exit: output.code.map_or(-1, i64::from),
        stdout: output.stdout,
        stderr: output.stderr,
        cut: false,
    })
}

fn late(limit: Duration) -> String {
    format!("it did not end within {} s and was killed", limit.as_secs_f64())
}
