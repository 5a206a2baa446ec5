//! One run at a time per engine, by a lock that dies with its process.
//!
//! The lock is `flock` on a file named after the engine, so that runs with different state directories see
//! each other. What the file says about its owner is for people; only the kernel's lock decides.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use mainstay_core::time::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// Who holds the lock, as its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The owner's process id.
    pub pid: u32,
    /// What it is doing, for people: `update shop/app`.
    pub doing: String,
    /// Since when.
    pub since: Timestamp,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run is at work on this engine")]
    Held(Option<Held>),
    /// The lock file can't be made.
    #[error("the lock file {path} can't be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock for the engine with this id, or says who holds it. Does not wait.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process has it.
    pub fn take(directory: &Path, engine: &str, owner: &Held) -> Result<Self, LockError> {
        let name: String = engine.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = directory.join(format!("mainstay-{name}.lock"));
        let failed = |source| LockError::File { path: path.clone(), source };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held(serde_json::from_str(&text).ok()));
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        file.write_all(serde_json::to_string(owner).unwrap_or_default().as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
