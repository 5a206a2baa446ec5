//! Steps that run the services' own commands before and after a backup, in their containers.
//!
//! Invariant: a command that was begun by a process that died is ended, or waited for, before it is run
//! again. A command in doubt is run again: it has to bear that. Each service's command runs in the first of
//! its containers that runs. What this module does not do: pause or stop anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_core::event::{Fact, Progress, ProgressUnit};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{Hooks, ServicePlan};
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_core::verdict::{Cause, Failure};
use mainstay_runner::{Context, Permit};

use super::trouble::engine_step;
use super::{Done, Host};
use crate::discover;
use crate::exec::{Ended, Exec, Ran};

/// How often a signal is looked for while a command runs.
const PACE: Duration = Duration::from_millis(50);
/// Exit codes by which a shell or the engine says that there is nothing to run.
const NOT_RUN: [i64; 2] = [126, 127];

/// What to do where there is nothing to run.
const WITHOUT_SHELL: &str = "is the program in the image? For an image without a shell the command is written as a list: \
                             `[\"/program\", \"argument\"]`";

impl Host {
    /// Runs the commands in start order; the first one that fails is the last one. What a profile prepares is more than was asked
    /// for: where it fails, the backup is what it would be without.
    pub(super) fn run_before(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        for service in &context.plan.unit.services {
            let Some(Hooks { before: Some(shown), profile, .. }) = &service.hooks else { continue };
            match (self.run_hook(permit, service, shown, context), profile) {
                (Err(failure), Some(profile)) if failure.cause == Cause::Step => {
                    context.observe(unprepared(service, profile, &failure));
                }
                (ran, _) => ran?,
            }
        }
        Ok(Fact::Nothing)
    }

    /// Runs the commands in reverse start order, all of them; the first failure is told.
    pub(super) fn run_after(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        let mut outcome = Ok(Fact::Nothing);
        for service in context.plan.unit.services.iter().rev() {
            if let Some(Hooks { after: Some(shown), .. }) = &service.hooks {
                let ran = self.run_hook(permit, service, shown, context);
                outcome = outcome.and_then(|fact| ran.map(|()| fact));
            }
        }
        outcome
    }

    fn run_hook(
        &self,
        permit: &Permit,
        service: &ServicePlan,
        shown: &str,
        context: &mut Context<'_>,
    ) -> Result<(), Box<Failure>> {
        let Some(hooks) = &service.hooks else { return Ok(()) };
        let what = format!("{} of {}: {shown}", key(permit.step()), service.name);
        context.progress(&Progress::of(permit.step(), what, 0, None, ProgressUnit::None));
        let after = permit.step() == Step::RunAfterBackup;
        let stored = if after { hooks.stored_after() } else { hooks.stored_before() };
        let limit = Duration::from_millis(hooks.timeout_ms);
        let stoppable = Self::stoppable(context.state);
        let ran = self.runtime.block_on(self.exec(context.plan, service, &stored, limit, stoppable));
        let ran = ran.map_err(|problem| engine_step(not_begun(permit.step(), service, shown, problem)))?;
        judge(permit.step(), service, shown, limit, ran)
    }

    async fn exec(
        &self,
        plan: &mainstay_core::plan::Plan,
        service: &ServicePlan,
        stored: &Path,
        limit: Duration,
        stoppable: bool,
    ) -> Result<Ran, Problem> {
        let command = self.run.read(stored).map_err(Problem::from)?;
        let command: Vec<String> = serde_json::from_slice(&command).map_err(|error| {
            Problem::new("hook-unreadable", format!("the command in {} can't be read", stored.display()))
                .because(error)
        })?;
        let own = discover::containers_of(&self.engine, &plan.unit.project.name, &service.name).await?;
        let running = own.into_iter().find(|c| c.state == "running");
        let container = running.map(|c| c.container.id).ok_or_else(|| {
            Problem::new("containers-changed", format!("{} has no container that runs", service.name))
                .advise("start it, then begin again")
        })?;
        let note = stored
            .with_extension(format!("{}.exec", stored.extension().unwrap_or_default().to_string_lossy()));
        self.end_former(&container, &note, limit).await?;
        let exec = Exec::create(&self.engine, &container, &command).await?;
        self.run.write(&note, exec.id.as_bytes()).map_err(Problem::from)?;
        let interrupted = async {
            loop {
                if stoppable && self.interrupt().load(std::sync::atomic::Ordering::Relaxed) != 0 {
                    return;
                }
                tokio::time::sleep(PACE).await;
            }
        };
        exec.run(limit, interrupted).await
    }

    /// What a process that died had begun is ended, where it can be reached, or waited for.
    async fn end_former(&self, container: &str, note: &PathBuf, limit: Duration) -> Result<(), Problem> {
        let Ok(id) = self.run.read(note) else { return Ok(()) };
        let former = Exec::known(&self.engine, container, String::from_utf8_lossy(&id).into_owned());
        let deadline = tokio::time::Instant::now() + limit;
        while !former.end().await {
            if tokio::time::Instant::now() > deadline {
                let what = "the command that was begun before still runs in the container";
                return Err(Problem::new("hook-still-runs", what).advise(format!(
                    "see what it does: `docker top {}`; end it, then back up again",
                    container.chars().take(12).collect::<String>()
                )));
            }
        }
        Ok(())
    }
}

/// The key in `mainstay.toml` that a step's commands stand under.
fn key(step: Step) -> &'static str {
    if step == Step::RunAfterBackup { "after_backup" } else { "before_backup" }
}

/// Some engines refuse a program that isn't there, others let it fail with an exit code.
fn not_begun(step: Step, service: &ServicePlan, shown: &str, problem: Problem) -> Problem {
    if problem.code != "engine-refused" {
        return problem;
    }
    let what = format!("{} of {} could not be run: {shown}", key(step), service.name);
    Problem { code: "hook-failed".to_owned(), what, ..problem }.advise(WITHOUT_SHELL)
}

fn unprepared(service: &ServicePlan, profile: &str, failure: &Failure) -> Finding {
    let message = format!(
        "{}: a copy that is made while it runs may be worthless, for it could not be prepared",
        service.name
    );
    let advice = format!(
        "stand still for it: `--quiesce stop`; or write `before_backup` in mainstay.toml, in place of what the profile {profile} does"
    );
    let finding = Finding::new("live-copy", Severity::Warning, message).evidence(failure.problem.to_string());
    failure.evidence.iter().fold(finding, Finding::evidence).advice(advice)
}

fn judge(
    step: Step,
    service: &ServicePlan,
    shown: &str,
    limit: Duration,
    ran: Ran,
) -> Result<(), Box<Failure>> {
    let key = key(step);
    let left = |gone: bool| {
        if gone {
            "it was killed"
        } else {
            "it can't be reached from here and may still run in the container"
        }
    };
    let problem = match ran.ended {
        Ended::Exited(0) => return Ok(()),
        Ended::Exited(code) => {
            let problem = Problem::new("hook-failed", format!("{key} of {} failed: {shown}", service.name))
                .because(format!("exit code {code}"));
            if NOT_RUN.contains(&code) {
                problem.advise(WITHOUT_SHELL)
            } else {
                problem.advise(format!("try it: `docker exec CONTAINER …`; correct {key} in mainstay.toml"))
            }
        }
        Ended::TimedOut { gone } => {
            Problem::new("hook-timeout", format!("{key} of {} did not end: {shown}", service.name))
                .because(format!("its time is up after {} s; {}", limit.as_secs_f64(), left(gone)))
                .advise("give it more time: `hook_timeout` in mainstay.toml; or see what it waits for")
        }
        Ended::Interrupted { gone } => {
            Problem::new("interrupted", format!("{key} of {} was interrupted", service.name))
                .because(left(gone))
        }
    };
    let cause = if problem.code == "interrupted" { Cause::Interrupted } else { Cause::Step };
    Err(Box::new(Failure { evidence: ran.output, ..Failure::new(problem, cause) }))
}
