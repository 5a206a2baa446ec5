//! Makes the containers of a unit stand still for just as long as a backup takes.
//!
//! Invariant: which containers are about to be paused is on the disk before they are; they go on when the
//! work has ended, however it ended; and only what this run has paused is ever let go on: a container that
//! somebody else paused is theirs. After the death of the process the note says what to let go on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use mainstay_core::event::Fact;
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{ContainerRef, Plan, Quiesce};
use mainstay_core::problem::Problem;
use mainstay_runner::{Context, Permit};

use super::containers::present;
use super::trouble::engine_step;
use super::{Done, Host};
use crate::engine::{Engine, is_not_found};
use crate::files::RunDir;

/// The note in the run's directory: the ids of the containers that the run pauses, one a line.
const NOTE: &str = "paused";
/// How often it is tried to pause a container, and to let it go on.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(500);

impl Host {
    /// Backs up what changed since the live pass, while nothing runs: paused for just that long, or stopped by
    /// the step before.
    pub(super) fn back_up_still(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        if context.plan.still != Some(Quiesce::Pause) {
            self.let_nothing_run(context.plan)?;
            return self.back_up(permit, context);
        }
        // Opening the repository takes a good part of a second: not while the service stands still.
        self.open_vault(context)?;
        let (engine, run) = (self.engine.clone(), self.run.clone());
        let runtime = self.runtime.clone();
        let pausing = pause(&engine, &run, context.plan, permit.again() || self.once_more);
        let began = Instant::now();
        let outcome = match runtime.block_on(pausing) {
            // A fault of ours must not leave the service paused.
            Ok(()) => match catch_unwind(AssertUnwindSafe(|| self.back_up(permit, context))) {
                Ok(outcome) => outcome,
                Err(panic) => {
                    let _ = runtime.block_on(unpause(&engine, &run));
                    resume_unwind(panic)
                }
            },
            Err(problem) => Err(engine_step(problem)),
        };
        let released = runtime.block_on(unpause(&engine, &run)).map_err(engine_step);
        match (outcome, released) {
            (Ok(fact), Ok(())) => {
                context.observe(paused_for(began.elapsed()));
                Ok(fact)
            }
            (_, Err(failure)) | (Err(failure), Ok(())) => Err(failure),
        }
    }

    /// Lets go on what this run has paused.
    pub(super) fn unpause(&mut self) -> Done {
        let work = unpause(&self.engine, &self.run);
        self.runtime.block_on(work).map(|()| Fact::Nothing).map_err(engine_step)
    }
}

/// Pauses what runs. What is paused already is refused, unless this run did it before it was cut off.
async fn pause(engine: &Engine, run: &RunDir, plan: &Plan, again: bool) -> Result<(), Problem> {
    let noted = if again { noted(run) } else { Vec::new() };
    let mut to_pause = Vec::new();
    for (_, listed) in present(engine, plan).await? {
        let container = listed.container;
        match listed.state.as_str() {
            "running" | "restarting" => to_pause.push(container),
            "paused" if noted.contains(&container.id) => {}
            "paused" => {
                let what = format!("the container {} is paused already, and not by this run", container.name);
                return Err(Problem::new("containers-changed", what).advise(format!(
                    "let it go on, then back up again: `docker unpause {}`",
                    container.name
                )));
            }
            // It does not run: it stands still as it is.
            _ => {}
        }
    }
    let ids = noted.iter().cloned().chain(to_pause.iter().map(|c| c.id.clone()));
    let note: String = ids.map(|id| id + "\n").collect();
    run.write(NOTE, note.as_bytes())?;
    for container in to_pause {
        freeze(engine, &container).await?;
    }
    Ok(())
}

/// Pauses one container. What makes processes all the time may escape the freezer once or twice.
async fn freeze(engine: &Engine, container: &ContainerRef) -> Result<(), Problem> {
    let what = format!("pause the container {}", container.name);
    let mut tries = 0;
    loop {
        tries += 1;
        match engine.call(&what, engine.docker().pause_container(&container.id)).await {
            Err(problem) if problem.code == "engine-refused" && tries < TRIES => {
                tokio::time::sleep(BETWEEN).await;
            }
            other => return other,
        }
    }
}

/// Lets go on what the note names, as far as it is paused; tries again, for it is worth it.
async fn unpause(engine: &Engine, run: &RunDir) -> Result<(), Problem> {
    let mut outcome = Ok(());
    for id in noted(run) {
        let mut tries = 0;
        let released = loop {
            let released = release(engine, &id).await;
            tries += 1;
            if released.is_ok() || tries == TRIES {
                break released;
            }
            tokio::time::sleep(BETWEEN).await;
        };
        outcome = outcome.and(released.map_err(|problem| {
            let short: String = id.chars().take(12).collect();
            problem.advise(format!("let it go on: `docker unpause {short}`"))
        }));
    }
    if outcome.is_ok() {
        // Whoever pauses one of them from here on is somebody else. A disk that is full changes nothing of that
        // they go on now.
        let _ = run.write(NOTE, b"");
    }
    outcome
}

async fn release(engine: &Engine, id: &str) -> Result<(), Problem> {
    let inspected = engine.call("look at a container", engine.docker().inspect_container(id, None)).await;
    let paused = match inspected {
        Ok(found) => found.state.and_then(|state| state.paused).unwrap_or(false),
        Err(problem) if is_not_found(&problem) => false,
        Err(problem) => return Err(problem),
    };
    if paused {
        engine.call("let a container go on", engine.docker().unpause_container(id)).await?;
    }
    Ok(())
}

fn noted(run: &RunDir) -> Vec<String> {
    let note = run.read(NOTE).unwrap_or_default();
    String::from_utf8_lossy(&note).lines().map(str::to_owned).collect()
}

fn paused_for(span: Duration) -> Finding {
    Finding::new("quiesce", Severity::Note, format!("the service was paused for {:.2} s", span.as_secs_f64()))
}
