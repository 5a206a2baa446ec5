//! `backups`: lists them, newest first.

use mainstay_host::steps::vault_problem;

use super::app::App;
use super::choose::columns;
use crate::cli::BackupsArgs;
use crate::exit::{DONE, Stop};
use crate::render::words;

const HEADING: [&str; 8] = ["Snapshot", "When", "Service", "Mount", "Kind", "Files", "Size", "Run"];

/// Lists backups.
pub fn backups(app: &mut App, args: &BackupsArgs) -> Result<u8, Stop> {
    let Some(vault) = app.vault(None)? else {
        app.show.say("There are no backups yet.");
        return Ok(DONE);
    };
    let all = vault.snapshots().map_err(|e| vault_problem("the backups can't be listed", &e))?;
    let wanted = |id: &str, service: &str| args.service.as_deref().is_none_or(|s| s == service || s == id);
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter(|s| wanted(&format!("{}/{}", s.tags.project, s.tags.service), &s.tags.service))
        .map(|s| {
            let mut row = columns(s);
            row.extend([s.files.to_string(), words::bytes(s.bytes), s.tags.run.clone()]);
            row
        })
        .collect();
    if rows.is_empty() {
        app.show.say("There are no backups yet.");
    } else {
        app.show.table("backup", &HEADING, &rows);
    }
    Ok(DONE)
}
