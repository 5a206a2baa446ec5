//! The state directory: journal, repository, runs. Mode 0700, made at first use.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use mainstay_core::problem::Problem;
use mainstay_runner::{Journal, JournalError};

use crate::cli::Global;

/// Where everything of mainstay's own is kept.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: PathBuf,
}

impl StateDir {
    /// The directory that the options name, or the default for this user. Makes nothing.
    #[must_use]
    pub fn locate(global: &Global) -> Self {
        let root = rustix::process::geteuid().is_root();
        let path = global.state_dir.clone().unwrap_or_else(|| default_state(root));
        let path = std::path::absolute(&path).unwrap_or(path);
        let lock = global.lock_dir.clone().unwrap_or_else(|| default_lock(root));
        Self { path, lock }
    }

    /// Makes the directory if it is not there.
    ///
    /// # Errors
    /// `state-unwritable` where it can't be made or written.
    pub fn create(&self) -> Result<(), Problem> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|e| self.unwritable(&e))?;
        let mode = std::fs::metadata(&self.path).map_err(|e| self.unwritable(&e))?.permissions().mode();
        if mode & 0o077 != 0 {
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&self.path, private).map_err(|e| self.unwritable(&e))?;
        }
        tempfile::tempfile_in(&self.path).map_err(|e| self.unwritable(&e))?;
        Ok(())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the lock file lies.
    #[must_use]
    pub fn lock_dir(&self) -> &Path {
        &self.lock
    }

    /// The journal, made if there is none.
    ///
    /// # Errors
    /// `journal-…` where it can't be used.
    pub fn journal(&self) -> Result<Journal, Problem> {
        self.create()?;
        Journal::open(&self.path.join("journal.db")).map_err(|error| journal_problem(&error))
    }

    /// The journal, if there is one: listings make nothing.
    ///
    /// # Errors
    /// `journal-…` where it can't be used.
    pub fn existing_journal(&self) -> Result<Option<Journal>, Problem> {
        if self.path.join("journal.db").exists() { self.journal().map(Some) } else { Ok(None) }
    }

    fn unwritable(&self, error: &std::io::Error) -> Problem {
        Problem::new("state-unwritable", format!("the state directory {} can't be used", self.path.display()))
            .because(error)
            .advise(
                "run as a user who may write there, free disk space, or choose another one with --state-dir",
            )
    }
}

/// A failure of the journal, for people.
#[must_use]
pub fn journal_problem(error: &JournalError) -> Problem {
    let code = match error {
        JournalError::NoRun(_) => "unknown-run",
        JournalError::Newer { .. } => "journal-newer",
        JournalError::Illegal { .. } | JournalError::Entry { .. } => "journal-damaged",
        JournalError::Open { .. } | JournalError::Sql { .. } => "journal-failed",
    };
    let mut problem = Problem::new(code, error.to_string());
    if let Some(source) = std::error::Error::source(error) {
        problem = problem.because_of(source);
    }
    problem.advise(match error {
        JournalError::NoRun(_) => "`mainstay runs` lists them",
        JournalError::Newer { .. } => "use the version of mainstay that wrote it, or a later one",
        _ => "check the disk that holds the state directory: is it full, read-only, or failing?",
    })
}

fn default_state(root: bool) -> PathBuf {
    if root {
        return PathBuf::from("/var/lib/mainstay");
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".local/state");
    std::env::var_os("XDG_STATE_HOME").map_or_else(home, PathBuf::from).join("mainstay")
}

fn default_lock(root: bool) -> PathBuf {
    if root {
        return PathBuf::from("/run/lock");
    }
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}
