//! Which backups a command is about.

use std::path::Path;

use mainstay_core::problem::Problem;
use mainstay_core::time::Timestamp;
use mainstay_host::steps::vault_problem;
use mainstay_vault::{Kind, Listed, Monitor, Progress, Vault};

use super::app::App;
use crate::cli::ChoiceArgs;
use crate::interrupt::Interrupt;
use crate::render::words;

/// Ends work of the vault when a signal came.
pub struct Watch(pub Interrupt);

impl Monitor for Watch {
    fn progress(&self, _: Progress) {}

    fn cancelled(&self) -> bool {
        self.0.came()
    }
}

/// The columns that every list of backups begins with: snapshot, when, service, mount, kind.
pub fn columns(backup: &Listed) -> Vec<String> {
    vec![
        backup.id.short().to_owned(),
        words::moment(Timestamp(backup.time)),
        format!("{}/{}", backup.tags.project, backup.tags.service),
        backup.tags.mount.clone(),
        backup.tags.kind.as_str().to_owned(),
    ]
}

/// The repository of a project, or of the host; there must be one.
pub fn open(app: &App, project_dir: Option<&Path>) -> Result<Vault, Problem> {
    app.vault(project_dir)?.ok_or_else(|| {
        Problem::new("unknown-backup", "there are no backups yet")
            .advise("make one: `mainstay backup SERVICE`")
    })
}

/// `project/service` of the only project that has backups of a service of this name.
fn only_project(vault: &Vault, service: &str) -> Result<String, Problem> {
    let all = vault.snapshots().map_err(|e| vault_problem("the backups can't be listed", &e))?;
    let own = all.iter().filter(|s| s.tags.service == service);
    let mut ids: Vec<String> = own.map(|s| format!("{}/{}", s.tags.project, s.tags.service)).collect();
    ids.sort();
    ids.dedup();
    match ids.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Problem::new("unknown-backup", format!("there is no backup of a service {service}"))
            .advise("`mainstay backups` lists them")),
        many => Err(Problem::new(
            "ambiguous-service",
            format!("{} projects have backups of {service}", many.len()),
        )
        .because(format!("candidates: {}", many.join(", ")))
        .advise("name the project too: PROJECT/SERVICE")),
    }
}

/// The snapshots of one run and one kind, one a mount.
pub fn choose(app: &App, vault: &Vault, id: &str, args: &ChoiceArgs) -> Result<Vec<Listed>, Problem> {
    let kinds: Vec<Kind> = match args.kind.as_deref() {
        None => vec![Kind::Cutover, Kind::Manual, Kind::Live],
        Some("cutover") => vec![Kind::Cutover],
        Some("live") => vec![Kind::Live],
        Some("safety") => vec![Kind::Safety],
        Some("manual") => vec![Kind::Manual],
        Some(other) => {
            return Err(Problem::new("usage", format!("there is no kind of backup called {other}"))
                .advise("kinds are cutover, live, safety and manual"));
        }
    };
    let all = vault.snapshots().map_err(|e| vault_problem("the backups can't be listed", &e))?;
    let own: Vec<&Listed> = all
        .iter()
        .filter(|s| format!("{}/{}", s.tags.project, s.tags.service) == id && kinds.contains(&s.tags.kind))
        .filter(|s| args.run.as_deref().is_none_or(|run| s.tags.run.starts_with(run)))
        .collect();
    let run = newest(app, &own).map(str::to_owned).ok_or_else(|| {
        Problem::new("unknown-backup", format!("there is no such backup of {id}"))
            .advise("`mainstay backups` lists them")
    })?;
    let kind = kinds.into_iter().find(|k| own.iter().any(|s| s.tags.run == run && s.tags.kind == *k));
    let mut chosen: Vec<Listed> = Vec::new();
    for snapshot in own {
        let wanted = snapshot.tags.run == run && Some(snapshot.tags.kind) == kind;
        if wanted && !chosen.iter().any(|c| c.tags.mount == snapshot.tags.mount) {
            chosen.push(snapshot.clone());
        }
    }
    Ok(chosen)
}

/// The run that made the newest of these backups, which are listed by their times, newest first. The journal knows the
/// order of its own runs also where the clock had been set; of others the time is all that is known.
fn newest<'a>(app: &App, own: &[&'a Listed]) -> Option<&'a str> {
    let by_time = own.first()?.tags.run.as_str();
    let journal = app.state.existing_journal().ok().flatten();
    let runs = journal.and_then(|journal| journal.runs().ok()).unwrap_or_default();
    let place = |run: &str| runs.iter().position(|known| known.id == run);
    if place(by_time).is_none() {
        return Some(by_time);
    }
    let known = own.iter().filter_map(|s| Some((place(&s.tags.run)?, s.tags.run.as_str())));
    known.min().map(|(_, run)| run)
}

/// The name of a mount as that of a directory.
pub fn directory_name(mount: &str) -> String {
    mount.trim_start_matches('/').replace('/', "-")
}

/// `project/service`, also if only the service is said.
pub fn id(vault: &Vault, name: &str) -> Result<String, Problem> {
    if name.contains('/') { Ok(name.to_owned()) } else { only_project(vault, name) }
}

/// Backups are found without Compose files; whoever gives one means something else.
pub fn no_compose_file(app: &App) -> Result<(), Problem> {
    match app.global.files.as_slice() {
        [] => Ok(()),
        [file, ..] => Err(Problem::new(
            "usage",
            format!("no Compose file is needed here, but --file says {}", file.display()),
        )
        .advise("leave it out; for a single file of a backup use `--only PATH`")),
    }
}
