//! Removes backups, and then what no backup needs any more.
//!
//! Invariant: it is alone, for processes of ours and for stock restic. Whatever moment it dies at, every backup
//! that wasn't to go is whole: snapshots go first, then manifests that no snapshot names, then packs that no
//! snapshot needs, and these only [`PruneOptions::keep_delete`] after an earlier prune marked them. The last
//! good backup of a mount stays, whatever is asked for. The library syncs files, not directories; the names of new
//! index files and of packs written anew are on the disk long before the packs that they replace go, a day
//! later. Afterwards the structure of the repository was
//! checked, and the packs that were written anew were read back. Doesn't decide what goes: see
//! [`crate::retention`].

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustic_core::jiff::Span;
use rustic_core::repofile::{PackId, SnapshotFile};
use rustic_core::{CheckOptions, OpenStatus, PruneOptions as LibraryOptions, Repository};

use crate::durable;
use crate::error::{Result, VaultError};
use crate::guard::{call, strictly};
use crate::ids::{SnapshotId, tag_value};
use crate::inspect::faults;
use crate::manifest;
use crate::open::unfinished_beside;
use crate::parallel;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::retention::spare_the_last;
use crate::vault::{MANIFEST_TAG, Vault};

/// Its modification time is when the last prune ended.
const PRUNED: &str = "repository.pruned";

/// How to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// How long a pack that nothing needs is kept after it was marked; 23 hours by default.
    pub keep_delete: Duration,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { keep_delete: Duration::from_secs(23 * 60 * 60) }
    }
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Backups that are gone.
    pub forgotten: Vec<SnapshotId>,
    /// Manifests that are gone.
    pub manifests: u64,
    /// Files and unfinished snapshots of interrupted operations that are gone.
    pub leftovers: u64,
    /// Bytes in packs that are to be removed later.
    pub marked_bytes: u64,
    /// Packs that were removed.
    pub packs: u64,
    /// Bytes by which the repository shrank.
    pub freed_bytes: u64,
}

impl Vault {
    /// Removes backups, what interrupted operations left, and data that no backup needs; checks the structure
    /// of what remains. Backups in `forget` that aren't there are no error.
    ///
    /// # Errors
    ///
    /// [`VaultError::Locked`] or [`VaultError::InUse`] if anybody else is at work: nothing was done then.
    /// Otherwise part of it may be done; every other backup is whole, and the next prune does the rest.
    pub fn forget_and_prune(
        &self,
        forget: &[SnapshotId],
        options: &PruneOptions,
        monitor: &dyn Monitor,
    ) -> Result<Pruned> {
        let _held = self.lock_alone()?;
        let meter = Meter::new(Phase::Pruning, None);
        watched(monitor, &meter, || {
            let mut pruned = Pruned::default();
            self.forget(forget, &mut pruned)?;
            pruned.manifests = self.remove_manifests()?;
            // Other hosts may use a remote repository, and no lock there would hold them off: packs stay.
            if self.location().path().is_some() {
                pruned.leftovers += self.remove_leftovers()?;
                meter.check()?;
                self.prune(options, &mut pruned, &meter)?;
            }
            self.sync()?;
            durable::write_new(&self.lock_dir().join(PRUNED), b"")?;
            Ok(pruned)
        })
    }

    /// Removes files that interrupted operations left half written, and nothing else: it costs a look into each directory.
    ///
    /// # Errors
    ///
    /// [`VaultError::Locked`] or [`VaultError::InUse`] if anybody else is at work: nothing was done then.
    pub fn tidy(&self) -> Result<u64> {
        let _held = self.lock_alone()?;
        if self.location().path().is_some() { self.remove_leftovers() } else { Ok(0) }
    }

    /// When the last prune ended; `None` if there was none.
    #[must_use]
    pub fn last_prune(&self) -> Option<SystemTime> {
        fs::metadata(self.lock_dir().join(PRUNED)).and_then(|meta| meta.modified()).ok()
    }

    fn forget(&self, forget: &[SnapshotId], pruned: &mut Pruned) -> Result<()> {
        let unfinished = self.unfinished()?;
        pruned.leftovers += unfinished.len() as u64;
        let forget = spare_the_last(&self.listed()?, forget);
        let ids = forget.iter().map(SnapshotId::to_library).collect::<Result<Vec<_>>>()?;
        let all: Vec<_> = unfinished.iter().map(|snapshot| snapshot.id).chain(ids).collect();
        if !all.is_empty() {
            strictly("remove snapshots", || self.repository()?.delete_snapshots(&all))?;
            // Manifests go when it is certain that no snapshot names them.
            self.sync_snapshots()?;
        }
        pruned.forgotten = forget;
        Ok(())
    }

    /// Removes manifests that no snapshot names, not even one that this version can't understand.
    fn remove_manifests(&self) -> Result<u64> {
        // They lie together, and those of another repository are none of this one's.
        if self.shares_manifests() {
            return Ok(0);
        }
        let snapshots = self.all_snapshots()?;
        let named: HashSet<PathBuf> = snapshots.iter().filter_map(|one| self.manifest_file(one)).collect();
        let directory = manifest::directory(self.state());
        let removed = remove_files(&directory, |path| {
            path.extension() == Some(OsStr::new("zst")) && !named.contains(path)
        })?;
        if removed > 0 {
            durable::sync_dir(&directory)?;
        }
        Ok(removed)
    }

    fn manifest_file(&self, snapshot: &SnapshotFile) -> Option<PathBuf> {
        let hash = tag_value(snapshot.tags.iter().map(String::as_str), MANIFEST_TAG)?;
        Some(manifest::file(self.state(), hash))
    }

    /// Removes half-written files. Nobody is writing any: see the locks.
    fn remove_leftovers(&self) -> Result<u64> {
        let (state, repository) = (self.state(), self.path());
        let mut removed = remove_files(state, is_ours)?;
        removed += remove_files(&manifest::directory(state), is_ours)?;
        let unfinished = unfinished_beside(repository);
        if unfinished.exists() {
            durable::remove(&unfinished)?;
            removed += 1;
        }
        let names = ["data", "index", "snapshots", "keys", "locks"];
        let mut directories: Vec<_> = names.iter().map(|name| repository.join(name)).collect();
        directories.push(repository.to_owned());
        for item in list(&repository.join("data"))? {
            directories.extend(item.is_dir().then_some(item));
        }
        for directory in directories {
            removed += remove_files(&directory, is_librarys)?;
        }
        Ok(removed)
    }

    fn prune(&self, options: &PruneOptions, pruned: &mut Pruned, meter: &Meter) -> Result<()> {
        let keep = i64::try_from(options.keep_delete.as_millis()).unwrap_or(i64::MAX);
        let keep = Span::new().try_milliseconds(keep).map_err(|error| VaultError::Library {
            action: "prune the repository",
            message: error.to_string(),
        })?;
        let options = LibraryOptions::default().keep_delete(keep);
        let before = packs(&self.open_anew()?)?;
        let repository = self.open_anew()?;
        let plan = strictly("plan the prune", || repository.prune_plan(&options))?;
        pruned.packs = plan.stats.packs_to_delete.remove;
        pruned.freed_bytes = plan.stats.size_to_delete.remove;
        pruned.marked_bytes = plan.stats.size_sum().remove + plan.stats.size_sum().repack;
        meter.check()?;
        strictly("prune the repository", || repository.prune(&options, plan))?;
        let repository = self.open_anew()?;
        let after = packs(&repository)?;
        self.read_back(after.difference(&before), meter)?;
        // The library logs what it finds as well, and more.
        let action = "check the repository";
        let found = call(action, |_| true, || repository.check(CheckOptions::default()))?;
        let faults = faults(&found);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(VaultError::Library { action, message: faults.join("; ") })
        }
    }

    fn open_anew(&self) -> Result<Repository<OpenStatus>> {
        strictly("open the repository", || self.repository())
    }

    /// Reads the packs that were written anew.
    fn read_back<'p>(&self, packs: impl Iterator<Item = &'p PackId>, meter: &Meter) -> Result<()> {
        let packs: Vec<_> = packs.collect();
        parallel::for_each(&packs, meter, |pack| {
            let path = self.pack_path(pack);
            let mut file = File::open(&path).map_err(|error| VaultError::io("open", &path, error))?;
            meter.check()?;
            if pack.blob_matches_reader(u64::MAX, &mut file) {
                return Ok(());
            }
            let message = format!("the pack {} isn't what was written", path.display());
            Err(VaultError::Library { action: "read back what the prune wrote", message })
        })
    }
}

fn packs(repository: &Repository<OpenStatus>) -> Result<BTreeSet<PackId>> {
    strictly("list the packs", || Ok(repository.list::<PackId>()?.collect()))
}

/// What [`durable::write_new`] left: `NAME.PROCESS.tmp`.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let process = name.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once('.'));
    process.is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What the repository library, or restic, left: `ID-tmp-…`.
fn is_librarys(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_id = |id: &str| id == "config" || (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    name.split_once("-tmp-").is_some_and(|(id, _)| is_id(id))
}

fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let list = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        list => list,
    };
    list.and_then(|list| list.map(|item| Ok(item?.path())).collect())
        .map_err(|error| VaultError::io("list", directory, error))
}

/// Removes the regular files of a directory that `unwanted` picks; says how many.
fn remove_files(directory: &Path, unwanted: impl Fn(&Path) -> bool) -> Result<u64> {
    let mut removed = 0;
    for path in list(directory)? {
        if unwanted(&path) && fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            durable::remove(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_half_written_files_are_leftovers() {
        let id = "0123456789abcdef".repeat(4);
        for (name, ours, librarys) in [
            ("ab.zst.4711.tmp", true, false),
            ("repository.password.1.tmp", true, false),
            ("ab.zst", false, false),
            ("journal.db", false, false),
            ("notes.tmp", false, false),
            (".tmp", false, false),
            (&*format!("{id}-tmp-"), false, true),
            (&*format!("{id}-tmp-123"), false, true),
            (&*id, false, false),
            ("config", false, false),
            ("config-tmp-", false, true),
            ("my-tmp-file", false, false),
        ] {
            assert_eq!((is_ours(Path::new(name)), is_librarys(Path::new(name))), (ours, librarys), "{name}");
        }
    }
}
