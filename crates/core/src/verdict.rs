//! How a run ends, which way back it takes, and what that means for the caller's exit status.

use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;
use crate::problem::{Problem, ServiceState};

/// How far a rollback reaches, chosen by evidence (see [`crate::state`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Only files were edited: put them back; the containers never changed.
    Files,
    /// Tier 1. Nothing of the new version ever started: files and image back, data untouched.
    NeverStarted,
    /// The new version ran, and how far to go is decided once the present data is safe.
    Undecided,
    /// Tier 2. Old image on the present data, after a safety snapshot.
    ImageOnly,
    /// Tier 3. Old image on the data of the backup, after a safety snapshot.
    Full,
}

impl Tier {
    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Files => "the files were put back, the containers had not been touched",
            Self::NeverStarted => "files and image put back, the data was never touched (tier 1)",
            Self::Undecided => "not decided yet",
            Self::ImageOnly => "image only, on the present data (tier 2)",
            Self::Full => "image and data, from the verified backup (tier 3)",
        }
    }
}

/// Whether what went wrong may have to do with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataDoubt {
    /// The cause has nothing to do with data: a leak, an outside error, a slow answer.
    Unrelated,
    /// Nothing says so, nothing excludes it.
    Possible,
    /// The evidence names the data: refused, migrated badly, corrupt, missing.
    Certain,
}

/// Why a step did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// What happened, for people.
    pub problem: Problem,
    /// Whose fault it is.
    pub cause: Cause,
    /// What was seen: log lines, exit codes, figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Why, as far as the rules of [`crate::diagnosis`] know; most telling first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<Diagnosis>,
}

impl Failure {
    /// A failure without evidence or diagnosis yet.
    #[must_use]
    pub fn new(problem: Problem, cause: Cause) -> Self {
        Self { problem, cause, evidence: Vec::new(), diagnosis: Vec::new() }
    }

    /// Adds a diagnosis: what it found is a cause of the problem, and what it advises comes first.
    #[must_use]
    pub fn diagnosed(mut self, diagnosis: Vec<Diagnosis>) -> Self {
        if let Some(first) = diagnosis.first() {
            self.problem = self.problem.because(&first.what);
            self.problem.advice.splice(0..0, first.advice.iter().cloned());
        }
        self.diagnosis = diagnosis;
        self
    }
}

/// Whose fault a failure is; it decides the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "data")]
pub enum Cause {
    /// Our own step could not do its work: disk, engine, Compose.
    Step,
    /// The version that runs is bad.
    Version(DataDoubt),
    /// The engine could not start it: no process of it ever ran, in no container of the unit.
    NeverRan,
    /// Somebody else changed something that the run had planned with.
    Foreign,
    /// The operator asked to stop.
    Interrupted,
    /// The operator asked for just this: a rollback of a kept update.
    Requested,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Conclusion {
    /// The new version runs, verified. Or, for runs that change no version: all was done.
    Kept {
        /// Whether something worth a look was found on the way.
        warnings: bool,
    },
    /// The old version runs again, verified.
    RolledBack {
        /// How far the rollback reached.
        tier: Tier,
        /// Why.
        failure: Box<Failure>,
    },
    /// The run failed, or was interrupted, before the containers were touched.
    AsBefore {
        /// Why.
        failure: Box<Failure>,
    },
    /// No version could be verified; everything is kept.
    NeedsPerson {
        /// What began it.
        failure: Box<Failure>,
        /// What then stopped the way back, if there was one.
        then: Option<Box<Failure>>,
    },
}

impl Conclusion {
    /// Exit status, documented API: see `docs/exit-codes.md`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Kept { warnings: false } => 0,
            Self::Kept { warnings: true } => 3,
            Self::RolledBack { failure, .. } | Self::AsBefore { failure }
                if failure.cause == Cause::Interrupted =>
            {
                130
            }
            Self::RolledBack { failure, .. } if failure.cause == Cause::Requested => 0,
            Self::RolledBack { .. } => 4,
            Self::AsBefore { .. } => 1,
            Self::NeedsPerson { .. } => 5,
        }
    }

    /// One word for listings and `--json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Kept { warnings: false } => "done",
            Self::Kept { warnings: true } => "done-with-warnings",
            Self::RolledBack { .. } => "rolled-back",
            Self::AsBefore { .. } => "as-before",
            Self::NeedsPerson { .. } => "needs-person",
        }
    }

    /// In what state the run left the service.
    #[must_use]
    pub fn service(&self) -> ServiceState {
        match self {
            Self::Kept { .. } => ServiceState::NewVersion,
            Self::RolledBack { .. } => ServiceState::AsBefore,
            Self::AsBefore { .. } => ServiceState::Untouched,
            Self::NeedsPerson { .. } => ServiceState::Down,
        }
    }
}
