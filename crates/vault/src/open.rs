//! Makes and opens repositories.
//!
//! Invariant: the password is on the disk before the repository that needs it; a repository appears whole or
//! not at all; none is made over what is left of another one, nor where one was made before and is missing
//! now, because then most likely its disk is. Doesn't read snapshots.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytesize::ByteSize;
use rustic_backend::LocalBackend;
use rustic_core::repofile::{Chunker, MasterKey};
use rustic_core::{
    ConfigOptions, Credentials, FileType, KeyOptions, OpenStatus, Repository, RepositoryBackends,
    RepositoryOptions, RusticResult, WriteBackend,
};

use crate::access::{Access, Password};
use crate::durable;
use crate::error::{Result, VaultError};
use crate::guard::strictly;
use crate::keycache;
use crate::location::Location;
use crate::lock::Lock;
use crate::seal;
use crate::vault::{HOST, PATIENCE, Vault};

/// Remembers which repository was made at a place other than the default one.
const MADE: &str = "repository.id";

/// zstd's fastest regular level.
const COMPRESSION: i32 = 1;

pub(crate) type Backend = Arc<dyn WriteBackend>;

impl Vault {
    /// Opens the repository below the state directory, which is made, with a random password in a file
    /// beside it, if there is none.
    ///
    /// # Errors
    ///
    /// As [`Vault::open_or_create_at`].
    pub fn open_or_create(state_dir: &Path) -> Result<Self> {
        Self::open_or_create_at(&Access::default_of(state_dir))
    }

    /// Opens the repository below the state directory; `None` if there is none. Makes nothing.
    ///
    /// # Errors
    ///
    /// As [`Vault::open_at`].
    pub fn open(state_dir: &Path) -> Result<Option<Self>> {
        Self::open_at(&Access::default_of(state_dir))
    }

    /// Opens a repository, which is made if there is none.
    ///
    /// # Errors
    ///
    /// The place can't be reached or written, the password is missing or doesn't fit, what is there is no
    /// repository, or the repository that was made there is missing now.
    pub fn open_or_create_at(access: &Access) -> Result<Self> {
        if let Some(vault) = Self::open_at(access)? {
            return Ok(vault);
        }
        durable::private_dir(&access.state)?;
        let own = access.own_dir();
        durable::private_dir(&own)?;
        let mut created_password = false;
        {
            let _alone = Lock::exclusive(&own)?;
            // Whoever held the lock before may have made it.
            if !exists(&connect(access, &access.location)?)? {
                created_password = create(access)?;
            }
        }
        let mut vault = Self::open_at(access)?.ok_or_else(|| missing(access))?;
        vault.created_password = created_password;
        Ok(vault)
    }

    /// Opens a repository; `None` if there is none. Makes no repository.
    ///
    /// # Errors
    ///
    /// The place can't be reached, the password is missing or doesn't fit, or the repository is damaged.
    pub fn open_at(access: &Access) -> Result<Option<Self>> {
        let backend = connect(access, &access.location)?;
        if !exists(&backend)? {
            return Ok(None);
        }
        let own = access.own_dir();
        let password = access.read_password()?;
        let key = match remembered(access, &own, &password, &backend) {
            Some(key) => key,
            None => prove(access, &own, &password, &backend)?,
        };
        Ok(Some(Self {
            state: access.state.clone(),
            own,
            location: access.location.clone(),
            password_file: access.password_file().unwrap_or_default(),
            backend,
            cipher_key: seal::cipher_key(&key),
            key,
            created_password: false,
            proven: Mutex::default(),
            patience: PATIENCE,
        }))
    }
}

/// The key that the password opened before.
fn remembered(access: &Access, own: &Path, password: &str, backend: &Backend) -> Option<MasterKey> {
    if matches!(access.password, Password::Given(_)) {
        return None;
    }
    let (key, id) = keycache::load(own, password, &**backend)?;
    let opened =
        strictly("open the repository", || repository(backend)?.open(&Credentials::Masterkey(key.clone())));
    (opened.ok()?.config().id.to_hex().as_str() == id).then_some(key)
}

/// Opens the repository the slow way.
fn prove(access: &Access, own: &Path, password: &str, backend: &Backend) -> Result<MasterKey> {
    let mut refused = false;
    let opened = strictly("open the repository", || {
        let opened = repository(backend)?.open(&Credentials::password(password));
        refused = opened.as_ref().is_err_and(|error| error.is_incorrect_password());
        opened
    })
    .map_err(|error| if refused { access.wrong_password() } else { error })?;
    let (key, id) = (opened.key(), opened.config().id.to_hex().as_str().to_owned());
    if let (Some(key_file), false) = (opened.key_id(), matches!(access.password, Password::Given(_))) {
        // Only a convenience: a state directory that can't be written mustn't keep anybody from a restore.
        let _ = keycache::store(own, &id, key_file, password, &key);
    }
    if !access.is_default() && !own.join(MADE).exists() {
        // As above.
        let _ = durable::private_dir(own)
            .and_then(|()| durable::write_new(&own.join(MADE), format!("{id}\n").as_bytes()));
    }
    Ok(key)
}

/// The client of a place.
fn connect(access: &Access, location: &Location) -> Result<Backend> {
    match location {
        Location::Local(path) => {
            if path.to_str().is_none() {
                let (what, reason) = ("repository's path", "it isn't valid UTF-8");
                return Err(VaultError::BadName { what, value: path.display().to_string(), reason });
            }
            let local = strictly("find the repository", || LocalBackend::new(path.to_string_lossy(), []))?;
            Ok(Arc::new(local))
        }
        #[cfg(feature = "remote")]
        Location::S3(bucket) => crate::remote::connect(bucket, access.credentials.as_ref()),
        #[cfg(not(feature = "remote"))]
        Location::S3(_) => Err(VaultError::NoRemoteSupport { location: access.location.to_string() }),
    }
}

/// Without any cache: of files that lie on the same disk it would only be a second thing to go wrong.
pub(crate) fn repository(backend: &Backend) -> RusticResult<Repository<()>> {
    let options = RepositoryOptions::default().no_cache(true);
    Repository::new(&options, &RepositoryBackends::new(backend.clone(), None))
}

pub(crate) fn open_with(backend: &Backend, key: &MasterKey) -> RusticResult<Repository<OpenStatus>> {
    repository(backend)?.open(&Credentials::Masterkey(key.clone()))
}

fn exists(backend: &Backend) -> Result<bool> {
    strictly("look for the repository", || Ok(!backend.list(FileType::Config)?.is_empty()))
}

fn missing(access: &Access) -> VaultError {
    VaultError::NoRepository { path: access.location.to_string().into() }
}

/// Makes password and repository; the caller is alone. Says whether the password was made now.
fn create(access: &Access) -> Result<bool> {
    let marker = access.own_dir().join(MADE);
    if !access.is_default() && marker.exists() {
        return Err(VaultError::Vanished { location: access.location.to_string(), marker });
    }
    let whole = match &access.location {
        Location::Local(path) if !path.exists() => Some(path),
        Location::Local(path) => {
            nothing_foreign(path)?;
            None
        }
        Location::S3(_) => None,
    };
    // A parent that has to be made is most likely a disk that isn't mounted.
    if let (Some(parent), false) = (whole.and_then(|path| path.parent()), access.is_default())
        && !parent.is_dir()
    {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(VaultError::io("make a repository in", parent, missing));
    }
    let (password, made) = access.password_for_new()?;
    match whole {
        Some(path) => create_beside(access, path, &password)?,
        None => create_in_place(access, &password)?,
    }
    Ok(made)
}

/// The repository gets its name when it is whole: one whose making was interrupted could hold a second key
/// that opens nothing.
fn create_beside(access: &Access, path: &Path, password: &str) -> Result<()> {
    let unfinished = unfinished_beside(path);
    durable::remove(&unfinished)?;
    init(&connect(access, &Location::Local(unfinished.clone()))?, password)?;
    durable::sync_repository(&unfinished)?;
    fs::rename(&unfinished, path).map_err(|error| VaultError::io("create", path, error))?;
    durable::sync_parent(path)
}

/// Where a repository is made before it gets its name.
pub(crate) fn unfinished_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Where nothing can be renamed: the keys of an attempt that was cut off are removed, unless there is
/// anything that they may open.
fn create_in_place(access: &Access, password: &str) -> Result<()> {
    let location = &access.location;
    let backend = connect(access, location)?;
    let mut held = Vec::new();
    for kind in [FileType::Pack, FileType::Index, FileType::Snapshot] {
        let found = strictly("look for the repository", || backend.list_with_size(kind));
        // A directory that isn't there holds nothing.
        held.extend(if location.path().is_some() { found.unwrap_or_default() } else { found? });
    }
    if !held.is_empty() {
        return Err(VaultError::NoConfig { location: location.to_string(), files: held.len() });
    }
    if let Ok(keys) = strictly("look for the repository", || backend.list(FileType::Key)) {
        for key in keys {
            strictly("remove an unused key", || backend.remove(FileType::Key, &key, false))?;
        }
    }
    init(&backend, password)?;
    location.path().map_or(Ok(()), durable::sync_repository)
}

fn init(backend: &Backend, password: &str) -> Result<()> {
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
        repository(backend)?.init(&Credentials::password(password), &key, &config)
    })?;
    Ok(())
}

/// A directory that exists becomes a repository only if it holds nothing else.
fn nothing_foreign(path: &Path) -> Result<()> {
    let list = fs::read_dir(path).map_err(|error| VaultError::io("list", path, error))?;
    for item in list {
        let name = item.map_err(|error| VaultError::io("list", path, error))?.file_name();
        let ours = ["keys", "data", "index", "snapshots", "locks", "lost+found"].iter().any(|n| *n == name);
        if !ours {
            return Err(VaultError::NotEmpty { path: PathBuf::from(path) });
        }
    }
    Ok(())
}
