//! Manifests that travel: the repository holds them too, so that a lost host costs no backup.
//!
//! Each is a small snapshot of its own, of one file named by the manifest's hash, with tags that
//! [`Vault::snapshots`] doesn't take for a backup; stock restic sees an ordinary snapshot. Invariant: a
//! manifest counts as stored after it was read back; one is removed only when no backup names it any more.
//! Done after a run, since it may not cost downtime. Doesn't make manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile};
use rustic_core::{
    BackupOptions, BlobId, ErrorKind, IndexedFullStatus, ParentOptions, ReadSource, ReadSourceEntry,
    Repository, RusticError, RusticResult, SnapshotOptions,
};

use crate::error::{Result, VaultError};
use crate::guard::{call, strictly};
use crate::ids::{SnapshotId, tag_value};
use crate::manifest::{self, Manifest};
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::vault::{HOST, Listed, MANIFEST_TAG, Vault};

/// Marks the snapshot of a manifest.
const STORED_TAG: &str = "mainstay-manifest";
/// Where the file lies in its snapshot.
const DIRECTORY: &str = "/mainstay-manifests";

/// What was settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Manifests that were put into the repository.
    pub stored: u64,
    /// Manifests that were removed from it, because no backup names them any more.
    pub forgotten: u64,
    /// Backups whose manifest is neither in the repository nor in the state directory.
    pub without: Vec<SnapshotId>,
}

impl Vault {
    /// Puts the manifests of all backups into the repository, and removes those of backups that are gone
    /// unless somebody else is at work.
    ///
    /// # Errors
    ///
    /// The repository can't be read or written, or doesn't hold what was written.
    pub fn settle(&self, monitor: &dyn Monitor) -> Result<Settled> {
        let mut settled = {
            let _lock = self.lock()?;
            let meter = Meter::new(Phase::BackingUp, None);
            watched(monitor, &meter, || self.store_manifests(&meter))?
        };
        settled.forgotten = self.forget_orphaned_manifests()?;
        Ok(settled)
    }

    /// Removes the stored manifests that no backup names; says how many. Removes none while somebody else
    /// is at work on the repository.
    ///
    /// # Errors
    ///
    /// The snapshots can't be listed or removed.
    pub fn forget_orphaned_manifests(&self) -> Result<u64> {
        let lock = self.lock()?;
        if self.orphans()?.is_empty() || !lock.try_alone() {
            return Ok(0);
        }
        // Again, now that nobody else can add a backup.
        let ids: Vec<_> = self.orphans()?.iter().map(|snapshot| snapshot.id).collect();
        strictly("remove a manifest", || self.repository()?.delete_snapshots(&ids))?;
        self.sync_snapshots()?;
        Ok(ids.len() as u64)
    }

    /// The stored manifest, still packed; `None` if the repository holds none.
    pub(crate) fn stored_manifest(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        let found = self.stored()?.remove(hash);
        let Some(snapshot) = found.and_then(|snapshots| snapshots.into_iter().next()) else {
            return Ok(None);
        };
        let repository = self.indexed()?;
        strictly("read a manifest", || content(&repository, &snapshot, hash)).map(Some)
    }

    fn store_manifests(&self, meter: &Meter) -> Result<Settled> {
        let known = self.stored()?;
        let missing: BTreeMap<String, Listed> = self
            .listed()?
            .into_iter()
            .filter(|backup| !known.contains_key(&backup.manifest))
            .map(|backup| (backup.manifest.clone(), backup))
            .collect();
        let mut settled = Settled::default();
        for (hash, backup) in missing {
            meter.check()?;
            let Ok(packed) = manifest::read_packed(self.state(), &hash) else {
                settled.without.push(backup.id);
                continue;
            };
            if Manifest::unpack(&packed, &hash).is_err() {
                settled.without.push(backup.id);
                continue;
            }
            self.store_manifest(&hash, &backup.id, packed)?;
            settled.stored += 1;
            meter.file();
        }
        Ok(settled)
    }

    fn store_manifest(&self, hash: &str, backup: &SnapshotId, packed: Vec<u8>) -> Result<()> {
        let path = path(hash);
        let source = OneFile { path: path.clone(), content: packed.clone() };
        let options =
            BackupOptions::default().parent_opts(ParentOptions::default().force(true)).no_scan(true);
        call(
            "store a manifest",
            |_| false,
            || {
                let repository = self.repository()?.to_indexed_ids()?;
                let snapshot = SnapshotOptions::default()
                    .host(HOST.to_owned())
                    .command("mainstay".to_owned())
                    .add_tags(&format!("{STORED_TAG},{MANIFEST_TAG}:{hash}"))?
                    .to_snapshot()?;
                repository.archive(&options, &source, snapshot, &[path])
            },
        )?;
        self.sync()?;
        match self.stored_manifest(hash)? {
            Some(stored) if stored == packed => Ok(()),
            _ => Err(VaultError::Manifest {
                snapshot: backup.clone(),
                reason: "the repository doesn't hold it as it was stored".to_owned(),
            }),
        }
    }

    /// The snapshots of stored manifests, by hash.
    fn stored(&self) -> Result<BTreeMap<String, Vec<SnapshotFile>>> {
        let all = strictly("list the manifests", || {
            self.repository()?.get_matching_snapshots(|snapshot| snapshot.tags.contains(STORED_TAG))
        })?;
        let mut stored: BTreeMap<String, Vec<SnapshotFile>> = BTreeMap::new();
        for snapshot in all {
            let hash = tag_value(snapshot.tags.iter().map(String::as_str), MANIFEST_TAG).map(str::to_owned);
            stored.entry(hash.unwrap_or_default()).or_default().push(snapshot);
        }
        Ok(stored)
    }

    fn orphans(&self) -> Result<Vec<SnapshotFile>> {
        let stored = self.stored()?;
        let named: BTreeSet<String> = self.listed()?.into_iter().map(|backup| backup.manifest).collect();
        Ok(stored.into_iter().filter(|(hash, _)| !named.contains(hash)).flat_map(|(_, all)| all).collect())
    }
}

fn path(hash: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{hash}.zst"))
}

fn content(
    repository: &Repository<IndexedFullStatus>,
    snapshot: &SnapshotFile,
    hash: &str,
) -> RusticResult<Vec<u8>> {
    let node = repository.node_from_path(snapshot.tree, &path(hash))?;
    if node.node_type != NodeType::File {
        return Err(RusticError::new(ErrorKind::Repository, "a stored manifest is no file"));
    }
    let mut content = Vec::new();
    for id in node.content.iter().flatten() {
        content.extend_from_slice(
            &repository.get_blob_cached(&BlobId::from(*id), rustic_core::repofile::BlobType::Data)?,
        );
    }
    Ok(content)
}

/// A tree of one file that exists in memory alone.
struct OneFile {
    path: PathBuf,
    content: Vec<u8>,
}

impl ReadSource for OneFile {
    type Open = Cursor<Vec<u8>>;
    type Iter = std::iter::Once<RusticResult<ReadSourceEntry<Self::Open>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(Some(self.content.len() as u64))
    }

    fn entries(&self) -> Self::Iter {
        let meta = Metadata { mode: Some(0o600), size: self.content.len() as u64, ..Metadata::default() };
        let name = self.path.file_name().unwrap_or(OsStr::new("manifest"));
        let node = Node::new_node(name, NodeType::File, meta);
        let open = Some(Cursor::new(self.content.clone()));
        std::iter::once(Ok(ReadSourceEntry { path: self.path.clone(), node, open }))
    }
}
