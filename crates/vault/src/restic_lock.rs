//! Lock files in the repository that stock restic writes and respects.
//!
//! restic's rule: whoever adds or reads puts a lock into `locks/`, whoever removes puts an exclusive one there, and
//! each looks for the others *after* its own lock is in place, so that one of two sees the other. A lock is stale
//! when it is older than 30 minutes, or its process is gone from its host; a long operation renews its own.
//! Invariant: while a [`ResticLock`] is held there is a fresh lock of ours, and when it was taken there was no
//! other one that excludes it. It is gone with its owner; one whose process was killed is stale by its process id.
//!
//! Only keeps stock restic and us apart. Processes of ours are kept apart by [`crate::lock`], which the
//! system itself ends. Nothing here waits for the disk: a lock need not survive a power cut, and this lies in
//! the time that a service stands still.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use aes256ctr_poly1305aes::Key;
use rustic_core::jiff::Timestamp;
use rustic_core::repofile::MasterKey;
use rustix::process::{Pid, geteuid, getgid, test_kill_process};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable;
use crate::error::{Result, VaultError};
use crate::seal::{COMPRESSED, Opener, Sealer, cipher_key};

const DIRECTORY: &str = "locks";
/// As in restic.
const STALE: Duration = Duration::from_secs(30 * 60);
/// As in restic.
const RENEW: Duration = Duration::from_secs(5 * 60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The files of this process's own locks.
static OWN: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

/// A lock file, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct ResticLock {
    file: Arc<Mutex<PathBuf>>,
    renewal: Option<(Sender<()>, JoinHandle<()>)>,
}

/// What a lock file says; the names are restic's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    time: String,
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
}

/// The locks of one repository.
#[derive(Clone)]
struct Locks {
    directory: PathBuf,
    key: Key,
}

impl ResticLock {
    /// Puts a lock into the repository, waiting up to `patience` for others that exclude it.
    ///
    /// # Errors
    ///
    /// [`VaultError::InUse`] if they are still there then; [`VaultError::Io`] if it can't be written.
    pub(crate) fn take(
        repository: &Path,
        key: &MasterKey,
        exclusive: bool,
        patience: Duration,
    ) -> Result<Self> {
        Self::take_renewing(repository, key, exclusive, patience, RENEW)
    }

    fn take_renewing(
        repository: &Path,
        key: &MasterKey,
        exclusive: bool,
        patience: Duration,
        every: Duration,
    ) -> Result<Self> {
        let locks = Locks::new(repository, key);
        let until = Instant::now() + patience;
        loop {
            // Looking first spares others a lock that would go again at once.
            let blocked = match locks.find_other(exclusive)? {
                Some(other) => Some(other),
                None => {
                    let file = locks.write(exclusive)?;
                    match locks.find_other(exclusive) {
                        Ok(None) => return Ok(Self::renewing(locks, file, exclusive, every)),
                        Ok(other) => {
                            remove(&file);
                            other
                        }
                        Err(error) => {
                            remove(&file);
                            return Err(error);
                        }
                    }
                }
            };
            match blocked {
                Some(other) if Instant::now() >= until => return Err(other),
                _ => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// Keeps the lock fresh from a thread of its own.
    fn renewing(locks: Locks, file: PathBuf, exclusive: bool, every: Duration) -> Self {
        let file = Arc::new(Mutex::new(file));
        let (done, ended) = channel();
        let shared = Arc::clone(&file);
        let work = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // If it fails, the old one holds for another while.
                if let Ok(new) = locks.write(exclusive) {
                    let old = std::mem::replace(&mut *owned(&shared), new);
                    remove(&old);
                }
            }
        };
        match std::thread::Builder::new().name("restic lock".to_owned()).spawn(work) {
            Ok(thread) => Self { file, renewal: Some((done, thread)) },
            Err(_) => Self { file, renewal: None },
        }
    }
}

impl Drop for ResticLock {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.renewal.take() {
            drop(done);
            // It has nothing to say; what it should have removed is removed below.
            let _ = thread.join();
        }
        remove(&owned(&self.file));
    }
}

impl Locks {
    fn new(repository: &Path, key: &MasterKey) -> Self {
        Self { directory: repository.join(DIRECTORY), key: cipher_key(key) }
    }

    /// A lock that excludes ours, as the error to report. Stale ones are removed on the way.
    fn find_other(&self, exclusive: bool) -> Result<Option<VaultError>> {
        let io = |error| VaultError::io("list", &self.directory, error);
        let list = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            list => list.map_err(io)?,
        };
        let mut found = None;
        for item in list {
            let path = item.map_err(io)?.path();
            // Asked after the file was seen, as a lock is on record before it is there.
            if is_lock(&path) && !is_own(&path) {
                found = found.or(self.judge(path, exclusive)?);
            }
        }
        Ok(found)
    }

    fn judge(&self, path: PathBuf, exclusive: bool) -> Result<Option<VaultError>> {
        let read = || -> std::io::Result<(Vec<u8>, SystemTime)> {
            let mut file = File::open(&path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok((bytes, file.metadata()?.modified()?))
        };
        let (bytes, modified) = match read() {
            // Its owner has ended.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| VaultError::io("read", &path, error))?,
        };
        // What can't be read was torn by a power cut, or is none of restic's. As nobody knows what it is, nothing is
        // removed beside it until it is stale.
        let content = self.parse(&path, &bytes);
        let since = content.as_ref().and_then(|content| content.time.parse::<Timestamp>().ok());
        let age = match since {
            Some(since) => SystemTime::now().duration_since(since.into()),
            None => SystemTime::now().duration_since(modified),
        };
        let old = age.is_ok_and(|age| age > STALE);
        if old || content.as_ref().is_some_and(Content::process_is_gone) {
            remove(&path);
            return Ok(None);
        }
        if !exclusive && !content.as_ref().is_some_and(|content| content.exclusive) {
            return Ok(None);
        }
        let (host, since, pid, alone) = match content {
            Some(content) => (content.hostname, content.time, content.pid, content.exclusive),
            None => ("an unknown host".to_owned(), "an unknown time".to_owned(), 0, false),
        };
        Ok(Some(VaultError::InUse { host, pid, since, exclusive: alone, lock: path }))
    }

    fn write(&self, exclusive: bool) -> Result<PathBuf> {
        durable::private_dir(&self.directory)?;
        let io = |error| VaultError::io("write a lock into", &self.directory, error);
        let content = serde_json::to_vec(&Content::ours(exclusive)).map_err(|error| io(error.into()))?;
        let sealed = self.seal(&content).map_err(io)?;
        let name = hex::encode(Sha256::digest(&sealed));
        let path = self.directory.join(&name);
        let temporary = self.directory.join(format!("{name}-tmp-{}", std::process::id()));
        own().get_or_insert_default().insert(path.clone());
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&sealed)?;
            fs::rename(&temporary, &path)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(error) => {
                // What wasn't made isn't there; the error says enough.
                let _ = fs::remove_file(&temporary);
                remove(&path);
                Err(io(error))
            }
        }
    }

    fn seal(&self, content: &[u8]) -> std::io::Result<Vec<u8>> {
        Sealer::new(&self.key, None)?.seal(content)
    }

    fn parse(&self, path: &Path, sealed: &[u8]) -> Option<Content> {
        if path.file_name()?.to_str()? != hex::encode(Sha256::digest(sealed)) {
            return None;
        }
        let plain = Opener::new(&self.key).ok()?.open(sealed, None).ok()?;
        match plain.split_first()? {
            (&COMPRESSED, packed) => serde_json::from_slice(&zstd::decode_all(packed).ok()?).ok(),
            _ => serde_json::from_slice(&plain).ok(),
        }
    }
}

impl Content {
    fn ours(exclusive: bool) -> Self {
        let uid = geteuid().as_raw();
        let named = || std::env::var("USER").unwrap_or_else(|_| uid.to_string());
        Self {
            time: Timestamp::now().to_string(),
            exclusive,
            hostname: host(),
            username: if uid == 0 { "root".to_owned() } else { named() },
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            uid,
            gid: getgid().as_raw(),
        }
    }

    /// Whether its process ran here and doesn't any more. One of our own number that isn't ours is another
    /// process that had it before.
    fn process_is_gone(&self) -> bool {
        if self.hostname != host() {
            return false;
        }
        if u32::try_from(self.pid) == Ok(std::process::id()) {
            return true;
        }
        let found = Pid::from_raw(self.pid).map(test_kill_process);
        matches!(found, None | Some(Err(rustix::io::Errno::SRCH)))
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn is_lock(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn own() -> MutexGuard<'static, Option<HashSet<PathBuf>>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_own(path: &Path) -> bool {
    own().as_ref().is_some_and(|own| own.contains(path))
}

fn owned(file: &Mutex<PathBuf>) -> MutexGuard<'_, PathBuf> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What can't be removed becomes stale.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    if let Some(own) = own().as_mut() {
        own.remove(path);
    }
}

#[cfg(test)]
#[path = "restic_lock/tests.rs"]
mod tests;
