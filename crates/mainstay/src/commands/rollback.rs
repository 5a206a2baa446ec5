//! `rollback`: undoes a kept update, the image alone or the data too.

use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_core::verdict::Tier;
use mainstay_host::discover::Found;
use mainstay_host::files::RunDir;
use mainstay_host::plan;
use mainstay_runner::Journal;

use super::app::App;
use super::run;
use crate::cli::RollbackArgs;
use crate::exit::Stop;
use crate::keeping;
use crate::state::journal_problem;

/// Rolls a service back.
pub fn rollback(app: &mut App, args: &RollbackArgs) -> Result<u8, Stop> {
    let ready = run::ready(app, &format!("rollback {}", args.service.service), args.service.yes)?;
    let found = app.find(&ready.engine, &args.service.service).map_err(Stop::untouched)?;
    let wishes = app.wishes(&found, &args.service).map_err(Stop::untouched)?;
    let of = undone(&ready.journal, &found, args.run.as_deref()).map_err(Stop::untouched)?;
    let replayed = ready.journal.replay(&of).map_err(|e| Stop::untouched(journal_problem(&e)))?;
    let (original, state) = replayed;
    let kept = RunDir::open(app.state.path(), &of).map_err(|e| Stop::untouched(e.into()))?;
    let backups = state.backups(Step::BackUpCutover).to_vec();
    let tier = if args.image_only || backups.is_empty() { Tier::ImageOnly } else { Tier::Full };
    let drafted = plan::rollback(&ready.engine, &found, &wishes, (&of, &original, &kept), tier, backups);
    let draft = app.wait(drafted).map_err(Stop::untouched)?;
    run::carry_out(app, ready, &draft, args.service.yes)
}

/// The run to undo: the newest kept update of the service, unless it was undone already, or the one that is
/// named.
fn undone(journal: &Journal, found: &Found, wanted: Option<&str>) -> Result<String, Problem> {
    let runs = journal.runs().map_err(|e| journal_problem(&e))?;
    let own = runs.iter().filter(|r| r.project == found.project.name && r.service == found.service);
    if let Some(wanted) = wanted {
        let run = own.clone().find(|r| r.id.starts_with(wanted));
        let run = run.ok_or_else(|| {
            Problem::new("unknown-run", format!("{} has no run {wanted}", found.service))
                .advise("`mainstay runs` lists them")
        })?;
        return if keeping::is_kept_update(run) {
            Ok(run.id.clone())
        } else {
            Err(Problem::new("unknown-run", format!("run {} is no kept update", run.id)))
        };
    }
    keeping::kept_update(journal, own).map_err(|e| journal_problem(&e))?.ok_or_else(|| {
        Problem::new("unknown-run", format!("there is no kept update of {} to undo", found.service))
            .advise("`mainstay runs` lists what there was; `mainstay restore` puts data of a backup in place")
    })
}
