//! `permissions` and `unsupported-mounts`: data that this process can't get at, or that nobody can while no
//! container runs. It matters where a backup is wanted; elsewhere it is worth a warning.

use mainstay_core::finding::Finding;

use super::{Input, advice, required_if};

pub(super) const PERMISSIONS: &str = "permissions";
pub(super) const UNSUPPORTED: &str = "unsupported-mounts";

pub(super) fn permissions(input: &Input<'_>) -> Vec<Finding> {
    let survey = input.survey;
    if survey.engine_local || survey.mounts.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = survey.mounts.iter().map(|m| m.mount.name.as_str()).collect();
    let host = &survey.engine_host;
    let what_to_do = if host.starts_with("unix:") || host.starts_with('/') {
        "run mainstay as root: `sudo mainstay …`"
    } else {
        "run mainstay on the machine that the engine runs on"
    };
    let message = format!("{}: its data can't be read from here", survey.service);
    let finding = Finding::new(PERMISSIONS, required_if(input.wanted.backup), message)
        .evidence(format!("the directories of the engine at {host} don't open for this process"))
        .evidence(format!("data: {}", names.join(", ")))
        .advice(what_to_do);
    vec![finding]
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
    use mainstay_core::finding::Severity;
    use mainstay_core::plan::MountKind;

    use super::super::tests::{Case, container};
    use super::*;
    use crate::survey::UnsupportedMount;

    #[test]
    fn an_engine_whose_data_is_closed_is_told_with_the_way_in() {
        let mut case = Case::of(vec![container("web-1")]);
        assert_eq!(case.check(permissions), []);
        case.survey.engine_local = false;
        let finding = case.check(permissions).remove(0);
        assert_eq!(finding.severity, Severity::Required);
        assert!(finding.evidence[1].contains("shop_data") && finding.advice.unwrap().contains("sudo"));
        case.survey.engine_host = "tcp://10.0.0.1:2376".into();
        assert!(case.check(permissions)[0].advice.as_ref().unwrap().contains("on the machine"));
        case.wanted.backup = false;
        assert_eq!(case.check(permissions)[0].severity, Severity::Warning);
        case.survey.mounts.clear();
        assert_eq!(case.check(permissions), [], "without data there is nothing to read");
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
