//! `mounts` and `no-backup-data`: whether the data is where the container has it, holds anything, and can be
//! read to the last file: a backup that leaves entries out is none. Counting was the survey's.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{DataMount, MountKind};

use super::{Input, advice, required_if};
use crate::survey::MountFacts;

pub(super) const ID: &str = "mounts";
pub(super) const NO_DATA: &str = "no-backup-data";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    input.survey.mounts.iter().flat_map(|m| of_mount(input, m)).collect()
}

fn of_mount(input: &Input<'_>, facts: &MountFacts) -> Vec<Finding> {
    let mount = &facts.mount;
    let named = described(mount);
    if !facts.exists {
        // Where the engine's directories can't be seen, `archive-api` says so once for all.
        let seen = input.survey.engine_local;
        return seen.then(|| missing(mount, &named)).into_iter().collect();
    }
    let mut findings = Vec::new();
    if facts.unreadable_count > 0 {
        let count = facts.unreadable_count;
        let entries = if count == 1 { "1 entry" } else { &format!("{count} entries") };
        let message = format!("{named}: {entries} can't be read, and would be missing in a backup");
        let finding = Finding::new(ID, required_if(input.wanted.backup), message)
            .advice("run mainstay as root, or let yourself read them");
        findings.push(facts.unreadable.iter().fold(finding, |f, line| f.evidence(line)));
    } else if mount.files == 0 && facts.counted {
        findings.push(empty(mount, &named));
    }
    findings
}

fn missing(mount: &DataMount, named: &str) -> Finding {
    let source = advice::path(&mount.source);
    Finding::new(ID, Severity::Required, format!("{named}: its data is not there"))
        .evidence(format!("{source} does not exist; the container has it at {}", mount.destination))
        .advice(format!(
            "find out where the data went before anything restarts the container (it would start empty): \
             `ls -la {source}`"
        ))
}

fn empty(mount: &DataMount, named: &str) -> Finding {
    // Images declare volumes that many services never use.
    let severity = if mount.kind == MountKind::Anonymous { Severity::Note } else { Severity::Warning };
    Finding::new(ID, severity, format!("{named}: holds no file"))
        .evidence(format!("{} has 0 files", mount.source.display()))
        .advice(format!(
            "see whether the service really keeps its data at {}: what it keeps elsewhere is not backed up",
            mount.destination
        ))
}

pub(super) fn no_data(input: &Input<'_>) -> Vec<Finding> {
    let survey = input.survey;
    if !survey.mounts.is_empty() || !survey.unsupported.is_empty() || survey.containers().next().is_none() {
        return Vec::new();
    }
    let message = format!("{} keeps no data: it has no writable volume or bind mount", survey.service);
    vec![
        Finding::new(NO_DATA, Severity::Note, message)
            .advice("nothing to do, if that is so; a rollback puts back the image alone"),
    ]
}

/// `web: the volume shop_data (/data)`.
pub(super) fn described(mount: &DataMount) -> String {
    let kind = match mount.kind {
        MountKind::Volume => "the volume",
        MountKind::Anonymous => "the unnamed volume",
        MountKind::Bind => "the bind mount",
    };
    let name = if mount.kind == MountKind::Anonymous { advice::short(&mount.name) } else { &mount.name };
    format!("{}: {kind} {name} ({})", mount.services.join(", "), mount.destination)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container, data};
    use super::*;

    fn found(change: impl FnOnce(&mut MountFacts)) -> Vec<Finding> {
        let mut case = Case::of(vec![container("web-1")]);
        let mut mount = data("shop_data");
        change(&mut mount);
        case.survey.mounts = vec![mount];
        case.check(run)
    }

    #[test]
    fn data_that_is_there_is_fine() {
        assert_eq!(found(|_| ()), []);
    }

    #[test]
    fn missing_and_empty_and_unreadable_data_differ() {
        let missing = found(|m| m.exists = false);
        assert_eq!(missing[0].severity, Severity::Required);
        assert_eq!(missing[0].message, "web: the volume shop_data (/data): its data is not there");
        assert_eq!(found(|m| m.mount.files = 0)[0].severity, Severity::Warning);
        let anonymous = found(|m| {
            m.mount.files = 0;
            m.mount.kind = MountKind::Anonymous;
        });
        assert_eq!(anonymous[0].severity, Severity::Note);
        let closed = found(|m| {
            m.unreadable_count = 12;
            m.unreadable = vec!["/v/a: Permission denied".into()];
        });
        assert_eq!((closed[0].severity, closed.len()), (Severity::Required, 1));
        assert!(closed[0].message.contains("12 entries"));
        assert_eq!(closed[0].evidence, ["/v/a: Permission denied"]);
    }

    #[test]
    fn what_cannot_be_seen_is_not_called_missing() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.mounts = vec![MountFacts { exists: false, ..data("shop_data") }];
        case.survey.engine_local = false;
        assert_eq!(case.check(run), []);
    }

    #[test]
    fn a_service_without_data_is_noted() {
        let mut case = Case::of(vec![container("web-1")]);
        assert_eq!(case.check(no_data), []);
        case.survey.mounts.clear();
        assert_eq!(case.check(no_data)[0].severity, Severity::Note);
    }
}
