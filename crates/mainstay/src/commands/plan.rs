//! `plan`: everything that an update would do, with estimates; touches nothing.

use super::app::App;
use super::{run, update};
use crate::cli::UpdateArgs;
use crate::exit::{DONE, Stop};

/// Prints the plan of an update.
pub fn plan(app: &mut App, args: &UpdateArgs) -> Result<u8, Stop> {
    let wanted = update::wanted(args)?;
    let engine = app.engine().map_err(Stop::untouched)?;
    let draft = match update::draft(app, &engine, args, &wanted) {
        Ok((_, draft)) => draft,
        Err(stop) if stop.problem.code == "same-version" => return Ok(update::nothing_to_do(app, &stop)),
        Err(stop) => return Err(stop),
    };
    let estimate = match app.state.existing_journal() {
        Ok(Some(journal)) => run::estimate(&journal, &draft.plan),
        // Without a journal there is no experience to estimate from; that is no reason not to plan.
        Ok(None) | Err(_) => Vec::new(),
    };
    app.show.plan(&draft.plan, None, &estimate);
    draft.refusal().map_or(Ok(DONE), |problem| Err(Stop::untouched(problem)))
}
