//! Makes a backup.
//!
//! Invariant: a snapshot gets its tags, and with them its place among the backups, after it was read
//! back and agreed with its manifest; until then it is marked as unfinished, and it is removed when
//! anything fails. Doesn't stop or quiesce what writes to the source.

mod changed;
mod increment;
mod planting;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustic_core::repofile::{SnapshotFile, SnapshotSummary, StringList};
use rustic_core::{BackupOptions, ParentOptions, RusticResult, SnapshotOptions, TreeId};

use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::guard::{call, caught, strictly};
use crate::hashing::BLOCK;
use crate::ids::{Kind, SnapshotId, Tags};
use crate::lock::Lock;
use crate::manifest::Manifest;
use crate::mirror::Mirror;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::source::{Findings, ON_RECORD, Source};
use crate::vault::{HOST, Listed, MANIFEST_TAG, Vault};
use crate::walk::Walk;

pub(crate) const UNFINISHED_TAG: &str = "mainstay-unfinished";

/// Whether the source is in use while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It is: what changes or disappears meanwhile is counted.
    Live,
    /// It isn't: what changes is [`VaultError::Changed`].
    Still,
}

/// A backup that was read back and agrees with its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its identifier.
    pub id: SnapshotId,
    /// Regular files in it.
    pub files: u64,
    /// Bytes of file content in it.
    pub bytes: u64,
    /// Bytes by which the repository grew, compressed.
    pub added_bytes: u64,
    /// Entries that changed or disappeared while they were read; 0 unless the pass was live.
    pub changed_while_reading: u64,
    /// BLAKE3 of the manifest in hexadecimal digits.
    pub manifest_hash: String,
}

/// One backup under way.
struct Job<'a> {
    vault: &'a Vault,
    source: PathBuf,
    /// A copy of what is there, where that can't be read.
    mirror: Option<&'a Mirror>,
    tags: &'a Tags,
    pass: Pass,
    parent: Option<(Listed, Arc<Manifest>)>,
    meter: Arc<Meter>,
}

impl Vault {
    /// Backs up a directory or a file with everything below it, and reads back what was written.
    ///
    /// What an earlier backup of the same path holds isn't read again, and isn't read back again if that
    /// backup belongs to the same run.
    ///
    /// # Errors
    ///
    /// Anything that would make it incomplete: an entry can't be read, changes in a still pass, or isn't
    /// in the repository as it was read. Then there is no snapshot.
    pub fn backup(&self, source: &Path, tags: &Tags, pass: Pass, monitor: &dyn Monitor) -> Result<Backup> {
        let source = fs::canonicalize(source).map_err(|error| VaultError::io("find", source, error))?;
        self.backup_of((source, None), tags, pass, monitor)
    }

    /// As [`Vault::backup`], of a copy of what is at `source`, which itself can't be read from here.
    ///
    /// # Errors
    ///
    /// As [`Vault::backup`].
    pub fn backup_mirror(
        &self,
        (source, mirror): (&Path, &Mirror),
        tags: &Tags,
        pass: Pass,
        monitor: &dyn Monitor,
    ) -> Result<Backup> {
        self.backup_of((source.to_owned(), Some(mirror)), tags, pass, monitor)
    }

    fn backup_of(
        &self,
        (source, mirror): (PathBuf, Option<&Mirror>),
        tags: &Tags,
        pass: Pass,
        monitor: &dyn Monitor,
    ) -> Result<Backup> {
        tags.check()?;
        let lock = self.lock()?;
        self.clean_up(&lock)?;
        let parent = self.parent(&source)?;
        let expected = parent.as_ref().map(|(_, manifest)| manifest.bytes());
        let meter = Meter::new(Phase::BackingUp, expected);
        let job = Job { vault: self, source, mirror, tags, pass, parent, meter: meter.clone() };
        watched(monitor, &meter, || job.run())
    }

    /// The newest backup of the same path whose manifest can be used.
    fn parent(&self, source: &Path) -> Result<Option<(Listed, Arc<Manifest>)>> {
        let same_source = self.listed()?.into_iter().filter(|snapshot| snapshot.source == source);
        Ok(same_source.into_iter().find_map(|snapshot| {
            let manifest = self.manifest_of(&snapshot).ok()?;
            Some((snapshot, Arc::new(manifest)))
        }))
    }

    /// Removes what interrupted backups left, unless another backup is under way.
    pub(crate) fn clean_up(&self, lock: &Lock) -> Result<()> {
        let left = self.unfinished()?;
        if !left.is_empty() {
            if lock.try_alone() {
                self.forget_unfinished(&left)?;
            }
            lock.share(self.lock_dir(), self.patience())?;
        }
        Ok(())
    }

    /// Snapshots of backups that were interrupted, or that are under way.
    pub(crate) fn unfinished(&self) -> Result<Vec<SnapshotFile>> {
        let mut all = self.all_snapshots()?;
        all.retain(|snapshot| snapshot.tags.contains(UNFINISHED_TAG));
        Ok(all)
    }

    pub(crate) fn forget_unfinished(&self, snapshots: &[SnapshotFile]) -> Result<()> {
        let ids: Vec<_> = snapshots.iter().map(|snapshot| snapshot.id).collect();
        strictly("remove an unfinished snapshot", || self.repository()?.delete_snapshots(&ids))?;
        self.sync_snapshots()
    }
}

impl Job<'_> {
    fn run(&self) -> Result<Backup> {
        let (snapshot, findings) = self.archive()?;
        let finished = self.finish(&snapshot, findings);
        // Finished or not, this one has served.
        let removed = self.vault.forget_unfinished(std::slice::from_ref(&snapshot));
        let backup = finished?;
        removed?;
        Ok(backup)
    }

    /// Stores a snapshot that is marked as unfinished.
    fn archive(&self) -> Result<(SnapshotFile, Findings)> {
        if let Some(increment) = caught("store what has changed", || self.increment())? {
            return Ok(increment);
        }
        match self.unchanged()? {
            Some((parent, findings)) => Ok((self.store_tree(parent, None)?, findings)),
            None => self.read_everything(),
        }
    }

    /// What reading would find, if everything is as it was when the parent was made: then the library has nothing to
    /// do, which takes it longer than to look. Gives up at the first difference.
    fn unchanged(&self) -> Result<Option<(&Listed, Findings)>> {
        let Some((parent, known)) = &self.parent else { return Ok(None) };
        let mut findings = Findings::default();
        let walk = match (self.mirror, self.pass) {
            (Some(mirror), _) => mirror.walk(),
            (None, Pass::Live) => Walk::live(&self.source),
            (None, Pass::Still) => Walk::still(&self.source),
        };
        for entry in walk {
            self.meter.check()?;
            // What can't be read is for the library's pass to report.
            let Ok(entry) = entry else { return Ok(None) };
            let Some(before) =
                known.entries.get(findings.entries.len()).filter(|before| entry.is_still(before))
            else {
                return Ok(None);
            };
            if let What::File { blake3, .. } = &before.what {
                findings.hashes.insert(entry.path.clone(), blake3.clone());
            }
            findings.entries.push(entry);
        }
        let complete = findings.entries.len() == known.entries.len();
        self.meter.bytes(if complete { known.bytes() } else { 0 });
        Ok(complete.then_some((parent, findings)))
    }

    /// A new snapshot that goes on from the parent: of the same tree, or of another one.
    fn store_tree(&self, parent: &Listed, other: Option<(TreeId, SnapshotSummary)>) -> Result<SnapshotFile> {
        let id = parent.id.to_library()?;
        let mut snapshot = strictly("store the snapshot", || {
            let repository = self.vault.repository()?;
            let before: SnapshotFile = repository.get_file(&id)?;
            let mut snapshot = unfinished_snapshot()?;
            (snapshot.paths, snapshot.tree) = (before.paths, before.tree);
            (snapshot.parent, snapshot.parents) = (Some(id), vec![id]);
            if let Some((tree, summary)) = other {
                (snapshot.tree, snapshot.summary) = (tree, Some(summary));
            }
            repository.save_snapshots(vec![snapshot.clone()])?;
            Ok(snapshot)
        })?;
        let same = |one: &&SnapshotFile| (&one.time, one.tree) == (&snapshot.time, snapshot.tree);
        let stored = self.vault.unfinished()?.iter().find(same).map(|one| one.id);
        snapshot.id = stored.ok_or_else(|| VaultError::Library {
            action: "store the snapshot",
            message: "it isn't there afterwards".to_owned(),
        })?;
        Ok(snapshot)
    }

    /// Lets the library read everything that isn't as in the parent.
    fn read_everything(&self) -> Result<(SnapshotFile, Findings)> {
        let parent_manifest = self.parent.as_ref().map(|(_, manifest)| manifest.clone());
        let mirror = self.mirror.cloned();
        let source = Source::new(&self.source, mirror, self.pass, parent_manifest, self.meter.clone());
        let parent = match &self.parent {
            Some((snapshot, _)) => ParentOptions::default().parents(vec![snapshot.id.to_string()]),
            None => ParentOptions::default().force(true),
        };
        // An inode number is compared although the option is named after ignoring it.
        let parent = parent.ignore_ctime(false).ignore_inode(true);
        let options = BackupOptions::default().parent_opts(parent).no_scan(true);
        let snapshot = call("store the backup", is_harmless, || {
            let repository = self.vault.repository()?.to_indexed_ids()?;
            repository.archive(&options, &source, unfinished_snapshot()?, std::slice::from_ref(&self.source))
        });
        let mut findings = source.finish();
        let failure = findings.failure.take();
        match (snapshot, failure) {
            (Ok(snapshot), None) => Ok((snapshot, findings)),
            (Err(error), None) => Err(error),
            (Ok(snapshot), Some(failure)) => {
                self.vault.forget_unfinished(&[snapshot])?;
                Err(failure)
            }
            (Err(_), Some(failure)) => Err(failure),
        }
    }

    /// Proves the snapshot and puts a finished one in its place.
    fn finish(&self, snapshot: &SnapshotFile, mut findings: Findings) -> Result<Backup> {
        let changed = self.changes(&findings)?;
        let known = self.parent.as_ref().map(|(_, manifest)| manifest.by_path()).unwrap_or_default();
        let manifest = self.manifest(&mut findings)?;
        let unread: HashSet<&Path> = manifest
            .entries
            .iter()
            .filter(|entry| known.get(&*entry.path).is_some_and(|known| entry.untouched_since(known)))
            .map(|entry| &*entry.path)
            .collect();
        self.read_back(snapshot, &manifest, &unread)?;
        self.meter.check()?;
        let manifest_hash = manifest.save(self.vault.state())?;
        let id = self.publish(snapshot, &manifest, &manifest_hash)?;
        Ok(Backup {
            id,
            files: manifest.files(),
            bytes: manifest.bytes(),
            added_bytes: snapshot.summary.as_ref().map_or(0, |summary| summary.data_added_packed),
            changed_while_reading: changed,
            manifest_hash,
        })
    }

    fn changes(&self, findings: &Findings) -> Result<u64> {
        let mut paths = &findings.changed | &findings.gone;
        paths.extend(self.mirror.into_iter().flat_map(|mirror| mirror.late().iter().cloned()));
        let paths: Vec<_> = paths.iter().map(|path| full_path(&self.source, path)).collect();
        if self.pass == Pass::Still && !paths.is_empty() {
            return Err(VaultError::Changed { paths });
        }
        Ok(paths.len() as u64)
    }

    /// The entries that the library got, with the hashes of what it read.
    fn manifest(&self, findings: &mut Findings) -> Result<Manifest> {
        let mut entries = std::mem::take(&mut findings.entries);
        // A directory that vanished was listed, and is stored empty; a file has no content to store.
        entries.retain(|entry| entry.what == What::Dir || !findings.gone.contains(&entry.path));
        for entry in &mut entries {
            if let What::File { blake3, .. } = &mut entry.what {
                *blake3 = findings.hashes.remove(&entry.path).ok_or_else(|| {
                    let path = full_path(&self.source, &entry.path);
                    VaultError::unreadable(path, "the repository library skipped it")
                })?;
            }
        }
        Ok(Manifest::new(entries))
    }

    /// Makes packs durable and reads them back, if nobody has done so in this run, and proves the files that are new.
    fn read_back(&self, snapshot: &SnapshotFile, manifest: &Manifest, unread: &HashSet<&Path>) -> Result<()> {
        self.meter.enter(Phase::ReadingBack, None);
        let mut proven = self.vault.proven();
        proven.begin(&self.tags.run);
        let id = SnapshotId::from_library(snapshot.id);
        let content = self.vault.content_beside(id, &self.source, &mut proven.trees)?;
        content.check_entries(manifest)?;
        content.sync_new_packs(&proven)?;
        // Ahead of a cutover, blocks of large files too that nothing has changed in: if something does until then,
        // the others needn't be read while the service stands still.
        let ahead = self.tags.kind == Kind::Live;
        let wanted = |entry: &Entry| (ahead && entry.size() > BLOCK) || !unread.contains(&*entry.path);
        content.prove(manifest, wanted, &mut proven, &self.meter).map(drop)
    }

    /// Stores the snapshot again, with the tags that make it a backup.
    fn publish(&self, unfinished: &SnapshotFile, manifest: &Manifest, hash: &str) -> Result<SnapshotId> {
        let mut finished = unfinished.clone();
        finished.tags = StringList::default();
        for tag in self.tags.to_strings() {
            finished.tags.add(tag);
        }
        finished.tags.add(format!("files:{}", manifest.files()));
        finished.tags.add(format!("bytes:{}", manifest.bytes()));
        finished.tags.add(format!("{MANIFEST_TAG}:{hash}"));
        // As restic does when it changes tags.
        finished.original = Some(unfinished.id);
        strictly("store the snapshot", || self.vault.repository()?.save_snapshots(vec![finished]))?;
        let mut stored = self.vault.all_snapshots()?;
        stored.retain(|snapshot| snapshot.original == Some(unfinished.id) && snapshot.id != unfinished.id);
        self.vault.sync_snapshots()?;
        stored.first().and_then(Listed::parse).map(|listed| listed.id).ok_or_else(|| VaultError::Library {
            action: "store the snapshot",
            message: "it isn't there afterwards".to_owned(),
        })
    }
}

fn unfinished_snapshot() -> RusticResult<SnapshotFile> {
    let options = SnapshotOptions::default().host(HOST.to_owned()).command("mainstay".to_owned());
    options.add_tags(UNFINISHED_TAG)?.to_snapshot()
}

/// Entries that failed are on record; with a bad parent the library reads everything, and a damaged tree
/// that it didn't store again is found when the snapshot is read back.
fn is_harmless(line: &str) -> bool {
    line.contains(ON_RECORD)
        || ["ignoring parent node", "ignoring error when loading parent tree", "missing blobs in index"]
            .iter()
            .any(|known| line.starts_with(known))
}
