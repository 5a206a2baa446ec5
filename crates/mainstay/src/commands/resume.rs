//! `resume`: goes on with a run that was cut off, from its journal.

use std::time::{Duration, Instant};

use mainstay_core::plan::Plan;
use mainstay_core::problem::Problem;
use mainstay_core::state::OnResume;
use mainstay_host::engine::Engine;
use mainstay_host::files::RunDir;

use super::app::App;
use super::{copy, run, show};
use crate::cli::{ProbeArgs, ResumeArgs};
use crate::config::Settings;
use crate::exit::{DONE, Stop};
use crate::operator;
use crate::span::Span;
use crate::state::journal_problem;

/// Resumes a run.
pub fn resume(app: &mut App, args: &ResumeArgs) -> Result<u8, Stop> {
    let Some(mut journal) = app.state.existing_journal()? else {
        app.show.say("There is nothing to resume: no run was ever begun.");
        return Ok(DONE);
    };
    let id = match &args.run {
        Some(wanted) => Some(show::find(&journal, Some(wanted))?),
        None => journal.unfinished().map_err(|e| journal_problem(&e))?,
    };
    let Some(id) = id else {
        app.show.say("There is nothing to resume: every run has ended.");
        return Ok(DONE);
    };
    let engine = engine(app, &id, args.wait_engine)?;
    let lock = app.lock(&engine, &format!("resume {id}"))?;
    // Read under the lock: the run may have ended meanwhile, by the process that had it.
    let (plan, state) = journal.replay(&id).map_err(|e| journal_problem(&e))?;
    if let Some(conclusion) = state.ended() {
        app.show.say(&format!("Run {id} has ended: {}", conclusion.word()));
        return Ok(DONE);
    }
    if plan.engine != engine.id() {
        let problem = Problem::new("engine-other", format!("run {id} was begun on another engine"))
            .because(format!("that one has the id {}, this one {}", plan.engine, engine.id()))
            .advise("name it: `--host` or DOCKER_HOST");
        return Err(problem.into());
    }
    let directory = RunDir::open(app.state.path(), &id).map_err(Problem::from)?;
    // The service may be down: that is no time to insist on an order of ours.
    let _ = directory.tidy();
    app.show.plan(&plan, Some(&id), &[]);
    let (repositories, unreadable) = app.repositories_of_run(&plan.unit.project.directory, &directory)?;
    if let Some(problem) = unreadable {
        app.show.say(&format!(
            "warning: {problem}; resuming with the repository that the run began with, and copying nothing"
        ));
    }
    let on_resume = match on_resume(&plan, args) {
        Ok(mode) => mode,
        // The service may be down: that is no time to insist on a file in order.
        Err(problem) => {
            app.show.say(&format!("warning: {problem}; resuming as if it did not say `on_resume`"));
            OnResume::default()
        }
    };
    let operator = operator::at_terminal(&*app.show);
    let of = run::Of { run: &id, directory, access: &repositories.access, on_resume };
    let code = run::perform(app, (engine, operator), &mut journal, &lock, of)?;
    drop(lock);
    Ok(copy::afterwards(app, &repositories, code))
}

/// Whether the run may go on forward: by flag, else by configuration.
fn on_resume(plan: &Plan, args: &ResumeArgs) -> Result<OnResume, Problem> {
    let (project, service) = (&plan.unit.project, &plan.unit.service);
    let settings = Settings::of(&project.directory, &project.name, service, &ProbeArgs::default())?;
    Ok(args.on_resume.or(settings.on_resume).map(OnResume::from).unwrap_or_default())
}

/// Connects to the engine, waiting for it if that is wanted: at boot it may come later, and a resume that came too
/// early would leave a service down. An interruption meanwhile is none of the run, which nobody has gone on with.
fn engine(app: &App, run: &str, patience: Option<Span>) -> Result<Engine, Problem> {
    const LOOK_AGAIN: Duration = Duration::from_millis(500);
    let until = Instant::now() + Duration::from_millis(patience.map_or(0, Span::millis));
    loop {
        let problem = match app.engine() {
            Ok(engine) => return Ok(engine),
            Err(problem) if problem.code == "interrupted" => return Err(not_resumed(run)),
            Err(problem) => problem,
        };
        let may_come = matches!(problem.code.as_str(), "engine-unreachable" | "engine-timeout");
        if !may_come || Instant::now() >= until {
            return Err(problem);
        }
        let pause = async {
            tokio::time::sleep(LOOK_AGAIN).await;
            Ok(())
        };
        if app.wait(pause).is_err() {
            let reasons = std::iter::once(problem.what).chain(problem.causes);
            return Err(reasons.fold(not_resumed(run), Problem::because));
        }
    }
}

fn not_resumed(run: &str) -> Problem {
    Problem::new("engine-wait-interrupted", "interrupted while waiting for the engine: nothing was resumed")
        .advise(format!(
            "run {run} still waits to be resumed, and its service may be down: `mainstay resume`"
        ))
}
