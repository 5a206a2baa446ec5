use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ids::Tags;

const NOW: i64 = 1_800_000_000_000;

fn listed(number: usize, service: &str, run: &str, mount: &str, kind: Kind, time: i64) -> Listed {
    let tags =
        Tags { run: run.into(), project: "shop".into(), service: service.into(), mount: mount.into(), kind };
    Listed {
        id: format!("{number:064x}").parse().unwrap(),
        tags,
        time,
        files: 1,
        bytes: 1,
        source: "/data".into(),
        manifest: "00".into(),
    }
}

/// One snapshot of `data` a run, each so many days old.
fn days_old(days: &[i64]) -> Vec<Listed> {
    let of = |(number, days): (usize, &i64)| {
        listed(number, "db", &format!("run-{number}"), "data", Kind::Manual, NOW - days * DAY_MS)
    };
    days.iter().enumerate().map(of).collect()
}

fn kept(retention: Retention, snapshots: &[Listed], protected: &[usize]) -> Vec<Option<Reason>> {
    let protected = protected.iter().map(|n| snapshots[*n].id.clone()).collect();
    retention.judge(snapshots, NOW, &protected).into_iter().map(|judged| judged.kept).collect()
}

#[test]
fn both_conditions_must_allow_a_removal() {
    use Reason::{Last, Newest, Young};
    let normal = Retention::default();
    assert_eq!(
        kept(normal, &days_old(&[0, 1, 2, 3, 6, 8, 30]), &[]),
        [Some(Newest), Some(Last), Some(Last), Some(Young), Some(Young), None, None]
    );
    assert_eq!(
        kept(normal, &days_old(&[90, 100, 110, 120]), &[]),
        [Some(Newest), Some(Last), Some(Last), None],
        "old, but the last ones"
    );
    let none = Retention { keep_days: 0, keep_last: 0 };
    assert_eq!(kept(none, &days_old(&[1, 2]), &[]), [Some(Newest), None]);
    assert_eq!(kept(none, &days_old(&[1, 2, 3]), &[2]), [Some(Newest), None, Some(Reason::Protected)]);
}

#[test]
fn a_set_stays_or_goes_as_a_whole() {
    let one = Retention { keep_days: 0, keep_last: 1 };
    let at = |days: i64| NOW - days * DAY_MS;
    let snapshots = [
        listed(0, "db", "new", "data", Kind::Cutover, at(1)),
        listed(1, "db", "new", "data", Kind::Live, at(1)),
        listed(2, "db", "old", "data", Kind::Live, at(9)),
        listed(3, "db", "old", "dropped mount", Kind::Live, at(9)),
        listed(4, "db", "older", "data", Kind::Cutover, at(10)),
        listed(5, "db", "older", "data", Kind::Live, at(10)),
    ];
    let judged = kept(one, &snapshots, &[]);
    assert_eq!(judged[2], Some(Reason::Newest), "the other mount of its run has no newer one");
    assert_eq!(judged[..2], [Some(Reason::Newest); 2]);
    assert_eq!(judged[4..], [None, None]);
    assert_eq!(kept(one, &snapshots, &[5])[4..], [Some(Reason::Protected); 2]);
}

#[test]
fn safety_snapshots_drive_out_no_backup() {
    let two = Retention { keep_days: 0, keep_last: 2 };
    let mut snapshots = days_old(&[1, 2, 3, 4, 5]);
    for safety in [0, 1, 2] {
        snapshots[safety].tags.kind = Kind::Safety;
    }
    let judged = kept(two, &snapshots, &[]);
    assert_eq!(
        judged,
        [Some(Reason::Last), Some(Reason::Last), None, Some(Reason::Newest), Some(Reason::Last)]
    );
}

#[test]
fn the_last_good_one_is_spared_whatever_is_asked_for() {
    let mut snapshots = days_old(&[1, 2, 3]);
    snapshots[0].tags.kind = Kind::Safety;
    let all: Vec<_> = snapshots.iter().map(|s| s.id.clone()).collect();
    let expected = [all[0].clone(), all[2].clone()];
    assert_eq!(spare_the_last(&snapshots, &all), expected, "the newest good one stays");
    assert_eq!(spare_the_last(&snapshots, &all[1..2]), &all[1..2], "an older good one is left");
    assert!(spare_the_last(&snapshots[..1], &all[1..]).is_empty(), "what isn't there any more");
}

prop_compose! {
    fn snapshot()(
        service in 0..3_u8, run in 0..12_u8, mount in 0..3_u8, kind in 0..4_usize,
        hours in -100..2000_i64,
    ) -> (u8, u8, u8, usize, i64) { (service, run, mount, kind, hours) }
}

fn snapshots() -> impl Strategy<Value = Vec<Listed>> {
    let kinds = [Kind::Live, Kind::Cutover, Kind::Safety, Kind::Manual];
    vec(snapshot(), 0..60).prop_map(move |all| {
        all.into_iter()
            .enumerate()
            .map(|(number, (service, run, mount, kind, hours))| {
                let time = NOW - hours * 3_600_000;
                listed(
                    number,
                    &format!("s{service}"),
                    &format!("r{run}"),
                    &format!("m{mount}"),
                    kinds[kind],
                    time,
                )
            })
            .collect()
    })
}

fn gone(judged: &[Judged]) -> Vec<&Listed> {
    judged.iter().filter(|j| j.kept.is_none()).map(|j| &j.snapshot).collect()
}

/// Computed in the plainest way: the sets of a service, newest first, without those from the future.
fn sets_of(snapshots: &[Listed], service: &str, good: bool) -> Vec<(i64, String)> {
    let own = |s: &&Listed| s.tags.service == service;
    let mut runs: Vec<String> = snapshots.iter().filter(own).map(|s| s.tags.run.clone()).collect();
    runs.sort();
    runs.dedup();
    let mut sets: Vec<(i64, String)> = runs
        .into_iter()
        .filter(|run| {
            let of_run = || snapshots.iter().filter(own).filter(|s| s.tags.run == *run);
            !good || of_run().any(|s| s.tags.kind != Kind::Safety)
        })
        .map(|run| {
            let times = snapshots.iter().filter(own).filter(|s| s.tags.run == run).map(|s| s.time);
            (times.max().unwrap(), run)
        })
        .filter(|(time, _)| *time <= NOW)
        .collect();
    sets.sort_by_key(|(time, _)| -time);
    sets
}

proptest! {
    #[test]
    fn what_goes_is_old_and_not_among_the_last(
        snapshots in snapshots(), keep_days in 0..60_u32, keep_last in 0..5_u32, protect in 0..60_usize,
    ) {
        let retention = Retention { keep_days, keep_last };
        let protected: HashSet<_> = snapshots.iter().skip(protect).take(3).map(|s| s.id.clone()).collect();
        let judged = retention.judge(&snapshots, NOW, &protected);
        prop_assert_eq!(judged.len(), snapshots.len());
        for snapshot in gone(&judged) {
            prop_assert!(!protected.contains(&snapshot.id));
            prop_assert!(snapshot.time <= NOW - i64::from(keep_days) * DAY_MS);
            for good in [false, true] {
                let sets = sets_of(&snapshots, &snapshot.tags.service, good);
                let own = sets.iter().find(|(_, run)| *run == snapshot.tags.run);
                let Some((time, _)) = own else { continue };
                let newer_or_same = sets.iter().filter(|(other, _)| other >= time).count() as u32;
                prop_assert!(newer_or_same > keep_last, "one of the last {} sets", keep_last);
            }
            let whole = judged.iter().filter(|j| {
                j.snapshot.tags.run == snapshot.tags.run && j.snapshot.tags.service == snapshot.tags.service
            });
            prop_assert!(whole.into_iter().all(|j| j.kept.is_none()), "a set goes as a whole");
        }
    }

    #[test]
    fn every_mount_keeps_its_newest_good_backup(
        snapshots in snapshots(), keep_days in 0..3_u32, keep_last in 0..2_u32,
    ) {
        let judged = Retention { keep_days, keep_last }.judge(&snapshots, NOW, &HashSet::new());
        for gone in gone(&judged).into_iter().filter(|s| s.tags.kind != Kind::Safety) {
            let newer = judged.iter().any(|j| {
                j.kept.is_some()
                    && j.snapshot.tags.same_mount(&gone.tags)
                    && j.snapshot.tags.kind != Kind::Safety
                    && (gone.time..=NOW).contains(&j.snapshot.time)
            });
            prop_assert!(newer, "{gone:?}");
        }
        let ids: Vec<_> = gone(&judged).into_iter().map(|s| s.id.clone()).collect();
        let spared = spare_the_last(&snapshots, &ids);
        prop_assert_eq!(spared.len(), ids.len(), "what was judged leaves nothing to spare");
    }

    #[test]
    fn the_future_changes_nothing(snapshots in snapshots(), keep_days in 0..30_u32, keep_last in 0..4_u32) {
        let retention = Retention { keep_days, keep_last };
        let judged = retention.judge(&snapshots, NOW, &HashSet::new());
        let in_future: HashSet<(String, String)> = snapshots
            .iter()
            .filter(|s| s.time > NOW)
            .map(|s| (s.tags.service.clone(), s.tags.run.clone()))
            .collect();
        let is_future = |s: &Listed| in_future.contains(&(s.tags.service.clone(), s.tags.run.clone()));
        let others: Vec<_> = snapshots.iter().filter(|s| !is_future(s)).cloned().collect();
        let without = retention.judge(&others, NOW, &HashSet::new());
        for judged in judged {
            match without.iter().find(|w| w.snapshot.id == judged.snapshot.id) {
                Some(alone) => prop_assert_eq!(judged.kept, alone.kept),
                None => prop_assert!(judged.kept.is_some(), "from the future, so it stays"),
            }
        }
    }

    #[test]
    fn a_longer_retention_lets_nothing_more_go(snapshots in snapshots(), days in 0..30_u32, last in 0..4_u32) {
        let of = |keep_days, keep_last| {
            let judged = Retention { keep_days, keep_last }.judge(&snapshots, NOW, &HashSet::new());
            gone(&judged).into_iter().map(|s| s.id.clone()).collect::<HashSet<_>>()
        };
        let short = of(days, last);
        prop_assert!(of(days + 1, last).is_subset(&short));
        prop_assert!(of(days, last + 1).is_subset(&short));
    }
}
