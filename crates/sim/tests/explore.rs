//! Every outcome of every step, and the death of the process before, within and after every effect, up to
//! three faults a run. The laws are asserted inside the simulated world at every effect; here, that every run
//! ends, and where.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the number of schedules, and which one broke a law"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use mainstay_core::event::{Entry, Progress};
use mainstay_core::finding::Finding;
use mainstay_core::plan::{Kind, Plan, Quiesce};
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::{Conclusion, Tier};
use mainstay_runner::{Journal, Observer, World as _, drive};
use mainstay_sim::{Crash, Data, Fault, Schedule, SimWorld, Version};

struct Quiet;

impl Observer for Quiet {
    fn entry(&mut self, _: &Entry) {}
    fn progress(&mut self, _: &Progress) {}
    fn observed(&mut self, _: &Finding) {}
}

/// Performs a run to its end, however often the process dies, and returns how it ended.
fn live(plan: &Plan, world: &mut SimWorld) -> Conclusion {
    let mut journal = Journal::open(":memory:".as_ref()).unwrap();
    journal.start("run", plan, Timestamp(0)).unwrap();
    for _ in 0..100 {
        match catch_unwind(AssertUnwindSafe(|| drive(&mut journal, "run", world, &mut Quiet))) {
            Ok(conclusion) => return conclusion.unwrap(),
            Err(payload) if payload.is::<Crash>() => {}
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }
    panic!("the run does not end");
}

/// What must hold at the end, whatever happened.
fn judge(plan: &Plan, world: &SimWorld, conclusion: &Conclusion) {
    let holds = |data| world.data == data || world.repository.contains(&data);
    assert!(holds(Data(1)), "the data from before is nowhere");
    if !matches!(conclusion, Conclusion::NeedsPerson { .. }) {
        assert!(!world.paused, "the service is left paused");
        assert!(!world.prepared || world.after_failed, "nothing was run after the backup");
    }
    match conclusion {
        Conclusion::Kept { .. } if plan.kind == Kind::Update => {
            assert_eq!(
                (world.file, world.container, world.running),
                (Version::New, Some(Version::New), true)
            );
        }
        Conclusion::Kept { .. } | Conclusion::AsBefore { .. } => assert!(world.running),
        Conclusion::RolledBack { tier, .. } => {
            assert!(world.running);
            if !matches!(plan.kind, Kind::Restore { .. }) {
                assert_eq!((world.file, world.container), (Version::Old, Some(Version::Old)));
            }
            if *tier == Tier::NeverStarted {
                assert_eq!(world.data, Data(1), "where nothing of the new version ran, nothing is looked at");
            }
            if *tier == Tier::Full {
                assert_eq!(world.data, Data(1), "a full rollback brings the data back");
                assert!(holds(Data(2)) || world.repository.len() > 1);
            }
        }
        Conclusion::NeedsPerson { .. } => {}
    }
}

fn explore(name: &str, plan: &Plan, make: impl Fn(Schedule) -> SimWorld, faults: usize) {
    let mut runs = 0_u64;
    let mut ends = std::collections::BTreeMap::<&str, u64>::new();
    let mut open: Vec<Schedule> = vec![Vec::new()];
    while let Some(schedule) = open.pop() {
        let mut world = make(schedule.clone());
        let context = format!("{name} with {schedule:?}");
        let conclusion = match catch_unwind(AssertUnwindSafe(|| live(plan, &mut world))) {
            Ok(conclusion) => conclusion,
            Err(payload) => {
                eprintln!("in {context}");
                std::panic::resume_unwind(payload);
            }
        };
        if catch_unwind(AssertUnwindSafe(|| judge(plan, &world, &conclusion))).is_err() {
            panic!("{context} ended in {conclusion:?} with {world:?}");
        }
        runs += 1;
        *ends.entry(conclusion.word()).or_default() += 1;
        if schedule.len() < faults {
            let from = schedule.last().map_or(0, |(at, _)| at + 1);
            for at in from..world.effects {
                for fault in [
                    Fault::Fails,
                    Fault::DoneButFails,
                    Fault::CrashBefore,
                    Fault::CrashWithin,
                    Fault::CrashAfter,
                    Fault::Interrupt,
                ] {
                    let mut next = schedule.clone();
                    next.push((at, fault));
                    open.push(next);
                }
            }
        }
    }
    println!("{name}: {runs} schedules, {ends:?}");
}

fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Crash>() {
                usual(info);
            }
        }));
    });
}

#[test]
fn update_survives_two_faults() {
    quiet_panics();
    explore("update", &mainstay_sim::update(), SimWorld::new, 2);
}

#[test]
fn update_that_leaves_the_data_alone_survives_two_faults() {
    quiet_panics();
    let make = |schedule| {
        let mut world = SimWorld::new(schedule);
        world.migrates = false;
        world
    };
    explore("update without migration", &mainstay_sim::update(), make, 2);
}

fn that_cannot_be_started(schedule: Schedule) -> SimWorld {
    let mut world = SimWorld::new(schedule);
    world.never_starts = true;
    world
}

#[test]
fn update_to_what_cannot_be_started_survives_two_faults() {
    quiet_panics();
    explore("update to what can't be started", &mainstay_sim::update(), that_cannot_be_started, 2);
}

#[test]
fn rollbacks_restorations_and_backups_survive_two_faults() {
    quiet_panics();
    explore("full rollback", &mainstay_sim::rollback(Tier::Full), SimWorld::updated, 2);
    explore("image-only rollback", &mainstay_sim::rollback(Tier::ImageOnly), SimWorld::updated, 2);
    explore("restore", &mainstay_sim::restore(), SimWorld::new, 2);
    explore("backup", &mainstay_sim::backup(), SimWorld::new, 2);
}

#[test]
fn backups_that_stop_or_pause_the_service_survive_two_faults() {
    quiet_panics();
    for by in [Quiesce::Stop, Quiesce::Pause] {
        let plan = mainstay_sim::still_backup(by);
        explore(&format!("backup by {by:?}"), &plan, SimWorld::new, 2);
        explore(&format!("backup by {by:?} with hooks"), &mainstay_sim::with_hooks(plan), SimWorld::new, 2);
    }
}

#[test]
fn runs_with_hooks_survive_two_faults() {
    quiet_panics();
    for (name, plan) in [("backup", mainstay_sim::backup()), ("update", mainstay_sim::update())] {
        explore(&format!("{name} with hooks"), &mainstay_sim::with_hooks(plan), SimWorld::new, 2);
    }
}

#[test]
fn a_clean_update_is_kept() {
    let mut world = SimWorld::new(Vec::new());
    assert_eq!(live(&mainstay_sim::update(), &mut world), Conclusion::Kept { warnings: false });
    assert_eq!((world.container, world.data), (Some(Version::New), Data(2)));
    assert!(world.interruption().is_none());
}

#[test]
fn a_version_that_never_ran_costs_no_look_at_the_data() {
    let mut world = that_cannot_be_started(Vec::new());
    let conclusion = live(&mainstay_sim::update(), &mut world);
    assert!(matches!(conclusion, Conclusion::RolledBack { tier: Tier::NeverStarted, .. }), "{conclusion:?}");
    assert_eq!((world.container, world.data, world.running), (Some(Version::Old), Data(1), true));
    assert_eq!(world.repository.len(), 3, "the backups from before the start, and no safety snapshot");
}

#[test]
fn a_bad_new_version_brings_image_and_data_back() {
    // The effect with number 10 is the verification of the new version.
    let mut world = SimWorld::new(vec![(10, Fault::Fails)]);
    let conclusion = live(&mainstay_sim::update(), &mut world);
    assert!(matches!(conclusion, Conclusion::RolledBack { tier: Tier::Full, .. }), "{conclusion:?}");
    assert_eq!((world.container, world.data, world.running), (Some(Version::Old), Data(1), true));
    assert!(world.repository.contains(&Data(2)), "what the new version wrote is in the safety snapshot");
}
