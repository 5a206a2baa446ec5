//! `disk`: whether there is room for the backup, and for a restore beside the data. Reckons with the worst, that
//! nothing compresses and the repository knows none of it yet, until an earlier backup says how much it adds;
//! then less than the worst is a warning, and less than twice that a refusal.

use std::collections::BTreeMap;

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{Purpose, Room};

use super::{Input, Wanted};
use crate::survey::{Space, Survey, human};

pub(super) const ID: &str = "disk";

/// What a backup takes beside the data: indexes, logs, files, a second pass at the cutover.
const OVERHEAD: u64 = 512_000_000;

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let (survey, wanted) = (input.survey, input.wanted);
    if !needs_room(survey, wanted) {
        return Vec::new();
    }
    // On one filesystem with the backup, less is left for a restore.
    let backup = backup(survey, wanted).into_iter().chain(copy(survey, wanted));
    backup.chain(restores(survey, wanted)).collect()
}

/// What is needed on disks, and what there is: first for the backup, then for a copy of the data beside it, then for
/// copies of images.
#[must_use]
pub fn room(survey: &Survey, wanted: &Wanted) -> Vec<Room> {
    if !needs_room(survey, wanted) {
        return Vec::new();
    }
    let of = |purpose, space: &Space, (likely, at_worst)| Room {
        purpose,
        path: space.path.clone(),
        likely,
        at_worst,
        free: space.free,
    };
    let backup = survey.repository.as_ref().filter(|_| !survey.remote_repository);
    let backup = backup.filter(|_| !survey.mounts.is_empty());
    let backup = backup.map(|space| of(Purpose::Backup, space, growth(survey, wanted, copied(survey))));
    let copied = (copied(survey), copied(survey));
    let copy = survey.state.as_ref().filter(|_| copied.0 > 0 && !beside_backup(survey));
    let copy = copy.map(|space| of(Purpose::Backup, space, copied));
    let copies = copies(survey, wanted).into_iter();
    let images = survey.state.as_ref().filter(|_| wanted.image_copies > 0);
    let images =
        images.map(|space| of(Purpose::ImageCopy, space, (wanted.image_copies, wanted.image_copies)));
    backup
        .into_iter()
        .chain(copy)
        .chain(copies.map(|copy| of(Purpose::Restore, copy.space, (copy.bytes, copy.bytes))))
        .chain(images)
        .collect()
}

fn needs_room(survey: &Survey, wanted: &Wanted) -> bool {
    let data = (wanted.backup || wanted.restore.is_some()) && !survey.mounts.is_empty();
    data || wanted.image_copies > 0
}

/// What is reached through the engine is copied before it is backed up.
fn copied(survey: &Survey) -> u64 {
    let reached = survey.mounts.iter().filter(|facts| !facts.mount.reach.is_direct());
    let bytes: u64 = reached.map(|facts| facts.mount.bytes).sum();
    bytes.saturating_add(bytes / 10)
}

/// What goes to the state directory beside what is in the repository.
fn in_state(survey: &Survey, wanted: &Wanted) -> u64 {
    copied(survey).saturating_add(wanted.image_copies)
}

/// Whether what goes to the state directory takes room from the backup.
fn beside_backup(survey: &Survey) -> bool {
    let repository = survey.repository.as_ref().filter(|_| !survey.remote_repository);
    let data = !survey.mounts.is_empty();
    data && repository.zip(survey.state.as_ref()).is_some_and(|(one, other)| one.device == other.device)
}

/// No room in the state directory, where what goes there doesn't count with the backup.
fn copy(survey: &Survey, wanted: &Wanted) -> Option<Finding> {
    let (needed, space) = (in_state(survey, wanted), survey.state.as_ref()?);
    if beside_backup(survey) || space.free >= needed {
        return None;
    }
    let what = match (copied(survey), wanted.image_copies) {
        (_, 0) => "a copy of data that is reached through the engine",
        (0, _) => "a copy of the old image",
        _ => "copies of the old image and of data that is reached through the engine",
    };
    let without = if wanted.image_copies > 0 { ", or do without one: `--keep-image-copy=false`" } else { "" };
    Some(
        Finding::new(ID, Severity::Required, format!("{}: there is no room for {what}", survey.service))
            .evidence(format!("needed {}", human(needed)))
            .evidence(figures(space))
            .advice(format!(
                "free {} there, or use another disk: `--state-dir DIR`{without}",
                human(needed.saturating_sub(space.free))
            )),
    )
}

/// Bytes that the backups of a run may take, with `more` where that goes to the same disk: likely, and at worst. A
/// service that was backed up before is expected to add twice what it added then, and not less than a tenth of its
/// data.
fn growth(survey: &Survey, wanted: &Wanted, more: u64) -> (u64, u64) {
    let more = if beside_backup(survey) { more } else { 0 };
    let (likely, at_worst) = added(survey.data_bytes(), wanted);
    (likely.saturating_add(more), at_worst.saturating_add(more))
}

fn added(data: u64, wanted: &Wanted) -> (u64, u64) {
    let at_worst = data.saturating_add(data / 10).saturating_add(OVERHEAD);
    let likely = wanted
        .added_before
        .map(|added| added.saturating_mul(2).max(data / 10).saturating_add(OVERHEAD).min(at_worst));
    (likely.unwrap_or(at_worst), at_worst)
}

fn backup(survey: &Survey, wanted: &Wanted) -> Option<Finding> {
    if survey.remote_repository || survey.mounts.is_empty() {
        return None;
    }
    let (service, data) = (&survey.service, survey.data_bytes());
    let (likely, at_worst) = growth(survey, wanted, in_state(survey, wanted));
    let needed = match wanted.added_before {
        Some(added) => format!(
            "data {}, needed about {}, at worst {}; the last backup added {}",
            human(data),
            human(likely),
            human(at_worst),
            human(added)
        ),
        None => format!("data {}, needed at worst {}", human(data), human(at_worst)),
    };
    let needed = match wanted.image_copies {
        copies if copies > 0 && beside_backup(survey) => {
            format!("{needed}; {} of that for a copy of the old image", human(copies))
        }
        _ => needed,
    };
    let Some(space) = &survey.repository else {
        let message = format!("{service}: how much room there is for the backup is not known");
        return Some(
            Finding::new(ID, Severity::Warning, message)
                .evidence(needed)
                .advice("see that the state directory exists or can be made: `mainstay doctor`"),
        );
    };
    if space.free >= at_worst {
        return None;
    }
    let message = format!(
        "{service}: there may not be room enough for the backup on the disk of {}",
        space.path.display()
    );
    Some(
        Finding::new(ID, super::required_if(space.free < likely), message)
            .evidence(needed)
            .evidence(figures(space))
            .advice(format!(
                "free {} there, or keep backups on another disk: `--state-dir DIR`",
                human(at_worst.saturating_sub(space.free))
            )),
    )
}

/// A copy of data beside itself, as a restore makes it before it is exchanged.
struct Copy<'a> {
    space: &'a Space,
    bytes: u64,
    names: Vec<&'a str>,
}

/// One for each filesystem with data on it.
fn copies<'a>(survey: &'a Survey, wanted: &Wanted) -> Vec<Copy<'a>> {
    let mut by_device: BTreeMap<u64, Copy<'_>> = BTreeMap::new();
    for facts in &survey.mounts {
        let Some(space) = &facts.space else { continue };
        let copy = by_device.entry(space.device).or_insert(Copy { space, bytes: 0, names: Vec::new() });
        copy.bytes = copy.bytes.saturating_add(facts.mount.bytes);
        copy.names.push(&facts.mount.name);
    }
    let mut copies: Vec<Copy<'_>> = by_device.into_values().collect();
    if let (Some(restored), [only]) = (wanted.restore, copies.as_mut_slice()) {
        only.bytes = restored;
    }
    for copy in &mut copies {
        copy.bytes = copy.bytes.saturating_add(copy.bytes / 10);
    }
    copies
}

/// One finding for each filesystem that has no room for a restored copy of the data on it.
fn restores(survey: &Survey, wanted: &Wanted) -> Vec<Finding> {
    let backup_on = survey.repository.as_ref().map(|r| r.device);
    let tight = copies(survey, wanted).into_iter().filter_map(|copy| {
        let same = backup_on == Some(copy.space.device);
        let taken = if same { growth(survey, wanted, in_state(survey, wanted)).0 } else { 0 };
        let left = copy.space.free.saturating_sub(taken);
        (left < copy.bytes).then(|| restore(&survey.service, &copy, taken, wanted))
    });
    tight.collect()
}

fn restore(service: &str, copy: &Copy<'_>, taken: u64, wanted: &Wanted) -> Finding {
    let Copy { space, bytes, names } = copy;
    let message = format!("{service}: a restore may not find room beside the data");
    let mut finding = Finding::new(ID, super::required_if(wanted.restore.is_some()), message)
        .evidence(format!("{}: {} for a second copy", names.join(", "), human(*bytes)))
        .evidence(figures(space));
    if taken > 0 {
        finding = finding.evidence(format!("the backup goes to the same disk and may take {}", human(taken)));
    }
    let short = bytes.saturating_add(taken).saturating_sub(space.free);
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

    fn case(free: u64) -> Case {
        let mut case = Case::of(vec![container("web-1")]);
        let space =
            |device, free| Space { path: format!("/disk{device}").into(), device, free, total: 100 * GB };
        let mut mount = data("shop_data");
        mount.mount.bytes = 10 * GB;
        mount.space = Some(space(1, 12 * GB));
        case.survey.mounts = vec![mount];
        case.survey.repository = Some(space(2, free));
        case
    }

    #[test]
    fn what_the_last_backup_added_says_what_is_likely() {
        for (added, free, expected) in [
            (2 * GB, 4 * GB + OVERHEAD - 1, Some(Severity::Required)),
            (2 * GB, 4 * GB + OVERHEAD, Some(Severity::Warning)),
            (0, GB + OVERHEAD - 1, Some(Severity::Required)),
            (0, GB + OVERHEAD, Some(Severity::Warning)),
            (50 * GB, 11 * GB + OVERHEAD - 1, Some(Severity::Required)),
            (2 * GB, 11 * GB + OVERHEAD, None),
        ] {
            let mut case = case(free);
            case.wanted.added_before = Some(added);
            let found: Vec<Severity> = case.check(run).iter().map(|f| f.severity).collect();
            assert_eq!(found, Vec::from_iter(expected), "{added} {free}");
        }
    }

    #[test]
    fn a_restoration_that_finds_no_room_refuses() {
        let mut case = case(50 * GB);
        case.wanted = Wanted { restore: Some(GB), ..Wanted::default() };
        assert_eq!(case.check(run), [], "it is smaller than what is there now");
        case.wanted.restore = Some(11 * GB);
        assert_eq!(case.check(run)[0].severity, Severity::Required);
    }

    #[test]
    fn the_figures_are_those_that_are_checked() {
        let mut case = case(50 * GB);
        case.wanted.added_before = Some(2 * GB);
        let rooms = room(&case.survey, &case.wanted);
        let figures: Vec<_> = rooms.iter().map(|r| (r.purpose, r.likely, r.at_worst, r.free)).collect();
        assert_eq!(
            figures,
            [
                (Purpose::Backup, 4 * GB + OVERHEAD, 11 * GB + OVERHEAD, 50 * GB),
                (Purpose::Restore, 11 * GB, 11 * GB, 12 * GB)
            ]
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
    fn data_that_is_copied_first_needs_room_for_the_copy() {
        let mut case = case(50 * GB);
        case.survey.mounts[0].mount.reach = mainstay_core::plan::Reach::Archive;
        case.survey.mounts[0].space = None;
        let state = |device, free| Some(Space { path: "/state".into(), device, free, total: 100 * GB });
        case.survey.state = state(3, 11 * GB - 1);
        assert_eq!(case.check(run)[0].severity, Severity::Required);
        case.survey.state = state(3, 11 * GB);
        assert_eq!(case.check(run), []);
        let rooms = |case: &Case| -> Vec<u64> {
            room(&case.survey, &case.wanted).iter().map(|room| room.at_worst).collect()
        };
        assert_eq!(rooms(&case), [11 * GB + OVERHEAD, 11 * GB]);
        // On the disk of the repository, both have to fit.
        case.survey.state = state(2, 50 * GB);
        assert_eq!(rooms(&case), [22 * GB + OVERHEAD]);
        case.survey.repository = state(2, 22 * GB);
        assert_eq!(case.check(run)[0].severity, Severity::Required);
    }

    #[test]
    fn a_copy_of_the_old_image_needs_room_in_the_state_directory() {
        let mut case = case(11 * GB + OVERHEAD);
        case.wanted.image_copies = 2 * GB;
        let state = |device, free| Some(Space { path: "/state".into(), device, free, total: 100 * GB });
        case.survey.state = state(3, 2 * GB - 1);
        let findings = case.check(run);
        assert_eq!(findings[0].severity, Severity::Required);
        assert!(findings[0].message.contains("a copy of the old image"), "{findings:?}");
        assert!(findings[0].advice.as_ref().unwrap().contains("--keep-image-copy=false"), "{findings:?}");
        case.survey.state = state(3, 2 * GB);
        assert_eq!(case.check(run), []);
        let rooms = room(&case.survey, &case.wanted);
        assert_eq!(rooms.last().map(|r| (r.purpose, r.at_worst)), Some((Purpose::ImageCopy, 2 * GB)));
        assert_eq!(rooms[0].at_worst, 11 * GB + OVERHEAD, "told apart");
        // On the disk of the repository, both have to fit.
        case.survey.state = state(2, 11 * GB + OVERHEAD);
        let findings = case.check(run);
        assert_eq!(findings[0].severity, Severity::Required);
        assert!(
            findings[0].evidence[0].ends_with("2.0 GB of that for a copy of the old image"),
            "{findings:?}"
        );
        // Nor is data a condition.
        case.survey.mounts.clear();
        case.survey.state = state(2, GB);
        assert!(case.check(run)[0].message.contains("a copy of the old image"));
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
