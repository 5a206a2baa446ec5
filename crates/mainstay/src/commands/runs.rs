//! `runs`: lists them, newest first.

use super::app::App;
use crate::cli::RunsArgs;
use crate::exit::{DONE, Stop};
use crate::render::words;
use crate::state::journal_problem;

const HEADING: [&str; 6] = ["Run", "Service", "Kind", "Started", "Took", "Verdict"];

/// Lists runs.
pub fn runs(app: &mut App, args: &RunsArgs) -> Result<u8, Stop> {
    let runs = match app.state.existing_journal()? {
        Some(journal) => journal.runs().map_err(|e| journal_problem(&e))?,
        None => Vec::new(),
    };
    let wanted = |id: &str, service: &str| args.service.as_deref().is_none_or(|s| s == service || s == id);
    let rows: Vec<Vec<String>> = runs
        .iter()
        .filter(|run| wanted(&format!("{}/{}", run.project, run.service), &run.service))
        .map(|run| {
            vec![
                run.id.clone(),
                format!("{}/{}", run.project, run.service),
                run.kind.clone(),
                words::moment(run.started_at),
                run.ended_at.map_or(String::new(), |ended| words::millis(ended.since(run.started_at))),
                run.verdict.clone().unwrap_or_else(|| "unfinished".to_owned()),
            ]
        })
        .collect();
    if rows.is_empty() {
        app.show.say("There are no runs yet.");
    } else {
        app.show.table("run", &HEADING, &rows);
    }
    Ok(DONE)
}
