//! The commands that are run around a backup, as a plan has them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Commands that are run in a service's container around a backup. The plan has them as they may be shown;
/// the commands themselves, which may hold a secret, lie in the run's directory, named by
/// [`Hooks::stored_before`] and [`Hooks::stored_after`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before the data is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// After it was read, and also where that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How long each may take, in milliseconds.
    pub timeout_ms: u64,
    /// The profile that the commands are of, where the operator wants none of his own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The position of the service among the unit's; names the stored commands.
    pub index: usize,
}

impl Hooks {
    /// Where the run directory keeps the command that runs before: a JSON array of its arguments.
    #[must_use]
    pub fn stored_before(&self) -> PathBuf {
        Path::new("hooks").join(format!("{}.before", self.index))
    }

    /// Where the run directory keeps the command that runs after.
    #[must_use]
    pub fn stored_after(&self) -> PathBuf {
        Path::new("hooks").join(format!("{}.after", self.index))
    }
}
