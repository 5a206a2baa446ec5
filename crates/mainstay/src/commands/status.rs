//! `status`: every service of every project that has containers.

use mainstay_core::problem::Problem;
use mainstay_core::time::Timestamp;
use mainstay_host::discover::{self, Listed};
use mainstay_host::engine::{Engine, is_not_found};
use mainstay_host::images::Reference;
use mainstay_host::steps::vault_problem;
use mainstay_host::survey::{self, Glance};
use mainstay_runner::RunSummary;

use super::app::App;
use crate::exit::{DONE, Stop};
use crate::render::words;
use crate::state::journal_problem;

const HEADING: [&str; 7] = ["Service", "Version", "State", "URL", "Data", "Last backup", "Last run"];

/// Lists services.
pub fn status(app: &mut App) -> Result<u8, Stop> {
    let engine = app.engine()?;
    let services = app.wait(glances(&engine))?;
    let backups = match app.vault(None)? {
        Some(vault) => vault.snapshots().map_err(|e| vault_problem("the backups can't be listed", &e))?,
        None => Vec::new(),
    };
    let runs = match app.state.existing_journal()? {
        Some(journal) => journal.runs().map_err(|e| journal_problem(&e))?,
        None => Vec::new(),
    };
    let rows: Vec<Vec<String>> = services
        .iter()
        .map(|(listed, glance)| {
            let own =
                |project: &str, service: &str| project == listed.project.name && service == listed.service;
            let backup = backups.iter().find(|s| own(&s.tags.project, &s.tags.service));
            let run = runs.iter().find(|r| own(&r.project, &r.service));
            row(listed, glance, backup.map(|s| Timestamp(s.time)), run)
        })
        .collect();
    if rows.is_empty() {
        app.show.say("No Compose project has containers on this engine.");
    } else {
        app.show.table("service", &HEADING, &rows);
    }
    if let Some(run) = runs.iter().find(|run| run.ended_at.is_none()) {
        app.show.say(&format!("Run {0} was cut off: `mainstay resume {0}`", run.id));
    }
    Ok(DONE)
}

async fn glances(engine: &Engine) -> Result<Vec<(Listed, Glance)>, Problem> {
    let mut all = Vec::new();
    for listed in discover::list(engine).await? {
        match survey::glance(engine, &listed).await {
            Ok(glance) => all.push((listed, glance)),
            // It was removed after it was listed: nothing to tell, and no reason to tell nothing at all.
            Err(problem) if is_not_found(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(all)
}

fn row(listed: &Listed, glance: &Glance, backup: Option<Timestamp>, run: Option<&RunSummary>) -> Vec<String> {
    let first = listed.containers.first();
    let image = first.map(|c| c.image.as_str()).unwrap_or_default();
    let tag = Reference::parse(image).ok().and_then(|r| r.effective_tag().map(str::to_owned));
    let missing = || "-".to_owned();
    vec![
        listed.id(),
        tag.unwrap_or_else(|| words::short_id(image)),
        first.map(|c| c.status.clone()).unwrap_or_default(),
        glance.probes.outside.as_ref().map_or_else(missing, |probe| probe.url.clone()),
        if glance.data_bytes == 0 { missing() } else { words::bytes(glance.data_bytes) },
        backup.map_or_else(missing, words::moment),
        run.map_or_else(missing, |run| {
            format!("{} {}", run.kind, run.verdict.as_deref().unwrap_or("unfinished"))
        }),
    ]
}
