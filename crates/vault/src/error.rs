//! What can go wrong in the vault, and what to do about it.
//!
//! Invariant: every variant names the path or snapshot it is about, and no variant ever carries a
//! password or file content. It does not decide what the caller does next.

use std::path::{Path, PathBuf};

use rustic_core::RusticError;

use crate::ids::SnapshotId;

/// The result of every operation of the vault.
pub type Result<T, E = VaultError> = std::result::Result<T, E>;

/// Why an operation of the vault failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no repository where one was expected.
    #[error("there is no repository in {}", path.display())]
    NoRepository {
        /// The directory that was looked at.
        path: PathBuf,
    },
    /// The password file is missing, unreadable, or doesn't fit the repository.
    #[error("the password file {} can't be used: {reason}", path.display())]
    Password {
        /// The password file.
        path: PathBuf,
        /// Why, without its content.
        reason: String,
    },
    /// The password that was given doesn't fit the repository.
    #[error("the repository password that was given can't be used: {reason}")]
    GivenPassword {
        /// Why, without the password.
        reason: String,
    },
    /// A variable of the environment can't be used.
    #[error("the variable {name}, or {name}_FILE, can't be used: {reason}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Why, without its value.
        reason: String,
    },
    /// This is no place of a repository.
    #[error("{value:?} is no place for a repository: {reason}")]
    BadLocation {
        /// What was given, as far as it can be shown.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// A remote repository, and a build without the feature `remote`.
    #[error(
        "the repository {location} is remote, and this build of mainstay has no support for remote repositories"
    )]
    NoRemoteSupport {
        /// The repository.
        location: String,
    },
    /// The server of a remote repository can't be reached, or refuses.
    #[error("cannot {action}: {message}")]
    Remote {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which repository, and what happened.
        message: String,
    },
    /// A repository was made at this place, and isn't there any more.
    #[error("the repository that was made at {location} isn't there any more")]
    Vanished {
        /// The repository.
        location: String,
        /// The file that remembers it.
        marker: PathBuf,
    },
    /// The place holds files of a repository, but not the one that makes it one.
    #[error("{location} holds {files} files of a repository, but its file `config` is missing")]
    NoConfig {
        /// The repository.
        location: String,
        /// Packs, indexes and snapshots that are there.
        files: usize,
    },
    /// A copy that isn't what the original is.
    #[error("the copy of snapshot {snapshot} can't be relied on: {reason}")]
    Copy {
        /// The snapshot that was copied.
        snapshot: SnapshotId,
        /// Why.
        reason: String,
    },
    /// Another process works on the repository exclusively.
    #[error("the repository is locked by another process ({})", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A stock restic works on the repository, in a way that excludes what was to be done.
    #[error("the repository is in use by restic on {host}{} (process {pid}, since {since})", if *exclusive { ", which has it for itself" } else { "" })]
    InUse {
        /// The host it runs on.
        host: String,
        /// Its process id there.
        pid: i32,
        /// When it began or last said that it lives, as it wrote it.
        since: String,
        /// Whether it tolerates nobody else.
        exclusive: bool,
        /// Its lock file.
        lock: PathBuf,
    },
    /// The repository library failed, panicked, or logged a problem.
    #[error("the repository library could not {action}: {message}")]
    Library {
        /// What was tried, as a verb.
        action: &'static str,
        /// What the library said.
        message: String,
    },
    /// Files changed while a stopped service was backed up.
    #[error("{} changed while it was read, although nothing should be running (of {} such files)", first(paths), paths.len())]
    Changed {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// An entry could not be read, so the backup would not be complete.
    #[error("{} could not be read: {reason}", path.display())]
    Unreadable {
        /// The entry.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No snapshot has this identifier.
    #[error("the repository holds no snapshot {id}")]
    UnknownSnapshot {
        /// What was asked for.
        id: String,
    },
    /// A snapshot holds no entry of this path.
    #[error("snapshot {snapshot} holds no {}", path.display())]
    UnknownPath {
        /// The snapshot.
        snapshot: SnapshotId,
        /// What was asked for, relative to the root of the backup.
        path: PathBuf,
    },
    /// Several snapshots begin with this identifier.
    #[error("{count} snapshots begin with {id}")]
    AmbiguousSnapshot {
        /// What was asked for.
        id: String,
        /// How many fit.
        count: usize,
    },
    /// The manifest of a snapshot is missing or was altered.
    #[error("the manifest of snapshot {snapshot} can't be trusted: {reason}")]
    Manifest {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        reason: String,
    },
    /// What the repository holds isn't what was read from the source.
    #[error("snapshot {snapshot} is damaged: {what}{}", in_pack(pack.as_deref()))]
    Damaged {
        /// The snapshot.
        snapshot: SnapshotId,
        /// What is wrong.
        what: String,
        /// The pack file it is in, if known.
        pack: Option<PathBuf>,
    },
    /// What was restored isn't what the manifest says.
    #[error("{} was restored wrongly: {}", path.display(), differences.join("; "))]
    Mismatch {
        /// Where it was restored.
        path: PathBuf,
        /// The first few differences.
        differences: Vec<String>,
    },
    /// The disk has no room for a second copy.
    #[error("{} has {available} bytes free, {needed} are needed", path.display())]
    NoSpace {
        /// A path on the filesystem.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// A restore into a directory that isn't empty.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// An export to a file that exists.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The safety backup isn't one of the target's present content.
    #[error("the safety snapshot {snapshot} does not hold what {} contains now: {difference}", target.display())]
    SafetyOutdated {
        /// The safety snapshot.
        snapshot: SnapshotId,
        /// What was to be replaced.
        target: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// Something else than this run changed the target while it was replaced.
    #[error("{} is neither as before nor as restored: {reason}", target.display())]
    Foreign {
        /// The target.
        target: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A name that can't be stored or used in a file name.
    #[error("{what} {value:?} can't be used: {reason}")]
    BadName {
        /// What it names.
        what: &'static str,
        /// The name.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// Another logger is installed, so the library's warnings would go unnoticed.
    #[error("another logger took the place of the vault's, warnings of the repository library would be lost")]
    LoggerTaken,
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl VaultError {
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::Io { action, path: path.as_ref().to_owned(), source: source.into() }
    }

    pub(crate) fn library(action: &'static str, error: &RusticError) -> Self {
        Self::remote(action, error).unwrap_or_else(|| Self::Library { action, message: error.display_log() })
    }

    /// What the server of a remote repository, or the way to it, is the cause of.
    pub(crate) fn remote(action: &'static str, error: &RusticError) -> Option<Self> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(trouble) = error.downcast_ref::<Trouble>() {
                return (!trouble.absent).then(|| Self::Remote { action, message: trouble.to_string() });
            }
            cause = error.source();
        }
        None
    }

    pub(crate) fn unreadable(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Unreadable { path: path.as_ref().to_owned(), reason: reason.to_string() }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => io_advice(source),
            Self::NoRepository { .. } => "Check the state directory; a first backup creates the repository.",
            Self::Password { .. } => {
                "Put the password file back from your copy; without it no backup can be read."
            }
            Self::GivenPassword { .. } => {
                "Set MAINSTAY_REPOSITORY_PASSWORD or MAINSTAY_REPOSITORY_PASSWORD_FILE to the password that it was made with."
            }
            Self::Variable { .. } => "Set one of both, and see that the file can be read.",
            Self::BadLocation { .. } => "Give a directory, or `s3:https://HOST/BUCKET/PREFIX`.",
            Self::NoRemoteSupport { .. } => {
                "Use a build with it (`cargo build --features remote`), or give a directory."
            }
            Self::Remote { .. } => {
                "Check the address, the network, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; then try again."
            }
            Self::Vanished { .. } => {
                "Mount its disk or give the right address. To begin a new one there, remove what remembers it: `repository.id` in the state directory, below `repositories`."
            }
            Self::NoConfig { .. } => {
                "Nothing was made over it. Put the file back from a copy, or give another place."
            }
            Self::Copy { .. } => {
                "The original is as it was. Check the disk or server of the copy, then copy again: `mainstay copy`."
            }
            Self::Locked { .. } => "Wait until the other process has ended, then try again.",
            Self::InUse { .. } => {
                "Wait until it has ended, then try again. If it was killed on another machine, `restic unlock` helps after 30 minutes."
            }
            Self::Library { .. } => {
                "Nothing was changed. Check disk space and the disk's health, then try again; `restic check` tells more."
            }
            Self::Changed { .. } => {
                "Find out what else writes there (another container, cron, a sync tool), stop it and try again."
            }
            Self::Unreadable { .. } => {
                "Make it readable or remove it; a backup without it would not be complete."
            }
            Self::UnknownSnapshot { .. } | Self::AmbiguousSnapshot { .. } => {
                "List the backups and give more of the identifier."
            }
            Self::UnknownPath { .. } => {
                "Check the spelling; restoring the whole backup with `--to DIR` shows what it holds."
            }
            Self::Manifest { .. } => {
                "Make a new backup. The data itself may be fine: `restic check --read-data` tells."
            }
            Self::Damaged { .. } => {
                "Don't rely on this backup. Check the disk, keep the pack file aside, run `restic repair index`, then back up again."
            }
            Self::Mismatch { .. } => "The target was left as it was. Check the disk's health and try again.",
            Self::NoSpace { .. } => {
                "Free some space on this filesystem; a restore needs room for a second copy."
            }
            Self::NotEmpty { .. } => "Give an empty or a new directory.",
            Self::Exists { .. } => "Give another name, or `--overwrite`.",
            Self::SafetyOutdated { .. } => {
                "Stop what writes there, make a new safety backup and try again; the target was left as it was."
            }
            Self::Foreign { .. } => {
                "Nothing was deleted. Look at the target and the staging directory beside it before going on."
            }
            Self::BadName { .. } => "Use letters, digits, dot, dash and underscore.",
            Self::LoggerTaken => "Open the repository before installing another logger.",
            Self::Cancelled => "Nothing was changed; start it again when you like.",
        }
    }
}

/// What a remote repository answered instead of doing what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("the repository {location}: {reason}")]
pub(crate) struct Trouble {
    /// The repository, without secrets.
    pub(crate) location: String,
    /// What happened, without secrets.
    pub(crate) reason: String,
    /// The server works, and says that there is no such object.
    pub(crate) absent: bool,
}

fn io_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "Run as a user that may read and write there, usually root.",
        std::io::ErrorKind::StorageFull => "Free some space on this filesystem and try again.",
        std::io::ErrorKind::NotFound => "Check that the path exists and its disk is mounted.",
        _ => "Check the disk's health (`dmesg`) and try again.",
    }
}

fn first(paths: &[PathBuf]) -> String {
    paths.first().map(|path| path.display().to_string()).unwrap_or_default()
}

fn in_pack(pack: Option<&Path>) -> String {
    pack.map(|pack| format!(" (pack file {})", pack.display())).unwrap_or_default()
}
