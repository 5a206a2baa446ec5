//! What a check found: data, rendered by whoever shows it.

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth saying, nothing to do.
    Note,
    /// Reported; the run goes on and ends "done, with warnings".
    Warning,
    /// Decides: the run is refused (before anything changed) or turned back.
    Required,
}

/// One observation with its evidence and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that speaks, as `--force` takes it, for example `writable-layer`.
    pub check: String,
    /// How much it weighs.
    pub severity: Severity,
    /// One sentence: what is the matter, with what.
    pub message: String,
    /// What was seen: figures, lines, paths. Never a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What the operator can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// A finding of `check` without evidence or advice yet.
    #[must_use]
    pub fn new(check: &str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            severity,
            message: message.into(),
            evidence: Vec::new(),
            advice: None,
        }
    }

    /// Adds a line of evidence.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether this finding alone refuses a run, given the checks that the operator overrides by name.
    #[must_use]
    pub fn refuses(&self, forced: &[String]) -> bool {
        self.severity == Severity::Required && !forced.contains(&self.check)
    }
}
