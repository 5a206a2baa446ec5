//! Steps on data that is reached through the engine: copied below the run's directory, then backed up like any other;
//! put back by a helper on the engine.
//!
//! Invariant: the copy and every helper are gone when the run has ended ([`Host::leave`]). That a change of the data has
//! begun is noted in the run's directory before it does. What it does not do: decide what is reached so.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mainstay_core::event::BackupRecord;
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{DataMount, Plan, Reach};
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_core::verdict::Failure;
use mainstay_runner::{Context, Permit};
use mainstay_vault::{Backup, Mirror, Monitor, Pass, Restored, SnapshotId, Tags, Vault, VaultError};

use super::Host;
use super::containers::present;
use super::trouble::{engine_step, vault_problem};
use crate::reach::{self, Place, Target};

/// Below the run's directory.
const DIRECTORY: &str = "reach";
/// A file that shrinks while the engine reads it cuts the archive off; so often it is asked again.
const TRIES: usize = 3;

impl Host {
    /// Copies the data, and backs up the copy.
    pub(super) fn back_up_through(
        &self,
        vault: &Vault,
        permit: &Permit,
        mount: &DataMount,
        (tags, pass): (&Tags, Pass),
        context: &mut Context<'_>,
    ) -> Result<Backup, Box<Failure>> {
        let place = self.place(permit, mount, context.plan).map_err(engine_step)?;
        let copy = self.run.path().join(DIRECTORY).join(index(context.plan, mount));
        let expected = Some(mount.bytes).filter(|bytes| *bytes > 0);
        let state = context.state;
        let backup = self.watching(permit.step(), mount, state, context, |monitor| {
            let mirror = fill(&place, &copy, (pass, expected), monitor)?;
            vault.backup_mirror((&mount.source, &mirror), tags, pass, monitor)
        });
        let what = format!("the data in {} could not be backed up", mount.name);
        closed(place, backup, &what)
    }

    /// Makes the data that of a backup.
    pub(super) fn put_back_through(
        &self,
        vault: &Vault,
        permit: &Permit,
        mount: &DataMount,
        ids: (&SnapshotId, &SnapshotId),
        context: &mut Context<'_>,
    ) -> Result<Restored, Box<Failure>> {
        let place = self.place(permit, mount, context.plan).map_err(engine_step)?;
        let (begun, state) = (place.begun(), context.state);
        let restored = self.watching(permit.step(), mount, state, context, |monitor| {
            vault.replace_through(ids, begun, &place, monitor)
        });
        closed(place, restored, &format!("the data of {} could not be put back", mount.name))
    }

    /// Removes copies and helpers. What can't be removed is said.
    pub(super) fn leave(&self, permit: &Permit, context: &mut Context<'_>) {
        if context.plan.data.iter().all(|mount| mount.reach.is_direct()) {
            return;
        }
        if let Err(problem) = self.runtime.block_on(reach::sweep(&self.engine, permit.run())) {
            context.observe(left(
                &problem,
                &format!("`docker rm -f -v $(docker ps -aq --filter label=mainstay.run={})`", permit.run()),
            ));
        }
        let directory = self.run.path().join(DIRECTORY);
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let problem = Problem::new("copy-left", "a copy of data is left").because(error);
                context.observe(left(&problem, &format!("`rm -r {}`", directory.display())));
            }
            _ => {}
        }
    }

    fn place(&self, permit: &Permit, mount: &DataMount, plan: &Plan) -> Result<Place, Problem> {
        if permit.again() || self.once_more {
            // Whoever performed the step before was cut off.
            self.runtime.block_on(reach::sweep(&self.engine, permit.run()))?;
        }
        let image = self.runtime.block_on(self.image(mount, plan))?;
        let (engine, mount, run) = (self.engine.clone(), mount.clone(), permit.run().to_owned());
        let note = Path::new(DIRECTORY).join(format!("{}.begun", index(plan, &mount).display()));
        let target = Target { engine, image, mount, run };
        Place::open(target, &self.runtime, (self.run.clone(), note))
    }

    /// An image that the engine has: of the services that use the data, else of their containers.
    async fn image(&self, mount: &DataMount, plan: &Plan) -> Result<String, Problem> {
        let users = plan.unit.services.iter().filter(|s| mount.services.contains(&s.name));
        let planned = users.flat_map(|service| [&service.from.id, &service.to.id]).flatten().cloned();
        let running = present(&self.engine, plan).await?.into_iter().map(|(_, listed)| listed.image_id);
        for image in planned.chain(running) {
            let call = self.engine.docker().inspect_image(&image);
            if self.engine.call("inspect an image", call).await.is_ok() {
                return Ok(image);
            }
        }
        Err(Problem::new(
            "image-missing",
            format!("the engine has no image of the services of {}", mount.name),
        )
        .advise("pull the version that runs"))
    }
}

/// Whether two backups of a mount differ, as far as the way there shows it.
pub(super) fn differs(
    vault: &Vault,
    mount: Option<&DataMount>,
    (one, other): (&BackupRecord, &BackupRecord),
) -> Result<bool, VaultError> {
    let (one, other) = (vault.manifest(&one.snapshot.parse()?)?, vault.manifest(&other.snapshot.parse()?)?);
    Ok(match mount.map(|mount| mount.reach) {
        Some(Reach::Archive) => !one.as_reached().same_content(&other.as_reached()),
        _ => !one.same_content(&other),
    })
}

/// Copies everything; what did not change since the last time stays as it is.
fn fill(
    place: &Place,
    copy: &Path,
    (pass, expected): (Pass, Option<u64>),
    monitor: &dyn Monitor,
) -> Result<Mirror, VaultError> {
    let mut tries = 0;
    loop {
        tries += 1;
        // Before the reading begins, or what is written meanwhile isn't noticed.
        let action = "tell when the reading began for";
        let began = place.now().map_err(|source| VaultError::Io { action, path: copy.to_owned(), source })?;
        match Mirror::fill(copy, place.archive(), (began, expected), monitor) {
            Err(VaultError::Io { source, .. })
                if source.kind() == ErrorKind::UnexpectedEof && pass == Pass::Live && tries < TRIES => {}
            filled => return filled,
        }
    }
}

/// What came of work at a place, whose helper is gone then. What the engine said explains more than what the vault
/// makes of it.
fn closed<T>(place: Place, outcome: Result<T, VaultError>, what: &str) -> Result<T, Box<Failure>> {
    let (said, removed) = place.close();
    let value = outcome.map_err(|error| match said {
        Some(problem) if !matches!(error, VaultError::Cancelled) => {
            engine_step(Problem { what: format!("{what}: {}", problem.what), ..problem })
        }
        _ => engine_step(vault_problem(what, &error)),
    })?;
    removed.map(|()| value).map_err(engine_step)
}

/// By which a mount is called in the run's directory.
fn index(plan: &Plan, mount: &DataMount) -> PathBuf {
    plan.data.iter().position(|m| m.name == mount.name).unwrap_or(0).to_string().into()
}

fn left(problem: &Problem, command: &str) -> Finding {
    Finding::new(Step::Document.name(), Severity::Warning, format!("something of the run is left: {problem}"))
        .advice(format!("remove it yourself: {command}"))
}
