//! `prune`: shows which backups may go and why the others stay, and removes the former.

use mainstay_core::problem::Problem;
use mainstay_host::steps::vault_problem;
use mainstay_vault::{Judged, PruneOptions, Pruned, Vault};

use super::app::App;
use super::choose::{Watch, columns};
use super::housekeeping::{self, Removed, Scope};
use crate::cli::PruneArgs;
use crate::exit::{DONE, Stop};
use crate::render::words;

const HEADING: [&str; 8] = ["Snapshot", "When", "Service", "Mount", "Kind", "Size", "Run", "Fate"];

/// Prunes by hand.
pub fn prune(app: &mut App, args: &PruneArgs) -> Result<u8, Stop> {
    // Runs of services without data have images that are kept, and no repository.
    let vault = app.vault(None)?;
    if vault.is_none() && app.state.existing_journal()?.is_none() {
        app.show.say("There are no backups yet.");
        return Ok(DONE);
    }
    let scope = args.service.clone().map_or(Scope::All, Scope::Service);
    if args.dry_run {
        show(app, &judge(app, vault.as_ref(), &scope)?.backups);
        return Ok(DONE);
    }
    let engine = app.engine()?;
    // No run may begin, and come to need something, between the judgement and the removal.
    let _lock = app.lock(&engine, "prune")?;
    let judgement = judge(app, vault.as_ref(), &scope)?;
    show(app, &judgement.backups);
    let watch = Watch(app.interrupt.clone());
    let pruned = match &vault {
        Some(vault) => vault
            .forget_and_prune(&judgement.forget(), &PruneOptions::default(), &watch)
            .map_err(|e| vault_problem("old backups could not be removed", &e))?,
        None => Pruned::default(),
    };
    let removed = match app.state.existing_journal()? {
        Some(journal) => {
            let removed = housekeeping::remove_runs(app, &engine, &journal, &judgement.runs)?;
            Removed { copies: housekeeping::remove_copies(app, &journal)?, ..removed }
        }
        None => Removed::default(),
    };
    for line in summary(&pruned, removed) {
        app.show.say(&line);
    }
    Ok(DONE)
}

fn judge(app: &App, vault: Option<&Vault>, scope: &Scope) -> Result<housekeeping::Judgement, Problem> {
    let listed = vault.map_or_else(|| Ok(Vec::new()), Vault::snapshots);
    let listed = listed.map_err(|e| vault_problem("the backups can't be listed", &e))?;
    let journal = app.state.existing_journal()?.ok_or_else(|| {
        Problem::new("journal-failed", format!("there is no journal in {}", app.state.path().display()))
            .because("without it nobody knows which backups a way back needs, so none is removed")
            .advise("put journal.db back from your copy, or name the right directory with --state-dir")
    })?;
    housekeeping::judge(&listed, &journal, scope)
}

fn show(app: &mut App, backups: &[Judged]) {
    let rows: Vec<Vec<String>> = backups.iter().map(row).collect();
    if rows.is_empty() {
        app.show.say("There are no such backups.");
    } else {
        app.show.table("backup", &HEADING, &rows);
    }
}

fn row(judged: &Judged) -> Vec<String> {
    let snapshot = &judged.snapshot;
    let fate = judged.kept.map_or_else(|| "goes".to_owned(), |reason| format!("stays: {}", reason.as_str()));
    let mut row = columns(snapshot);
    row.extend([words::bytes(snapshot.bytes), snapshot.tags.run.clone(), fate]);
    row
}

fn summary(pruned: &Pruned, removed: Removed) -> Vec<String> {
    let mut lines = vec![format!(
        "{} removed, {} freed",
        housekeeping::old(pruned.forgotten.len()),
        words::bytes(pruned.freed_bytes)
    )];
    if pruned.marked_bytes > 0 {
        lines.push(format!(
            "{} more that no backup needs go with the first prune after 23 hours",
            words::bytes(pruned.marked_bytes)
        ));
    }
    let others = [
        (pruned.leftovers, "leftover of interrupted work"),
        (removed.directories, "directory of an old run"),
        (removed.tags, "tag of an old image"),
        (removed.copies, "copy of an old image"),
    ];
    let others = others.into_iter().filter(|(count, _)| *count > 0);
    lines.extend(others.map(|(count, what)| format!("removed as well: {count} × {what}")));
    lines
}
