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
    Box::new(Failure::new(problem, cause))
}

/// The version that was started is bad, for a reason that is no matter of the data.
pub(super) fn bad_version(problem: Problem) -> Box<Failure> {
    Box::new(Failure::new(problem, Cause::Version(DataDoubt::Unrelated)))
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
        // The library wraps what the system said.
        VaultError::Library { message, .. } if is_full(message) => "disk-full",
        _ => "vault-failed",
    };
    let problem = Problem::new(code, what).because(error);
    match error {
        VaultError::Library { .. } if code == "disk-full" => problem
            .advise("free space on the disk of the state directory, or keep it elsewhere: `--state-dir DIR`"),
        _ => problem.advise(error.advice()),
    }
}

fn is_full(message: &str) -> bool {
    ["No space left on device", "os error 28", "StorageFull"].iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_whoever_noticed_it() {
        let library =
            |message: &str| VaultError::Library { action: "store the backup", message: message.into() };
        let full = vault_problem("no", &library("writing failed: No space left on device (os error 28)"));
        assert_eq!(full.code, "disk-full");
        assert!(full.advice[0].contains("free space"), "{full:?}");
        assert_eq!(vault_problem("no", &library("something else")).code, "vault-failed");
    }
}
