//! The operator's files, and our own directory of a run.
//!
//! Invariant: a file is replaced as a whole or not at all, also through a power loss, with owner, mode and
//! extended attributes kept; bytes that are neither those that were planned with nor those that shall be
//! written are never overwritten ([`FileError::Foreign`]). Every call may be repeated after a crash in it:
//! what is already as wanted is left alone, and a left-over temporary file is cleaned up by the next call.
//!
//! What it does not do: it takes no lock (one run at a time is the runner's), so a change that somebody makes
//! within the microseconds between the last look and the rename is lost. The file gets a new inode: a
//! container that bind-mounts this very file (not its directory) sees the old bytes until it is re-created,
//! and a further hard link keeps them for ever.

use std::io;
use std::path::{Path, PathBuf};

use mainstay_core::problem::Problem;
use rustix::io::Errno;

mod attributes;
mod image_copies;
mod replace;
mod run_dir;

pub use image_copies::{ImageCopies, Unfinished};
pub use replace::{NewFile, read, read_if_there, remove, replace, tidy};
pub use run_dir::RunDir;

/// BLAKE3 in hex, as plans hold it.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its bytes are neither the expected ones nor the wanted ones.
    #[error("{path} was changed by somebody else: it {found}, the run had planned with {expected}")]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What is there, as half a sentence; no content.
        found: String,
        /// What the run had planned with.
        expected: String,
    },
    /// It can't be read.
    #[error("can't read {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Permissions, a read-only filesystem, a mount point, or an attribute that can't be kept.
    #[error("can't write {path}: {doing}")]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No room, or no quota.
    #[error("no space left to write {path}")]
    Full {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FileError {
    /// An error of writing `path`, sorted by what the operator can do about it.
    fn writing(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full { path, source },
            _ => Self::Unwritable { path, doing, source },
        }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        let code = match &error {
            FileError::Foreign { .. } => "file-changed",
            FileError::Unreadable { .. } => "file-unreadable",
            FileError::Unwritable { .. } => "file-unwritable",
            FileError::Full { .. } => "disk-full",
        };
        let mut problem = Self::new(code, error.to_string());
        if let Some(source) = std::error::Error::source(&error) {
            problem = problem.because_of(source);
        }
        problem.advise(advice(&error))
    }
}

fn advice(error: &FileError) -> String {
    match error {
        FileError::Foreign { path, .. } => format!(
            "look at what changed in {}; keep it or undo it, then start again so that it is planned with",
            path.display()
        ),
        FileError::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => {
            format!("{} should be there; check the path", path.display())
        }
        FileError::Unreadable { path, .. } => format!("make {} readable for this user", path.display()),
        FileError::Unwritable { path, source, .. } => unwritable_advice(path, source),
        FileError::Full { path, .. } => {
            format!("make room on the filesystem of {} (see `df` and `df -i`), then resume", path.display())
        }
    }
}

fn unwritable_advice(path: &Path, source: &io::Error) -> String {
    let directory = path.parent().unwrap_or(path).display();
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ROFS) => {
            format!("the filesystem of {directory} is mounted read-only; remount it writable")
        }
        Some(Errno::BUSY) => {
            format!(
                "{} is a mount point itself and can't be replaced; mount its directory instead",
                path.display()
            )
        }
        _ => format!("run as a user who may write in {directory} and own {}", path.display()),
    }
}

#[cfg(test)]
mod tests;
