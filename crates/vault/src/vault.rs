//! The repository: where it is, how it is made and opened, and what it holds.
//!
//! Invariant: the password is on the disk before the repository that needs it, and a repository appears
//! whole or not at all. Only snapshots with all of our tags are listed: what a broken backup leaves has
//! none. Doesn't read or write the data of snapshots.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aes256ctr_poly1305aes::Key;
use bytesize::ByteSize;
use rustic_backend::LocalBackend;
use rustic_core::repofile::{Chunker, MasterKey, SnapshotFile, SnapshotId as SnapshotFileId};
use rustic_core::{
    ConfigOptions, Credentials, IndexedFullStatus, KeyOptions, OpenStatus, Repository, RepositoryBackends,
    RepositoryOptions, RusticResult,
};

use crate::durable;
use crate::error::{Result, VaultError};
use crate::guard::strictly;
use crate::ids::{SnapshotId, Tags, tag_value};
use crate::lock::{Held, Lock};
use crate::manifest::Manifest;
use crate::readback::Proven;
use crate::restic_lock::ResticLock;
use crate::seal;

const REPOSITORY: &str = "repository";
pub(crate) const UNFINISHED: &str = "repository.new";
const PASSWORD: &str = "repository.password";
/// zstd's fastest regular level.
const COMPRESSION: i32 = 1;
/// The tag that names the manifest of a finished backup.
pub(crate) const MANIFEST_TAG: &str = "manifest";
/// Parents are found by host name, so it must not be the machine's, which may change.
pub(crate) const HOST: &str = "mainstay";
/// How long an operation waits for somebody who holds the repository alone.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open repository.
pub struct Vault {
    state: PathBuf,
    path: PathBuf,
    password_file: PathBuf,
    key: MasterKey,
    cipher_key: Key,
    proven: Mutex<Proven>,
    patience: Duration,
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
        f.debug_struct("Vault").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens the repository below the state directory, which is made, with a random password in a file
    /// beside it, if there is none.
    ///
    /// # Errors
    ///
    /// The directory can't be written, or the password file is missing or doesn't fit.
    pub fn open_or_create(state_dir: &Path) -> Result<Self> {
        if let Some(vault) = Self::open(state_dir)? {
            return Ok(vault);
        }
        durable::private_dir(state_dir)?;
        {
            let _alone = Lock::exclusive(state_dir)?;
            // Whoever held the lock before may have made it.
            if !is_repository(&state_dir.join(REPOSITORY)) {
                create(state_dir)?;
            }
        }
        Self::open(state_dir)?.ok_or_else(|| VaultError::NoRepository { path: state_dir.join(REPOSITORY) })
    }

    /// Opens the repository below the state directory; `None` if there is none. Makes nothing.
    ///
    /// # Errors
    ///
    /// The password file is missing or doesn't fit, or the repository is damaged.
    pub fn open(state_dir: &Path) -> Result<Option<Self>> {
        let path = state_dir.join(REPOSITORY);
        if !is_repository(&path) {
            return Ok(None);
        }
        let password_file = state_dir.join(PASSWORD);
        let bad = |reason: String| VaultError::Password { path: password_file.clone(), reason };
        let password = fs::read_to_string(&password_file).map_err(|error| bad(error.to_string()))?;
        let credentials = Credentials::password(password.trim_end_matches(['\n', '\r']));
        let mut refused = false;
        let key = strictly("open the repository", || {
            let opened = backend(&path)?.open(&credentials);
            refused = opened.as_ref().is_err_and(|error| error.is_incorrect_password());
            Ok(opened?.key())
        })
        .map_err(|error| if refused { bad("it doesn't open the repository".to_owned()) } else { error })?;
        let (cipher_key, proven) = (seal::cipher_key(&key), Mutex::default());
        Ok(Some(Self {
            state: state_dir.to_owned(),
            path,
            password_file,
            key,
            cipher_key,
            proven,
            patience: PATIENCE,
        }))
    }

    /// The restic repository.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file with the repository's password.
    #[must_use]
    pub fn password_file(&self) -> &Path {
        &self.password_file
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
        let _lock = Lock::shared(&self.state, self.patience)?;
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

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
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
        let lock = Lock::shared(&self.state, self.patience)?;
        let restic = ResticLock::take(&self.path, &self.key, false, self.patience)?;
        Ok(Held::new(lock, Some(restic)))
    }

    /// For reading. A full or read-only disk, or a restic that doesn't end, doesn't stop a restoration, which
    /// may be the way back of a service that stands still: what is read is compared with the manifest.
    pub(crate) fn lock_for_reading(&self) -> Result<Held> {
        let lock = Lock::shared(&self.state, self.patience)?;
        let restic = ResticLock::take(&self.path, &self.key, false, self.patience).ok();
        Ok(Held::new(lock, restic))
    }

    /// For removing.
    pub(crate) fn lock_alone(&self) -> Result<Held> {
        let lock = Lock::alone(&self.state)?;
        let restic = ResticLock::take(&self.path, &self.key, true, Duration::ZERO)?;
        Ok(Held::new(lock, Some(restic)))
    }

    /// Opens it anew, without the slow way from password to key.
    pub(crate) fn repository(&self) -> RusticResult<Repository<OpenStatus>> {
        backend(&self.path)?.open(&Credentials::Masterkey(self.key.clone()))
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
        Manifest::load(&self.state, &snapshot.manifest, &snapshot.id)
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

fn is_repository(path: &Path) -> bool {
    path.join("config").exists()
}

fn backend(path: &Path) -> RusticResult<Repository<()>> {
    let local = LocalBackend::new(path.to_string_lossy(), [])?;
    // A cache of files that lie on the same disk would only be a second thing to go wrong.
    let options = RepositoryOptions::default().no_cache(true);
    Repository::new(&options, &RepositoryBackends::new(Arc::new(local), None))
}

/// Makes password and repository; the caller is alone. The repository gets its name when it is whole: one
/// whose making was interrupted could hold a second key that opens nothing.
fn create(state: &Path) -> Result<()> {
    let (path, unfinished) = (state.join(REPOSITORY), state.join(UNFINISHED));
    if path.to_str().is_none() {
        let (what, reason) = ("state directory", "its name isn't valid UTF-8");
        return Err(VaultError::BadName { what, value: state.display().to_string(), reason });
    }
    let password = password(&state.join(PASSWORD))?;
    durable::remove(&unfinished)?;
    let config = ConfigOptions::default()
        .set_version(2_u32)
        .set_chunker(Chunker::FixedSize)
        .set_chunk_size(ByteSize::mib(1))
        .set_datapack_size(ByteSize::mib(16))
        .set_compression(COMPRESSION)
        // Everything that is written is read back from the disk and compared; to open it once more before would
        // double the work.
        .set_extra_verify(false);
    let key = KeyOptions::default().hostname(HOST.to_owned());
    strictly("create the repository", || {
        backend(&unfinished)?.init(&Credentials::password(&password), &key, &config)
    })?;
    durable::sync_repository(&unfinished)?;
    fs::rename(&unfinished, &path).map_err(|error| VaultError::io("create", &path, error))?;
    durable::sync_dir(state)
}

/// The password in the file, which is made if it doesn't exist.
fn password(path: &Path) -> Result<String> {
    if let Ok(existing) = fs::read_to_string(path) {
        return Ok(existing.trim_end_matches(['\n', '\r']).to_owned());
    }
    let mut random = [0; 32];
    let source = Path::new("/dev/urandom");
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut random))
        .map_err(|error| VaultError::io("read", source, error))?;
    let password = hex::encode(random);
    durable::write_new(path, format!("{password}\n").as_bytes())?;
    Ok(password)
}
