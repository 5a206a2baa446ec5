//! One run at a time per engine, by a lock that dies with its process.
//!
//! The lock is `flock` on a file named after the engine, so that runs with different state directories see
//! each other. What the file says about its owner is for people; only the kernel's lock decides. Since a new owner
//! has the lock a moment before it has written who it is, and a process id is given out again one day, what stands
//! there counts only while a process of that id that was started at that time lives.

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
    /// When that process was started, in clock ticks since the machine was (field 22 of `/proc/PID/stat`,
    /// see proc(5)); `None` where that can't be learned.
    #[serde(default)]
    pub started: Option<u64>,
    /// What it is doing, for people: `update shop/app`.
    pub doing: String,
    /// Since when.
    pub since: Timestamp,
}

impl Held {
    /// By this process, from now on.
    #[must_use]
    pub fn here(doing: &str, since: Timestamp) -> Self {
        let pid = std::process::id();
        Self { pid, started: started(pid), doing: doing.to_owned(), since }
    }

    /// Whether the process that wrote this lives: not merely one that has its id today.
    fn lives(&self) -> bool {
        self.started.is_some() && started(self.pid) == self.started
    }
}

/// When a process was started, if it lives. Its name, in parentheses, may hold anything.
fn started(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it; who, if that can be told.
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
                let owner = serde_json::from_str(&text).ok();
                return Err(LockError::Held(owner.filter(Held::lives)));
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        file.write_all(serde_json::to_string(owner).unwrap_or_default().as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner_told(held: &Held) -> Option<Held> {
        let directory = tempfile::tempdir().unwrap();
        let _lock = Lock::take(directory.path(), "engine", held).unwrap();
        match Lock::take(directory.path(), "engine", held) {
            Err(LockError::Held(owner)) => owner,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_owner_is_told() {
        let held = Held::here("update shop/app", Timestamp(5));
        assert_eq!(owner_told(&held), Some(held));
    }

    #[test]
    fn an_owner_of_an_earlier_process_with_the_same_id_is_not() {
        let held = Held::here("update shop/app", Timestamp(5));
        let earlier = Held { started: held.started.map(|ticks| ticks - 1), ..held.clone() };
        assert_eq!(owner_told(&earlier), None);
        assert_eq!(owner_told(&Held { pid: u32::MAX, ..held.clone() }), None);
        assert_eq!(owner_told(&Held { started: None, ..held }), None);
    }

    #[test]
    fn it_is_free_when_its_owner_is_gone_whatever_the_file_says() {
        let directory = tempfile::tempdir().unwrap();
        let held = Held::here("update shop/app", Timestamp(5));
        drop(Lock::take(directory.path(), "engine", &held).unwrap());
        Lock::take(directory.path(), "engine", &held).unwrap();
    }
}
