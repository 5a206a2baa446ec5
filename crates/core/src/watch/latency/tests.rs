use super::*;
use crate::watch::{Patterns, Place, Signal};

const TEN_MINUTES: Millis = 600_000;

fn before(p95_ms: u64, count: usize) -> Sample {
    let latency = Latency { count, p50_ms: p95_ms / 2, p95_ms };
    Sample { answers: [("from inside".to_owned(), latency)].into(), ..Sample::default() }
}

/// Ten minutes, an answer every five seconds.
fn answers(millis: impl Fn(u64) -> u64) -> Figures {
    let mut figures = Figures::new(Patterns::default(), Sample::default());
    for n in 0..120 {
        let (place, detail) = (Place::Inside, String::new());
        figures.see(
            n * 5_000,
            &Signal::Probe { place, ok: true, detail, millis: millis(n), remarks: Vec::new() },
        );
    }
    figures
}

fn decides(figures: &Figures, before: &Sample) -> bool {
    last(figures, before, TEN_MINUTES).is_some()
}

#[test]
fn more_than_twice_as_slow_to_the_end_decides() {
    assert!(decides(&answers(|_| 401), &before(200, 50)));
    assert!(!decides(&answers(|_| 400), &before(200, 50)));
    let (problem, doubt) = last(&answers(|_| 401), &before(200, 50), TEN_MINUTES).unwrap();
    assert_eq!((problem.code.as_str(), doubt), ("version-slow", DataDoubt::Unrelated));
}

#[test]
fn a_few_milliseconds_are_no_matter() {
    assert!(!decides(&answers(|_| 100), &before(2, 50)));
    assert!(decides(&answers(|_| 103), &before(2, 50)));
}

#[test]
fn slow_at_the_beginning_or_now_and_then_is_kept() {
    assert!(!decides(&answers(|n| if n < 79 { 900 } else { 10 }), &before(10, 50)), "caches were filled");
    assert!(!decides(&answers(|n| if n % 30 == 0 { 900 } else { 10 }), &before(10, 50)), "pauses");
    assert!(decides(&answers(|n| if n % 10 == 0 { 900 } else { 10 }), &before(10, 50)), "one in ten");
}

#[test]
fn without_a_fair_comparison_nothing_is_said() {
    assert!(!decides(&answers(|_| 900), &Sample::default()), "nothing was measured before");
    assert!(!decides(&answers(|_| 900), &before(10, 4)), "too little was");
    assert!(decides(&answers(|_| 900), &before(10, 5)));
    let mut figures = Figures::new(Patterns::default(), Sample::default());
    figures.answered(TEN_MINUTES - 2, Place::Inside, 900);
    figures.answered(TEN_MINUTES - 1, Place::Inside, 900);
    assert!(!decides(&figures, &before(10, 50)), "too little is");
    figures.answered(TEN_MINUTES, Place::Inside, 900);
    assert!(decides(&figures, &before(10, 50)));
}

#[test]
fn the_fewer_answers_were_seen_before_the_more_have_to_be_slow() {
    let one_in_ten = |n| if n % 10 == 0 { 900 } else { 10 };
    assert!(decides(&answers(one_in_ten), &before(10, 30)));
    assert!(!decides(&answers(one_in_ten), &before(10, 29)), "one in ten may have been as slow then");
}

#[test]
fn percentiles_are_ranks() {
    let mut answers = Answers::default();
    (1..=20).for_each(|n| answers.see(n, n));
    assert_eq!(answers.latency(), Latency { count: 20, p50_ms: 10, p95_ms: 19 });
    assert_eq!(Answers::default().latency(), Latency::default());
}
