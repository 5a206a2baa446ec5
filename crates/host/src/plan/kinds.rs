//! The plans of runs that change no version: backup, restoration, rollback.

use mainstay_core::event::BackupRecord;
use mainstay_core::functional::{Before, Check};
use mainstay_core::plan::{Kind, Plan, Quiesce};
use mainstay_core::problem::Problem;
use mainstay_core::verdict::Tier;

use super::look::wished;
use super::{Bytes, Draft, Looked, Wishes, hooks, look, profiles, unit};
use crate::checks::Wanted;
use crate::discover::Found;
use crate::engine::Engine;
use crate::files::{self, RunDir};
use crate::functional;
use crate::survey::Hidden;

/// The checks that matter where nothing is replaced: what they say of the service's state does not stop a
/// backup or a restoration, which may be just what a broken service needs.
const DATA_CHECKS: &[&str] =
    &["mounts", "unsupported-mounts", "disk", "archive-api", "put-back", "sharers", "quiesce", "live-copy"];

/// Plans a backup of a service: while it runs, and, where that is wished, once more while it is paused or
/// stopped.
///
/// # Errors
///
/// Those of the engine.
pub async fn backup(engine: &Engine, found: &Found, wishes: &Wishes) -> Result<Draft, Problem> {
    let looked = look_at_data(engine, found, std::slice::from_ref(&found.service), wishes, None).await?;
    // Where the service stands still for its backup, there is nothing to prepare.
    let around = match wishes.still {
        None => profiles::prepared(&looked.survey, &wishes.hooks),
        Some(_) => wishes.hooks.clone(),
    };
    let mut plan = unit::plan(engine, found, looked, wishes, Kind::Backup).await;
    plan.still = wishes.still;
    if plan.still.is_none() {
        // A live backup disturbs nobody else who uses the data, and nobody else disturbs it more than the
        // service itself does.
        plan.findings.retain(|f| f.check != "sharers");
    }
    let commands = hooks::add(&mut plan, &around);
    Ok(Draft { plan, files: Vec::new(), commands })
}

/// Plans the restoration of backups of a service in the place of its data.
///
/// # Errors
///
/// Those of the engine.
pub async fn restore(
    engine: &Engine,
    found: &Found,
    unit: &[String],
    wishes: &Wishes,
    backups: Vec<BackupRecord>,
) -> Result<Draft, Problem> {
    let looked = look_at_data(engine, found, unit, wishes, Some(&backups)).await?;
    // By where it is found to listen, though it may not answer before it is restored.
    let detected = wished(&looked.survey.probes, &found.service, wishes);
    let (checks, left_out) = functional::unasked(unit, &wishes.checks, &detected);
    let mut plan =
        unit::plan(engine, found, looked, wishes, Kind::Restore { backups: backups.clone() }).await;
    plan.findings.extend(left_out);
    let commands = functional::add(&mut plan, checks);
    plan.data.retain(|mount| backups.iter().any(|b| b.mount == mount.name));
    if let Some(missing) = backups.iter().find(|b| !plan.data.iter().any(|m| m.name == b.mount)) {
        let what = format!("{} has no mount {} any more", found.service, missing.mount);
        return Err(Problem::new("unknown-mount", what)
            .advise("restore it elsewhere: `mainstay restore SERVICE --to DIR`"));
    }
    Ok(Draft { plan, files: Vec::new(), commands })
}

/// Plans to undo a kept update: the plan of that run, the other way round.
///
/// # Errors
///
/// `file-changed` where a file is no longer what the update made of it; those of the engine and of reading
/// what the undone run kept.
pub async fn rollback(
    engine: &Engine,
    found: &Found,
    wishes: &Wishes,
    undone: (&str, &Plan, &RunDir),
    tier: Tier,
    backups: Vec<BackupRecord>,
) -> Result<Draft, Problem> {
    let (of, original, kept) = undone;
    let names: Vec<String> = original.unit.names().map(str::to_owned).collect();
    let mut stored = Vec::new();
    for edit in &original.edits {
        let present = files::read_if_there(&edit.path).map_err(Problem::from)?.as_deref().map(files::hash);
        if present.as_ref() != Some(&edit.after) && present != edit.before {
            let what = format!("{} was changed after the update", edit.path.display());
            return Err(Problem::new("file-changed", what)
                .because("it would be overwritten with what it was before the update")
                .advise("undo the change, or put the old tag there yourself and use `mainstay restore`"));
        }
        let before = match &edit.before {
            Some(_) => Some(kept.read(edit.stored_before()).map_err(Problem::from)?),
            None => None,
        };
        stored.push(Bytes { before, after: kept.read(edit.stored_after()).map_err(Problem::from)? });
    }
    let looked = look_at_data(engine, found, &names, wishes, Some(&backups)).await?;
    let kind = Kind::Rollback { of: of.to_owned(), tier, backups };
    let mut plan = unit::plan(engine, found, looked, wishes, kind).await;
    // The images, probes and edits are those of the undone run: the old version answered these probes.
    for (service, before) in plan.unit.services.iter_mut().zip(&original.unit.services) {
        service.from = before.from.clone();
        service.to = before.to.clone();
        service.keep_tag.clone_from(&before.keep_tag);
    }
    plan.probes = original.probes.clone();
    plan.edits.clone_from(&original.edits);
    let mut commands = Vec::new();
    for check in &original.checks {
        let asked = kept.read(check.stored()).map_err(Problem::from)?;
        commands.push((check.stored(), Hidden(asked)));
        // What it counted then is of yesterday's data.
        let before = match check.before {
            Before::Good { .. } => Before::Good { figure: None },
            ref other => other.clone(),
        };
        plan.checks.push(Check { before, ..check.clone() });
    }
    Ok(Draft { plan, files: stored, commands })
}

async fn look_at_data(
    engine: &Engine,
    found: &Found,
    unit: &[String],
    wishes: &Wishes,
    restored: Option<&[BackupRecord]>,
) -> Result<Looked, Problem> {
    let backup = restored.is_none();
    let wanted = Wanted {
        backup,
        hooks: backup && wishes.hooks.any(unit),
        pause: backup && wishes.still == Some(Quiesce::Pause),
        live_only: backup && wishes.still.is_none(),
        restore: restored.map(|records| records.iter().map(|r| r.bytes).sum()),
        ..Wanted::default()
    };
    let mut looked = look(engine, found, unit, wishes, &wanted).await?;
    looked.findings.retain(|f| DATA_CHECKS.contains(&f.check.as_str()));
    Ok(looked)
}
