//! Steps on data: back up live, at the cutover and for safety; put a backup in place.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use mainstay_core::event::{BackupRecord, Fact};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{DataMount, Kind, Plan, Reach};
use mainstay_core::problem::Problem;
use mainstay_core::state::RunState;
use mainstay_core::step::Step;
use mainstay_core::verdict::Failure;
use mainstay_runner::{Context, Permit};
use mainstay_vault::{Kind as SnapshotKind, Monitor, Pass, SnapshotId, Tags, Vault, VaultError};

use super::rate::Rate;
use super::reach::differs;
use super::trouble::{engine_step, vault_problem};
use super::way_back::nothing_ran;
use super::{Done, Host};

impl Host {
    /// Backs up every data mount and reads each backup back.
    pub(super) fn back_up(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        let step = permit.step();
        match step {
            Step::BackUpCutover => {
                let untouched = nothing_ran(&self.engine, context.plan);
                self.runtime.block_on(untouched).map_err(engine_step)?;
            }
            Step::BackUpSafety => {
                self.let_nothing_run(context.plan)?;
                self.note_starts(context.plan).map_err(engine_step)?;
            }
            _ => {}
        }
        if context.plan.data.is_empty() {
            return Ok(Fact::BackedUp { backups: Vec::new(), changed_since_cutover: unchanged(step) });
        }
        let vault = self.vault(context)?;
        let mut backups = Vec::new();
        for mount in &context.plan.data {
            let record = self.back_up_mount(&vault, permit, mount, context)?;
            if record.changed_while_reading > 0 {
                context.observe(moving(context.plan, mount, record.changed_while_reading));
            }
            backups.push(record);
        }
        let changed = if step == Step::BackUpSafety {
            changed(&vault, context.plan, &backups, context.state.way_back(context.plan))
        } else {
            Ok(None)
        };
        let changed = changed.map_err(|e| engine_step(vault_problem("the backups can't be compared", &e)))?;
        Ok(Fact::BackedUp { backups, changed_since_cutover: changed })
    }

    /// Opens the repository, so that it does not have to be opened later.
    pub(super) fn open_vault(&mut self, context: &mut Context<'_>) -> Result<(), Box<Failure>> {
        self.vault(context).map(|_| ())
    }

    fn vault(&mut self, context: &mut Context<'_>) -> Result<Arc<Vault>, Box<Failure>> {
        if let Some(vault) = &self.vault {
            return Ok(Arc::clone(vault));
        }
        let opened = Vault::open_or_create_at(&self.access)
            .map_err(|e| engine_step(vault_problem("the backup repository can't be used", &e)))?;
        if opened.created_password() {
            context.observe(keep_the_password(&opened));
        }
        Ok(Arc::clone(self.vault.insert(Arc::new(opened))))
    }

    fn back_up_mount(
        &self,
        vault: &Vault,
        permit: &Permit,
        mount: &DataMount,
        context: &mut Context<'_>,
    ) -> Result<BackupRecord, Box<Failure>> {
        let plan = context.plan;
        let (kind, pass) = kind(permit.step(), plan);
        let tags = Tags {
            run: permit.run().to_owned(),
            project: plan.unit.project.name.clone(),
            service: plan.unit.service.clone(),
            mount: mount.name.clone(),
            kind,
        };
        let state = context.state;
        let backup = match mount.reach {
            Reach::Archive => self.back_up_through(vault, permit, mount, (&tags, pass), context)?,
            Reach::Direct => self
                .watching(permit.step(), mount, state, context, |monitor| {
                    vault.backup(&mount.source, &tags, pass, monitor)
                })
                .map_err(|e| {
                    let what = format!("the data in {} could not be backed up", mount.name);
                    engine_step(vault_problem(&what, &e))
                })?,
        };
        Ok(BackupRecord {
            mount: mount.name.clone(),
            snapshot: backup.id.to_string(),
            files: backup.files,
            bytes: backup.bytes,
            added_bytes: backup.added_bytes,
            changed_while_reading: backup.changed_while_reading,
            manifest: backup.manifest_hash,
        })
    }

    /// Puts the data of the backups in place; what is there now is in the safety snapshots.
    pub(super) fn restore_data(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        let (plan, state) = (context.plan, context.state);
        self.let_nothing_run(plan)?;
        let vault = self.vault(context)?;
        let (mut files, mut bytes) = (0, 0);
        for record in state.way_back(plan) {
            let (mount, id, safety) = self.restoration(plan, state, record).map_err(engine_step)?;
            let restored = match mount.reach {
                Reach::Archive => self.put_back_through(&vault, permit, mount, (&id, &safety), context)?,
                Reach::Direct => self
                    .watching(permit.step(), mount, state, context, |monitor| {
                        vault.replace(&id, &mount.source, &safety, permit.run(), monitor)
                    })
                    .map_err(|e| {
                        let what = format!("the data of {} could not be put back", mount.name);
                        engine_step(vault_problem(&what, &e))
                    })?,
            };
            files += restored.files;
            bytes += restored.bytes;
        }
        Ok(Fact::Restored { files, bytes })
    }

    /// Where a backup goes, and the safety snapshot of what it replaces.
    fn restoration<'p>(
        &self,
        plan: &'p Plan,
        state: &RunState,
        record: &BackupRecord,
    ) -> Result<(&'p DataMount, SnapshotId, SnapshotId), Problem> {
        let unknown = || {
            Problem::new("unknown-mount", format!("the service has no mount {} any more", record.mount))
                .advise("restore it elsewhere: `mainstay restore SERVICE --to DIR`")
        };
        let mount = plan.data.iter().find(|m| m.name == record.mount).ok_or_else(unknown)?;
        let safety = state.backups(Step::BackUpSafety).iter().find(|b| b.mount == record.mount);
        let safety = safety.ok_or_else(|| {
            let what = format!("there is no safety snapshot of {}, so nothing is overwritten", record.mount);
            Problem::new("no-safety-snapshot", what)
        })?;
        let parse = |id: &str| {
            id.parse::<SnapshotId>().map_err(|e| vault_problem("the journal names no snapshot", &e))
        };
        Ok((mount, parse(&record.snapshot)?, parse(&safety.snapshot)?))
    }

    /// Runs work of the vault in this thread while its progress is told.
    pub(super) fn watching<T>(
        &self,
        step: Step,
        mount: &DataMount,
        state: &RunState,
        context: &mut Context<'_>,
        work: impl FnOnce(&dyn Monitor) -> Result<T, VaultError> + Send,
    ) -> Result<T, VaultError>
    where
        T: Send,
    {
        let (sender, receiver) = std::sync::mpsc::channel();
        let interrupt = Self::stoppable(state).then(|| self.interrupt());
        let monitor = Teller { sender: Mutex::new(sender), interrupt };
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || work(&monitor));
            let mut rate = Rate::of_backup(mount.bytes);
            // Ends when the worker drops its end.
            for told in receiver {
                context.progress(&rate.progress(step, &mount.name, &told));
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

struct Teller<'a> {
    sender: Mutex<std::sync::mpsc::Sender<mainstay_vault::Progress>>,
    interrupt: Option<&'a AtomicUsize>,
}

impl Monitor for Teller<'_> {
    fn progress(&self, progress: mainstay_vault::Progress) {
        if let Ok(sender) = self.sender.lock() {
            // Progress is lossy: nobody may be there to hear it.
            let _ = sender.send(progress);
        }
    }

    fn cancelled(&self) -> bool {
        self.interrupt.is_some_and(|i| i.load(std::sync::atomic::Ordering::Relaxed) != 0)
    }
}

fn kind(step: Step, plan: &Plan) -> (SnapshotKind, Pass) {
    match step {
        Step::BackUpCutover => (SnapshotKind::Cutover, Pass::Still),
        Step::BackUpSafety => (SnapshotKind::Safety, Pass::Still),
        Step::BackUpStill => (SnapshotKind::Manual, Pass::Still),
        // Where a still pass follows, that one is the backup which the operator asked for.
        _ if plan.kind == Kind::Backup && plan.still.is_none() => (SnapshotKind::Manual, Pass::Live),
        _ => (SnapshotKind::Live, Pass::Live),
    }
}

/// Without data, nothing can have changed.
fn unchanged(step: Step) -> Option<bool> {
    (step == Step::BackUpSafety).then_some(false)
}

/// Whether any mount differs from its cutover backup; `None` where there is none to compare with.
fn changed(
    vault: &Vault,
    plan: &Plan,
    safety: &[BackupRecord],
    cutover: &[BackupRecord],
) -> Result<Option<bool>, VaultError> {
    if cutover.is_empty() {
        return Ok(None);
    }
    for record in safety {
        let Some(before) = cutover.iter().find(|b| b.mount == record.mount) else { return Ok(Some(true)) };
        let mount = plan.data.iter().find(|m| m.name == record.mount);
        if differs(vault, mount, (record, before))? {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

/// No backup can be read without it, and it is on the same disk as what it protects.
fn keep_the_password(vault: &Vault) -> Finding {
    let file = vault.password_file().display();
    let message = format!("the backups are encrypted with a new password, in {file}");
    Finding::new("repository-password", Severity::Note, message).advice(
        "KEEP A COPY OF THIS FILE ON ANOTHER MACHINE: without it no backup can be read, by anybody, ever",
    )
}

fn moving(plan: &Plan, mount: &DataMount, files: u64) -> Finding {
    let message = format!("{files} file(s) of {} changed while they were read", mount.name);
    let advice = match (&plan.kind, plan.still) {
        (Kind::Backup, None) => {
            "where that matters, have the service paused or stopped for its backup: `--quiesce pause`"
        }
        (Kind::Backup, Some(_)) => "the next pass reads them again while the service stands still",
        _ => "the cutover backup reads them again while the service stands still",
    };
    Finding::new("backup-live", Severity::Note, message).advice(advice)
}
