//! The order of steps, and the way back from each.

use super::Step::*;
use super::*;

const VERSION: Cause = Cause::Version(DataDoubt::Possible);

#[test]
fn an_update_that_works() {
    let (steps, conclusion) = run(update(), &[]);
    assert_eq!(
        steps,
        [
            Confirm,
            KeepImage,
            SaveConfiguration,
            BackUpLive,
            PullImage,
            EditFiles,
            CreateContainers,
            BackUpCutover,
            StartNew,
            VerifyNew,
            Watch,
            Document
        ]
    );
    assert_eq!(conclusion, Conclusion::Kept { warnings: false });
    assert_eq!(conclusion.exit_code(), 0);
}

#[test]
fn runs_that_change_no_version() {
    let (steps, conclusion) = run(plan(Kind::Backup), &[]);
    assert_eq!(steps, [Confirm, KeepImage, SaveConfiguration, BackUpLive, Document]);
    assert_eq!(conclusion, Conclusion::Kept { warnings: false });
    let (steps, conclusion) = run(restore(), &[]);
    assert_eq!(
        steps,
        [Confirm, SaveConfiguration, Stop, BackUpSafety, RestoreData, StartOld, VerifyOld, Document]
    );
    assert_eq!(conclusion, Conclusion::Kept { warnings: false });
}

#[test]
fn rollbacks_that_were_asked_for() {
    let (steps, conclusion) = run(rollback(Tier::ImageOnly), &[]);
    assert_eq!(
        steps,
        [
            ConfirmWayBack,
            Stop,
            BackUpSafety,
            RestoreFiles,
            RestoreTag,
            RecreateOld,
            StartOld,
            VerifyOld,
            Document
        ]
    );
    assert_eq!((tier(&conclusion), conclusion.exit_code()), (Some(Tier::ImageOnly), 0), "as was asked");
    let (steps, conclusion) = run(rollback(Tier::Full), &[]);
    assert_eq!(
        steps,
        [
            ConfirmWayBack,
            Stop,
            BackUpSafety,
            RestoreFiles,
            RestoreTag,
            RecreateOld,
            RestoreData,
            StartOld,
            VerifyOld,
            Document
        ]
    );
    assert_eq!(tier(&conclusion), Some(Tier::Full));
}

#[test]
fn each_step_of_an_update_that_fails() {
    let full: &[Step] = &[
        ConfirmWayBack,
        Stop,
        BackUpSafety,
        RestoreFiles,
        RestoreTag,
        RecreateOld,
        RestoreData,
        StartOld,
        VerifyOld,
        Document,
    ];
    let unstarted: &[Step] =
        &[ConfirmWayBack, Stop, RestoreFiles, RestoreTag, RecreateOld, StartOld, VerifyOld, Document];
    let cases: [(Step, &[Step], Option<Tier>, u8); 11] = [
        (Confirm, &[Document], None, 1),
        (KeepImage, &[Document], None, 1),
        (SaveConfiguration, &[Document], None, 1),
        (BackUpLive, &[Document], None, 1),
        (PullImage, &[Document], None, 1),
        (EditFiles, &[RestoreFiles, Document], None, 1),
        (CreateContainers, unstarted, Some(Tier::NeverStarted), 4),
        (BackUpCutover, unstarted, Some(Tier::NeverStarted), 4),
        (StartNew, full, Some(Tier::Full), 4),
        (VerifyNew, full, Some(Tier::Full), 4),
        (Watch, full, Some(Tier::Full), 4),
    ];
    for (failing, way_back, reached, code) in cases {
        let (steps, conclusion) = run(update(), &[(failing, VERSION)]);
        let at = steps.iter().position(|step| *step == failing).unwrap();
        assert_eq!(&steps[at + 1..], way_back, "{failing}");
        assert_eq!(tier(&conclusion), reached, "{failing}");
        assert_eq!(conclusion.exit_code(), code, "{failing}");
        let as_before = matches!(&conclusion, Conclusion::AsBefore { failure } if failure.cause == VERSION);
        assert_eq!(as_before, reached.is_none(), "{failing}");
    }
}

#[test]
fn the_data_and_the_cause_choose_between_image_only_and_full() {
    use DataDoubt::{Certain, Possible, Unrelated};
    let (unchanged, changed, unknown) = (Some(false), Some(true), None);
    for (failing, doubt, data, expected) in [
        // Nothing was written: the data is what it was.
        (VerifyNew, Possible, unchanged, Tier::ImageOnly),
        (VerifyNew, Certain, unchanged, Tier::ImageOnly),
        (Watch, Possible, unchanged, Tier::ImageOnly),
        // It worked, so users wrote, and the data has nothing to do with it.
        (Watch, Unrelated, changed, Tier::ImageOnly),
        (Watch, Unrelated, unknown, Tier::ImageOnly),
        // It never worked, so nobody's writes are lost.
        (VerifyNew, Unrelated, changed, Tier::Full),
        (StartNew, Unrelated, unknown, Tier::Full),
        // The data is, or may be, what is wrong.
        (Watch, Possible, changed, Tier::Full),
        (Watch, Certain, changed, Tier::Full),
        (VerifyNew, Certain, changed, Tier::Full),
        (VerifyNew, Possible, unknown, Tier::Full),
    ] {
        let (_, conclusion) = Run::new(update()).finish(|step| match step {
            step if step == failing => failed(Cause::Version(doubt)),
            BackUpSafety => backed_up(data),
            step => usual(step),
        });
        assert_eq!(tier(&conclusion), Some(expected), "{failing} {doubt:?} {data:?}");
    }
}

#[test]
fn only_a_start_in_which_nothing_ran_leaves_the_data_out_of_it() {
    let (steps, conclusion) = run(update(), &[(StartNew, Cause::NeverRan)]);
    assert_eq!(tier(&conclusion), Some(Tier::NeverStarted));
    assert!(!steps.contains(&BackUpSafety), "{steps:?}");
    // From there on something ran, whatever is said.
    for failing in [VerifyNew, Watch] {
        let (steps, conclusion) = run(update(), &[(failing, Cause::NeverRan)]);
        assert_eq!(tier(&conclusion), Some(Tier::Full), "{failing}");
        assert!(steps.contains(&BackUpSafety), "{steps:?}");
    }
    // And a start that our own fault ended may have started something.
    assert_eq!(tier(&run(update(), &[(StartNew, Cause::Step)]).1), Some(Tier::Full));
}

#[test]
fn what_somebody_else_started_is_no_version_that_never_ran() {
    let way_back_of = |failing, ran| {
        let mut open = true;
        Run::new(update()).finish(|step| match step {
            step if step == failing && std::mem::take(&mut open) => failed(Cause::Foreign),
            ConfirmWayBack => way_back(ran),
            step => usual(step),
        })
    };
    for failing in [CreateContainers, BackUpCutover] {
        // There is no backup of the cutover, so the old version has to do with the present data, which is safe.
        let (steps, conclusion) = way_back_of(failing, true);
        assert_eq!(tier(&conclusion), Some(Tier::ImageOnly), "{failing}");
        let at = steps.iter().position(|step| *step == failing).unwrap();
        assert_eq!(steps[at + 1..at + 4], [ConfirmWayBack, Stop, BackUpSafety], "{failing}");
        assert!(!steps.contains(&RestoreData), "{steps:?}");
        assert_eq!(tier(&way_back_of(failing, false).1), Some(Tier::NeverStarted), "{failing}");
    }
    // What is known already, nobody has to tell.
    assert_eq!(tier(&way_back_of(VerifyNew, false).1), Some(Tier::Full));
}

#[test]
fn data_that_something_may_have_run_on_meanwhile_is_kept_once_more() {
    let back = |plan: Plan, failing, cause, changed: [bool; 2]| {
        let (mut open, mut changed) = (true, changed.into_iter());
        let (steps, conclusion) = Run::new(plan).finish(|step| match step {
            step if step == failing && std::mem::take(&mut open) => failed(cause),
            RecreateOld => created(true),
            BackUpSafety => backed_up(changed.next()),
            step => usual(step),
        });
        let at = steps.iter().rposition(|step| *step == RecreateOld).unwrap();
        assert_eq!(steps.iter().filter(|step| **step == RecreateOld).count(), 1, "{steps:?}");
        assert_eq!(steps[at + 1], BackUpSafety, "{steps:?}");
        (steps[at + 2..].to_vec(), tier(&conclusion))
    };
    let (full, image) = ([RestoreData, StartOld, VerifyOld, Document], [StartOld, VerifyOld, Document]);
    let unstarted = Cause::NeverRan;
    for (plan, failing, cause, changed, expected, then) in [
        // Nobody can say any more that the new version never ran.
        (update(), StartNew, unstarted, [true, true], Tier::Full, &full[..]),
        (update(), StartNew, unstarted, [false, false], Tier::ImageOnly, &image[..]),
        (update(), BackUpCutover, Cause::Step, [true, true], Tier::ImageOnly, &image[..]),
        // What was decided by the data is decided by the present data.
        (update(), VerifyNew, VERSION, [false, true], Tier::Full, &full[..]),
        (update(), VerifyNew, VERSION, [true, false], Tier::Full, &full[..]),
        (update(), Watch, Cause::Version(DataDoubt::Unrelated), [true, true], Tier::ImageOnly, &image[..]),
        (rollback(Tier::ImageOnly), KeepImage, VERSION, [true, true], Tier::ImageOnly, &image[..]),
        (rollback(Tier::Full), KeepImage, VERSION, [true, true], Tier::Full, &full[..]),
    ] {
        let what = format!("{failing} {changed:?} {expected:?}");
        assert_eq!(back(plan, failing, cause, changed), (then.to_vec(), Some(expected)), "{what}");
    }
}

#[test]
fn our_own_failure_to_watch_does_not_excuse_the_data() {
    for cause in [Cause::Step, Cause::Foreign] {
        let (_, conclusion) = run(update(), &[(Watch, cause)]);
        assert_eq!(tier(&conclusion), Some(Tier::Full), "{cause:?}");
    }
}

#[test]
fn an_old_version_that_refuses_the_present_data_gets_the_old_data() {
    for failing in [StartOld, VerifyOld] {
        let (steps, conclusion) =
            run(update(), &[(Watch, Cause::Version(DataDoubt::Unrelated)), (failing, VERSION)]);
        assert_eq!(tier(&conclusion), Some(Tier::Full), "{failing}");
        let at = steps.iter().position(|step| *step == failing).unwrap();
        assert_eq!(
            steps[at + 1..],
            [
                ConfirmWayBack,
                Stop,
                BackUpSafety,
                RestoreFiles,
                RestoreTag,
                RecreateOld,
                RestoreData,
                StartOld,
                VerifyOld,
                Document
            ]
        );
        // The report names what began it all.
        let Conclusion::RolledBack { failure, .. } = conclusion else { panic!() };
        assert_eq!(failure.cause, Cause::Version(DataDoubt::Unrelated));
    }
}

#[test]
fn without_a_backup_there_is_no_second_attempt() {
    let plan = plan(Kind::Rollback { of: "r1".into(), tier: Tier::ImageOnly, backups: Vec::new() });
    let (steps, conclusion) = run(plan, &[(VerifyOld, VERSION)]);
    assert!(!steps.contains(&RestoreData));
    assert!(matches!(conclusion, Conclusion::NeedsPerson { then: Some(_), .. }));
}

#[test]
fn a_way_back_that_fails_needs_a_person() {
    for failing in [
        ConfirmWayBack,
        Stop,
        BackUpSafety,
        RestoreFiles,
        RestoreTag,
        RecreateOld,
        RestoreData,
        StartOld,
        VerifyOld,
    ] {
        let (steps, conclusion) = run(update(), &[(VerifyNew, VERSION), (failing, Cause::Step)]);
        let Conclusion::NeedsPerson { failure, then } = &conclusion else {
            panic!("{failing}: {conclusion:?}")
        };
        assert_eq!(failure.cause, VERSION);
        assert_eq!(then.as_ref().unwrap().cause, Cause::Step);
        assert_eq!(conclusion.exit_code(), 5);
        // Nothing more is done to the service; only the report is written.
        let at = steps.iter().position(|step| *step == failing).unwrap();
        assert_eq!(steps[at + 1..], [Document], "{failing}");
    }
}

#[test]
fn a_restoration_goes_back_only_before_it_moves_data() {
    for failing in [Stop, BackUpSafety] {
        let (steps, conclusion) = run(restore(), &[(failing, Cause::Step)]);
        assert_eq!(tier(&conclusion), Some(Tier::NeverStarted), "{failing}");
        // The containers are still there, and neither files nor tags were touched.
        let at = steps.iter().position(|step| *step == failing).unwrap();
        assert_eq!(steps[at + 1..], [StartOld, VerifyOld, Document], "{failing}");
    }
    for failing in [RestoreData, StartOld, VerifyOld] {
        let (_, conclusion) = run(restore(), &[(failing, Cause::Step)]);
        assert!(matches!(conclusion, Conclusion::NeedsPerson { then: None, .. }), "{failing}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning() {
    let (steps, conclusion) = run(update(), &[(Document, Cause::Step)]);
    assert_eq!(steps.last(), Some(&Document));
    assert_eq!(conclusion, Conclusion::Kept { warnings: true });
    assert_eq!(conclusion.exit_code(), 3);
    let (_, conclusion) = run(update(), &[(VerifyNew, VERSION), (Document, Cause::Step)]);
    assert_eq!(tier(&conclusion), Some(Tier::Full));
    let (_, conclusion) = run(update(), &[(VerifyNew, VERSION), (Stop, VERSION), (Document, Cause::Step)]);
    assert_eq!(conclusion.exit_code(), 5);
}

#[test]
fn findings_are_warnings_unless_they_are_notes() {
    for (severity, warnings) in
        [(Severity::Note, false), (Severity::Warning, true), (Severity::Required, true)]
    {
        let finding = Finding::new("check", severity, "look");
        let mut planned = update();
        planned.findings.push(finding.clone());
        assert_eq!(run(planned, &[]).1, Conclusion::Kept { warnings });
        let mut run = Run::new(update());
        run.until_begun(Watch);
        run.add(Event::Observed { finding });
        assert_eq!(run.finish(usual).1, Conclusion::Kept { warnings });
    }
}

/// Interrupts while `step` runs, then lets it end as usual.
fn interrupted_at(plan: Plan, step: Step) -> (Vec<Step>, Conclusion) {
    let mut run = Run::new(plan);
    run.until_begun(step);
    run.interrupt();
    assert_eq!(run.state.running(), Some(step), "a step that runs is not abandoned");
    run.finish(usual)
}

#[test]
fn an_interruption_goes_back_as_far_as_the_run_has_come() {
    for (step, reached, code) in [
        (Confirm, None, 130),
        (BackUpLive, None, 130),
        (PullImage, None, 130),
        (EditFiles, None, 130),
        (CreateContainers, Some(Tier::NeverStarted), 130),
        (BackUpCutover, Some(Tier::NeverStarted), 130),
        (StartNew, Some(Tier::Full), 130),
        // A version that was verified is kept.
        (VerifyNew, None, 0),
        (Watch, None, 0),
        (Document, None, 0),
    ] {
        let (steps, conclusion) = interrupted_at(update(), step);
        assert_eq!((tier(&conclusion), conclusion.exit_code()), (reached, code), "{step}");
        assert_eq!(
            steps.contains(&RestoreFiles),
            code == 130 && (step == EditFiles || reached.is_some()),
            "{step}"
        );
    }
}

#[test]
fn an_interruption_between_two_steps_counts_at_once() {
    let mut run = Run::new(update());
    run.until_done(BackUpLive);
    run.interrupt();
    assert!(run.state.interrupted());
    assert_eq!(run.state.turned_back().map(|(tier, _)| tier), Some(Tier::Files));
    let (steps, conclusion) = run.finish(usual);
    assert_eq!(steps, [Document]);
    assert_eq!(conclusion.exit_code(), 130);
}

#[test]
fn an_interrupted_verification_that_fails_is_a_failure() {
    let mut run = Run::new(update());
    run.until_begun(VerifyNew);
    run.interrupt();
    run.end(VerifyNew, failed(VERSION));
    let (_, conclusion) = run.finish(usual);
    assert_eq!((tier(&conclusion), conclusion.exit_code()), (Some(Tier::Full), 4));
}

#[test]
fn a_way_back_is_not_interrupted() {
    let expected = run(update(), &[(VerifyNew, VERSION)]);
    for step in [ConfirmWayBack, Stop, BackUpSafety, RestoreFiles, RestoreData, VerifyOld] {
        let mut run = Run::new(update());
        run.until_begun(VerifyNew);
        run.end(VerifyNew, failed(VERSION));
        run.until_begun(step);
        run.interrupt();
        assert_eq!(run.finish(usual).1, expected.1, "{step}");
    }
}

#[test]
fn a_restoration_is_interrupted_only_before_it_moves_data() {
    assert_eq!(interrupted_at(restore(), Confirm).1.exit_code(), 130);
    assert_eq!(interrupted_at(restore(), BackUpSafety).1.exit_code(), 130);
    for step in [RestoreData, StartOld, VerifyOld, Document] {
        assert_eq!(interrupted_at(restore(), step).1, Conclusion::Kept { warnings: false }, "{step}");
    }
}

#[test]
fn a_backup_that_is_complete_is_not_undone_by_an_interruption() {
    assert_eq!(interrupted_at(plan(Kind::Backup), BackUpLive).1.exit_code(), 130);
    let (steps, conclusion) = interrupted_at(plan(Kind::Backup), Document);
    assert_eq!((steps, conclusion), (vec![Document], Conclusion::Kept { warnings: false }));
    let mut run = Run::new(plan(Kind::Backup));
    run.until_done(Document);
    run.interrupt();
    assert_eq!(run.finish(usual), (vec![], Conclusion::Kept { warnings: false }));
}

#[test]
fn a_watch_that_was_cut_short_is_told() {
    let mut run = Run::new(update());
    run.until_begun(Watch);
    run.interrupt();
    let fact = Fact::Watched {
        watched_ms: 1,
        cut_short: true,
        early: false,
        observations: Vec::new(),
        before: None,
        during: None,
    };
    run.end(Watch, Outcome::Done { fact });
    assert_eq!(run.finish(usual).1, Conclusion::Kept { warnings: true });
}

#[test]
fn what_was_seen_is_of_the_version_that_runs_since() {
    let sample = |rate| Some(Box::new(Sample { errors_per_minute: rate, ..Sample::default() }));
    let seen = |watched: Outcome| {
        let mut run = Run::new(Plan { measure: true, ..update() });
        run.finish(|step| match step {
            TakeBaseline => {
                let measured = Box::new(Measured { sample: sample(1.0), ..Measured::default() });
                Outcome::Done { fact: Fact::Measured { measured } }
            }
            Watch => watched.clone(),
            _ => usual(step),
        });
        run.state.seen().map(|sample| sample.errors_per_minute)
    };
    let fact = Fact::Watched {
        watched_ms: 1,
        cut_short: false,
        early: false,
        observations: Vec::new(),
        before: None,
        during: sample(2.0),
    };
    assert_eq!(seen(Outcome::Done { fact }), Some(2.0), "it was kept");
    assert_eq!(seen(failed(Cause::Version(DataDoubt::Unrelated))), Some(1.0), "the old one runs again");
}
