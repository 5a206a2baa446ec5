//! Certificates that end sooner than before.

use super::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// What is warned of where `days` are left of a certificate, and `before` were left of the one from before.
fn warned(days: i64, before: Option<i64>) -> Vec<String> {
    let expected = Expectation { certificate_ms: before.map(|days| days * DAY), ..expectation(Mode::Watch) };
    let mut judge = Judge::new(expected);
    see_all_well(&mut judge, 0);
    let described = "CN=app.test".to_owned();
    judge.see(1, Signal::Certificate(Shown { until_ms: days * DAY, days_left: days, described }));
    assert_eq!(judge.judge(2), Judgement::Good, "it decides nothing");
    judge.warnings(2).into_iter().map(|finding| finding.message).collect()
}

#[test]
fn a_certificate_that_ends_soon_and_sooner_than_before_is_warned_of() {
    let said = "the certificate expires in 5 days, 25 days earlier than the one that was shown before";
    assert_eq!(warned(5, Some(30)), [said]);
    assert_eq!(warned(13, Some(14)).len(), 1);
    assert!(warned(14, Some(30)).is_empty(), "it lasts long enough");
    assert!(warned(5, Some(5)).is_empty(), "it is the same");
    assert!(warned(5, Some(3)).is_empty(), "it was renewed");
    assert!(warned(-1, Some(30)).is_empty(), "the probe fails by it");
    assert!(warned(5, None).is_empty(), "there was none");
}

#[test]
fn what_was_answered_from_outside_is_told() {
    let mut judge = working(Mode::Watch);
    assert_eq!(judge.remarks(1), ["asked from outside: HTTP 200"]);
    assert!(judge.calm(1), "it is no trouble");
}
