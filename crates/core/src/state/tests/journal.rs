//! What may follow what, and that a journal read back gives the state that wrote it.

use super::Step::*;
use super::*;

#[test]
fn entries_that_cannot_follow_are_refused_and_change_nothing() {
    let kept = || Conclusion::Kept { warnings: false };
    let mut fresh = Run::new(update());
    let mut running = Run::new(update());
    running.until_begun(BackUpLive);
    let mut ready = Run::new(update());
    ready.until_done(Document);
    let mut ended = Run::new(update());
    ended.finish(usual);
    let started = || Event::RunStarted { plan: Box::new(update()) };
    let cases: Vec<(&str, &mut Run, Vec<Event>)> = vec![
        (
            "fresh",
            &mut fresh,
            vec![
                started(),
                Event::StepStarted { step: KeepImage },
                Event::StepStarted { step: Stop },
                Event::StepEnded { step: Confirm, outcome: Outcome::done() },
                Event::RunEnded { conclusion: kept() },
            ],
        ),
        (
            "running",
            &mut running,
            vec![
                started(),
                Event::StepStarted { step: PullImage },
                Event::StepEnded { step: PullImage, outcome: Outcome::done() },
                Event::RunEnded { conclusion: kept() },
            ],
        ),
        (
            "ready to close",
            &mut ready,
            vec![
                Event::StepStarted { step: Document },
                Event::StepStarted { step: Stop },
                Event::RunEnded { conclusion: Conclusion::Kept { warnings: true } },
            ],
        ),
        (
            "ended",
            &mut ended,
            vec![
                started(),
                Event::StepStarted { step: Confirm },
                Event::RunEnded { conclusion: kept() },
                Event::Resumed,
                Event::Unknown,
                Event::Interrupted { signal: "SIGTERM".into() },
                Event::Observed { finding: Finding::new("c", Severity::Note, "m") },
            ],
        ),
    ];
    for (name, run, events) in cases {
        for event in events {
            let before = run.state.clone();
            let error = run.try_add(0, event.clone()).unwrap_err();
            assert_eq!(error.seq, before.seq() + 1, "{name}: {event:?}");
            assert_eq!(run.state, before, "{name}: {event:?}");
        }
    }
}

#[test]
fn sequence_numbers_have_no_gaps() {
    let plan = update();
    let mut state = RunState::new(&plan);
    for seq in [0, 1, 3, u64::MAX] {
        let entry = Entry { seq, at: Timestamp(0), event: Event::StepStarted { step: Confirm } };
        let error = state.apply(&plan, &entry).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("journal entry {seq} (confirm started) cannot follow the 1 entries before it")
        );
    }
    assert_eq!(state, RunState::new(&plan));
}

#[test]
fn a_journal_begins_with_its_plan() {
    assert!(RunState::replay(&[]).is_err());
    let mut run = Run::new(update());
    run.until_begun(Confirm);
    assert!(RunState::replay(&run.journal[1..]).is_err());
    let mut late = run.journal.clone();
    late[0].seq = 2;
    assert!(RunState::replay(&late).is_err());
}

#[test]
fn every_beginning_of_a_journal_gives_the_state_that_wrote_it() {
    let mut run = Run::new(update());
    let mut states = vec![run.state.clone()];
    while let Next::Do(step) = run.state.next(&run.plan.clone()) {
        let outcome = if step == Watch { failed(Cause::Version(DataDoubt::Possible)) } else { usual(step) };
        for event in [Event::StepStarted { step }, Event::StepEnded { step, outcome }] {
            run.add(event);
            states.push(run.state.clone());
        }
    }
    run.finish(usual);
    states.push(run.state.clone());
    assert_eq!(states.len(), run.journal.len());
    for (index, state) in states.iter().enumerate() {
        // Through its written form, as a later process reads it.
        let text = serde_json::to_string(&run.journal[..=index]).unwrap();
        let journal: Vec<Entry> = serde_json::from_str(&text).unwrap();
        let (plan, replayed) = RunState::replay(&journal).unwrap();
        assert_eq!(plan, run.plan);
        assert_eq!(&replayed, state, "after {} entries", index + 1);
    }
}

#[test]
fn a_run_goes_on_with_the_step_that_was_begun() {
    for step in [BackUpLive, EditFiles, CreateContainers, StartNew, Watch, Document] {
        let mut run = Run::new(update());
        run.until_begun(step);
        run.add(Event::Resumed);
        assert_eq!(run.state.next(&run.plan), Next::Do(step));
        assert_eq!(run.state.running(), Some(step));
        run.add(Event::StepStarted { step });
        run.add(Event::Unknown);
        let (steps, conclusion) = run.finish(usual);
        assert_eq!(steps[0], step);
        assert_eq!(conclusion, Conclusion::Kept { warnings: false });
    }
}

#[test]
fn an_ended_run_has_nothing_to_do() {
    let mut run = Run::new(update());
    let (_, conclusion) = run.finish(usual);
    assert_eq!(run.state.next(&run.plan), Next::Nothing);
    assert_eq!(run.state.ended(), Some(&conclusion));
    assert_eq!(run.state.steps(&run.plan), []);
    assert_eq!(run.state.turned_back(), None);
}

#[test]
fn what_came_of_a_step_can_be_asked() {
    let mut run = Run::new(update());
    assert_eq!(run.state.way_back(&run.plan), []);
    run.until_done(BackUpLive);
    assert_eq!(run.state.backups(BackUpLive), [record("s")]);
    assert_eq!(run.state.way_back(&run.plan), [], "a live backup is no way back");
    run.until_done(BackUpCutover);
    assert_eq!(run.state.way_back(&run.plan), [record("s")]);
    assert_eq!(run.state.fact(Confirm), Some(&Fact::Nothing));
    assert_eq!(run.state.fact(StartNew), None);
    assert!(run.state.begun(BackUpCutover) && !run.state.begun(StartNew));
    let asked = rollback(Tier::Full);
    assert_eq!(RunState::new(&asked).way_back(&asked), [record("old")]);
}

#[test]
fn a_step_takes_from_its_beginning_to_its_end() {
    let mut run = Run::new(update());
    let add = |run: &mut Run, at: i64, event| run.try_add(at, event).unwrap();
    add(&mut run, 100, Event::StepStarted { step: Confirm });
    add(&mut run, 350, Event::StepEnded { step: Confirm, outcome: Outcome::done() });
    // Begun again after a crash: the time between counts.
    add(&mut run, 400, Event::StepStarted { step: KeepImage });
    add(&mut run, 900, Event::Resumed);
    add(&mut run, 901, Event::StepStarted { step: KeepImage });
    add(&mut run, 1000, Event::StepEnded { step: KeepImage, outcome: Outcome::done() });
    // The clock went back.
    add(&mut run, 1100, Event::StepStarted { step: SaveConfiguration });
    add(&mut run, 50, Event::StepEnded { step: SaveConfiguration, outcome: failed(Cause::Step) });
    assert_eq!(run.state.timings(), [(Confirm, 250), (KeepImage, 600), (SaveConfiguration, 0)]);
}
