//! `copy`, and what is done after every run: manifests into the repository, backups into the second one.
//!
//! Nothing here is part of a run: it costs no downtime, changes no verdict, and can be done again at any time.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::problem::Problem;
use mainstay_host::steps::vault_problem;
use mainstay_vault::{Access, Vault};

use super::app::App;
use super::choose::Watch;
use crate::exit::{DONE, FAILED, INTERRUPTED, Stop, WARNINGS};
use crate::render::words;
use crate::repository::Repositories;

/// Copies by hand.
pub fn copy(app: &mut App) -> Result<u8, Stop> {
    let repositories = app.repositories(None)?;
    let Some(target) = &repositories.copy else {
        return Err(Problem::new("usage", "there is no second repository to copy to")
            .advise("name it: `--copy-to PLACE`, MAINSTAY_COPY_TO, or `copy_to` in /etc/mainstay/config.toml")
            .into());
    };
    let Some(vault) = open(&repositories.access)? else {
        app.show.say("There are no backups yet.");
        return Ok(DONE);
    };
    settle(app, &vault)?;
    copy_to(app, &vault, target)?;
    Ok(DONE)
}

/// What comes after a run that ended with `code`: the status that the command ends with.
pub fn afterwards(app: &mut App, repositories: &Repositories, code: u8) -> u8 {
    // The next run catches up.
    if matches!(code, FAILED | INTERRUPTED) {
        return code;
    }
    match after(app, repositories) {
        Ok(()) => code,
        Err(problem) => {
            let finding = Finding::new("copy", Severity::Warning, problem.what.clone());
            let finding = problem.causes.iter().fold(finding, Finding::evidence);
            let finding = problem.advice.iter().fold(finding, Finding::advice);
            app.show.findings(&[finding.advice("the run itself is not affected; later: `mainstay copy`")]);
            if code == DONE { WARNINGS } else { code }
        }
    }
}

fn after(app: &mut App, repositories: &Repositories) -> Result<(), Problem> {
    let Some(vault) = open(&repositories.access)? else { return Ok(()) };
    settle(app, &vault)?;
    repositories.copy.as_ref().map_or(Ok(()), |target| copy_to(app, &vault, target))
}

fn open(access: &Access) -> Result<Option<Vault>, Problem> {
    Vault::open_at(access).map_err(|e| vault_problem("the backup repository can't be used", &e))
}

fn settle(app: &App, vault: &Vault) -> Result<(), Problem> {
    let settled = vault.settle(&Watch(app.interrupt.clone()));
    settled.map(drop).map_err(|e| vault_problem("the manifests could not be put into the repository", &e))
}

fn copy_to(app: &mut App, vault: &Vault, target: &Access) -> Result<(), Problem> {
    let what = format!("the backups could not be copied to {}", target.location);
    let failed = |e| vault_problem(&what, &e);
    let other = Vault::open_or_create_at(target).map_err(failed)?;
    let copied = vault.copy_to(&other, |_| true, &Watch(app.interrupt.clone())).map_err(failed)?;
    app.show.say(&format!(
        "Copied to {}: {} backup(s), {}, read back; {} were there",
        target.location,
        copied.snapshots,
        words::bytes(copied.bytes),
        copied.present
    ));
    if copied.without_manifest == 0 {
        return Ok(());
    }
    Err(Problem::new(
        "backup-damaged",
        format!("{} backup(s) in {} have no manifest any more", copied.without_manifest, target.location),
    )
    .advise("restic can still restore them; mainstay can't compare them"))
}
