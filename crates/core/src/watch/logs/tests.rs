use super::*;
use crate::baseline::ErrorKind;

const MINUTE: Millis = 60_000;

fn known(kinds: &[(&str, f64)]) -> Sample {
    let kind = |(line, per_minute): &(&str, f64)| ErrorKind {
        template: redflags::template(line),
        per_minute: *per_minute,
    };
    Sample {
        errors_per_minute: kinds.iter().map(|(_, rate)| rate).sum(),
        errors: kinds.iter().map(kind).collect(),
        ..Sample::default()
    }
}

fn logs(before: Sample) -> Logs {
    Logs::new(Patterns::default(), before)
}

/// So many lines a minute for ten minutes; `#` becomes a number.
fn say(logs: &mut Logs, line: &str, per_minute: u64) {
    for n in 0..10 * per_minute {
        logs.read(n * MINUTE / per_minute, "app", &line.replace('#', &n.to_string()));
    }
}

fn decides(logs: &Logs) -> Option<String> {
    logs.last(10 * MINUTE).map(|(problem, _)| format!("{problem} {:?}", problem.causes))
}

const CACHE: &str = "ERROR cannot reach the cache (attempt #)";

#[test]
fn errors_decide_above_one_a_minute_and_not_at_it() {
    let mut few = logs(Sample::default());
    say(&mut few, CACHE, 1);
    assert_eq!(decides(&few), None);
    let mut many = logs(Sample::default());
    say(&mut many, CACHE, 2);
    assert!(decides(&many).unwrap().contains("2.0 errors a minute"));
}

#[test]
fn what_was_there_before_at_a_like_rate_does_not_count() {
    for (before, now, bad) in [(30.0, 30, false), (30.0, 44, false), (30.0, 60, false), (30.0, 90, true)] {
        let mut logs = logs(known(&[(CACHE, before)]));
        say(&mut logs, CACHE, now);
        assert_eq!(decides(&logs).is_some(), bad, "{before} -> {now}");
    }
}

#[test]
fn something_new_among_old_errors_counts_once_there_is_more_of_everything() {
    let mut logs = logs(known(&[(CACHE, 10.0)]));
    say(&mut logs, CACHE, 10);
    say(&mut logs, "ERROR payment # was lost", 10);
    let said = decides(&logs).unwrap();
    assert!(
        said.contains("100 error(s) in the log that were not there before: ERROR payment # was lost"),
        "{said}"
    );
    assert!(!said.contains("cache"), "{said}");
}

#[test]
fn the_same_errors_in_other_words_do_not_count() {
    let mut logs = logs(known(&[(CACHE, 20.0)]));
    say(&mut logs, r#"{"level":"error","msg":"cache unreachable","attempt":#}"#, 20);
    assert_eq!(decides(&logs), None);
}

#[test]
fn a_burst_that_is_over_does_not_count() {
    let mut logs = logs(Sample::default());
    (0..500).for_each(|n| drop(logs.read(n * 10, "app", "ERROR not ready yet")));
    assert_eq!(decides(&logs), None);
    assert_eq!(logs.remarks(10 * MINUTE).len(), 1, "and is reported");
}

#[test]
fn one_message_a_thousand_times_is_one_thing_with_a_count() {
    let mut logs = logs(Sample::default());
    say(&mut logs, "2026-01-05T10:11:12Z ERROR job # failed after #ms", 100);
    assert_eq!(
        logs.remarks(10 * MINUTE),
        ["1000 error(s) in the log that were not there before: # ERROR job # failed after #"]
    );
    assert_eq!(logs.kinds(10 * MINUTE).len(), 1);
}

#[test]
fn a_stack_trace_is_one_error_of_the_kind_that_its_message_says() {
    let mut logs = logs(Sample::default());
    for n in 0..3 {
        for line in [
            "Traceback (most recent call last):",
            "  File \"/app/main.py\", line 12, in <module>",
            "    run()",
            &format!("ValueError: order {n}"),
        ] {
            logs.read(n, "app", line);
        }
    }
    let kinds = logs.kinds(MINUTE);
    assert_eq!(kinds.len(), 1, "{kinds:?}");
    assert_eq!((kinds[0].template.as_str(), kinds[0].per_minute), ("ValueError: order #", 3.0));
}

#[test]
fn a_cause_below_a_head_is_evidence_and_no_second_error() {
    let mut logs = logs(Sample::default());
    let told = |logs: &mut Logs, line| logs.read(1, "app", line).map(|told| told.flag);
    assert_eq!(told(&mut logs, "ERROR request failed"), Some(Flag::Error));
    assert_eq!(told(&mut logs, "java.lang.RuntimeException: boom"), Some(Flag::Error));
    assert_eq!(told(&mut logs, "\tat com.example.App.main(App.java:12)"), None);
    let cause = "Caused by: org.flywaydb.core.api.FlywayException: Validate failed";
    assert_eq!(told(&mut logs, cause), Some(Flag::MigrationFailed));
    assert_eq!(logs.total(), 2);
}

#[test]
fn the_logs_of_two_replicas_are_not_taken_for_each_others() {
    let mut logs = logs(Sample::default());
    logs.read(1, "app-1", "ERROR one");
    logs.read(1, "app-2", "ERROR two");
    logs.read(2, "app-1", "    more of one");
    logs.read(2, "app-2", "Traceback (most recent call last):");
    assert_eq!(logs.total(), 2);
}

#[test]
fn a_line_that_was_there_before_tells_nothing() {
    let line = "FATAL:  password authentication failed for user \"monitor\"";
    assert_eq!(logs(known(&[(line, 0.1)])).read(1, "app", line), None);
    assert!(logs(Sample::default()).read(1, "app", line).is_some());
}

#[test]
fn a_line_to_be_warned_of_counts_wherever_it_stands() {
    let rules =
        LogRules { alert: vec!["^slow".to_owned(), "in the cache$".to_owned()], ..LogRules::default() };
    let mut logs = Logs::new(Patterns::compile(&rules).unwrap(), Sample::default());
    for line in [
        "slow query",
        "Traceback (most recent call last):",
        "  File \"/app/main.py\", line 3, in the cache",
        "ValueError: no such row",
    ] {
        logs.read(1, "app", line);
    }
    assert!(logs.alerts().iter().any(|alert| alert == "1 × slow query"), "{:?}", logs.alerts());
    assert_eq!(logs.alerts().len(), 2, "{:?}", logs.alerts());
}

#[test]
fn patterns_of_the_configuration_come_first() {
    let text = |pattern: &str| vec![pattern.to_owned()];
    let rules = LogRules {
        fatal: text("licen[cs]e (expired|invalid)"),
        alert: text("^slow query"),
        ignore: text("cannot reach the cache"),
    };
    let mut logs = Logs::new(Patterns::compile(&rules).unwrap(), Sample::default());
    let mut told = |line| logs.read(1, "app", line).map(|told| told.flag);
    assert_eq!(told("ERROR cannot reach the cache, license expired"), None, "an exception wins");
    assert_eq!(told("INFO license expired"), Some(Flag::Fatal));
    assert_eq!(told("slow query: 12 s"), Some(Flag::Alert));
    assert_eq!(told("INFO all is well"), None);
    assert_eq!(logs.alerts(), ["1 × slow query: # s"]);
    let broken = LogRules { alert: text("(unclosed"), ..LogRules::default() };
    let problem = Patterns::compile(&broken).unwrap_err();
    assert!(problem.what.contains("log_alert") && !problem.advice.is_empty(), "{problem}");
}

#[test]
fn a_log_with_ever_new_errors_takes_no_room() {
    let mut logs = logs(Sample::default());
    for a in 'a'..='z' {
        for b in 'a'..='z' {
            logs.read(1, "app", &format!("ERROR x{a}{b}x is wrong"));
        }
    }
    assert_eq!(logs.kinds.len(), MOST_KINDS + 1);
    assert_eq!(logs.total(), 26 * 26);
}
