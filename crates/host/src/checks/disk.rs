//! `disk`: whether there is room for the backup, and for a restore beside the data. Reckons with the worst:
//! that nothing compresses and the repository knows none of it yet.

use std::collections::BTreeMap;

use mainstay_core::finding::{Finding, Severity};

use super::Input;
use crate::survey::{Space, Survey, human};

pub(super) const ID: &str = "disk";

/// What a backup takes beside the data: indexes, logs, files, a second pass at the cutover.
const OVERHEAD: u64 = 512_000_000;

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    if !input.wanted.backup || input.survey.mounts.is_empty() {
        return Vec::new();
    }
    let for_backup = backup(input.survey);
    // On one filesystem with the backup, less is left for a restore.
    for_backup.into_iter().chain(restores(input.survey)).collect()
}

/// Bytes that a backup may take at worst.
fn needed(data: u64) -> u64 {
    data.saturating_add(data / 10).saturating_add(OVERHEAD)
}

fn backup(survey: &Survey) -> Option<Finding> {
    if survey.remote_repository {
        return None;
    }
    let (service, data) = (&survey.service, survey.data_bytes());
    let needed = needed(data);
    let Some(space) = &survey.repository else {
        let message = format!("{service}: how much room there is for the backup is not known");
        return Some(
            Finding::new(ID, Severity::Warning, message)
                .evidence(format!("data {}, needed at worst {}", human(data), human(needed)))
                .advice("see that the state directory exists or can be made: `mainstay doctor`"),
        );
    };
    if space.free >= needed {
        return None;
    }
    let message = format!(
        "{service}: there may not be room enough for the backup on the disk of {}",
        space.path.display()
    );
    Some(
        Finding::new(ID, Severity::Required, message)
            .evidence(format!("data {}, needed at worst {}", human(data), human(needed)))
            .evidence(figures(space))
            .advice(format!(
                "free {} there, or keep backups on another disk: `--state-dir DIR`",
                human(needed.saturating_sub(space.free))
            )),
    )
}

/// One finding for each filesystem that has no room for a restored copy of the data on it.
fn restores(survey: &Survey) -> Vec<Finding> {
    let mut by_device: BTreeMap<u64, (&Space, u64, Vec<&str>)> = BTreeMap::new();
    for facts in &survey.mounts {
        let Some(space) = &facts.space else { continue };
        let entry = by_device.entry(space.device).or_insert((space, 0, Vec::new()));
        entry.1 = entry.1.saturating_add(facts.mount.bytes);
        entry.2.push(&facts.mount.name);
    }
    let backup_on = survey.repository.as_ref().map(|r| r.device);
    let tight = by_device.into_values().filter_map(|(space, data, names)| {
        let taken = if backup_on == Some(space.device) { needed(survey.data_bytes()) } else { 0 };
        let left = space.free.saturating_sub(taken);
        let wanted = data.saturating_add(data / 10);
        (left < wanted).then(|| restore(&survey.service, space, wanted, taken, &names))
    });
    tight.collect()
}

fn restore(service: &str, space: &Space, wanted: u64, taken: u64, names: &[&str]) -> Finding {
    let message = format!("{service}: a restore may not find room beside the data");
    let mut finding = Finding::new(ID, Severity::Warning, message)
        .evidence(format!("{}: {} for a second copy", names.join(", "), human(wanted)))
        .evidence(figures(space));
    if taken > 0 {
        finding = finding.evidence(format!("the backup goes to the same disk and may take {}", human(taken)));
    }
    let short = wanted.saturating_add(taken).saturating_sub(space.free);
    finding.advice(format!(
        "free {} there: a rollback of the data restores a copy first, then exchanges it",
        human(short)
    ))
}

fn figures(space: &Space) -> String {
    format!("{}: {} free of {}", space.path.display(), human(space.free), human(space.total))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container, data};
    use super::*;

    const GB: u64 = 1_000_000_000;

    /// One mount of 10 GB, and so much room on its disk (device 1) and on the repository's.
    fn found(beside: u64, repository: Option<(u64, u64)>) -> Vec<(Severity, Finding)> {
        let space =
            |device, free| Space { path: format!("/disk{device}").into(), device, free, total: 100 * GB };
        let mut case = Case::of(vec![container("web-1")]);
        let mut mount = data("shop_data");
        mount.mount.bytes = 10 * GB;
        mount.space = Some(space(1, beside));
        case.survey.mounts = vec![mount];
        case.survey.repository = repository.map(|(device, free)| space(device, free));
        case.check(run).into_iter().map(|f| (f.severity, f)).collect()
    }

    #[test]
    fn a_backup_needs_the_data_a_tenth_and_half_a_gigabyte() {
        assert_eq!(found(50 * GB, Some((2, 11 * GB + OVERHEAD))), []);
        let findings = found(50 * GB, Some((2, 11 * GB + OVERHEAD - 1)));
        let [(severity, finding)] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(*severity, Severity::Required);
        assert_eq!(
            finding.evidence,
            ["data 10.0 GB, needed at worst 11.5 GB", "/disk2: 11.5 GB free of 100.0 GB"]
        );
    }

    #[test]
    fn a_restore_needs_room_beside_the_data() {
        assert_eq!(found(11 * GB, Some((2, 50 * GB))), []);
        assert_eq!(found(11 * GB - 1, Some((2, 50 * GB)))[0].0, Severity::Warning);
    }

    #[test]
    fn on_one_disk_both_have_to_fit() {
        let findings = found(20 * GB, Some((1, 20 * GB)));
        assert_eq!(findings[0].0, Severity::Warning);
        assert!(findings[0].1.evidence[2].contains("11.5 GB"), "{findings:?}");
        assert!(findings[0].1.advice.as_ref().unwrap().starts_with("free 2.5 GB"), "{findings:?}");
        assert_eq!(found(23 * GB, Some((1, 23 * GB))), []);
    }

    #[test]
    fn room_that_is_not_known_is_said() {
        assert_eq!(found(50 * GB, None)[0].0, Severity::Warning);
    }

    #[test]
    fn a_remote_repository_takes_no_room_here_and_a_restore_does() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.repository = None;
        case.survey.remote_repository = true;
        assert_eq!(case.check(run), []);
        let mut mount = data("shop_data");
        mount.mount.bytes = 10 * GB;
        mount.space = Some(Space { path: "/disk1".into(), device: 1, free: GB, total: 100 * GB });
        case.survey.mounts = vec![mount];
        assert!(case.check(run)[0].message.contains("a restore may not find room"));
    }

    #[test]
    fn without_a_backup_nothing_has_to_fit() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.repository = None;
        case.wanted.backup = false;
        assert_eq!(case.check(run), []);
    }
}
