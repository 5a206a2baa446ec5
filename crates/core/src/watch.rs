//! Judges one version of a service while it starts and while it is watched.
//!
//! Invariant: the verdict is a function of the signals seen and the time alone; a signal that was bad before
//! the update never counts, because only probes that answered then are asked. It observes nothing itself, and
//! does not choose how far a rollback reaches: it says what the evidence says about the data
//! ([`DataDoubt`]), and [`crate::state`] decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::functional::Judged;
use crate::problem::Problem;
use crate::redact;
use crate::redflags::{self, Flag};
use crate::verdict::{Cause, DataDoubt, Failure};

mod check;
mod container;
mod probe;
#[cfg(test)]
mod tests;

pub use check::ExpectedCheck;

use check::Asked;
use container::Container;
use probe::Probe;

/// How many telling log lines are kept as evidence.
const KEPT_LINES: usize = 8;
/// Without a health check and a probe, running this long is all the proof that there is.
const SETTLED_MS: u64 = 5_000;
/// Errors in the log count against a version above this rate, and above twice the rate from before.
const ERRORS_A_MINUTE: f64 = 1.0;

/// Milliseconds since the observation began, from a clock that never jumps.
pub type Millis = u64;

/// What is being judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It was just started and has to come up.
    Start,
    /// It works and has to go on working.
    Watch,
}

/// What the service is expected to do, and how patient to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// What is being judged.
    pub mode: Mode,
    /// The containers of the unit.
    pub containers: Vec<Expected>,
    /// Whether somebody asks from inside the network.
    pub inside: bool,
    /// Whether somebody asks as users do.
    pub outside: bool,
    /// What else is asked.
    pub checks: Vec<ExpectedCheck>,
    /// How long a version may take to come up, in milliseconds.
    pub startup_ms: u64,
    /// How long a probe or the health may be bad before that decides, in milliseconds.
    pub grace_ms: u64,
    /// Errors a minute in the log before the update.
    pub baseline_errors_per_minute: f64,
}

/// One container of the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// Whether it has a health check.
    pub health_check: bool,
    /// What the engine does when it exits.
    pub restart: Restart,
}

/// The engine's restart policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays down.
    Never,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It is started again.
    Always,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// From another place in the service's network.
    Inside,
    /// As users do.
    Outside,
}

/// Something that was observed.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// The engine says that it runs, since so many milliseconds.
    Running {
        /// Which container.
        container: String,
    },
    /// Its process ended.
    Exited {
        /// Which container.
        container: String,
        /// Its exit code.
        code: i64,
    },
    /// Somebody sent it a signal: its next exit is no crash.
    Killed {
        /// Which container.
        container: String,
    },
    /// The kernel killed a process of it for want of memory.
    OutOfMemory {
        /// Which container.
        container: String,
    },
    /// The engine could not start it.
    StartFailed {
        /// Which container.
        container: String,
        /// What the engine says.
        error: String,
    },
    /// It is gone: removed by somebody else.
    Gone {
        /// Which container.
        container: String,
    },
    /// The health check, of the engine's or run by us.
    Health {
        /// Which container.
        container: String,
        /// Whether it was good.
        healthy: bool,
        /// The output of the check, shortened.
        output: String,
    },
    /// A probe was answered, or not.
    Probe {
        /// Who asked.
        place: Place,
        /// Whether the answer is as good as before the update.
        ok: bool,
        /// The answer, for people.
        detail: String,
    },
    /// A functional check was answered.
    Check {
        /// Its name.
        name: String,
        /// The answer, compared with what was before.
        judged: Judged,
    },
    /// A line of its log.
    Log {
        /// Which container.
        container: String,
        /// The line.
        line: String,
    },
    /// Memory in use.
    Memory {
        /// Which container.
        container: String,
        /// Bytes in use, caches not counted.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
}

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
        Self { grace_ms: expected.grace_ms, failures: 3 }
    }
}

/// Folds signals into a judgement.
#[derive(Clone, Debug)]
pub struct Judge {
    expected: Expectation,
    containers: BTreeMap<String, Container>,
    probes: BTreeMap<Place, Probe>,
    checks: Vec<Asked>,
    flags: Vec<(Flag, String)>,
    errors: Vec<Millis>,
    decided: Option<Box<Failure>>,
}

impl Judge {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(expected: Expectation) -> Self {
        let containers =
            expected.containers.iter().map(|c| (c.name.clone(), Container::new(c.clone()))).collect();
        let places = [(Place::Inside, expected.inside), (Place::Outside, expected.outside)];
        let probes = places.into_iter().filter(|(_, on)| *on).map(|(p, _)| (p, Probe::default())).collect();
        let checks = expected.checks.iter().cloned().map(Asked::new).collect();
        Self { expected, containers, probes, checks, flags: Vec::new(), errors: Vec::new(), decided: None }
    }

    /// Takes one signal in.
    pub fn see(&mut self, at: Millis, signal: Signal) {
        match signal {
            Signal::Probe { place, ok, detail } => {
                if let Some(probe) = self.probes.get_mut(&place) {
                    probe.see(at, ok, detail);
                }
            }
            Signal::Check { name, judged } => {
                if let Some(check) = self.checks.iter_mut().find(|check| check.name() == name) {
                    check.see(at, judged);
                }
            }
            Signal::Log { line, .. } => self.read(at, &line),
            Signal::Running { container } => self.with(&container, |c| c.runs(at)),
            Signal::Exited { container, code } => self.with(&container, |c| c.exited(at, code)),
            Signal::Killed { container } => self.with(&container, |c| c.killed = true),
            Signal::OutOfMemory { container } => self.with(&container, |c| c.out_of_memory = true),
            Signal::StartFailed { container, error } => {
                self.with(&container, |c| c.start_error = Some(error))
            }
            Signal::Gone { container } => self.with(&container, |c| c.gone = true),
            Signal::Health { container, healthy, output } => {
                self.with(&container, |c| c.health(at, healthy, output));
            }
            Signal::Memory { container, used, limit } => {
                self.with(&container, |c| c.memory(at, used, limit));
            }
        }
    }

    /// What to do, `now`. Once bad, it stays bad.
    pub fn judge(&mut self, now: Millis) -> Judgement {
        if self.decided.is_none() {
            self.decided = self.bad(now).map(Box::new);
        }
        match &self.decided {
            Some(failure) => Judgement::Bad(failure.clone()),
            None if self.missing(now).is_empty() => Judgement::Good,
            None => Judgement::Undecided,
        }
    }

    /// The failure with everything that was seen since it was decided.
    #[must_use]
    pub fn explain(&self, failure: Box<Failure>) -> Box<Failure> {
        let Cause::Version(doubt) = failure.cause else { return failure };
        Box::new(self.failure(failure.problem, doubt))
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

    /// What the end of the window says: figures that are only judged when they last.
    #[must_use]
    pub fn at_the_end(&self, now: Millis) -> Option<Failure> {
        if let Some((problem, doubt)) = self.checks.iter().find_map(Asked::lasting) {
            return Some(self.failure(problem, doubt));
        }
        let rate = self.errors_per_minute(now);
        let lately = self.errors.iter().filter(|at| **at >= now.saturating_sub(now / 3)).count();
        let allowed = ERRORS_A_MINUTE.max(2.0 * self.expected.baseline_errors_per_minute);
        if rate <= allowed || lately < 3 {
            return None;
        }
        let what = format!("the log shows {rate:.1} errors a minute, to the end of the window");
        let before = format!("before the update: {:.1} a minute", self.expected.baseline_errors_per_minute);
        Some(self.failure(Problem::new("version-errors", what).because(before), DataDoubt::Possible))
    }

    /// Worth reporting although it did not decide, for people.
    #[must_use]
    pub fn remarks(&self, now: Millis) -> Vec<String> {
        let mut remarks: Vec<String> = self.containers.values().flat_map(Container::remarks).collect();
        remarks.extend(self.probes.iter().flat_map(|(place, probe)| probe.remarks(*place)));
        remarks.extend(self.checks.iter().flat_map(Asked::remarks));
        if !self.errors.is_empty() {
            let rate = self.errors_per_minute(now);
            remarks.push(format!("{} error lines in the log, {rate:.1} a minute", self.errors.len()));
        }
        remarks
    }

    /// Worth a warning although it did not decide.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.checks.iter().filter_map(Asked::finding).collect()
    }

    fn with(&mut self, name: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.get_mut(name) {
            change(container);
        }
    }

    fn read(&mut self, at: Millis, line: &str) {
        let Some(flag) = redflags::flag(line) else { return };
        self.errors.push(at);
        if self.flags.len() == KEPT_LINES {
            // The first lines tell the cause, the last ones the end; the middle repeats.
            self.flags.remove(KEPT_LINES / 2);
        }
        self.flags.push((flag, redact::line(line.trim())));
    }

    fn errors_per_minute(&self, now: Millis) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of lines and seconds are small")]
        let (count, minutes) = (self.errors.len() as f64, (now.max(60_000) as f64) / 60_000.0);
        count / minutes
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
        if let Some((problem, doubt)) =
            self.checks.iter().find_map(|check| check.bad(now, &self.expected, patience))
        {
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
        let what = format!("it did not come up within {} s", self.expected.startup_ms / 1000);
        let problem = missing.into_iter().fold(Problem::new("version-not-up", what), Problem::because);
        let problem = problem.advise("if it needs longer, say so: `--startup DURATION`");
        Some(self.failure(problem, DataDoubt::Possible))
    }

    /// With the evidence so far, and what the log says about the data.
    fn failure(&self, problem: Problem, doubt: DataDoubt) -> Failure {
        let by_log = self.flags.iter().filter(|(flag, _)| flag.decides()).map(|(flag, _)| flag.doubt()).max();
        let doubt = by_log.map_or(doubt, |by_log| by_log.max(doubt));
        let mut evidence: Vec<String> = self.containers.values().flat_map(Container::evidence).collect();
        evidence.extend(self.probes.iter().map(|(place, probe)| probe.evidence(*place)));
        evidence.extend(self.checks.iter().filter_map(Asked::evidence));
        evidence.extend(self.flags.iter().map(|(flag, line)| format!("log ({}): {line}", flag.describe())));
        Failure { problem, cause: Cause::Version(doubt), evidence }
    }
}
