//! `resume`: goes on with a run that was cut off, from its journal.

use mainstay_core::problem::Problem;
use mainstay_host::files::RunDir;

use super::app::App;
use super::{copy, run, show};
use crate::cli::ResumeArgs;
use crate::exit::{DONE, Stop};
use crate::operator;
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
    let engine = app.engine()?;
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
    app.show.plan(&plan, Some(&id), &[]);
    let repositories = app.repositories(Some(&plan.unit.project.directory))?.begun_with(&directory)?;
    let operator = operator::at_terminal(&*app.show);
    let code =
        run::perform(app, (engine, operator), &mut journal, &lock, &id, directory, &repositories.access)?;
    drop(lock);
    Ok(copy::afterwards(app, &repositories, code))
}
