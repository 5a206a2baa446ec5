//! What a line of a container's log means for an update.
//!
//! Invariant: a line whose own level says that nothing is wrong (debug, info, notice) is flagged only for what
//! no healthy process prints. What it does not do: decide. A flag is evidence: one that [`Flag::decides`]
//! condemns a version only together with an exit, all others are counted against the baseline, because healthy
//! services log errors, too.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use crate::pattern::pattern;
use serde::{Deserialize, Serialize};

use crate::verdict::DataDoubt;

mod fold;
mod level;
mod rules;
mod template;

use level::Level;

pub use fold::{Folder, Part};
pub use template::template;

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// The process, or the kernel, ran out of memory.
    OutOfMemory,
    /// Another service could not be reached.
    DependencyRefused,
    /// The process died, by a signal or by an exception that nobody caught.
    Crash,
    /// A migration failed, or the schema isn't the one that the code expects.
    MigrationFailed,
    /// The data is too new, incompatible or corrupt for this version.
    DataRefused,
    /// A login was refused.
    Authentication,
    /// A file, library or program is missing, or made for another machine.
    MissingFile,
    /// A disk or quota is full.
    DiskFull,
    /// A Go, Rust or database process gave up.
    Panic,
    /// A part of a stack trace.
    StackTrace,
    /// Any other error.
    Error,
    /// A line that the operator wants to hear of.
    Alert,
    /// A line that the operator says no good version prints.
    Fatal,
}

impl Flag {
    /// Whether this may have to do with the data. A file that is missing may be a data file, a disk that is
    /// full may hold half a write, and roles and passwords live in data.
    #[must_use]
    pub fn doubt(self) -> DataDoubt {
        match self {
            Self::DataRefused | Self::MigrationFailed => DataDoubt::Certain,
            Self::OutOfMemory | Self::DependencyRefused => DataDoubt::Unrelated,
            Self::Crash
            | Self::Authentication
            | Self::MissingFile
            | Self::DiskFull
            | Self::Panic
            | Self::StackTrace
            | Self::Error
            | Self::Alert
            | Self::Fatal => DataDoubt::Possible,
        }
    }

    /// Whether this explains an exit so well that one exit condemns the version. Not so for a dependency that
    /// is still starting, or for errors that say nothing particular.
    #[must_use]
    pub fn decides(self) -> bool {
        match self {
            Self::OutOfMemory
            | Self::Crash
            | Self::MigrationFailed
            | Self::DataRefused
            | Self::Authentication
            | Self::MissingFile
            | Self::DiskFull
            | Self::Panic
            | Self::Fatal => true,
            Self::DependencyRefused | Self::StackTrace | Self::Error | Self::Alert => false,
        }
    }

    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::OutOfMemory => "it ran out of memory",
            Self::DependencyRefused => "another service could not be reached",
            Self::Crash => "the process crashed",
            Self::MigrationFailed => "a migration failed, or the schema is not the expected one",
            Self::DataRefused => "the data is too new, incompatible or corrupt for this version",
            Self::Authentication => "a login was refused",
            Self::MissingFile => "a file, library or program is missing or does not fit this machine",
            Self::DiskFull => "a disk or quota is full",
            Self::Panic => "the process gave up (panic)",
            Self::StackTrace => "a stack trace",
            Self::Error => "an error",
            Self::Alert => "a line that `log_alert` names",
            Self::Fatal => "a line that `log_fatal` names",
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

static ESCAPES: LazyLock<Regex> = LazyLock::new(|| pattern(r"\x1b\[[0-9;?]*[A-Za-z]"));
/// A request that was answered: whatever its path says is the client's text.
static REQUEST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#""?\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) [^" ]+(?: HTTP/[0-9.]+"?)? [1-5][0-9]{2}\b"#)
});
/// "no errors", "0 failed", "errors=0", "error: null".
static NEGATED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)\b(?:no|0|zero|without|without any|not an|never)\s+(?:\w+\s+)?(?:errors?|failures?|failed|panics?)\b",
        r#"|\b(?:errors?|failures?|failed)["']?\s*[=:]\s*["']?(?:0|none|null|nil|false|no|\[\]|\{\})["']?(?:[\s,;)}]|$)"#,
        r#"|\b(?:errors?|failures?|failed)["']?[=:](?:["']{2}|[,;]|$)"#,
    ))
});

/// What a line of a log means; `None` where it means nothing bad.
#[must_use]
pub fn flag(line: &str) -> Option<Flag> {
    let line = ESCAPES.replace_all(line, "");
    let entry = level::read(line.trim_end());
    let text = entry.text.as_ref();
    if let Some(flag) = rules::always(text) {
        return Some(flag);
    }
    let severe = entry.level == Some(Level::Error);
    if entry.level == Some(Level::Quiet) || (!severe && (REQUEST.is_match(text) || NEGATED.is_match(text))) {
        return None;
    }
    rules::specific(text).or_else(|| severe.then_some(Flag::Error))
}

#[cfg(test)]
mod tests;
