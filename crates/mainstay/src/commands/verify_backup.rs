//! `verify-backup`: reads backups back; with `--all` looks through the whole repository.

use std::time::{Duration, SystemTime};

use mainstay_core::problem::Problem;
use mainstay_host::steps::vault_problem;
use mainstay_vault::{Inspection, Kind, Listed, Vault, VaultError};

use super::app::App;
use super::choose::{Watch, columns, open};
use crate::cli::VerifyArgs;
use crate::exit::{DONE, Stop};
use crate::render::words;

const HEADING: [&str; 7] = ["Snapshot", "When", "Service", "Mount", "Kind", "Size", "State"];

/// The deeper look is worth doing so often.
pub const EVERY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Verifies backups. Damage is a failure, after everything was looked at.
pub fn verify_backup(app: &mut App, args: &VerifyArgs) -> Result<u8, Stop> {
    let vault = open(app, None)?;
    match &args.what {
        Some(what) => verify(app, &vault, what),
        None => inspect(app, &vault),
    }
}

fn verify(app: &mut App, vault: &Vault, what: &str) -> Result<u8, Stop> {
    let watch = Watch(app.interrupt.clone());
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    for listed in chosen(vault, what)? {
        let verdict = match vault.verify(&listed.id, &watch) {
            Err(error @ (VaultError::Damaged { .. } | VaultError::Manifest { .. })) => Err(error),
            Err(error) => {
                let what = format!("the backup {} could not be read back", listed.id.short());
                return Err(vault_problem(&what, &error).into());
            }
            Ok(_) => Ok(()),
        };
        rows.push(row(&listed, &verdict));
        damaged.extend(verdict.err().map(|error| error.to_string()));
    }
    app.show.table("backup", &HEADING, &rows);
    finish(damaged)
}

/// The newest backup of each mount and kind of a service, or the one with this id.
fn chosen(vault: &Vault, what: &str) -> Result<Vec<Listed>, Problem> {
    let all = vault.snapshots().map_err(|e| vault_problem("the backups can't be listed", &e))?;
    let named =
        |s: &Listed| s.tags.service == what || format!("{}/{}", s.tags.project, s.tags.service) == what;
    let mut newest: Vec<Listed> = Vec::new();
    for snapshot in all.iter().filter(|s| named(s)) {
        let same = |s: &Listed| {
            s.tags.same_mount(&snapshot.tags) && lasting(s.tags.kind) == lasting(snapshot.tags.kind)
        };
        if !newest.iter().any(same) {
            newest.push(snapshot.clone());
        }
    }
    if !newest.is_empty() {
        return Ok(newest);
    }
    vault.find(what).map(|one| vec![one]).map_err(|error| match error {
        VaultError::UnknownSnapshot { .. } | VaultError::AmbiguousSnapshot { .. } => {
            Problem::new("unknown-backup", format!("there is no single backup {what}"))
                .because(error)
                .advise("`mainstay backups` lists them")
        }
        other => vault_problem("the backups can't be listed", &other),
    })
}

/// What a restoration would take, as against what one has set aside.
fn lasting(kind: Kind) -> bool {
    kind != Kind::Safety
}

fn inspect(app: &mut App, vault: &Vault) -> Result<u8, Stop> {
    let watch = Watch(app.interrupt.clone());
    let found = vault
        .inspect(&watch)
        .map_err(|error| vault_problem("the repository could not be looked through", &error))?;
    let rows: Vec<_> = found.backups.iter().map(|(listed, verdict)| row(listed, verdict)).collect();
    if !rows.is_empty() {
        app.show.table("backup", &HEADING, &rows);
    }
    app.show.say(&format!(
        "{} of the repository compared with their names, {}",
        words::count(usize::try_from(found.files).unwrap_or(usize::MAX), "file"),
        words::bytes(found.bytes)
    ));
    finish(everything_wrong(found))
}

fn everything_wrong(found: Inspection) -> Vec<String> {
    let backups = found.backups.into_iter().filter_map(|(_, verdict)| verdict.err());
    found.damage.into_iter().chain(backups.map(|error| error.to_string())).collect()
}

fn row(listed: &Listed, verdict: &Result<(), VaultError>) -> Vec<String> {
    let state = if verdict.is_ok() { "good" } else { "DAMAGED" };
    let mut row = columns(listed);
    row.extend([words::bytes(listed.bytes), state.to_owned()]);
    row
}

fn finish(damage: Vec<String>) -> Result<u8, Stop> {
    if damage.is_empty() {
        return Ok(DONE);
    }
    let problem =
        Problem::new("vault-damaged", format!("{} can't be relied on", words::count(damage.len(), "thing")));
    let problem = damage.into_iter().fold(problem, |problem, what| problem.because(what));
    Err(problem
        .advise("nothing was changed, and what is damaged is never restored; check the disk (`dmesg`, `smartctl`)")
        .advise("back the services up again: `mainstay backup SERVICE`; if that fails too, move the repository aside first")
        .into())
}

/// What the doctor says of the last deeper look, and whether it is too long ago.
pub fn last_look(vault: &Vault) -> (bool, String) {
    match vault.last_inspection() {
        None => (true, "the backups were never looked through as a whole".to_owned()),
        Some(when) => {
            let ago = SystemTime::now().duration_since(when).unwrap_or_default();
            let days = ago.as_secs() / (24 * 60 * 60);
            (ago > EVERY, format!("the backups were looked through as a whole {days} days ago, all good"))
        }
    }
}
