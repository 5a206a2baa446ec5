//! Judges one version of a service while it starts and while it is watched.
//!
//! Invariant: the verdict is a function of the signals seen and the time alone; a signal that was bad before
//! the update never counts: only probes that answered then are asked, and figures are compared with those from
//! before. It observes nothing itself, and does not choose how far a rollback reaches: it says what the evidence
//! says about the data ([`DataDoubt`]), and [`crate::state`] decides.

use std::collections::BTreeMap;

use crate::problem::Problem;
use crate::redflags::Flag;
use crate::verdict::{Cause, DataDoubt, Failure};

mod certificate;
mod check;
mod container;
mod dependent;
mod expectation;
mod figures;
mod lasting;
mod latency;
mod logs;
mod probe;
mod resources;
mod signal;
#[cfg(test)]
mod tests;
mod trend;

pub use certificate::{SOON_DAYS, Shown};
pub use check::ExpectedCheck;
pub use expectation::{Expectation, Expected, Mode, Restart};

use check::Asked;
use container::Container;
use dependent::Dependent;
use logs::Telling;
use probe::Probe;

pub use figures::Figures;
pub use logs::{LogRules, Patterns};
pub use resources::Reading;
pub use signal::{Place, Signal};

/// How many telling log lines are kept as evidence.
const KEPT_LINES: usize = 8;
/// Without a health check and a probe, running this long is all the proof that there is.
const SETTLED_MS: u64 = 5_000;

/// Milliseconds since the observation began, from a clock that never jumps.
pub type Millis = u64;

/// How far a version has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It does not run, is not healthy or does not answer.
    Starting,
    /// It answers.
    Up,
    /// Whatever can be asked without the operator was good.
    Checked,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// Go on observing.
    Undecided,
    /// It works: everything that is expected was seen. While watching, as long as nothing is wrong.
    Good,
    /// It is bad, and this is why.
    Bad(Box<Failure>),
}

/// How long something that is bad may stay so while it is watched.
#[derive(Clone, Copy, Debug)]
struct Patience {
    grace_ms: Millis,
    /// Bad answers in a row, at the least: one that is missed is only reported.
    failures: u32,
}

impl Patience {
    const NONE: Self = Self { grace_ms: 0, failures: 1 };

    fn usual(expected: &Expectation) -> Self {
        Self { grace_ms: expected.grace_ms, failures: 2 }
    }
}

/// Folds signals into a judgement.
#[derive(Clone, Debug)]
pub struct Judge {
    expected: Expectation,
    containers: BTreeMap<String, Container>,
    dependents: BTreeMap<String, Dependent>,
    probes: BTreeMap<Place, Probe>,
    checks: Vec<Asked>,
    /// The last one that was seen.
    certificate: Option<Shown>,
    flags: Vec<(Flag, String)>,
    /// The first line that the configuration says no good version prints.
    fatal: Option<String>,
    figures: Figures,
    /// Whether everything but the functional checks was seen once, and since when something of that is missing again.
    came_up: bool,
    missing_since: Option<Millis>,
    decided: Option<Box<Failure>>,
}

impl Judge {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(expected: Expectation) -> Self {
        let containers =
            expected.containers.iter().map(|c| (c.name.clone(), Container::new(c.clone()))).collect();
        let dependents =
            expected.dependents.iter().map(|c| (c.name.clone(), Dependent::new(c.clone()))).collect();
        let places = [
            (Place::Inside, expected.inside),
            (Place::Outside, expected.outside),
            (Place::Neighbour, expected.neighbour),
        ];
        let probes = places.into_iter().filter(|(_, on)| *on).map(|(p, _)| (p, Probe::default())).collect();
        let checks = expected.checks.iter().cloned().map(Asked::new).collect();
        let figures = Figures::new(expected.patterns.clone(), expected.before.clone());
        Self {
            expected,
            containers,
            dependents,
            probes,
            checks,
            certificate: None,
            flags: Vec::new(),
            fatal: None,
            figures,
            came_up: false,
            missing_since: None,
            decided: None,
        }
    }

    /// Takes one signal in.
    pub fn see(&mut self, at: Millis, signal: Signal) {
        if let Some(dependent) = dependent::named(&signal).and_then(|name| self.dependents.get_mut(name)) {
            return dependent.see(at, signal);
        }
        if let Some(told) = self.figures.see(at, &signal) {
            self.keep(told);
        }
        match signal {
            Signal::Unaskable { place, why } => {
                if let Some(probe) = self.probes.get_mut(&place) {
                    probe.unaskable(why);
                }
            }
            Signal::Probe { place, ok, millis, detail, remarks } => {
                if let Some(probe) = self.probes.get_mut(&place) {
                    probe.see(at, ok, millis, detail);
                    probe.remark(remarks);
                }
            }
            Signal::Certificate(shown) => self.certificate = Some(shown),
            Signal::Check { name, judged } => {
                if let Some(check) = self.checks.iter_mut().find(|check| check.name() == name) {
                    check.see(at, judged);
                }
            }
            Signal::Checked { container, outcome } => self.with(&container, |c| c.checked(outcome)),
            Signal::Log { .. } | Signal::Usage { .. } | Signal::Room { .. } => {}
            Signal::Running { container } => self.with(&container, |c| c.runs(at)),
            Signal::Exited { container, code } => self.with(&container, |c| c.exited(code)),
            Signal::Killed { container } => self.with(&container, |c| c.killed = true),
            Signal::OutOfMemory { container } => self.with(&container, |c| c.out_of_memory = true),
            Signal::StartFailed { container, error } => {
                self.with(&container, |c| c.start_error = Some(error))
            }
            Signal::Gone { container } => self.with(&container, |c| c.gone = true),
            Signal::Health { container, healthy, output } => {
                self.with(&container, |c| c.health(at, healthy, output));
            }
        }
    }

    /// What to do, `now`. Once bad, it stays bad.
    pub fn judge(&mut self, now: Millis) -> Judgement {
        if self.missing_apart_from_checks(now).is_empty() {
            (self.came_up, self.missing_since) = (true, None);
        } else {
            self.missing_since.get_or_insert(now);
        }
        if self.decided.is_none() {
            self.decided = self.bad(now).map(Box::new);
        }
        match &self.decided {
            Some(failure) => Judgement::Bad(failure.clone()),
            None if self.missing(now).is_empty() => Judgement::Good,
            None => Judgement::Undecided,
        }
    }

    /// The failure with everything that was seen since it was decided, which may name a better cause: an OOM
    /// kill is told after the exit that it led to.
    #[must_use]
    pub fn explain(&self, now: Millis, failure: Box<Failure>) -> Box<Failure> {
        let Cause::Version(doubt) = failure.cause else { return failure };
        Box::new(self.bad(now).unwrap_or_else(|| self.failure(failure.problem, doubt)))
    }

    /// What is still missing for a good start, for people.
    #[must_use]
    pub fn missing(&self, now: Millis) -> Vec<String> {
        let mut missing = self.missing_apart_from_checks(now);
        missing.extend(self.checks.iter().filter_map(Asked::missing));
        missing
    }

    /// How far it has come: functional checks are of use once it is up, and the operator is asked last.
    #[must_use]
    pub fn stage(&self, now: Millis) -> Stage {
        if !self.missing_apart_from_checks(now).is_empty() {
            Stage::Starting
        } else if self.checks.iter().all(|check| check.is_question() || check.missing().is_none()) {
            Stage::Checked
        } else {
            Stage::Up
        }
    }

    fn missing_apart_from_checks(&self, now: Millis) -> Vec<String> {
        let mut missing: Vec<String> =
            self.containers.values().filter_map(|c| c.missing(now, self.needs_settling(c))).collect();
        missing.extend(self.probes.iter().filter(|(_, p)| !p.answers()).map(|(place, p)| p.missing(*place)));
        missing
    }

    fn with(&mut self, name: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.get_mut(name) {
            change(container);
        }
    }

    fn keep(&mut self, told: Telling) {
        if told.flag == Flag::Fatal {
            self.fatal.get_or_insert_with(|| told.line.clone());
        }
        if self.flags.len() == KEPT_LINES {
            // The first lines tell the cause; of the others the one that says least goes.
            let says = |at: &usize| (self.flags[*at].0.decides(), self.flags[*at].0.doubt());
            let least = (KEPT_LINES / 2..KEPT_LINES).min_by_key(says).unwrap_or(KEPT_LINES / 2);
            self.flags.remove(least);
        }
        self.flags.push((told.flag, told.line));
    }

    /// A container that nothing else tells about has to have run for a while.
    fn needs_settling(&self, container: &Container) -> bool {
        !container.expected.health_check && self.probes.is_empty()
    }

    fn bad(&self, now: Millis) -> Option<Failure> {
        let telling = self.flags.iter().find(|(flag, _)| flag.decides()).map(|(flag, _)| *flag);
        // A log that speaks of bad data explains a bad answer so well that nothing is gained by waiting.
        let certain = self.flags.iter().find(|(flag, _)| flag.doubt() == DataDoubt::Certain);
        let patience = certain.map_or_else(|| Patience::usual(&self.expected), |_| Patience::NONE);
        for container in self.containers.values() {
            if let Some((problem, doubt)) = container.bad(now, &self.expected, patience, telling) {
                return Some(self.failure(problem, doubt));
            }
        }
        for (place, probe) in &self.probes {
            let others = self.probes.iter().all(|(p, probe)| p == place || probe.answers());
            if let Some((problem, doubt)) = probe.bad(now, *place, &self.expected, patience, others) {
                let why = certain.map(|(flag, _)| flag.describe());
                return Some(self.failure(why.into_iter().fold(problem, Problem::because), doubt));
            }
        }
        let broken = self.dependents.values().find_map(|d| d.bad(now, &self.expected));
        if let Some(problem) = broken {
            return Some(self.failure(problem, self.doubt_by_dependent()));
        }
        if let Some((problem, doubt)) =
            self.checks.iter().find_map(|check| check.bad(now, &self.expected, patience))
        {
            return Some(self.failure(problem, doubt));
        }
        if let Some((problem, doubt)) = self.figures_decide(now) {
            return Some(self.failure(problem, doubt));
        }
        self.late(now)
    }

    /// What had to come until now.
    fn late(&self, now: Millis) -> Option<Failure> {
        if self.expected.mode == Mode::Watch || now < self.expected.startup_ms {
            return None;
        }
        let missing = self.missing_apart_from_checks(now);
        if missing.is_empty() {
            let (problem, doubt) = self.checks.iter().find_map(Asked::late)?;
            return Some(self.failure(problem, doubt));
        }
        // It came up, and the operator takes the time to answer: then a missed answer has the grace that it has later.
        let since = self.missing_since.filter(|_| self.came_up);
        if since.is_some_and(|since| now < since + self.expected.grace_ms) {
            return None;
        }
        let what = match since {
            Some(_) => "it came up, and did not stay so".to_owned(),
            None => format!("it did not come up within {} s", self.expected.startup_ms / 1000),
        };
        let problem = missing.into_iter().fold(Problem::new("version-not-up", what), Problem::because);
        let problem = problem.advise("if it needs longer, say so: `--startup DURATION`");
        Some(self.failure(problem, DataDoubt::Possible))
    }

    /// Where the service itself answers well, what others make of it is no matter of its data.
    fn doubt_by_dependent(&self) -> DataDoubt {
        let well = !self.probes.is_empty() && self.probes.values().all(Probe::answers);
        if well { DataDoubt::Unrelated } else { DataDoubt::Possible }
    }

    /// With the evidence so far, and what the log says about the data.
    fn failure(&self, problem: Problem, doubt: DataDoubt) -> Failure {
        let by_log = self.flags.iter().filter(|(flag, _)| flag.decides()).map(|(flag, _)| flag.doubt()).max();
        let doubt = by_log.map_or(doubt, |by_log| by_log.max(doubt));
        let mut evidence: Vec<String> = self.containers.values().flat_map(Container::evidence).collect();
        evidence.extend(self.dependents.values().filter_map(Dependent::evidence));
        evidence.extend(self.probes.iter().map(|(place, probe)| probe.evidence(*place)));
        evidence.extend(self.checks.iter().filter_map(Asked::evidence));
        evidence.extend(self.flags.iter().map(|(flag, line)| format!("log ({}): {line}", flag.describe())));
        Failure { evidence, ..Failure::new(problem, Cause::Version(doubt)) }
    }
}
