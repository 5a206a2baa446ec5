//! How a command ends: exit status, word and state of the service. Documented in `docs/exit-codes.md`.

use mainstay_core::problem::{Problem, ServiceState};

/// Done.
pub const DONE: u8 = 0;
/// Failed; the service is as before.
pub const FAILED: u8 = 1;
/// What was asked for can't be understood.
pub const USAGE: u8 = 2;
/// Done, with warnings.
pub const WARNINGS: u8 = 3;
/// Needs a person.
pub const NEEDS_PERSON: u8 = 5;
/// Refused before anything changed.
pub const REFUSED: u8 = 6;
/// Another run holds the lock.
pub const LOCKED: u8 = 75;
/// Interrupted; the service is as before.
pub const INTERRUPTED: u8 = 130;

/// A command that ended before, or without, a run.
#[derive(Debug)]
pub struct Stop {
    /// Why.
    pub problem: Problem,
    /// The exit status.
    pub code: u8,
    /// In what state the service is, where the command is about one.
    pub service: Option<ServiceState>,
}

impl Stop {
    /// One word for `--json`.
    pub fn word(&self) -> &'static str {
        match self.code {
            USAGE => "usage",
            NEEDS_PERSON => "needs-person",
            REFUSED => "refused",
            LOCKED => "locked",
            INTERRUPTED => "interrupted",
            _ => "failed",
        }
    }

    /// Before a run: the service was not touched.
    pub fn untouched(problem: Problem) -> Self {
        Self { service: Some(ServiceState::Untouched), ..Self::from(problem) }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self { code: code(&problem.code), problem, service: None }
    }
}

/// The exit status of a problem that came before anything was changed.
fn code(problem: &str) -> u8 {
    match problem {
        "interrupted" | "declined" => INTERRUPTED,
        "locked" => LOCKED,
        "usage" | "unknown-service" | "ambiguous-service" | "unknown-run" | "unknown-backup"
        | "unknown-path" | "config-invalid" | "config-unreadable" | "variable-name" | "image-reference" => {
            USAGE
        }
        _ if ["engine-", "state-", "journal-", "vault-", "lock-", "signals-", "registry-"]
            .iter()
            .any(|prefix| problem.starts_with(prefix)) =>
        {
            FAILED
        }
        "disk-full" | "run-order" => FAILED,
        _ => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_failures_and_refusals_differ() {
        for (problem, expected) in [
            ("unknown-service", USAGE),
            ("engine-unreachable", FAILED),
            ("state-unwritable", FAILED),
            ("unknown-tag", REFUSED),
            ("compose-file-invalid", REFUSED),
            ("compose-not-installed", REFUSED),
            ("locked", LOCKED),
            ("interrupted", INTERRUPTED),
        ] {
            assert_eq!(code(problem), expected, "{problem}");
        }
    }
}
