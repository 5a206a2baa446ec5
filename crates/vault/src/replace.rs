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

use crate::by_file;
use crate::compare::{
    Trust, contents_unknown, entries_differ, exact_difference, first_difference, metadata_difference,
};
use crate::durable;
use crate::entry::{Entry, full_path};
use crate::error::{Result, VaultError};
use crate::guard::caught;
use crate::ids::SnapshotId;
use crate::in_place;
use crate::manifest::Manifest;
use crate::mounts;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::restore::{self, Restored, attributes, room};
use crate::vault::{Listed, Vault};
use crate::walk::Walk;

/// One replacement.
pub(crate) struct Replacement<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) snapshot: Listed,
    pub(crate) manifest: Manifest,
    pub(crate) safety: Listed,
    pub(crate) safety_manifest: Manifest,
    pub(crate) target: PathBuf,
    pub(crate) run: &'a str,
    pub(crate) meter: &'a Meter,
}

impl Vault {
    /// Puts the data of a backup in the place of `target`, a directory or a file, which the safety
    /// backup must hold as it is now.
    ///
    /// Where little differs, only that is put back, file by file, from a directory beside the target. Else
    /// the data is restored beside the target (`.NAME.mainstay-RUN`), compared, and exchanged with it in
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
            safety: safety_snapshot,
            target: std::fs::canonicalize(target).map_err(|error| VaultError::io("find", target, error))?,
            run,
            meter: &meter,
        };
        watched(monitor, &meter, || caught("put the data back", || replacement.run()))
    }
}

impl Replacement<'_> {
    fn run(&self) -> Result<Restored> {
        let stage = self.stage();
        if in_place::is_under_way(self) {
            in_place::run(self)?;
        } else if !by_file::resume(self)? {
            let present = listed(&self.target)?;
            if !self.is_right(&present)? {
                self.put_back(&self.saved(present)?, &stage)?;
            }
        }
        // What is left here is the old data, which is in the safety snapshot, or an unfinished copy.
        durable::remove(&stage)?;
        durable::sync_parent(&self.target)?;
        Ok(Restored::of(&self.manifest))
    }

    /// File by file, by an exchange, or entry by entry.
    fn put_back(&self, present: &Manifest, stage: &Path) -> Result<()> {
        durable::remove(stage)?;
        let is_mount_point = self.is_mount_point()?;
        if by_file::run(self, present)? {
            return Ok(());
        }
        self.check_room_for(room(&self.manifest, &self.target)?.needed)?;
        // What fails was a copy: it isn't to fill the disk until somebody tries again.
        let copied = if is_mount_point { Ok(false) } else { self.exchange(stage) };
        if !copied.inspect_err(|_| drop(durable::remove(stage)))? {
            durable::remove(stage)?;
            in_place::run(self)
        } else {
            durable::sync_parent(&self.target)
        }
    }

    /// Whether the target is as it is wanted already. If it is but for times of directories, these are set.
    fn is_right(&self, present: &Manifest) -> Result<bool> {
        let pairs = || present.entries.iter().zip(&self.manifest.entries);
        let known = [&self.manifest, &self.safety_manifest];
        if metadata_difference(present, &self.manifest).is_some()
            || contents_unknown(&self.target, pairs(), &known, self.meter)?.is_some()
        {
            return Ok(false);
        }
        for (_, entry) in pairs().rev().filter(|(now, then)| now.mtime != then.mtime) {
            attributes(entry, &full_path(&self.target, &entry.path))?;
        }
        Ok(true)
    }

    /// What the target holds, with its hashes: all of it is in the safety snapshot.
    fn saved(&self, mut present: Manifest) -> Result<Manifest> {
        let locate = |entry: &Entry| full_path(&self.target, &entry.path);
        let (safety, trust) = (&self.safety_manifest, Trust::Untouched);
        self.meter.enter(Phase::Comparing, None);
        if let Some(difference) = entries_differ(&present, safety, trust, self.meter, locate)? {
            return Err(self.outdated(difference));
        }
        for (now, then) in present.entries.iter_mut().zip(&safety.entries) {
            now.what.clone_from(&then.what);
        }
        Ok(present)
    }

    /// The target must be as it was listed.
    pub(crate) fn check_unchanged(&self, present: &Manifest) -> Result<()> {
        let difference = self.target_differs_from(present, Trust::Untouched)?;
        difference.map_or(Ok(()), |difference| Err(self.outdated(difference)))
    }

    /// In what the target isn't exactly as it is wanted; files that are `known` needn't be read.
    pub(crate) fn difference(&self, present: &Manifest, known: &Manifest) -> Result<Option<String>> {
        exact_difference(&self.target, (present, &self.manifest), &[known], self.meter)
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
        self.check_unchanged(&self.safety_manifest)
    }

    fn outdated(&self, difference: String) -> VaultError {
        let (snapshot, target) = (self.safety.id.clone(), self.target.clone());
        VaultError::SafetyOutdated { snapshot, target, difference }
    }

    /// Whether the target itself is mounted, so that nothing beside it can be exchanged with it.
    ///
    /// What is mounted further below would be taken along, and emptied when the old data is removed.
    pub(crate) fn is_mount_point(&self) -> Result<bool> {
        let mounts = mounts::at_or_below(&self.target)?;
        match mounts.iter().find(|mount| **mount != self.target) {
            None => Ok(!mounts.is_empty()),
            Some(below) => {
                let reason = format!("another filesystem is mounted in it at {}", below.display());
                Err(VaultError::Foreign { target: self.target.clone(), reason })
            }
        }
    }

    /// Whether there is room for a copy of everything.
    pub(crate) fn fits_whole(&self) -> Result<bool> {
        let room = room(&self.manifest, &self.target)?;
        Ok(room.needed <= room.available)
    }

    /// Whether there is room for so many bytes.
    pub(crate) fn check_room_for(&self, needed: u64) -> Result<()> {
        let available = room(&self.manifest, &self.target)?.available;
        if needed <= available {
            return Ok(());
        }
        Err(VaultError::NoSpace { path: self.target.clone(), needed, available })
    }

    pub(crate) fn stage(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.target.file_name().unwrap_or_default());
        name.push(format!(".mainstay-{}", self.run));
        self.target.with_file_name(name)
    }
}

/// Everything at a path, without hashes.
pub(crate) fn listed(path: &Path) -> Result<Manifest> {
    Ok(Manifest::new(Walk::still(path).collect::<Result<_>>()?))
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
