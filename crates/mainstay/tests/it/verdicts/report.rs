//! What the corpus says: a line a case, the totals, and the JSON object of `script/verdicts`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::case::{Case, Verdict};
use super::trial::Observed;

/// What is to be said of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// All as expected.
    Right,
    /// A bad version was not undone.
    Missed,
    /// A good version did not stay.
    FalseRollback,
    /// It went back too far, or not far enough.
    WrongTier,
    /// It was undone for another reason than the real one.
    WrongDiagnosis,
}

impl Mark {
    /// Compares.
    pub fn of(case: &Case, observed: &Observed) -> Self {
        let verdict = observed.verdict.as_str();
        match case.expected {
            Verdict::Kept if verdict == "kept" => Self::Right,
            Verdict::Kept => Self::FalseRollback,
            Verdict::AsBefore if verdict == "as before" => Self::Right,
            Verdict::AsBefore => Self::Missed,
            Verdict::RolledBack(_) if verdict != "rolled back" => Self::Missed,
            Verdict::RolledBack(tier) if observed.tier.as_deref() != Some(tier) => Self::WrongTier,
            _ if case.diagnosis.is_some() && observed.diagnosis.as_deref() != case.diagnosis => {
                Self::WrongDiagnosis
            }
            _ => Self::Right,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Right => "",
            Self::Missed => "MISSED",
            Self::FalseRollback => "FALSE ROLLBACK",
            Self::WrongTier => "WRONG TIER",
            Self::WrongDiagnosis => "WRONG DIAGNOSIS",
        }
    }
}

/// The table of cases: expected, observed where it is something else, and the time to the decision.
pub fn table(trials: &[(Case, Observed)]) -> String {
    let mut text = format!("{:<32} {:<26} {:<20} {:>8}\n", "case", "verdict", "diagnosis", "decision");
    for (case, observed) in trials {
        let mark = Mark::of(case, observed);
        let verdict = match &observed.tier {
            Some(tier) => format!("{}, {tier}", observed.verdict),
            None => observed.verdict.clone(),
        };
        let diagnosis = observed.diagnosis.as_deref().unwrap_or("-");
        let decision = observed.decision.map_or_else(|| "-".to_owned(), |s| format!("{s:.2} s"));
        let line = format!("{:<32} {verdict:<26} {diagnosis:<20} {decision:>8} {}", case.name, mark.word());
        let _ = writeln!(text, "{}", line.trim_end());
        if mark != Mark::Right {
            let _ = writeln!(text, "    expected: {}; {}", expected(case), case.why);
            let _ = writeln!(text, "    it said:  {}", observed.said.replace('\n', "\n              "));
        }
    }
    text
}

fn expected(case: &Case) -> String {
    let verdict = match case.expected {
        Verdict::Kept => "kept".to_owned(),
        Verdict::AsBefore => "as before".to_owned(),
        Verdict::RolledBack(tier) => format!("rolled back, {tier}"),
    };
    case.diagnosis.map_or(verdict.clone(), |diagnosis| format!("{verdict}, {diagnosis}"))
}

/// The totals.
pub fn totals(trials: &[(Case, Observed)]) -> Value {
    let count = |mark: Mark| trials.iter().filter(|(case, seen)| Mark::of(case, seen) == mark).count();
    let bad = trials.iter().filter(|(case, _)| case.expected != Verdict::Kept).count();
    let (missed, wrongly) = (count(Mark::Missed), count(Mark::FalseRollback));
    let mut seconds: Vec<f64> = trials.iter().filter_map(|(_, seen)| seen.decision).collect();
    seconds.sort_by(f64::total_cmp);
    json!({
        "cases": trials.len(),
        "bad": bad,
        "caught": bad - missed,
        "missed": missed,
        "good": trials.len() - bad,
        "kept": trials.len() - bad - wrongly,
        "false_rollbacks": wrongly,
        "wrong_tier": count(Mark::WrongTier),
        "wrong_diagnosis": count(Mark::WrongDiagnosis),
        "decision_seconds_p50": rank(&seconds, 50),
        "decision_seconds_p95": rank(&seconds, 95),
    })
}

/// The nearest rank of sorted figures, in hundredths.
fn rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|seconds| (seconds * 100.0).round() / 100.0)
}

#[test]
fn each_kind_of_mistake_is_counted_as_what_it_is() {
    use super::case::{BAD, GOOD};
    let bad = Case { diagnosis: Some("hangs"), ..BAD };
    let seen = |verdict: &str, tier: Option<&str>, diagnosis: Option<&str>| Observed {
        verdict: verdict.to_owned(),
        tier: tier.map(str::to_owned),
        diagnosis: diagnosis.map(str::to_owned),
        decision: Some(0.5),
        ..Observed::default()
    };
    let trials = [
        (bad, seen("rolled back", Some("full"), Some("hangs"))),
        (bad, seen("rolled back", Some("image-only"), Some("hangs"))),
        (bad, seen("rolled back", Some("full"), Some("wrong-port"))),
        (bad, seen("rolled back, but not everything is as before", Some("full"), Some("hangs"))),
        (bad, seen("kept", None, None)),
        (GOOD, seen("kept", None, None)),
        (GOOD, seen("rolled back", Some("full"), None)),
        (GOOD, seen("the trial failed", None, None)),
    ];
    let marks: Vec<Mark> = trials.iter().map(|(case, seen)| Mark::of(case, seen)).collect();
    use Mark::*;
    assert_eq!(
        marks,
        [Right, WrongTier, WrongDiagnosis, Missed, Missed, Right, FalseRollback, FalseRollback]
    );
    let totals = totals(&trials);
    for (name, count) in
        [("missed", 2), ("caught", 3), ("false_rollbacks", 2), ("kept", 1), ("wrong_tier", 1)]
    {
        assert_eq!(totals[name], count, "{name}");
    }
}

#[test]
fn the_95th_percentile_is_one_of_the_figures() {
    let figures: Vec<f64> = (1..=20).map(f64::from).collect();
    assert_eq!(rank(&figures, 95), Some(19.0));
    assert_eq!(rank(&figures[..3], 95), Some(3.0));
    assert_eq!(rank(&[], 95), None);
}
