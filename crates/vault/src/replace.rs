//! Puts a snapshot's data in the place of what is there.
//!
//! Invariant: at every moment the old data is at the target, or the new data is there, compared with its
//! manifest, and the old data is in the safety snapshot; nothing is deleted that is in neither. Every
//! call with the same arguments finishes what an interrupted one began. Doesn't stop whoever uses the
//! target.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::compare::{Trust, first_difference};
use crate::durable;
use crate::error::{Result, VaultError};
use crate::ids::SnapshotId;
use crate::in_place;
use crate::manifest::Manifest;
use crate::mounts;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::restore::{self, Restored, room};
use crate::vault::{Listed, Vault};

/// One replacement.
pub(crate) struct Replacement<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) snapshot: Listed,
    pub(crate) manifest: Manifest,
    pub(crate) safety: SnapshotId,
    pub(crate) safety_manifest: Manifest,
    pub(crate) target: PathBuf,
    pub(crate) run: &'a str,
    pub(crate) meter: &'a Meter,
}

impl Vault {
    /// Puts the data of a backup in the place of `target`, a directory or a file, which the safety
    /// backup must hold as it is now.
    ///
    /// The data is restored beside the target (`.NAME.mainstay-RUN`), compared, and exchanged with it in
    /// one step; where that is impossible, as at a mount point, it is restored below the target and moved
    /// entry by entry. After an interruption the same call finishes it; if all is done, it does nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError::NoSpace`]; [`VaultError::SafetyOutdated`] and [`VaultError::Foreign`] if the target
    /// holds something that isn't in the safety backup, or a mount point; [`VaultError::Damaged`] or
    /// [`VaultError::Mismatch`] if the backup can't be restored. The target is then as it was.
    pub fn replace(
        &self,
        id: &SnapshotId,
        target: &Path,
        safety: &SnapshotId,
        run: &str,
        monitor: &dyn Monitor,
    ) -> Result<Restored> {
        check_run(run)?;
        let _lock = self.lock_for_reading()?;
        let snapshot = self.snapshot(id)?;
        let safety_snapshot = self.snapshot(safety)?;
        let meter = Meter::new(Phase::Comparing, None);
        let replacement = Replacement {
            vault: self,
            manifest: self.manifest_of(&snapshot)?,
            safety_manifest: self.manifest_of(&safety_snapshot)?,
            snapshot,
            safety: safety.clone(),
            target: std::fs::canonicalize(target).map_err(|error| VaultError::io("find", target, error))?,
            run,
            meter: &meter,
        };
        watched(monitor, &meter, || replacement.run())
    }
}

impl Replacement<'_> {
    fn run(&self) -> Result<Restored> {
        let stage = self.stage();
        if in_place::is_under_way(self) {
            in_place::run(self)?;
        } else if self.target_differs_from(&self.manifest, Trust::Nothing)?.is_some() {
            self.check_safety()?;
            durable::remove(&stage)?;
            self.check_room()?;
            if self.is_mount_point()? || !self.exchange(&stage)? {
                durable::remove(&stage)?;
                in_place::run(self)?;
            } else {
                durable::sync_parent(&self.target)?;
            }
        }
        // What is left here is the old data, which is in the safety snapshot, or an unfinished copy.
        durable::remove(&stage)?;
        durable::sync_parent(&self.target)?;
        Ok(Restored::of(&self.manifest))
    }

    /// Restores beside the target and exchanges both; `false` if the system can't.
    fn exchange(&self, stage: &Path) -> Result<bool> {
        self.restore(stage)?;
        // Restoring took a while: whoever wrote meanwhile would lose what they wrote.
        self.check_safety()?;
        match renameat_with(CWD, stage, CWD, &self.target, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::XDEV | Errno::BUSY | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(VaultError::io("exchange", &self.target, error)),
        }
    }

    /// Restores to a path that doesn't exist.
    pub(crate) fn restore(&self, to: &Path) -> Result<()> {
        self.meter.enter(Phase::Restoring, Some(self.manifest.bytes()));
        let content = self.vault.content(&self.snapshot, &self.manifest)?;
        restore::write(&content, &self.manifest, to, self.meter)
    }

    pub(crate) fn target_differs_from(&self, manifest: &Manifest, trust: Trust) -> Result<Option<String>> {
        first_difference(&self.target, manifest, trust, self.meter)
    }

    /// The safety snapshot must hold what the target holds now.
    pub(crate) fn check_safety(&self) -> Result<()> {
        match self.target_differs_from(&self.safety_manifest, Trust::Untouched)? {
            None => Ok(()),
            Some(difference) => Err(VaultError::SafetyOutdated {
                snapshot: self.safety.clone(),
                target: self.target.clone(),
                difference,
            }),
        }
    }

    /// Whether the target itself is mounted, so that nothing beside it can be exchanged with it.
    ///
    /// What is mounted further below would be taken along, and emptied when the old data is removed.
    fn is_mount_point(&self) -> Result<bool> {
        let mounts = mounts::at_or_below(&self.target)?;
        match mounts.iter().find(|mount| **mount != self.target) {
            None => Ok(!mounts.is_empty()),
            Some(below) => {
                let reason = format!("another filesystem is mounted in it at {}", below.display());
                Err(VaultError::Foreign { target: self.target.clone(), reason })
            }
        }
    }

    fn check_room(&self) -> Result<()> {
        let room = room(&self.manifest, &self.target)?;
        if room.needed <= room.available {
            return Ok(());
        }
        Err(VaultError::NoSpace { path: self.target.clone(), needed: room.needed, available: room.available })
    }

    fn stage(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.target.file_name().unwrap_or_default());
        name.push(format!(".mainstay-{}", self.run));
        self.target.with_file_name(name)
    }
}

/// A run's name becomes part of a file name.
fn check_run(run: &str) -> Result<()> {
    let fits = !run.is_empty()
        && run.len() <= 100
        && run.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits {
        return Ok(());
    }
    let reason = "it is empty, too long, or holds other characters than letters, digits, dots and dashes";
    Err(VaultError::BadName { what: "run", value: run.to_owned(), reason })
}
