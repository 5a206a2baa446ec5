//! What holds whatever happens: outcomes, interruptions and crashes are drawn.

use super::Step::*;
use super::*;

#[derive(Clone, Debug)]
enum Fate {
    Done { unchanged: bool, ran: bool },
    Fails(Cause),
    CrashThenDone,
    InterruptedThenDone,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => any::<(bool, bool)>().prop_map(|(unchanged, ran)| Fate::Done { unchanged, ran }),
        1 => prop::sample::select(vec![
            Cause::Step,
            Cause::Foreign,
            Cause::Version(DataDoubt::Unrelated),
            Cause::Version(DataDoubt::Possible),
            Cause::Version(DataDoubt::Certain),
            Cause::NeverRan,
        ])
        .prop_map(Fate::Fails),
        1 => Just(Fate::CrashThenDone),
        1 => Just(Fate::InterruptedThenDone),
    ]
}

fn any_plan() -> impl Strategy<Value = Plan> {
    prop::sample::select(vec![
        update(),
        plan(Kind::Backup),
        quiesce::with_hooks(update()),
        quiesce::with_hooks(quiesce::still(Quiesce::Pause)),
        quiesce::with_hooks(quiesce::still(Quiesce::Stop)),
        restore(),
        rollback(Tier::ImageOnly),
        rollback(Tier::Full),
    ])
}

/// Runs to the end; every step with whether it was done.
fn live(plan: Plan, fates: &[Fate]) -> (Vec<(Step, bool)>, Conclusion) {
    let mut run = Run::new(plan);
    let mut steps = Vec::new();
    let mut fates = fates.iter();
    let mut doubt = false;
    while let Next::Do(step) = run.state.next(&run.plan) {
        run.begin();
        let outcome = match fates.next() {
            Some(Fate::Done { unchanged: true, .. }) if step == BackUpSafety => backed_up(Some(false)),
            Some(Fate::Done { ran, .. }) if step == ConfirmWayBack => way_back(*ran),
            Some(Fate::Done { ran, .. }) if step == RecreateOld => created(*ran),
            Some(Fate::Fails(cause)) => failed(*cause),
            Some(Fate::CrashThenDone) => {
                run.state = RunState::replay(&run.journal).unwrap().1;
                run.add(Event::Resumed);
                assert_eq!(run.begin(), step);
                usual(step)
            }
            Some(Fate::InterruptedThenDone) => {
                run.interrupt();
                usual(step)
            }
            _ => usual(step),
        };
        // Never the only copy: what something may have run on meanwhile is saved first.
        let saved = step == BackUpSafety && matches!(outcome, Outcome::Done { .. });
        doubt = outcome == created(true) || (doubt && !saved);
        assert!(!doubt || !matches!(step, RestoreData | StartOld), "{steps:?}");
        steps.push((step, matches!(outcome, Outcome::Done { .. })));
        run.end(step, outcome);
        assert!(steps.len() < 60, "it goes on for ever: {steps:?}");
    }
    let Next::Close(conclusion) = run.state.next(&run.plan) else { panic!("it has no end") };
    (steps, conclusion)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn laws_hold(plan in any_plan(), fates in prop::collection::vec(fate(), 0..30)) {
        let (steps, conclusion) = live(plan, &fates);
        let done_before = |at: usize, wanted: Step| steps[..at].contains(&(wanted, true));
        for (at, (step, _)) in steps.iter().enumerate() {
            match step {
                // Way back first: nothing new starts without a backup of the data that it may change.
                StartNew => prop_assert!(done_before(at, BackUpCutover) && done_before(at, BackUpLive)),
                // Never the only copy: what is overwritten was saved, and nothing ran in between.
                RestoreData => {
                    let saved = steps[..at].iter().rposition(|s| *s == (BackUpSafety, true));
                    let started = |step: &(Step, bool)| matches!(step.0, StartNew | StartOld);
                    let kept = saved.is_some_and(|saved| !steps[saved..at].iter().any(started));
                    prop_assert!(kept, "{:?}", steps);
                }
                // The old container is made from the old files.
                RecreateOld => prop_assert!(done_before(at, RestoreFiles) && done_before(at, RestoreTag)),
                // Nothing is stopped for a way back that is closed.
                Stop if steps[..at].iter().any(|s| matches!(s.0, CreateContainers | ConfirmWayBack)) => {
                    prop_assert_eq!(steps[at - 1], (ConfirmWayBack, true));
                }
                VerifyOld => prop_assert!(done_before(at, StartOld)),
                // Nothing is run in a container that is stopped, or not of the old version.
                RunAfterBackup => {
                    let replaced = steps[..at].iter().any(|s| matches!(s.0, CreateContainers | Stop));
                    prop_assert!(!replaced || done_before(at, VerifyOld));
                }
                Watch => prop_assert!(done_before(at, VerifyNew)),
                _ => {}
            }
        }
        prop_assert_eq!(steps.last().map(|(step, _)| *step), Some(Document));
        match conclusion {
            // Where something of the new version ran, its data is looked at.
            Conclusion::RolledBack { tier: Tier::NeverStarted, .. } if steps.contains(&(StartNew, true)) => {
                prop_assert!(false, "{:?}", steps);
            }
            // Who is told that a version runs is told so after it was verified.
            Conclusion::RolledBack { .. } => {
                let of_version = |s: &&(Step, bool)| !matches!(s.0, RunAfterBackup | Document);
                prop_assert_eq!(steps.iter().rev().find(of_version), Some(&(VerifyOld, true)));
            }
            Conclusion::Kept { .. } if steps.iter().any(|(step, _)| *step == StartNew) => {
                prop_assert!(steps.contains(&(VerifyNew, true)) && !steps.iter().any(|(step, _)| *step == Stop));
            }
            Conclusion::AsBefore { .. } => {
                prop_assert!(!steps.iter().any(|(step, _)| matches!(step, CreateContainers | Stop)));
            }
            _ => {}
        }
    }
}
