//! Turns problems of the engine, of files and of the vault into failures of a step.

use mainstay_core::problem::Problem;
use mainstay_core::verdict::{Cause, DataDoubt, Failure};
use mainstay_vault::VaultError;

/// A problem of our own doing, unless its code says otherwise: a foreign change, or the operator's wish.
#[must_use]
pub fn engine_step(problem: Problem) -> Box<Failure> {
    let cause = match problem.code.as_str() {
        "interrupted" => Cause::Interrupted,
        "file-changed" | "data-changed" | "containers-changed" => Cause::Foreign,
        _ => Cause::Step,
    };
    Box::new(Failure { problem, cause, evidence: Vec::new() })
}

/// The version that was started is bad, for a reason that is no matter of the data.
pub(super) fn bad_version(problem: Problem) -> Box<Failure> {
    Box::new(Failure { problem, cause: Cause::Version(DataDoubt::Unrelated), evidence: Vec::new() })
}

/// A failure of the vault, for people.
#[must_use]
pub fn vault_problem(what: &str, error: &VaultError) -> Problem {
    let code = match error {
        VaultError::Cancelled => "interrupted",
        VaultError::Changed { .. } => "data-changed",
        VaultError::NoSpace { .. } => "disk-full",
        VaultError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => "disk-full",
        VaultError::Unreadable { .. } => "data-unreadable",
        VaultError::UnknownSnapshot { .. } | VaultError::AmbiguousSnapshot { .. } => "unknown-backup",
        VaultError::Locked { .. } | VaultError::InUse { .. } => "vault-in-use",
        VaultError::Damaged { .. } | VaultError::Manifest { .. } => "backup-damaged",
        _ => "vault-failed",
    };
    Problem::new(code, what).because(error).advise(error.advice())
}
