//! Copies backups into a second repository.
//!
//! Invariant: a copied backup gets its tags, and with them its place among the backups of the second
//! repository, after its entries agreed with the manifest of the original, everything it needs was found
//! there, and every pack that the copy added was read back. Until then it is marked as unfinished. The
//! first repository isn't changed, and nothing is removed from the second one.

use std::collections::BTreeSet;

use rustic_core::repofile::{PackId, SnapshotFile, StringList};

use crate::backup::UNFINISHED_TAG;
use crate::error::{Result, VaultError};
use crate::guard::strictly;
use crate::ids::SnapshotId;
use crate::parallel;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::vault::{Listed, Vault};

/// What a copy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Backups that were copied now.
    pub snapshots: u64,
    /// Bytes of file content that they have.
    pub bytes: u64,
    /// Wanted backups that were there before.
    pub present: u64,
    /// Pack files that were written, read back and hashed.
    pub packs: u64,
    /// Backups in the second repository whose manifest nobody has any more; new copies are never among them.
    pub without_manifest: u64,
}

impl Vault {
    /// Copies the wanted backups that `other` doesn't hold yet, the oldest first, and their manifests. It
    /// may have another key, and may be anywhere. Can be cancelled between two backups and while reading
    /// back.
    ///
    /// # Errors
    ///
    /// Either repository can't be read or written, both are the same, or a copy isn't what the original is.
    /// What was copied before stays.
    pub fn copy_to(
        &self,
        other: &Self,
        wanted: impl Fn(&Listed) -> bool,
        monitor: &dyn Monitor,
    ) -> Result<Copied> {
        if self.repository_id()? == other.repository_id()? {
            return Err(VaultError::BadLocation {
                value: other.location().to_string(),
                reason: "it is the repository itself, not another one",
            });
        }
        let mut copied = Copied::default();
        {
            let _lock = self.lock()?;
            let lock = other.lock()?;
            other.clean_up(&lock)?;
            let there = other.listed()?;
            let mut missing = self.listed()?;
            missing.retain(|backup| wanted(backup));
            let all = missing.len() as u64;
            missing.retain(|backup| !there.iter().any(|known| same(known, backup)));
            missing.reverse();
            copied.present = all - missing.len() as u64;
            let total = missing.iter().map(|backup| backup.bytes).sum();
            let meter = Meter::new(Phase::Copying, Some(total));
            watched(monitor, &meter, || {
                for backup in &missing {
                    meter.check()?;
                    copied.packs += self.copy_one(other, backup, &meter)?;
                    copied.snapshots += 1;
                    copied.bytes += backup.bytes;
                    meter.enter(Phase::Copying, Some(total));
                    meter.bytes(copied.bytes);
                }
                Ok(())
            })?;
        }
        // Those of the new backups, and what an earlier copy that was cut off didn't come to.
        copied.without_manifest = other.settle(monitor)?.without.len() as u64;
        Ok(copied)
    }

    /// Says how many packs were added.
    fn copy_one(&self, other: &Self, backup: &Listed, meter: &Meter) -> Result<u64> {
        let manifest = self.manifest_of(backup)?;
        let before = other.packs()?;
        let id = backup.id.to_library()?;
        let original: SnapshotFile = strictly("read the snapshot", || self.repository()?.get_file(&id))?;
        let unfinished = other.copy_unfinished(self, &original)?;
        let checked = || {
            let copy = SnapshotId::from_library(unfinished.id);
            let content = other.content_of(copy, &backup.source)?;
            content.check_entries(&manifest)?;
            let (needed, now) = (content.packs()?, other.packs()?);
            if let Some(lost) = needed.iter().find(|pack| !now.contains(pack)) {
                let reason = format!("it needs {}, which isn't there", other.pack_path(lost).display());
                return Err(VaultError::Copy { snapshot: backup.id.clone(), reason });
            }
            let added: Vec<&PackId> = needed.iter().filter(|pack| !before.contains(pack)).collect();
            meter.enter(Phase::ReadingBack, None);
            parallel::for_each(&added, meter, |pack| content.check_pack(pack, meter))?;
            other.publish_copy(&original, backup)?;
            Ok(added.len() as u64)
        };
        let result = checked();
        // Finished or not, this one has served.
        let removed = other.forget_unfinished(std::slice::from_ref(&unfinished));
        let added = result?;
        removed?;
        Ok(added)
    }

    /// Fills this repository with what the snapshot needs, and stores it as an unfinished one.
    fn copy_unfinished(&self, from: &Self, original: &SnapshotFile) -> Result<SnapshotFile> {
        let mut unfinished = original.clone();
        unfinished.tags = StringList::default();
        unfinished.tags.add(UNFINISHED_TAG.to_owned());
        unfinished.original = Some(original.id);
        strictly("copy a backup", || {
            let source = from.repository()?.to_indexed()?;
            source.copy(&self.repository()?.to_indexed_ids()?, [&unfinished])
        })?;
        self.sync()?;
        let stored = strictly("list the snapshots", || {
            self.repository()?.get_matching_snapshots(|snapshot| {
                snapshot.original == Some(original.id) && snapshot.tags.contains(UNFINISHED_TAG)
            })
        })?;
        stored.into_iter().next().ok_or_else(|| VaultError::Library {
            action: "copy a backup",
            message: "it isn't there afterwards".to_owned(),
        })
    }

    /// Stores the snapshot as it is in the first repository.
    fn publish_copy(&self, original: &SnapshotFile, backup: &Listed) -> Result<()> {
        let mut finished = original.clone();
        // They name snapshots of the first repository.
        finished.parent = None;
        finished.parents = Vec::new();
        strictly("store the snapshot", || self.repository()?.save_snapshots(vec![finished]))?;
        self.sync_snapshots()?;
        if self.listed()?.iter().any(|known| same(known, backup)) {
            return Ok(());
        }
        Err(VaultError::Copy {
            snapshot: backup.id.clone(),
            reason: "its snapshot isn't there afterwards".to_owned(),
        })
    }

    fn packs(&self) -> Result<BTreeSet<PackId>> {
        strictly("list the packs", || Ok(self.repository()?.list::<PackId>()?.collect()))
    }

    fn repository_id(&self) -> Result<String> {
        let opened = strictly("open the repository", || self.repository())?;
        Ok(opened.config().id.to_hex().as_str().to_owned())
    }
}

/// The same backup in another repository, where its identifier is another one.
fn same(one: &Listed, other: &Listed) -> bool {
    *one == Listed { id: one.id.clone(), ..other.clone() }
}
