//! `anonymous-volumes`: data in volumes that nobody named. Compose carries them over when it re-creates a
//! container, but `down`, `rm -v` or `up -V` leaves them behind without a name to find them by.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::MountKind;

use super::mounts::described;
use super::{Input, advice};
use crate::survey::human;

pub(super) const ID: &str = "anonymous-volumes";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let unnamed = input.survey.mounts.iter().map(|m| &m.mount).filter(|m| m.kind == MountKind::Anonymous);
    // Empty ones are for `mounts` to note: images declare volumes that many services never use.
    let found = unnamed.filter(|m| input.wanted.recreate && m.files > 0).map(|mount| {
        let message = format!("{} holds data that has no name", described(mount));
        let files = advice::counted(usize::try_from(mount.files).unwrap_or(usize::MAX), "file");
        Finding::new(ID, Severity::Warning, message)
            .evidence(format!("{files}, {} in the volume {}", human(mount.bytes), mount.name))
            .advice(format!(
                "it is backed up and carried over; for the future, name it in the Compose file (`volumes: \
                 [NAME:{}]`) and copy the data there: `docker compose down` would lose sight of it",
                mount.destination
            ))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container, data};
    use super::*;

    #[test]
    fn unnamed_data_is_warned_of() {
        let mut case = Case::of(vec![container("web-1")]);
        assert_eq!(case.check(run), [], "named");
        let mut mount = data(&"ab".repeat(32));
        mount.mount.kind = MountKind::Anonymous;
        case.survey.mounts = vec![mount];
        let finding = case.check(run).remove(0);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.starts_with("web: the unnamed volume abababababab (/data)"), "{finding:?}");
        assert!(finding.evidence[0].starts_with("3 files, 1.0 kB"), "{finding:?}");
        case.survey.mounts[0].mount.files = 0;
        assert_eq!(case.check(run), []);
    }
}
