//! An open repository, and what it holds.
//!
//! Invariant: only snapshots with all of our tags are listed: what a broken backup leaves has none. Doesn't
//! read or write the data of snapshots.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aes256ctr_poly1305aes::Key;
use rustic_core::repofile::{MasterKey, PackId, SnapshotFile, SnapshotId as SnapshotFileId};
use rustic_core::{
    ErrorKind, FileType, IndexedFullStatus, OpenStatus, Repository, RusticError, RusticResult,
};

use crate::access::OTHERS;
use crate::durable;
use crate::error::{Result, VaultError};
use crate::guard::strictly;
use crate::ids::{SnapshotId, Tags, tag_value};
use crate::location::Location;
use crate::lock::{Held, Lock};
use crate::manifest::{self, Manifest};
use crate::open::{Backend, open_with};
use crate::readback::Proven;
use crate::restic_lock::ResticLock;

/// The tag that names the manifest of a finished backup.
pub(crate) const MANIFEST_TAG: &str = "manifest";
/// Parents are found by host name, so it must not be the machine's, which may change.
pub(crate) const HOST: &str = "mainstay";
/// How long an operation waits for somebody who holds the repository alone.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An open repository.
pub struct Vault {
    pub(crate) state: PathBuf,
    /// Where lock and remembered key lie.
    pub(crate) own: PathBuf,
    pub(crate) location: Location,
    pub(crate) password_file: PathBuf,
    pub(crate) backend: Backend,
    pub(crate) key: MasterKey,
    pub(crate) created_password: bool,
    pub(crate) cipher_key: Key,
    pub(crate) proven: Mutex<Proven>,
    pub(crate) patience: Duration,
}

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its identifier.
    pub id: SnapshotId,
    /// What it is of.
    pub tags: Tags,
    /// When it began, in milliseconds since 1970.
    pub time: i64,
    /// Regular files in it.
    pub files: u64,
    /// Bytes of file content in it.
    pub bytes: u64,
    /// The directory or file that was backed up.
    pub source: PathBuf,
    /// BLAKE3 of its manifest, in hexadecimal digits.
    pub manifest: String,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Vault {
    /// Where the restic repository is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The directory of the restic repository; empty if it is remote, so that nothing is found there.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.location.path().unwrap_or(Path::new(""))
    }

    /// The file with the repository's password; empty if the password was given.
    #[must_use]
    pub fn password_file(&self) -> &Path {
        &self.password_file
    }

    /// Whether the password was made just now, together with the repository: the operator has to be told
    /// to keep a copy of it.
    #[must_use]
    pub fn created_password(&self) -> bool {
        self.created_password
    }

    /// How long an operation waits for somebody who holds the repository alone: a prune, or a stock restic; 20 s if
    /// this isn't called.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// All finished backups, the newest first.
    ///
    /// # Errors
    ///
    /// A snapshot file can't be read: then none is listed, so that nobody takes an older backup for the
    /// newest one.
    pub fn snapshots(&self) -> Result<Vec<Listed>> {
        let _lock = Lock::shared(&self.own, self.patience)?;
        self.listed()
    }

    /// The backup whose identifier begins so.
    ///
    /// # Errors
    ///
    /// None or several do.
    pub fn find(&self, prefix: &str) -> Result<Listed> {
        let mut found: Vec<_> = self
            .snapshots()?
            .into_iter()
            .filter(|snapshot| snapshot.id.as_str().starts_with(prefix))
            .collect();
        let count = found.len();
        match (found.pop(), count) {
            (Some(snapshot), 1) => Ok(snapshot),
            (None, _) => Err(VaultError::UnknownSnapshot { id: prefix.to_owned() }),
            (_, count) => Err(VaultError::AmbiguousSnapshot { id: prefix.to_owned(), count }),
        }
    }

    /// What a backup holds, as it was read.
    ///
    /// # Errors
    ///
    /// The backup is unknown, or its manifest is missing or altered.
    pub fn manifest(&self, id: &SnapshotId) -> Result<Manifest> {
        let snapshot = self.snapshot(id)?;
        self.manifest_of(&snapshot)
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn cipher_key(&self) -> &Key {
        &self.cipher_key
    }

    /// What this process has proven so far.
    pub(crate) fn proven(&self) -> MutexGuard<'_, Proven> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For adding. Others may read and add too.
    pub(crate) fn lock(&self) -> Result<Held> {
        let lock = Lock::shared(&self.own, self.patience)?;
        Ok(Held::new(lock, self.restic_lock(false, self.patience)?))
    }

    /// For reading. A full or read-only disk, or a restic that doesn't end, doesn't stop a restoration, which
    /// may be the way back of a service that stands still: what is read is compared with the manifest.
    pub(crate) fn lock_for_reading(&self) -> Result<Held> {
        let lock = Lock::shared(&self.own, self.patience)?;
        Ok(Held::new(lock, self.restic_lock(false, self.patience).unwrap_or_default()))
    }

    /// For removing.
    pub(crate) fn lock_alone(&self) -> Result<Held> {
        let lock = Lock::alone(&self.own)?;
        Ok(Held::new(lock, self.restic_lock(true, Duration::ZERO)?))
    }

    /// None in a remote repository: there, only what nobody else may need is ever removed.
    fn restic_lock(&self, exclusive: bool, patience: Duration) -> Result<Option<ResticLock>> {
        let local = self.location.path();
        local.map(|path| ResticLock::take(path, &self.key, exclusive, patience)).transpose()
    }

    /// Whether manifests of other repositories may lie beside those of this one.
    pub(crate) fn shares_manifests(&self) -> bool {
        self.state.join(OTHERS).exists()
    }

    /// Where the lock of this repository lies.
    pub(crate) fn lock_dir(&self) -> &Path {
        &self.own
    }

    /// Opens it anew, without the slow way from password to key.
    pub(crate) fn repository(&self) -> RusticResult<Repository<OpenStatus>> {
        open_with(&self.backend, &self.key)
    }

    /// A whole pack file.
    pub(crate) fn open_pack(&self, pack: &PackId) -> RusticResult<Box<dyn Read>> {
        let Some(repository) = self.location.path() else {
            return Ok(Box::new(Cursor::new(self.backend.read_full(FileType::Pack, pack)?)));
        };
        let file = File::open(pack_path(repository, pack)).map_err(|error| {
            RusticError::with_source(ErrorKind::InputOutput, "the pack file can't be opened", error)
        })?;
        Ok(Box::new(file))
    }

    /// Where a pack file is, for people.
    pub(crate) fn pack_path(&self, pack: &PackId) -> PathBuf {
        pack_path(Path::new(&self.location.to_string()), pack)
    }

    /// Brings everything that was written to the disk; what is remote is there when the server said so.
    pub(crate) fn sync(&self) -> Result<()> {
        self.location.path().map_or(Ok(()), durable::sync_repository)
    }

    /// As [`Vault::sync`], for these packs and the index.
    pub(crate) fn sync_packs<'p>(&self, packs: impl Iterator<Item = &'p PackId>) -> Result<()> {
        let Some(path) = self.location.path() else { return Ok(()) };
        let directories: HashSet<_> =
            packs.filter_map(|pack| pack_path(path, pack).parent().map(Path::to_owned)).collect();
        durable::sync_packs(path, directories)
    }

    /// As [`Vault::sync`], for snapshots alone.
    pub(crate) fn sync_snapshots(&self) -> Result<()> {
        self.location.path().map_or(Ok(()), |path| durable::sync_dir(&path.join("snapshots")))
    }

    /// With everything the index knows at this moment.
    pub(crate) fn indexed(&self) -> Result<Repository<IndexedFullStatus>> {
        strictly("read the index", || self.repository()?.to_indexed())
    }

    /// All snapshots, whoever made them and whether they are finished or not.
    ///
    /// A backup beside this one removes its unfinished snapshot, perhaps between the listing and the reading.
    pub(crate) fn all_snapshots(&self) -> Result<Vec<SnapshotFile>> {
        let ids = || -> Result<HashSet<SnapshotFileId>> {
            strictly("list the snapshots", || Ok(self.repository()?.list()?.collect()))
        };
        loop {
            let before = ids()?;
            match strictly("read the snapshots", || self.repository()?.get_all_snapshots()) {
                Err(error) if before.is_subset(&ids()?) => return Err(error),
                Err(_) => {}
                Ok(all) => return Ok(all),
            }
        }
    }

    pub(crate) fn listed(&self) -> Result<Vec<Listed>> {
        let all = self.all_snapshots()?;
        let mut listed: Vec<_> = all.iter().filter_map(Listed::parse).collect();
        listed.sort_by(|one, two| two.time.cmp(&one.time).then_with(|| one.id.cmp(&two.id)));
        Ok(listed)
    }

    /// A finished backup and its snapshot file.
    pub(crate) fn snapshot(&self, id: &SnapshotId) -> Result<Listed> {
        let unknown = || VaultError::UnknownSnapshot { id: id.to_string() };
        self.listed()?.into_iter().find(|snapshot| snapshot.id == *id).ok_or_else(unknown)
    }

    pub(crate) fn manifest_of(&self, snapshot: &Listed) -> Result<Manifest> {
        Manifest::load(&self.state, &snapshot.manifest, &snapshot.id).or_else(|lost| {
            let Some(packed) = self.stored_manifest(&snapshot.manifest)? else { return Err(lost) };
            let manifest = Manifest::unpack(&packed, &snapshot.manifest)
                .map_err(|reason| VaultError::Manifest { snapshot: snapshot.id.clone(), reason })?;
            // Only so that it needn't be fetched again.
            let _ = manifest::write_packed(&self.state, &snapshot.manifest, &packed);
            Ok(manifest)
        })
    }
}

impl Listed {
    pub(crate) fn parse(snapshot: &SnapshotFile) -> Option<Self> {
        let tags = || snapshot.tags.iter().map(String::as_str);
        let all: Vec<_> = tags().collect();
        Some(Self {
            id: SnapshotId::from_library(snapshot.id),
            tags: Tags::parse(all.iter().copied())?,
            time: snapshot.time.timestamp().as_millisecond(),
            files: number(tags(), "files")?,
            bytes: number(tags(), "bytes")?,
            source: snapshot.paths.iter().next()?.into(),
            manifest: tag_value(tags(), MANIFEST_TAG)?.to_owned(),
        })
    }
}

fn number<'a>(tags: impl IntoIterator<Item = &'a str>, key: &str) -> Option<u64> {
    u64::from_str(tag_value(tags, key)?).ok()
}

fn pack_path(repository: &Path, pack: &PackId) -> PathBuf {
    let name = pack.to_hex();
    let name: &str = name.as_str();
    repository.join("data").join(&name[..2]).join(name)
}
