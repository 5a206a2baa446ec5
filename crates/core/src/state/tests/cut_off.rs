//! Where a run goes that was cut off, when nobody looks on. That it breaks no law, whatever was half done, is explored with the
//! simulated world.

use super::Step::*;
use super::*;

fn cut_in(plan: Plan, step: Step) -> Option<Event> {
    let mut run = Run::new(plan);
    run.until_begun(step);
    run.state.cut_off(&run.plan)
}

#[test]
fn an_update_that_was_not_verified_turns_back() {
    for step in [BackUpLive, EditFiles, CreateContainers, BackUpCutover, StartNew, VerifyNew] {
        let mut run = Run::new(update());
        run.until_begun(step);
        let event = run.state.cut_off(&run.plan).unwrap_or_else(|| panic!("{step} goes on"));
        assert!(matches!(&event, Event::StepEnded { step: ended, .. } if *ended == step), "{event:?}");
        run.add(event);
        assert!(run.state.turned_back().is_some(), "{step}");
        assert_eq!(run.state.cut_off(&run.plan), None, "a way back is finished");
    }
    let mut between = Run::new(update());
    between.until_done(BackUpLive);
    assert!(matches!(between.state.cut_off(&between.plan), Some(Event::Interrupted { .. })));
}

#[test]
fn everything_else_goes_on() {
    assert_eq!(cut_in(update(), Watch), None, "the new version was verified");
    assert_eq!(cut_in(update(), Document), None);
    assert_eq!(cut_in(plan(Kind::Backup), BackUpLive), None);
    assert_eq!(cut_in(restore(), RestoreData), None);
    assert_eq!(cut_in(rollback(Tier::Full), Stop), None);
}
