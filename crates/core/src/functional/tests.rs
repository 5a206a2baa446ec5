use super::*;
use crate::baseline::Figure;

fn check(figure: Option<Bounds>) -> Check {
    Check {
        service: "app".into(),
        name: "rows".into(),
        kind: Kind::Command,
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

fn measured(value: f64) -> Measured {
    Measured { figures: vec![Figure { check: "rows".into(), value }], ..Measured::default() }
}

fn counted(bounds: &Bounds, before: f64, now: f64) -> Judged {
    let answer = Answer { good: true, figure: Some(now), ..Answer::default() };
    judge(&check(Some(bounds.clone())), Some(&measured(before)), answer)
}

#[test]
fn a_figure_that_fell_is_a_matter_of_the_data() {
    let fell = counted(&Bounds::default(), 1_000.0, 0.0);
    assert_eq!((fell.good, fell.doubt), (false, DataDoubt::Certain));
    assert_eq!(fell.detail, "0, before the update 1000");
    assert!(counted(&Bounds::default(), 1_000.0, 1_000.0).good);
}

#[test]
fn a_figure_that_rose_is_reported_unless_it_has_to_be_equal() {
    let rose = counted(&Bounds::default(), 1_000.0, 1_001.0);
    assert!(rose.good && rose.odd, "{rose:?}");
    let equal = Bounds { equal: true, ..Bounds::default() };
    assert!(!counted(&equal, 1_000.0, 1_001.0).good);
    assert!(counted(&equal, 1_000.0, 1_000.0).good);
}

#[test]
fn limits_that_are_said_are_all_there_are() {
    let half = Bounds { min_ratio: Some(0.5), ..Bounds::default() };
    assert!(counted(&half, 1_000.0, 500.0).good && !counted(&half, 1_000.0, 499.0).good);
    let rose = counted(&half, 1_000.0, 9_000.0);
    assert!(rose.good && !rose.odd, "{rose:?}");
    let fixed = Bounds { at_least: Some(1.0), at_most: Some(10.0), ..Bounds::default() };
    assert!(
        counted(&fixed, 5.0, 1.0).good && !counted(&fixed, 5.0, 0.0).good && !counted(&fixed, 5.0, 11.0).good
    );
    let double = Bounds { max_ratio: Some(2.0), ..Bounds::default() };
    assert!(counted(&double, 5.0, 0.0).good && !counted(&double, 5.0, 11.0).good);
}

/// Between the plan and the cutover the old version itself changed it: users are at work.
#[test]
fn a_figure_that_moves_by_itself_is_not_pinned() {
    let equal = Bounds { equal: true, ..Bounds::default() };
    for bounds in [equal, Bounds::default()] {
        let check = Check { before: Before::Good { figure: Some(10.0) }, ..check(Some(bounds)) };
        let judged = |now| {
            let answer = Answer { good: true, figure: Some(now), ..Answer::default() };
            judge(&check, Some(&measured(14.0)), answer)
        };
        assert!(judged(10.0).good && judged(15.0).good && !judged(9.0).good, "{check:?}");
        assert_eq!(judged(9.0).detail, "9, before the update 10 to 14");
    }
}

#[test]
fn without_a_figure_from_before_only_fixed_limits_count() {
    let answer = |now| Answer { good: true, figure: Some(now), ..Answer::default() };
    assert!(judge(&check(Some(Bounds::default())), None, answer(0.0)).good);
    let fixed = Bounds { at_least: Some(1.0), ..Bounds::default() };
    assert!(!judge(&check(Some(fixed)), None, answer(0.0)).good);
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    for bad in [
        Bounds { equal: true, at_least: Some(1.0), ..Bounds::default() },
        Bounds { at_least: Some(2.0), at_most: Some(1.0), ..Bounds::default() },
        Bounds { min_ratio: Some(f64::NAN), ..Bounds::default() },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
    assert!(Bounds { min_ratio: Some(0.9), max_ratio: Some(1.1), ..Bounds::default() }.check().is_ok());
}

#[test]
fn only_what_a_page_did_not_complain_of_before_counts() {
    let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    let before = lines(&["HTTP 404: /app.3f2a1b.js?v=1", "console: slow after 120 ms"]);
    let same = lines(&["HTTP 404: /app.99ab00.js?v=2", "console: slow after 7 ms"]);
    assert_eq!(new_errors(&before, &same), lines(&[]));
    let other = lines(&[
        "HTTP 500: /app.3f2a1b.js",
        "console: TypeError: x is undefined",
        "console: TypeError: x is undefined",
    ]);
    assert_eq!(
        new_errors(&before, &other),
        lines(&["HTTP 500: /app.3f2a1b.js", "console: TypeError: x is undefined"])
    );
}

#[test]
fn a_page_is_bad_by_what_is_new_on_it() {
    let check = Check { kind: Kind::Browser, figure: None, ..check(None) };
    let complaint = || vec!["console: TypeError".to_owned()];
    let answer = Answer { good: true, complaints: complaint(), ..Answer::default() };
    let page = |complaints| Measured {
        pages: vec![Page { check: "rows".into(), complaints }],
        ..Measured::default()
    };
    assert!(judge(&check, Some(&page(complaint())), answer.clone()).good);
    let judged = judge(&check, Some(&page(Vec::new())), answer.clone());
    assert!(!judged.good && judged.detail.contains("TypeError"), "{judged:?}");
    assert!(judge(&check, None, answer).good, "nobody knows what was there before");
}

#[test]
fn a_check_that_was_bad_before_decides_nothing() {
    let bad = Check { before: Before::Bad, ..check(None) };
    assert!(!bad.decides() && check(None).decides());
    assert!(!Check { required: false, ..check(None) }.decides());
}

#[test]
fn a_figure_that_was_0_says_nothing() {
    let all = Bounds { min_ratio: Some(1.0), ..Bounds::default() };
    assert!(counted(&all, 0.0, 0.0).good && counted(&all, 0.0, 7.0).good);
    assert!(!counted(&all, 7.0, 0.0).good);
}

#[test]
fn users_may_change_what_a_profile_counts_and_not_empty_it() {
    let all = Bounds { min_ratio: Some(1.0), ..Bounds::default() };
    let own = check(Some(all)).watched();
    let of_profile = Check { profile: Some("postgres".into()), ..own.clone() }.watched();
    let good = |check: &Check, now: f64| {
        let answer = Answer { good: true, figure: Some(now), ..Answer::default() };
        judge(check, Some(&measured(10.0)), answer).good
    };
    assert!(!good(&own, 9.0), "the operator said what it may be");
    assert!(good(&of_profile, 5.0) && !good(&of_profile, 4.0) && of_profile.decides());
    // What is emptied by its users now and then is told, no more.
    let cache = Bounds { min_ratio: Some(0.5), ..Bounds::default() };
    let of_cache = Check { profile: Some("redis".into()), ..check(Some(cache)) }.watched();
    assert!(!good(&of_cache, 4.0) && !of_cache.decides());
}

#[test]
fn a_check_of_an_older_journal_is_read() {
    let mut value = serde_json::to_value(check(None)).unwrap();
    assert_eq!(value.get("profile"), None);
    value.as_object_mut().unwrap().remove("profile");
    assert_eq!(serde_json::from_value::<Check>(value).unwrap(), check(None));
}

#[test]
fn pictures_have_plain_names() {
    let check = Check { name: "Log in / ü".into(), index: 3, ..check(None) };
    assert_eq!(check.screenshot("new"), Path::new("screenshots/3-log-in-----new.png"));
}
