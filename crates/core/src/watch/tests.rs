use super::*;
use crate::baseline::Sample;

mod certificate;
mod checks;

fn expectation(mode: Mode) -> Expectation {
    Expectation {
        mode,
        containers: vec![Expected { name: "app".into(), health_check: true, restart: Restart::Always }],
        inside: true,
        outside: true,
        certificate_ms: None,
        checks: Vec::new(),
        neighbour: false,
        dependents: Vec::new(),
        startup_ms: 60_000,
        grace_ms: 10_000,
        watch_ms: 600_000,
        answer_ms: 3_000,
        before: Sample::default(),
        patterns: Patterns::default(),
    }
}

fn judge(mode: Mode) -> Judge {
    Judge::new(expectation(mode))
}

fn app() -> String {
    "app".to_owned()
}

fn health(healthy: bool) -> Signal {
    Signal::Health { container: app(), healthy, output: String::new() }
}

fn probe(place: Place, ok: bool) -> Signal {
    let detail = if ok { "HTTP 200" } else { "HTTP 500" }.to_owned();
    Signal::Probe { place, ok, millis: 0, detail, remarks: Vec::new() }
}

fn exit(code: i64) -> Signal {
    Signal::Exited { container: app(), code }
}

fn log(line: &str) -> Signal {
    Signal::Log { container: app(), line: line.to_owned() }
}

/// Everything that is expected was seen at 0.
fn working(mode: Mode) -> Judge {
    let mut judge = judge(mode);
    see_all_well(&mut judge, 0);
    judge
}

fn see_all_well(judge: &mut Judge, at: Millis) {
    for signal in [
        Signal::Running { container: app() },
        health(true),
        probe(Place::Inside, true),
        probe(Place::Outside, true),
    ] {
        judge.see(at, signal);
    }
}

fn bad(judge: &mut Judge, now: Millis) -> Failure {
    match judge.judge(now) {
        Judgement::Bad(failure) => *failure,
        other => panic!("expected bad, not {other:?}"),
    }
}

#[test]
fn a_start_is_good_once_everything_was_seen_and_not_before() {
    let mut judge = judge(Mode::Start);
    for signal in [
        Signal::Running { container: app() },
        health(true),
        probe(Place::Inside, true),
        probe(Place::Outside, true),
    ] {
        assert_eq!(judge.judge(1), Judgement::Undecided);
        judge.see(1, signal);
    }
    assert_eq!(judge.judge(1), Judgement::Good);
}

#[test]
fn unhealthy_is_not_final_while_it_starts() {
    let mut judge = judge(Mode::Start);
    judge.see(0, Signal::Running { container: app() });
    judge.see(30_000, health(false));
    assert_eq!(judge.judge(59_999), Judgement::Undecided);
    let failure = bad(&mut judge, 60_000);
    assert_eq!(failure.problem.code, "version-not-up");
    assert!(failure.problem.causes.iter().any(|c| c.contains("not healthy")), "{failure:?}");
}

#[test]
fn one_exit_at_the_start_is_forgiven_and_three_are_not() {
    let mut judge = working(Mode::Start);
    judge.see(1, exit(1));
    assert_eq!(judge.judge(1), Judgement::Undecided);
    judge.see(2, Signal::Running { container: app() });
    judge.see(2, health(true));
    assert_eq!(judge.judge(2), Judgement::Good);
    judge.see(3, exit(1));
    judge.see(4, exit(1));
    assert_eq!(bad(&mut judge, 4).problem.code, "version-exits");
}

#[test]
fn a_refusal_of_the_data_decides_at_the_first_exit() {
    let mut judge = judge(Mode::Start);
    judge.see(1, log("FATAL:  database files are incompatible with server"));
    assert_eq!(judge.judge(1), Judgement::Undecided, "a line alone decides nothing");
    judge.see(2, exit(1));
    assert_eq!(bad(&mut judge, 2).cause, Cause::Version(DataDoubt::Certain));
}

#[test]
fn what_stays_down_decides_at_once() {
    let mut expected = expectation(Mode::Start);
    expected.containers[0].restart = Restart::OnFailure;
    let mut judge = Judge::new(expected);
    judge.see(1, exit(0));
    assert_eq!(bad(&mut judge, 1).problem.code, "version-exits");
}

#[test]
fn a_missing_program_or_library_is_no_matter_of_the_data() {
    let mut judge = judge(Mode::Start);
    judge.see(1, exit(127));
    assert_eq!(bad(&mut judge, 1).cause, Cause::Version(DataDoubt::Unrelated));
}

#[test]
fn a_crash_while_watched_decides_at_once() {
    let mut judge = working(Mode::Watch);
    judge.see(5_000, exit(101));
    assert_eq!(bad(&mut judge, 5_000).problem.code, "version-exits");
}

#[test]
fn an_exit_that_somebody_asked_for_is_no_crash() {
    let mut judge = working(Mode::Watch);
    judge.see(5_000, Signal::Killed { container: app() });
    judge.see(5_001, exit(143));
    judge.see(5_500, Signal::Running { container: app() });
    judge.see(5_600, health(true));
    assert_eq!(judge.judge(6_000), Judgement::Good);
}

#[test]
fn an_oom_kill_decides_at_once_and_is_no_matter_of_the_data() {
    for mode in [Mode::Start, Mode::Watch] {
        let mut judge = working(mode);
        judge.see(1, Signal::OutOfMemory { container: app() });
        let failure = bad(&mut judge, 1);
        assert_eq!(
            (failure.problem.code.as_str(), failure.cause),
            ("version-out-of-memory", Cause::Version(DataDoubt::Unrelated))
        );
    }
}

#[test]
fn a_missed_probe_is_reported_and_a_lasting_one_decides() {
    let mut judge = working(Mode::Watch);
    judge.see(5_000, probe(Place::Outside, false));
    assert_eq!(judge.judge(5_000), Judgement::Undecided);
    judge.see(10_000, probe(Place::Outside, true));
    assert_eq!(judge.judge(10_000), Judgement::Good);
    assert_eq!(judge.trouble(10_000), ["1 missed answer(s) from outside"]);
    for at in [15_000, 20_000, 25_000] {
        judge.see(at, probe(Place::Outside, false));
    }
    assert_eq!(judge.judge(24_999), Judgement::Undecided);
    let failure = bad(&mut judge, 25_000);
    assert_eq!(failure.cause, Cause::Version(DataDoubt::Unrelated), "inside it still answers");
}

#[test]
fn a_log_that_speaks_of_bad_data_and_a_bad_answer_decide_at_once() {
    let mut judge = working(Mode::Watch);
    judge.see(5_000, log("ERROR migration failed: a record cannot be read"));
    assert_eq!(judge.judge(5_000), Judgement::Good, "the line alone decides nothing");
    judge.see(5_100, probe(Place::Outside, false));
    assert_eq!(bad(&mut judge, 5_100).cause, Cause::Version(DataDoubt::Certain));
}

#[test]
fn no_answer_anywhere_may_be_the_data() {
    let mut judge = working(Mode::Watch);
    for at in [5_000, 10_000, 15_000] {
        judge.see(at, probe(Place::Inside, false));
        judge.see(at, probe(Place::Outside, false));
    }
    assert_eq!(bad(&mut judge, 15_000).cause, Cause::Version(DataDoubt::Possible));
}

#[test]
fn a_health_flap_that_recovers_is_reported() {
    let mut judge = working(Mode::Watch);
    judge.see(3_000, health(false));
    judge.see(6_000, health(true));
    assert_eq!(judge.judge(60_000), Judgement::Good);
    assert_eq!(judge.trouble(60_000), ["app was unhealthy 1 time(s) and recovered"]);
    judge.see(61_000, health(false));
    assert_eq!(bad(&mut judge, 71_000).problem.code, "version-unhealthy");
}

#[test]
fn without_health_check_and_probe_it_has_to_run_for_a_while() {
    let mut expected = expectation(Mode::Start);
    expected.containers[0].health_check = false;
    (expected.inside, expected.outside) = (false, false);
    let mut judge = Judge::new(expected);
    judge.see(100, Signal::Running { container: app() });
    assert_eq!(judge.judge(5_000), Judgement::Undecided);
    assert_eq!(judge.judge(5_100), Judgement::Good);
}

#[test]
fn a_line_that_the_configuration_calls_fatal_decides_at_once() {
    let rules = LogRules { fatal: vec!["licence expired".to_owned()], ..LogRules::default() };
    let mut expected = expectation(Mode::Watch);
    expected.patterns = Patterns::compile(&rules).unwrap();
    let mut judge = Judge::new(expected);
    judge.see(5, log("INFO the licence expired"));
    (0..50).for_each(|n| judge.see(n, log("ERROR something else")));
    assert_eq!(bad(&mut judge, 50).problem.code, "version-log-fatal");
}

#[test]
fn a_storm_of_errors_decides_at_the_end_and_the_same_storm_before_forgives() {
    let storm = |before: Sample| {
        let mut judge = Judge::new(Expectation { before, ..expectation(Mode::Watch) });
        (0..120).for_each(|n| judge.see(n * 1_000, log(&format!("ERROR something is wrong ({n})"))));
        (judge.sample(120_000), judge.at_the_end(120_000).map(|failure| failure.problem.code))
    };
    let (seen, code) = storm(Sample::default());
    assert_eq!(code.as_deref(), Some("version-errors"));
    assert_eq!(storm(seen).1, None);
}

#[test]
fn what_would_decide_at_the_end_is_spoken_of_before() {
    let mut judge = working(Mode::Watch);
    (0..200).for_each(|n| judge.see(n * 1_000, log("ERROR something is wrong")));
    assert_eq!(judge.worry(199_999), None, "a third of the window is not over");
    assert!(judge.worry(200_000).is_some_and(|said| said.contains("errors a minute")));
    assert_eq!(working(Mode::Watch).worry(200_000), None);
}

#[test]
fn it_is_calm_as_long_as_there_is_nothing_to_report() {
    let mut judge = working(Mode::Watch);
    assert!(judge.calm(1_000));
    judge.see(2_000, probe(Place::Inside, false));
    judge.see(3_000, probe(Place::Inside, true));
    assert!(!judge.calm(300_000), "one missed answer is worth the whole window");
}

#[test]
fn an_alert_is_a_warning() {
    let rules = LogRules { alert: vec!["slow query".to_owned()], ..LogRules::default() };
    let mut expected = expectation(Mode::Watch);
    expected.patterns = Patterns::compile(&rules).unwrap();
    let mut judge = Judge::new(expected);
    judge.see(5, log("INFO slow query 7"));
    let warnings = judge.warnings(60_000);
    assert_eq!((warnings.len(), warnings[0].check.as_str()), (1, "log-alert"));
    assert!(warnings[0].message.contains("slow query #"), "{warnings:?}");
}

#[test]
fn what_says_that_the_data_was_refused_is_kept_whatever_else_is_said() {
    let mut judge = working(Mode::Watch);
    for n in 0..4 {
        judge.see(n, log(&format!("ERROR cannot do {n}")));
    }
    judge.see(4, log("FATAL:  database files are incompatible with server"));
    for n in 5..30 {
        judge.see(n, log(&format!("ERROR cannot do {n}")));
    }
    judge.see(30, exit(1));
    assert_eq!(bad(&mut judge, 30).cause, Cause::Version(DataDoubt::Certain));
}

#[test]
fn one_missed_answer_never_decides_however_long_it_was_waited_for() {
    let mut judge = working(Mode::Watch);
    let silent = Signal::Probe {
        place: Place::Outside,
        ok: false,
        millis: 5_000,
        detail: "no answer within 5000 ms".to_owned(),
        remarks: Vec::new(),
    };
    judge.see(30_000, silent.clone());
    assert_eq!(judge.judge(40_000), Judgement::Undecided, "it was asked once");
    // The grace counts from when it was asked in vain, not from when that was given up.
    judge.see(34_999, silent);
    assert_eq!(judge.judge(34_999), Judgement::Undecided);
    assert_eq!(bad(&mut judge, 35_000).problem.code, "version-no-answer");
}

#[test]
fn slow_answers_are_reported_above_the_limit_and_decide_nothing() {
    let mut judge = working(Mode::Watch);
    let answered = |millis| Signal::Probe {
        place: Place::Outside,
        ok: true,
        millis,
        detail: "HTTP 200".to_owned(),
        remarks: Vec::new(),
    };
    judge.see(5_000, answered(3_000));
    assert_eq!(judge.trouble(5_000), Vec::<String>::new());
    judge.see(10_000, answered(4_250));
    assert_eq!(judge.judge(10_000), Judgement::Good);
    let told = "1 of 3 answers from outside took longer than 3.0 s, the slowest 4.2 s";
    assert_eq!(judge.trouble(10_000), [told]);
}

#[test]
fn what_an_answer_has_to_tell_is_reported_once() {
    let mut judge = working(Mode::Watch);
    for at in [5_000, 10_000] {
        let remarks = vec!["it redirects to /login, which it did not before".to_owned()];
        judge.see(
            at,
            Signal::Probe { place: Place::Outside, ok: true, millis: 1, detail: String::new(), remarks },
        );
    }
    assert_eq!(judge.judge(10_000), Judgement::Good);
    assert_eq!(
        judge.trouble(10_000),
        ["asked from outside: it redirects to /login, which it did not before"]
    );
}

#[test]
fn an_oom_kill_that_is_told_after_its_exit_is_the_cause() {
    let mut judge = working(Mode::Watch);
    judge.see(5_000, exit(137));
    let failure = bad(&mut judge, 5_000);
    assert_eq!(failure.problem.code, "version-exits");
    judge.see(5_050, Signal::OutOfMemory { container: app() });
    let explained = judge.explain(5_050, Box::new(failure));
    assert_eq!(explained.problem.code, "version-out-of-memory");
    assert_eq!(explained.cause, Cause::Version(DataDoubt::Unrelated));
}

#[test]
fn the_last_outcomes_of_the_health_check_are_evidence() {
    let mut judge = judge(Mode::Start);
    judge.see(0, Signal::Running { container: app() });
    let checked = |outcome: &str| Signal::Checked { container: app(), outcome: outcome.to_owned() };
    for outcome in ["0", "1", "2", "2", "3", "4", "5"] {
        judge.see(10, checked(&format!("exit {outcome}")));
    }
    judge.see(10, health(false));
    let evidence = bad(&mut judge, 60_000).evidence;
    let checks: Vec<&str> = evidence.iter().filter_map(|e| e.strip_prefix("app: health check ")).collect();
    assert_eq!(checks, ["exit 1", "2 times exit 2", "exit 3", "exit 4", "exit 5"]);
}

/// With a service beside it that needs it, and has an own health check.
fn with_dependent(mode: Mode) -> Judge {
    let mut expected = expectation(mode);
    let worker = Expected { name: "worker".into(), health_check: true, restart: Restart::Always };
    expected.dependents = vec![worker];
    let mut judge = Judge::new(expected);
    see_all_well(&mut judge, 0);
    judge
}

fn worker() -> String {
    "worker".to_owned()
}

fn workers_health(healthy: bool) -> Signal {
    Signal::Health { container: worker(), healthy, output: "no connection to app".to_owned() }
}

#[test]
fn a_dependent_that_breaks_and_stays_broken_decides_after_the_grace() {
    let mut judge = with_dependent(Mode::Watch);
    judge.see(1_000, Signal::Running { container: worker() });
    judge.see(1_000, workers_health(true));
    judge.see(20_000, workers_health(false));
    assert_eq!(judge.judge(29_999), Judgement::Good);
    let failure = bad(&mut judge, 30_000);
    assert_eq!(failure.problem.code, "dependent-broken");
    assert_eq!(failure.cause, Cause::Version(DataDoubt::Unrelated), "the service itself answers");
    assert!(failure.evidence.iter().any(|e| e.contains("no connection to app")), "{failure:?}");
}

#[test]
fn a_dependent_that_recovers_is_reported() {
    let mut judge = with_dependent(Mode::Watch);
    judge.see(1_000, Signal::Running { container: worker() });
    judge.see(1_000, workers_health(true));
    judge.see(20_000, workers_health(false));
    judge.see(29_000, workers_health(true));
    assert_eq!(judge.judge(60_000), Judgement::Good);
    assert_eq!(judge.at_the_end(60_000), None);
    assert_eq!(judge.trouble(60_000), ["worker, which needs the service, broke 1 time(s) and recovered"]);
}

#[test]
fn a_dependent_has_the_time_of_a_start_to_come_back_after_the_cutover() {
    let mut judge = with_dependent(Mode::Watch);
    judge.see(0, Signal::Exited { container: worker(), code: 1 });
    judge.see(40_000, workers_health(false));
    assert_eq!(judge.judge(59_999), Judgement::Good);
    assert_eq!(judge.at_the_end(59_999).unwrap().problem.code, "dependent-broken", "the window is over");
    assert_eq!(bad(&mut judge.clone(), 60_000).problem.code, "dependent-broken");
    judge.see(59_999, Signal::Running { container: worker() });
    judge.see(59_999, workers_health(true));
    assert_eq!(judge.judge(60_000), Judgement::Good);
    assert_eq!(judge.at_the_end(60_000), None);
}

#[test]
fn a_dependent_that_crashes_again_and_again_decides() {
    let mut judge = with_dependent(Mode::Watch);
    for at in [1_000, 2_000, 3_000] {
        assert_eq!(judge.judge(at), Judgement::Good);
        judge.see(at, Signal::Running { container: worker() });
        judge.see(at, workers_health(true));
        judge.see(at, Signal::Exited { container: worker(), code: 1 });
    }
    let failure = bad(&mut judge, 3_000);
    assert!(failure.problem.what.contains("exited 3 times"), "{failure:?}");
}

#[test]
fn what_somebody_does_to_a_dependent_does_not_count() {
    let mut judge = with_dependent(Mode::Watch);
    judge.see(1_000, Signal::Running { container: worker() });
    judge.see(2_000, Signal::Killed { container: worker() });
    judge.see(2_100, Signal::Exited { container: worker(), code: 143 });
    assert_eq!(judge.judge(600_000), Judgement::Good);
    assert_eq!(judge.at_the_end(600_000), None);
    judge.see(600_000, Signal::Gone { container: worker() });
    assert_eq!(judge.judge(900_000), Judgement::Good);
    assert_eq!(judge.trouble(900_000), ["worker, which needs the service, was stopped by somebody else"]);
}

#[test]
fn no_answer_to_a_neighbour_alone_is_no_matter_of_the_data() {
    let mut expected = expectation(Mode::Watch);
    expected.neighbour = true;
    let mut judge = Judge::new(expected);
    for signal in [Signal::Running { container: app() }, health(true)] {
        judge.see(0, signal);
    }
    for place in [Place::Inside, Place::Outside, Place::Neighbour] {
        judge.see(0, probe(place, true));
    }
    for at in [5_000, 10_000, 15_000] {
        judge.see(at, probe(Place::Neighbour, false));
    }
    assert_eq!(bad(&mut judge, 15_000).cause, Cause::Version(DataDoubt::Unrelated));
}

#[test]
fn a_neighbour_that_is_gone_says_nothing_about_the_service() {
    let mut expected = expectation(Mode::Start);
    expected.neighbour = true;
    let mut judge = Judge::new(expected);
    see_all_well(&mut judge, 1);
    assert_eq!(judge.judge(1), Judgement::Undecided);
    judge.see(2, Signal::Unaskable { place: Place::Neighbour, why: "proxy does not run".to_owned() });
    assert_eq!(judge.judge(2), Judgement::Good);
    assert!(judge.trouble(2)[0].contains("could not be asked: proxy does not run"));
    judge.see(3, probe(Place::Neighbour, false));
    assert_eq!(judge.judge(3), Judgement::Undecided, "it can be asked again, and there is no answer");
}
