//! Who may work on the repository.
//!
//! Invariant: whoever reads or adds holds the lock shared, whoever removes holds it alone; it ends with
//! the process. The library itself has no locks. Stock restic is kept away by [`crate::restic_lock`]; [`Held`] is both.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Result, VaultError};
use crate::restic_lock::ResticLock;

const FILE: &str = "repository.lock";
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Both locks, held until this is dropped: ours, and the one that stock restic sees.
#[derive(Debug)]
pub(crate) struct Held {
    // Dropped first.
    _restic: Option<ResticLock>,
    lock: Lock,
}

impl Held {
    pub(crate) fn new(lock: Lock, restic: Option<ResticLock>) -> Self {
        Self { _restic: restic, lock }
    }
}

impl std::ops::Deref for Held {
    type Target = Lock;

    fn deref(&self) -> &Lock {
        &self.lock
    }
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// For reading and adding; others may do so too. Waits up to `patience` for one who is alone.
    pub(crate) fn shared(state: &Path, patience: Duration) -> Result<Self> {
        let lock = Self::open(state)?;
        lock.share(state, patience)?;
        Ok(lock)
    }

    /// For making the repository: waits for whoever is about to do the same.
    pub(crate) fn exclusive(state: &Path) -> Result<Self> {
        let lock = Self::open(state)?;
        lock.flock(state, FlockOperation::LockExclusive)?;
        Ok(lock)
    }

    /// For removing: fails if anybody else is at work.
    pub(crate) fn alone(state: &Path) -> Result<Self> {
        let lock = Self::open(state)?;
        lock.flock(state, FlockOperation::NonBlockingLockExclusive)?;
        Ok(lock)
    }

    /// Tries to be alone; says whether that is so, and holds the lock shared otherwise.
    pub(crate) fn try_alone(&self) -> bool {
        flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Back to shared, after [`Lock::try_alone`], which may have given up the lock altogether.
    pub(crate) fn share(&self, state: &Path, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        loop {
            match self.flock(state, FlockOperation::NonBlockingLockShared) {
                Err(VaultError::Locked { .. }) if Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                result => return result,
            }
        }
    }

    fn open(state: &Path) -> Result<Self> {
        let path = state.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| VaultError::io("open", &path, error))?;
        Ok(Self { file })
    }

    fn flock(&self, state: &Path, operation: FlockOperation) -> Result<()> {
        flock(&self.file, operation).map_err(|error| match error {
            Errno::WOULDBLOCK => VaultError::Locked { path: state.join(FILE) },
            error => VaultError::io("lock", state.join(FILE), error),
        })
    }
}
