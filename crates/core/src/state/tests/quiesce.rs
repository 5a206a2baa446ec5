//! Backups for which the service stands still, and commands around a backup.

use super::Step::*;
use super::*;
use crate::plan::{Hooks, Image, ServicePlan};

pub fn still(by: Quiesce) -> Plan {
    Plan { still: Some(by), ..plan(Kind::Backup) }
}

/// The plan, for a service with a command before and one after each backup.
pub fn with_hooks(mut plan: Plan) -> Plan {
    let image = Image { reference: "app:1".into(), id: None, digest: None };
    let command = Some("a command".to_owned());
    plan.unit.services = vec![ServicePlan {
        name: "app".into(),
        containers: Vec::new(),
        from: image.clone(),
        to: image,
        keep_tag: "mainstay/keep/app".into(),
        stop_grace_ms: 1,
        health_check: false,
        hooks: Some(Hooks {
            before: command.clone(),
            after: command,
            timeout_ms: 1,
            profile: None,
            index: 0,
        }),
        profile: None,
    }];
    plan
}

/// The steps after the first three, which every backup has.
fn after_preparation(steps: &[Step]) -> &[Step] {
    assert_eq!(steps[..3], [Confirm, KeepImage, SaveConfiguration]);
    &steps[3..]
}

#[test]
fn a_backup_stops_or_pauses_the_service_only_where_the_plan_says_so() {
    for (plan, expected) in [
        (plan(Kind::Backup), &[BackUpLive, Document][..]),
        (still(Quiesce::Pause), &[BackUpLive, BackUpStill, Document]),
        (still(Quiesce::Stop), &[BackUpLive, Stop, BackUpStill, StartOld, VerifyOld, Document]),
    ] {
        let (steps, conclusion) = run(plan, &[]);
        assert_eq!((after_preparation(&steps), conclusion), (expected, Conclusion::Kept { warnings: false }));
    }
}

#[test]
fn commands_run_around_the_whole_backup() {
    let (steps, _) = run(with_hooks(still(Quiesce::Stop)), &[]);
    let expected =
        [RunBeforeBackup, BackUpLive, Stop, BackUpStill, StartOld, VerifyOld, RunAfterBackup, Document];
    assert_eq!(after_preparation(&steps), expected);
    let (steps, _) = run(with_hooks(update()), &[]);
    let expected = [
        RunBeforeBackup,
        BackUpLive,
        RunAfterBackup,
        PullImage,
        EditFiles,
        RunBeforeCutover,
        CreateContainers,
        BackUpCutover,
        StartNew,
        VerifyNew,
        Watch,
        Document,
    ];
    assert_eq!(after_preparation(&steps), expected);
    for plan in [restore(), rollback(Tier::Full)] {
        let plan = with_hooks(plan);
        assert!(!run(plan, &[]).0.iter().any(|s| matches!(s, RunBeforeBackup | RunAfterBackup)));
    }
}

/// A way back from before the cutover: its steps after the one that failed.
fn way_back(plan: Plan, at: Step) -> (Vec<Step>, Conclusion) {
    let (steps, conclusion) = run(plan, &[(at, Cause::Step)]);
    let failed = steps.iter().position(|s| *s == at).unwrap();
    (steps[failed + 1..].to_vec(), conclusion)
}

#[test]
fn what_comes_after_a_backup_runs_also_where_it_failed() {
    for at in [RunBeforeBackup, BackUpLive] {
        for plan in [with_hooks(update()), with_hooks(plan(Kind::Backup))] {
            let (steps, conclusion) = way_back(plan, at);
            assert_eq!(steps, [RunAfterBackup, Document], "{at}");
            assert!(matches!(conclusion, Conclusion::AsBefore { .. }), "{conclusion:?}");
        }
    }
    let (steps, _) = way_back(with_hooks(update()), PullImage);
    assert_eq!(steps, [RestoreTag, Document], "it has run already, and a pull may have moved the tag");
    let (steps, _) = way_back(with_hooks(update()), RunBeforeCutover);
    assert_eq!(
        steps,
        [RestoreFiles, RestoreTag, RunAfterBackup, Document],
        "in the container that is still there"
    );
    let (steps, _) = way_back(with_hooks(update()), CreateContainers);
    assert_eq!(steps[steps.len() - 3..], [VerifyOld, RunAfterBackup, Document], "in the old version again");
}

#[test]
fn a_command_that_fails_after_a_good_backup_is_a_warning_and_ends_an_update() {
    let (_, conclusion) = run(with_hooks(plan(Kind::Backup)), &[(RunAfterBackup, Cause::Step)]);
    assert_eq!(conclusion, Conclusion::Kept { warnings: true });
    let (steps, conclusion) = way_back(with_hooks(update()), RunAfterBackup);
    assert_eq!(steps, [RunAfterBackup, Document], "tried once more, and the run is over");
    assert!(matches!(conclusion, Conclusion::AsBefore { .. }), "{conclusion:?}");
    let twice = [(RunBeforeBackup, Cause::Step), (RunAfterBackup, Cause::Step)];
    assert!(matches!(run(with_hooks(update()), &twice).1, Conclusion::AsBefore { .. }));
}

#[test]
fn a_pause_is_ended_whatever_became_of_the_backup() {
    let (steps, conclusion) = way_back(with_hooks(still(Quiesce::Pause)), BackUpStill);
    assert_eq!(steps, [Unpause, RunAfterBackup, Document]);
    assert!(matches!(conclusion, Conclusion::AsBefore { .. }), "{conclusion:?}");
    let stuck = [(BackUpStill, Cause::Step), (Unpause, Cause::Step)];
    assert_eq!(run(still(Quiesce::Pause), &stuck).1.exit_code(), 5, "somebody has to look");
    assert_eq!(way_back(still(Quiesce::Pause), BackUpLive).0, [Document], "nothing was paused yet");
}

#[test]
fn a_service_that_was_stopped_for_its_backup_is_started_again() {
    for at in [Stop, BackUpStill, StartOld, VerifyOld] {
        let (steps, conclusion) = way_back(still(Quiesce::Stop), at);
        assert_eq!(steps, [StartOld, VerifyOld, Document], "{at}");
        assert_eq!(tier(&conclusion), Some(Tier::NeverStarted), "{conclusion:?}");
    }
    let mut run = Run::new(still(Quiesce::Stop));
    run.until_begun(BackUpStill);
    run.interrupt();
    run.end(BackUpStill, usual(BackUpStill));
    let (steps, conclusion) = run.finish(usual);
    assert_eq!((steps, conclusion.exit_code()), (vec![StartOld, VerifyOld, Document], 130));
}

/// A plan of an earlier version, whose backups had one pass only.
#[test]
fn an_older_backup_without_a_word_about_it_goes_on_as_it_began() {
    let mut json = serde_json::to_value(plan(Kind::Backup)).unwrap();
    assert_eq!(json["quiesce"], "stop");
    assert!(json.as_object_mut().unwrap().remove("still").is_none(), "it is left out where there is none");
    let plan: Plan = serde_json::from_value(json).unwrap();
    assert!(!RunState::new(&plan).steps(&plan).contains(&Stop));
}
