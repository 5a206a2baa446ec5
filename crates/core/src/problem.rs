//! Why something did not work, as data: terminal, report, `--json` and journal give the same advice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In what state a problem leaves the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Nothing was changed.
    Untouched,
    /// It was changed and is as it was when the run began.
    AsBefore,
    /// The new version runs.
    NewVersion,
    /// It is stopped, or nobody can say.
    Down,
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untouched => "the service was not touched",
            Self::AsBefore => "the service is as it was before the run",
            Self::NewVersion => "the service runs the new version",
            Self::Down => "the service may be down",
        })
    }
}

/// What happened, to what, why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// Stable kebab-case name, for example `engine-unreachable`; documented API.
    pub code: String,
    /// What happened, to what.
    pub what: String,
    /// Why, outermost first. Never a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What the operator can do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
}

impl Problem {
    /// A problem without causes or advice yet.
    #[must_use]
    pub fn new(code: &str, what: impl Into<String>) -> Self {
        Self { code: code.to_owned(), what: what.into(), causes: Vec::new(), advice: Vec::new() }
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds every error of a chain as a cause, outermost first.
    #[must_use]
    pub fn because_of(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a piece of advice.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
