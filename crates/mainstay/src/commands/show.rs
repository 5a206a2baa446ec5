//! `show`: what a run did, as it was shown when it ran.

use mainstay_core::event::Event;
use mainstay_core::problem::Problem;
use mainstay_runner::Journal;

use super::app::App;
use crate::cli::ShowArgs;
use crate::exit::{DONE, Stop};
use crate::state::journal_problem;

/// Shows a run.
pub fn show(app: &mut App, args: &ShowArgs) -> Result<u8, Stop> {
    let journal = app.state.existing_journal()?.ok_or_else(|| no_run(args.run.as_deref()))?;
    let run = find(&journal, args.run.as_deref())?;
    let entries = journal.entries(&run).map_err(|e| journal_problem(&e))?;
    for entry in &entries {
        match &entry.event {
            Event::RunStarted { plan } => {
                app.show.plan(plan, Some(&run), &[]);
                app.show.entry(entry);
            }
            Event::Observed { finding } => {
                app.show.observed(finding);
                app.show.entry(entry);
            }
            _ => app.show.entry(entry),
        }
    }
    Ok(DONE)
}

/// The run whose id begins like this; the newest one without a wish.
pub fn find(journal: &Journal, wanted: Option<&str>) -> Result<String, Problem> {
    let runs = journal.runs().map_err(|e| journal_problem(&e))?;
    let mut matching = runs.iter().filter(|run| wanted.is_none_or(|w| run.id.starts_with(w)));
    let first = matching.next().ok_or_else(|| no_run(wanted))?;
    match (wanted, matching.next()) {
        (Some(wanted), Some(_)) if first.id != wanted => {
            Err(Problem::new("unknown-run", format!("several runs begin with {wanted}"))
                .advise("give more of the id; `mainstay runs` lists them"))
        }
        _ => Ok(first.id.clone()),
    }
}

fn no_run(wanted: Option<&str>) -> Problem {
    let what = wanted.map_or("there are no runs yet".to_owned(), |w| format!("there is no run {w}"));
    Problem::new("unknown-run", what).advise("`mainstay runs` lists them")
}
