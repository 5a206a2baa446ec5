//! `sharers`: other running containers that use the unit's data. One that writes makes any backup a guess,
//! and a restore would pull the data from under it. Those that read only are named.

use mainstay_core::finding::{Finding, Severity};

use super::mounts::described;
use super::{Input, advice};
use crate::survey::{MountFacts, Sharer};

pub(super) const ID: &str = "sharers";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let of_mount = |facts: &MountFacts| {
        let (writers, readers): (Vec<Sharer>, Vec<Sharer>) =
            facts.sharers.iter().cloned().partition(|s| s.writable);
        [writing(facts, &writers), reading(facts, &readers)]
    };
    input.survey.mounts.iter().flat_map(of_mount).flatten().collect()
}

fn writing(facts: &MountFacts, sharers: &[Sharer]) -> Option<Finding> {
    if sharers.is_empty() {
        return None;
    }
    let names: Vec<&str> = sharers.iter().map(|s| s.container.as_str()).collect();
    let count = advice::counted(sharers.len(), "other running container");
    let message = format!("{} is written to by {count}: {}", described(&facts.mount), names.join(", "));
    let finding = Finding::new(ID, Severity::Required, message).advice(format!(
        "stop them for the time of the update: `docker stop {}`; if they never write what matters, {}",
        names.join(" "),
        advice::force(ID)
    ));
    Some(sharers.iter().fold(finding, |f, s| f.evidence(line(s))))
}

fn reading(facts: &MountFacts, sharers: &[Sharer]) -> Option<Finding> {
    if sharers.is_empty() {
        return None;
    }
    let count = advice::counted(sharers.len(), "other running container");
    let message = format!("{} is read by {count}", described(&facts.mount));
    Some(sharers.iter().fold(Finding::new(ID, Severity::Note, message), |f, s| f.evidence(line(s))))
}

fn line(sharer: &Sharer) -> String {
    let service = sharer.service.as_ref().map(|s| format!(" ({s})")).unwrap_or_default();
    let mode = if sharer.writable { "read and write" } else { "read only" };
    format!("{}{service} mounts {}, {mode}", sharer.container, sharer.source)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container, data};
    use super::*;

    #[test]
    fn writers_refuse_and_readers_are_noted() {
        let sharer = |name: &str, writable| Sharer {
            container: name.into(),
            service: Some("ftp/server".into()),
            source: "shop_data".into(),
            writable,
        };
        let mut case = Case::of(vec![container("web-1")]);
        assert_eq!(case.check(run), []);
        case.survey.mounts = vec![data("shop_data")];
        case.survey.mounts[0].sharers =
            vec![sharer("ftp-1", true), sharer("nightly", false), sharer("ftp-2", true)];
        let findings = case.check(run);
        let [writers, readers] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(writers.severity, Severity::Required);
        assert!(writers.message.ends_with("by 2 other running containers: ftp-1, ftp-2"), "{writers:?}");
        assert_eq!(writers.evidence[0], "ftp-1 (ftp/server) mounts shop_data, read and write");
        assert!(writers.advice.as_ref().unwrap().contains("`docker stop ftp-1 ftp-2`"));
        assert_eq!(readers.severity, Severity::Note);
        assert!(readers.message.ends_with("is read by 1 other running container"), "{readers:?}");
    }
}
