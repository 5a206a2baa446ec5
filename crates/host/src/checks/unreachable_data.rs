//! `archive-api`, `put-back` and `unsupported-mounts`: data that this process can't get at as a directory, that it could
//! not put back, or that nobody can get at while no container runs.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::reach;

use super::{Input, advice, required_if};
use crate::survey::MountFacts;

pub(super) const ARCHIVE: &str = "archive-api";
pub(super) const PUT_BACK: &str = "put-back";
pub(super) const UNSUPPORTED: &str = "unsupported-mounts";

fn reached<'a>(input: &Input<'a>) -> impl Iterator<Item = &'a MountFacts> {
    input.survey.mounts.iter().filter(|facts| !facts.mount.reach.is_direct())
}

/// What is reached through the engine is reached, but not for nothing.
pub(super) fn archive_api(input: &Input<'_>) -> Vec<Finding> {
    let moved = input.wanted.backup || input.wanted.restore.is_some();
    let severity = if moved { Severity::Warning } else { Severity::Note };
    let message = format!(
        "{}: data is reached through the engine's archive API, which is slower and keeps less",
        input.survey.service
    );
    let mut finding = Finding::new(ARCHIVE, severity, message);
    let mut any = false;
    for facts in reached(input) {
        any = true;
        finding =
            finding.evidence(format!("{}: {}", facts.mount.name, facts.why.as_deref().unwrap_or_default()));
        if !facts.counted {
            finding = finding.evidence(format!("{}: how much it holds is not known", facts.mount.name));
        }
    }
    finding = finding
        .evidence(format!("not kept: {}", reach::LOSSES))
        .evidence("all of it is copied for every backup, also while the service stands still")
        .evidence("of files that change while they are read, only those are noticed whose time tells it");
    let finding = finding.advice("run mainstay as root on the engine's machine, where that matters");
    any.then_some(finding).into_iter().collect()
}

/// Putting data back needs a program on the engine's side, and the one at hand is this one.
pub(super) fn put_back(input: &Input<'_>) -> Vec<Finding> {
    let (engine, ours) = (&input.survey.engine_architecture, std::env::consts::ARCH);
    let names: Vec<&str> = reached(input).map(|facts| facts.mount.name.as_str()).collect();
    if names.is_empty() || reach::runs_on_engine(engine, ours) {
        return Vec::new();
    }
    let decides = input.wanted.recreate || input.wanted.restore.is_some();
    let message = format!("{}: its data could not be put back from here", input.survey.service);
    vec![
        Finding::new(PUT_BACK, required_if(decides), message)
            .evidence(format!("data that is reached through the engine: {}", names.join(", ")))
            .evidence(format!("the engine runs on {engine}, this program on {ours}"))
            .advice(format!(
                "run a mainstay that is built for {engine}, on the engine's machine or another one"
            )),
    ]
}

pub(super) fn unsupported(input: &Input<'_>) -> Vec<Finding> {
    let found = input.survey.unsupported.iter().map(|mount| {
        let message = format!("{}: {} ({}) can't be backed up", mount.service, mount.name, mount.destination);
        Finding::new(UNSUPPORTED, required_if(input.wanted.backup), message)
            .evidence(format!("{}: {}", mount.name, mount.reason))
            .advice(format!(
                "back it up by its own means (a snapshot of its server, a dump), then {}: a rollback \
                 leaves it as the new version left it",
                advice::force(UNSUPPORTED)
            ))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use mainstay_core::plan::{MountKind, Reach};

    use super::super::Wanted;
    use super::super::tests::{Case, container};
    use super::*;
    use crate::survey::UnsupportedMount;

    fn far() -> Case {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.mounts[0].mount.reach = Reach::Archive;
        case.survey.mounts[0].why = Some("/v: only root can read it (unix:///d.sock)".into());
        case
    }

    #[test]
    fn what_the_archive_api_does_not_keep_is_said_where_data_passes_that_way() {
        let mut case = Case::of(vec![container("web-1")]);
        assert_eq!(case.check(archive_api), []);
        case = far();
        let finding = case.check(archive_api).remove(0);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.evidence[0].contains("only root"), "{finding:?}");
        assert!(finding.evidence[1].contains("extended attributes"), "{finding:?}");
        case.survey.mounts[0].counted = false;
        assert!(case.check(archive_api)[0].evidence[1].contains("not known"));
        case.wanted = Wanted::default();
        assert_eq!(case.check(archive_api)[0].severity, Severity::Note);
    }

    #[test]
    fn an_engine_of_another_architecture_gets_no_update_without_a_way_back() {
        let mut case = far();
        assert_eq!(case.check(put_back), []);
        case.survey.engine_architecture = "s390x".into();
        let finding = case.check(put_back).remove(0);
        assert_eq!(finding.severity, Severity::Required);
        assert!(finding.evidence[1].contains("s390x") && finding.advice.unwrap().contains("built for s390x"));
        case.wanted = Wanted { backup: true, ..Wanted::default() };
        assert_eq!(case.check(put_back)[0].severity, Severity::Warning, "a backup can be had");
        case.survey.mounts[0].mount.reach = Reach::Direct;
        assert_eq!(case.check(put_back), []);
    }

    #[test]
    fn a_mount_without_a_backup_refuses_with_its_reason() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.unsupported = vec![UnsupportedMount {
            service: "web".into(),
            name: "shop_media".into(),
            destination: "/media".into(),
            kind: MountKind::Volume,
            reason: "its volume driver is rclone".into(),
        }];
        let finding = case.check(unsupported).remove(0);
        assert_eq!(finding.severity, Severity::Required);
        assert_eq!(finding.evidence, ["shop_media: its volume driver is rclone"]);
        assert!(finding.advice.unwrap().contains("--force unsupported-mounts"));
    }
}
