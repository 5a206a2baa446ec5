//! Functional checks in the verdict.

use super::*;
use crate::baseline::Measured;
use crate::finding::Severity;
use crate::functional::{Before, Bounds, Check, Judged, Kind};
use crate::step::Step;
use crate::verdict::Tier;

fn asked(mode: Mode, required: bool, question: bool) -> Judge {
    let mut expected = expectation(mode);
    expected.checks = vec![ExpectedCheck { name: "login".into(), required, question, profile: None }];
    let mut judge = Judge::new(expected);
    judge.see(0, Signal::Running { container: app() });
    judge.see(0, health(true));
    judge.see(0, probe(Place::Inside, true));
    judge.see(0, probe(Place::Outside, true));
    judge
}

fn answer(good: bool, doubt: DataDoubt) -> Signal {
    let detail = if good { "HTTP 200" } else { "HTTP 403" }.to_owned();
    Signal::Check { name: "login".into(), judged: Judged { good, detail, doubt, last: false, odd: false } }
}

fn final_answer(good: bool) -> Signal {
    let Signal::Check { name, judged } = answer(good, DataDoubt::Possible) else { unreachable!() };
    Signal::Check { name, judged: Judged { last: true, ..judged } }
}

#[test]
fn a_start_is_good_once_the_required_check_is() {
    let mut judge = asked(Mode::Start, true, false);
    assert_eq!(judge.stage(1), Stage::Up);
    assert_eq!(judge.judge(1), Judgement::Undecided);
    judge.see(1, answer(false, DataDoubt::Possible));
    assert_eq!(judge.judge(59_999), Judgement::Undecided, "it is asked again until the time is over");
    judge.see(2, answer(true, DataDoubt::Possible));
    assert_eq!(judge.judge(2), Judgement::Good);
}

#[test]
fn a_check_that_fails_to_the_end_of_the_start_says_what_it_says_of_the_data() {
    for doubt in [DataDoubt::Possible, DataDoubt::Certain] {
        let mut judge = asked(Mode::Start, true, false);
        judge.see(1, answer(false, doubt));
        let failure = bad(&mut judge, 60_000);
        assert_eq!(
            (failure.problem.code.as_str(), failure.cause),
            ("version-check-failed", Cause::Version(doubt))
        );
        assert!(failure.evidence.contains(&"check login: HTTP 403".to_owned()), "{failure:?}");
    }
}

#[test]
fn a_service_that_is_not_up_is_not_blamed_on_a_check() {
    let mut judge = asked(Mode::Start, true, false);
    judge.see(1, probe(Place::Outside, false));
    judge.see(1, answer(false, DataDoubt::Certain));
    assert_eq!(bad(&mut judge, 60_000).problem.code, "version-not-up");
}

#[test]
fn what_is_only_wanted_gets_a_fair_chance_and_a_warning() {
    let mut judge = asked(Mode::Start, false, false);
    for at in 0..3 {
        assert_eq!(judge.judge(at), Judgement::Undecided);
        judge.see(at, answer(false, DataDoubt::Certain));
    }
    assert_eq!(judge.judge(3), Judgement::Good);
    let findings = judge.warnings(60_000);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Warning));
}

#[test]
fn a_check_that_misses_once_in_the_watch_is_reported_and_one_that_lasts_decides() {
    let mut judge = asked(Mode::Watch, true, false);
    judge.see(1_000, answer(true, DataDoubt::Possible));
    judge.see(2_000, answer(false, DataDoubt::Possible));
    judge.see(3_000, answer(true, DataDoubt::Possible));
    assert_eq!(judge.judge(30_000), Judgement::Good);
    assert!(judge.remarks(30_000).iter().any(|r| r.contains("login failed 1 time(s)")));
    assert_eq!(judge.warnings(60_000), []);
    for at in [40_000, 45_000, 50_000] {
        judge.see(at, answer(false, DataDoubt::Possible));
    }
    assert_eq!(bad(&mut judge, 50_000).problem.what, "the check login fails");
}

/// A page takes its time: the third look may come too late.
#[test]
fn what_was_bad_twice_at_the_end_of_the_window_decides_and_once_does_not() {
    let mut judge = asked(Mode::Watch, true, false);
    judge.see(50_000, answer(false, DataDoubt::Possible));
    assert_eq!(judge.at_the_end(60_000), None);
    assert_eq!(judge.warnings(60_000).len(), 1, "but it is told");
    judge.see(59_000, answer(false, DataDoubt::Possible));
    assert_eq!(judge.at_the_end(60_000).unwrap().problem.code, "version-check-failed");
}

#[test]
fn what_is_only_wanted_never_decides_in_the_watch() {
    let mut judge = asked(Mode::Watch, false, false);
    for at in [1_000, 20_000, 40_000, 60_000] {
        judge.see(at, answer(false, DataDoubt::Certain));
    }
    assert!(!matches!(judge.judge(60_000), Judgement::Bad(_)));
}

#[test]
fn the_operator_may_take_longer_than_a_version_to_start() {
    let mut judge = asked(Mode::Start, true, true);
    assert_eq!((judge.stage(600_000), judge.judge(600_000)), (Stage::Checked, Judgement::Undecided));
    judge.see(600_001, final_answer(true));
    assert_eq!(judge.judge(600_001), Judgement::Good);
}

#[test]
fn one_missed_answer_while_the_operator_thinks_is_none() {
    let mut judge = asked(Mode::Start, true, true);
    assert_eq!(judge.judge(500_000), Judgement::Undecided);
    judge.see(600_000, probe(Place::Outside, false));
    assert_eq!(judge.judge(600_000), Judgement::Undecided);
    assert_eq!(judge.judge(609_999), Judgement::Undecided);
    assert_eq!(bad(&mut judge.clone(), 610_000).problem.what, "it came up, and did not stay so");
    judge.see(609_999, probe(Place::Outside, true));
    assert_eq!(judge.judge(700_000), Judgement::Undecided, "it is up again");
}

#[test]
fn a_check_that_is_good_is_nothing_to_report() {
    let mut judge = asked(Mode::Watch, true, false);
    judge.see(1_000, answer(true, DataDoubt::Possible));
    assert!(judge.calm(2_000) && !judge.remarks(2_000).is_empty());
    judge.see(3_000, answer(false, DataDoubt::Possible));
    judge.see(4_000, answer(true, DataDoubt::Possible));
    assert!(!judge.calm(5_000), "it was not good all the time");
}

#[test]
fn the_operator_s_no_decides_at_once_if_it_is_required() {
    let mut judge = asked(Mode::Start, true, true);
    judge.see(1, final_answer(false));
    assert!(bad(&mut judge, 1).problem.what.contains("is no"));
    let mut judge = asked(Mode::Start, false, true);
    judge.see(1, final_answer(false));
    assert_eq!(judge.judge(1), Judgement::Good);
    assert_eq!(judge.warnings(60_000).len(), 1);
}

fn planned(figure: Option<Bounds>, kind: Kind) -> Check {
    Check {
        service: "app".into(),
        name: "rows".into(),
        kind,
        required: true,
        shown: "count".into(),
        timeout_ms: 1_000,
        every_ms: None,
        figure,
        before: Before::Good { figure: None },
        profile: None,
        index: 0,
    }
}

#[test]
fn what_was_bad_just_before_the_cutover_decides_nothing() {
    let check = planned(None, Kind::Http);
    let measured = Measured { bad: vec!["rows".into()], ..Measured::default() };
    let of = |step, measured: Option<&Measured>| {
        ExpectedCheck::of(&check, step, None, measured).map(|e| e.required)
    };
    let nothing = Measured::default();
    for step in [Step::VerifyNew, Step::Watch, Step::VerifyOld] {
        assert_eq!(of(step, Some(&measured)), Some(false), "asked all the same");
        assert_eq!(of(step, Some(&nothing)), Some(true));
        assert_eq!(of(step, None), Some(true));
    }
}

#[test]
fn figures_decide_where_data_may_have_suffered_and_questions_are_for_the_new_version() {
    let of = |check: &Check, step, tier| ExpectedCheck::of(check, step, tier, None).map(|e| e.required);
    let plain = planned(Some(Bounds::default()), Kind::Command);
    assert_eq!(of(&plain, Step::VerifyNew, None), Some(true));
    assert_eq!(of(&plain, Step::Watch, None), None, "users write meanwhile");
    assert_eq!(of(&plain, Step::VerifyOld, Some(Tier::ImageOnly)), Some(true));
    assert_eq!(of(&plain, Step::VerifyOld, Some(Tier::Full)), Some(false));
    let said = planned(Some(Bounds { min_ratio: Some(0.5), ..Bounds::default() }), Kind::Http);
    assert_eq!(of(&said, Step::Watch, None), Some(true));
    let question = planned(None, Kind::Question);
    assert_eq!(of(&question, Step::VerifyNew, None), Some(true));
    assert_eq!(of(&question, Step::VerifyOld, Some(Tier::Full)), None);
    let http = planned(None, Kind::Http);
    assert_eq!(of(&http, Step::VerifyOld, Some(Tier::Full)), Some(true));
}
