//! An update whose process dies is resumed safely: it turns back, whatever the moment, unless its new version had been
//! verified; and nothing is left half done on that way either.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use mainstay_core::event::{Entry, Event, Outcome, Progress};
use mainstay_core::finding::Finding;
use mainstay_core::plan::Plan;
use mainstay_core::state::OnResume;
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::Conclusion;
use mainstay_runner::{Journal, Observer, drive, resume};
use mainstay_sim::{Crash, Data, Fault, Schedule, SimWorld, Version};

struct Quiet;

impl Observer for Quiet {
    fn entry(&mut self, _: &Entry) {}
    fn progress(&mut self, _: &Progress) {}
    fn observed(&mut self, _: &Finding) {}
}

/// Begins a run and resumes it until it ends; how, and its journal.
fn live(plan: &Plan, world: &mut SimWorld) -> (Conclusion, Vec<Entry>) {
    let mut journal = Journal::open(":memory:".as_ref()).unwrap();
    journal.start("run", plan, Timestamp(0)).unwrap();
    let mut fresh = true;
    for _ in 0..20 {
        let run = AssertUnwindSafe(|| {
            if std::mem::take(&mut fresh) {
                drive(&mut journal, "run", world, &mut Quiet)
            } else {
                resume(&mut journal, "run", world, &mut Quiet, OnResume::Safe)
            }
        });
        match catch_unwind(run) {
            Ok(conclusion) => return (conclusion.unwrap(), journal.entries("run").unwrap()),
            Err(payload) if payload.is::<Crash>() => {}
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }
    panic!("the run does not end");
}

fn judge(world: &SimWorld, conclusion: &Conclusion, entries: &[Entry], context: &str) {
    let verified = |entry: &Entry| {
        matches!(entry.event, Event::StepEnded { step: Step::VerifyNew, outcome: Outcome::Done { .. } })
    };
    let alive = entries.iter().take_while(|entry| entry.event != Event::Resumed);
    let kept = matches!(conclusion, Conclusion::Kept { .. });
    assert_eq!(kept, alive.filter(|entry| verified(entry)).count() > 0, "{context}: {conclusion:?}");
    assert!(!matches!(conclusion, Conclusion::NeedsPerson { .. }), "{context}: {conclusion:?}");
    let version = if kept { Version::New } else { Version::Old };
    assert_eq!((world.file, world.container, world.running), (version, Some(version), true), "{context}");
    assert!(kept || world.data == Data(1), "{context}: the data from before is not there");
    assert!(!world.prepared || world.after_failed || kept, "{context}: nothing was run after the backup");
}

fn explore(name: &str, plan: &Plan) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Crash>() {
            usual(info);
        }
    }));
    let mut open: Vec<Schedule> = vec![Vec::new()];
    while let Some(schedule) = open.pop() {
        let mut world = SimWorld::new(schedule.clone());
        let (conclusion, entries) = live(plan, &mut world);
        judge(&world, &conclusion, &entries, &format!("{name} with {schedule:?}"));
        if schedule.len() < 2 {
            let from = schedule.last().map_or(0, |(at, _)| at + 1);
            for at in from..world.effects {
                for fault in [Fault::CrashBefore, Fault::CrashWithin, Fault::CrashAfter] {
                    open.push([schedule.clone(), vec![(at, fault)]].concat());
                }
            }
        }
    }
}

#[test]
fn an_update_that_was_cut_off_turns_back_unless_it_was_verified() {
    explore("update", &mainstay_sim::update());
    explore("update with hooks", &mainstay_sim::with_hooks(mainstay_sim::update()));
}

/// There is nothing to lose by going on.
#[test]
fn everything_else_goes_on() {
    for plan in [mainstay_sim::backup(), mainstay_sim::restore()] {
        let mut world = SimWorld::new(vec![(2, Fault::CrashWithin)]);
        let (conclusion, entries) = live(&plan, &mut world);
        assert!(entries.iter().any(|entry| entry.event == Event::Resumed));
        assert!(matches!(conclusion, Conclusion::Kept { .. }), "{conclusion:?}");
    }
}
