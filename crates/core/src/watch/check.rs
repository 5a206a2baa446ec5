//! One functional check: how it was answered so far, and when that is bad.
//!
//! While a version starts, what is required has to become good, and what is only wanted has to be given a fair chance. A
//! question waits for the operator, however long the version may take to start.

use super::{Expectation, Millis, Mode, Patience};
use crate::baseline::Measured;
use crate::finding::{Finding, Severity};
use crate::functional::{Check, Judged, Kind};
use crate::problem::Problem;
use crate::step::Step;
use crate::verdict::{DataDoubt, Tier};

/// What is only wanted holds up a start for so many answers.
const FAIR_CHANCE: u32 = 3;
/// So many bad answers at the end of the window are no accident.
const LASTING: u32 = 2;
/// The name under which findings of functional checks are known.
const ID: &str = "functional";

/// A functional check that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedCheck {
    /// Its name.
    pub name: String,
    /// Whether it decides.
    pub required: bool,
    /// Whether the operator answers it.
    pub question: bool,
    /// The profile that it is of, if the operator didn't write it.
    pub profile: Option<String>,
}

impl ExpectedCheck {
    /// A check of the plan in a step that judges, on the way back with its tier; `None` where it is not asked then.
    ///
    /// One that was bad before the update decides nothing, be it when the plan was made or just before the cutover. A question is for the new version alone. While it is watched,
    /// users change what a figure counts: it is taken then only if somebody said by how much. Of data that was not
    /// touched, or was compared with its backup byte by byte, a figure says nothing that could be helped.
    #[must_use]
    pub fn of(check: &Check, step: Step, tier: Option<Tier>, measured: Option<&Measured>) -> Option<Self> {
        let question = check.kind == Kind::Question;
        let left_out = match step {
            Step::Watch => question || check.figure.as_ref().is_some_and(|bounds| !bounds.says_how_much()),
            Step::VerifyNew => false,
            _ => question,
        };
        let proven = check.figure.is_some() && tier.is_some_and(|tier| tier != Tier::ImageOnly);
        let bad = measured.is_some_and(|measured| measured.bad.contains(&check.name));
        let required = check.decides() && !proven && !bad;
        let (name, profile) = (check.name.clone(), check.profile.clone());
        (!left_out).then_some(Self { name, required, question, profile })
    }

    /// Where what it asks is to be found, for people.
    fn stands(&self) -> String {
        match &self.profile {
            Some(profile) => format!(
                "it is of the profile {profile}; an own check of this name in mainstay.toml replaces it"
            ),
            None => format!("see what it asks: `name = \"{}\"` in mainstay.toml", self.name),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    expected: ExpectedCheck,
    last: Option<Judged>,
    failing_since: Option<Millis>,
    in_a_row: u32,
    answers: u32,
    /// Failures after it had been good.
    failures: u32,
}

impl Asked {
    pub fn new(expected: ExpectedCheck) -> Self {
        Self { expected, last: None, failing_since: None, in_a_row: 0, answers: 0, failures: 0 }
    }

    pub fn is_question(&self) -> bool {
        self.expected.question
    }

    pub fn name(&self) -> &str {
        &self.expected.name
    }

    pub fn see(&mut self, at: Millis, judged: Judged) {
        self.answers += 1;
        if judged.good {
            self.failing_since = None;
            self.in_a_row = 0;
        } else {
            self.failures += u32::from(self.last.as_ref().is_some_and(|last| last.good));
            self.failing_since.get_or_insert(at);
            self.in_a_row += 1;
        }
        self.last = Some(judged);
    }

    fn failing(&self) -> Option<&Judged> {
        self.last.as_ref().filter(|last| !last.good)
    }

    /// What it still lacks for a good start, for people.
    pub fn missing(&self) -> Option<String> {
        let name = &self.expected.name;
        match &self.last {
            None if self.expected.question => Some(format!("the question {name} waits for its answer")),
            None => Some(format!("the check {name} was not answered yet")),
            Some(last) if last.good || last.last && !self.expected.required => None,
            Some(_) if !self.expected.required && self.answers >= FAIR_CHANCE => None,
            Some(last) => Some(format!("the check {name} fails: {}", last.detail)),
        }
    }

    /// Whether it is bad now.
    pub fn bad(
        &self,
        now: Millis,
        expected: &Expectation,
        patience: Patience,
    ) -> Option<(Problem, DataDoubt)> {
        let (last, since) = self.failing().zip(self.failing_since).filter(|_| self.expected.required)?;
        let patient = now < since + patience.grace_ms || self.in_a_row < patience.failures;
        if !last.last && (expected.mode == Mode::Start || patient) {
            return None;
        }
        Some(self.failed(last))
    }

    /// Whether it is bad at the end of the window: it was not good again, though it had no time to last.
    pub fn lasting(&self) -> Option<(Problem, DataDoubt)> {
        let decides = self.expected.required && self.in_a_row >= LASTING;
        self.failing().filter(|_| decides).map(|last| self.failed(last))
    }

    /// Whether it is bad because the time of the start is over. A question has its own time.
    pub fn late(&self) -> Option<(Problem, DataDoubt)> {
        if self.expected.question || !self.expected.required || self.missing().is_none() {
            return None;
        }
        Some(self.last.as_ref().map_or_else(
            || {
                let what = format!("the check {} was not answered in time", self.expected.name);
                (Problem::new("version-check-failed", what), DataDoubt::Possible)
            },
            |last| self.failed(last),
        ))
    }

    fn failed(&self, last: &Judged) -> (Problem, DataDoubt) {
        let name = &self.expected.name;
        let what = if self.expected.question {
            format!("the operator's answer to {name} is no")
        } else {
            format!("the check {name} fails")
        };
        let problem = Problem::new("version-check-failed", what).because(&last.detail);
        (problem.advise(self.expected.stands()), last.doubt)
    }

    /// The last answer, good or bad.
    pub fn told(&self) -> Option<String> {
        self.last.as_ref().map(|last| format!("{}: {}", self.expected.name, last.detail))
    }

    /// That it was not good all the time.
    pub fn recovered(&self) -> Option<String> {
        let again = self.failures > 0 && self.last.as_ref().is_some_and(|last| last.good);
        again.then(|| format!("{} failed {} time(s) and recovered", self.expected.name, self.failures))
    }

    /// Worth a warning although it did not decide: what was wanted, and what nobody can tell.
    pub fn finding(&self) -> Option<Finding> {
        let last = self.last.as_ref()?;
        let name = &self.expected.name;
        let message = match (last.good, last.odd) {
            (false, _) => format!("the check {name} fails; it does not decide"),
            (true, true) => format!("the figure {name} rose: nothing says whether it may"),
            (true, false) => return None,
        };
        let limits = || {
            format!("say what it may be: `max_ratio`, `at_most`, for `name = \"{name}\"` in mainstay.toml")
        };
        let advice = if last.good { limits() } else { self.expected.stands() };
        Some(Finding::new(ID, Severity::Warning, message).evidence(&last.detail).advice(advice))
    }

    pub fn evidence(&self) -> Option<String> {
        let last = self.last.as_ref()?;
        Some(format!("check {}: {}", self.expected.name, last.detail))
    }
}
