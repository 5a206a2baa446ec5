//! Makes plans: everything a run is going to do, found out beforehand. Changes nothing, anywhere.
//!
//! A plan leaves its execution no choices. What a plan can't hold (the bytes of edited files, which may be
//! secret) is returned beside it, for the run's directory.

mod beside;
mod hooks;
mod kinds;
mod look;
mod profiles;
mod unit;
mod update;
mod variables;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use mainstay_core::baseline::Sample;
use mainstay_core::plan::{Plan, Quiesce};
use mainstay_core::problem::Problem;
use mainstay_core::watch::LogRules;

use crate::files::{FileError, RunDir};
use crate::functional::CheckWishes;
use crate::survey::Hidden;

pub use hooks::{HookWish, HookWishes};
pub use kinds::{backup, restore, rollback};
pub use look::{Looked, detected, look};
pub use profiles::ProfileWishes;
pub use update::{Update, update};

/// What the operator said about a service, by flag or configuration; everything else is detected.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The URL that users have; `none` for none.
    pub url: Option<String>,
    /// A CA certificate to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// The address to connect to instead of what DNS says.
    pub resolve: Option<IpAddr>,
    /// The DNS server to ask instead of the system's.
    pub resolver: Option<SocketAddr>,
    /// The port that the service listens on, inside.
    pub port: Option<u16>,
    /// The container from whose place it is asked as well; `none` for none.
    pub from: Option<String>,
    /// The services that need this one, in place of those that are detected.
    pub dependents: Option<Vec<String>>,
    /// The path to ask for, inside.
    pub path: Option<String>,
    /// How long to watch, in milliseconds.
    pub watch_ms: Option<u64>,
    /// How long a version may take to start, in milliseconds.
    pub startup_ms: Option<u64>,
    /// How long a probe may fail, in milliseconds.
    pub probe_grace_ms: Option<u64>,
    /// How often probes ask while watching, in milliseconds.
    pub probe_interval_ms: Option<u64>,
    /// After how long the watch may end early, in milliseconds; `None` for never.
    pub early_keep_ms: Option<u64>,
    /// What log lines mean besides what is known.
    pub logs: LogRules,
    /// What earlier runs saw of the service.
    pub earlier: Option<Sample>,
    /// From when on an answer counts as slow, in milliseconds.
    pub answer_ms: Option<u64>,
    /// Whether an update keeps the old images as files, too.
    pub keep_image_copy: bool,
    /// How a run that only backs up makes the data stand still; `None` for not at all.
    pub still: Option<Quiesce>,
    /// What is run in the services' containers around a backup.
    pub hooks: HookWishes,
    /// What else is asked of the services.
    pub checks: CheckWishes,
    /// What their images are taken for.
    pub profiles: ProfileWishes,
    /// Bytes that the repository grew by when this service was last backed up; `None` if it never was.
    pub added_before: Option<u64>,
    /// Checks to override.
    pub forced: Vec<String>,
    /// The directory in which backups are kept; `None` if that is not on this machine.
    pub repository: Option<PathBuf>,
    /// The state directory.
    pub state: Option<PathBuf>,
}

/// A plan, and the bytes that belong to it.
#[derive(Debug)]
pub struct Draft {
    /// The plan.
    pub plan: Plan,
    /// The bytes of each edited file, in the order of the plan's edits.
    pub files: Vec<Bytes>,
    /// The commands of the plan's hooks and what its checks ask, with the names under which the run's directory keeps them.
    pub commands: Vec<(PathBuf, Hidden<Vec<u8>>)>,
}

/// One file before and after. May hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes {
    /// Before; `None` where there is no file yet.
    pub before: Option<Vec<u8>>,
    /// After.
    pub after: Vec<u8>,
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Draft {
    /// Whether a finding refuses the run; the first one that does, as a problem.
    #[must_use]
    pub fn refusal(&self) -> Option<Problem> {
        let decisive: Vec<_> = self.plan.findings.iter().filter(|f| f.refuses(&self.plan.forced)).collect();
        let first = decisive.first()?;
        let what = match decisive.len() {
            1 => format!("refused by the check {}: {}", first.check, first.message),
            n => format!("refused by {n} checks, first of all {}: {}", first.check, first.message),
        };
        let problem = first.advice.iter().fold(Problem::new(&first.check, what), Problem::advise);
        let names: Vec<String> = decisive.iter().map(|f| format!("--force {}", f.check)).collect();
        Some(problem.advise(format!("if you know better: {}", names.join(" "))))
    }

    /// Puts the bytes where the run will look for them.
    ///
    /// # Errors
    ///
    /// Where they can't be written; the run must not begin then.
    pub fn store(&self, run: &RunDir) -> Result<(), FileError> {
        for (edit, bytes) in self.plan.edits.iter().zip(&self.files) {
            if let Some(before) = &bytes.before {
                run.write(edit.stored_before(), before)?;
            }
            run.write(edit.stored_after(), &bytes.after)?;
        }
        for (name, command) in &self.commands {
            run.write(name, &command.0)?;
        }
        Ok(())
    }
}
