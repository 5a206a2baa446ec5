//! One container: what was seen of it, and when that is bad.

use super::{Expectation, Expected, Millis, Mode, Patience, Restart, SETTLED_MS};
use crate::exit_code;
use crate::problem::Problem;
use crate::redflags::Flag;
use crate::verdict::DataDoubt;

/// A start that ends this often has no prospect of ending well.
const EXITS_AT_START: usize = 3;
/// Exits with 0 while it is watched; the first may be a planned restart of its own.
const CLEAN_EXITS: usize = 2;
/// Outcomes of the health check that are kept as evidence: as many as the engine keeps.
const KEPT_CHECKS: usize = 5;

#[derive(Clone, Debug)]
pub(super) struct Container {
    pub expected: Expected,
    pub killed: bool,
    pub out_of_memory: bool,
    pub start_error: Option<String>,
    pub gone: bool,
    running_since: Option<Millis>,
    /// Exits that nobody asked for, with their codes.
    exits: Vec<i64>,
    healthy: Option<bool>,
    unhealthy_since: Option<Millis>,
    flaps: u32,
    output: String,
    /// The last outcomes of its health check, and how often each came in a row.
    checks: Vec<(String, u32)>,
}

impl Container {
    pub fn new(expected: Expected) -> Self {
        Self {
            expected,
            killed: false,
            out_of_memory: false,
            start_error: None,
            gone: false,
            running_since: None,
            exits: Vec::new(),
            healthy: None,
            unhealthy_since: None,
            flaps: 0,
            output: String::new(),
            checks: Vec::new(),
        }
    }

    pub fn runs(&mut self, at: Millis) {
        self.running_since.get_or_insert(at);
    }

    pub fn exited(&mut self, code: i64) {
        self.running_since = None;
        self.healthy = None;
        self.unhealthy_since = None;
        if !std::mem::take(&mut self.killed) {
            self.exits.push(code);
        }
    }

    pub fn health(&mut self, at: Millis, healthy: bool, output: String) {
        if healthy {
            self.flaps += u32::from(self.healthy == Some(false));
            self.unhealthy_since = None;
        } else {
            self.unhealthy_since.get_or_insert(at);
        }
        self.healthy = Some(healthy);
        self.output = output;
    }

    pub fn checked(&mut self, outcome: String) {
        match self.checks.last_mut() {
            Some((last, times)) if *last == outcome => *times += 1,
            _ => self.checks.push((outcome, 1)),
        }
        if self.checks.len() > KEPT_CHECKS {
            self.checks.remove(0);
        }
    }

    pub fn missing(&self, now: Millis, settle: bool) -> Option<String> {
        let name = &self.expected.name;
        match self.running_since {
            None => Some(format!("{name} does not run")),
            Some(_) if self.expected.health_check && self.healthy != Some(true) => {
                Some(format!("{name} is not healthy{}", after_colon(&self.output)))
            }
            Some(since) if settle && now < since + SETTLED_MS => {
                Some(format!("{name} has run for less than {} s", SETTLED_MS / 1000))
            }
            Some(_) => None,
        }
    }

    pub fn bad(
        &self,
        now: Millis,
        expected: &Expectation,
        patience: Patience,
        telling: Option<Flag>,
    ) -> Option<(Problem, DataDoubt)> {
        let name = &self.expected.name;
        if self.out_of_memory {
            let problem =
                Problem::new("version-out-of-memory", format!("{name} was killed for want of memory"));
            return Some((
                problem.advise("raise its memory limit (`mem_limit`, `deploy.resources.limits.memory`)"),
                DataDoubt::Unrelated,
            ));
        }
        if let Some(error) = &self.start_error {
            let problem = Problem::new("version-start-failed", format!("{name} could not be started"));
            return Some((problem.because(error), DataDoubt::Unrelated));
        }
        if self.gone {
            let problem = Problem::new("container-removed", format!("{name} was removed by somebody else"));
            return Some((problem, DataDoubt::Possible));
        }
        let exits = self.exits_decide(expected.mode, telling);
        if expected.mode == Mode::Start {
            return exits; // neither unhealthy nor healthy is final while it starts
        }
        exits.or_else(|| self.health_decides(now, patience))
    }

    fn exits_decide(&self, mode: Mode, telling: Option<Flag>) -> Option<(Problem, DataDoubt)> {
        let last = *self.exits.last()?;
        let stays_down = match self.expected.restart {
            Restart::Never => true,
            Restart::OnFailure => last == 0,
            Restart::Always => false,
        };
        let decided = stays_down
            || matches!(last, 126 | 127)
            || match mode {
                Mode::Start => telling.is_some() || self.exits.len() >= EXITS_AT_START,
                Mode::Watch => last != 0 || self.exits.len() >= CLEAN_EXITS,
            };
        if !decided {
            return None;
        }
        let name = &self.expected.name;
        let what = match (self.exits.len(), mode) {
            (1, Mode::Start) => format!("{name} exited with {last} at its start"),
            (1, Mode::Watch) => format!("{name} exited with {last}"),
            (times, _) => format!("{name} exited {times} times, the last time with {last}"),
        };
        let mut problem = Problem::new("version-exits", what);
        if let Some(flag) = telling {
            problem = problem.because(flag.describe());
        } else if let Some(meaning) = exit_code::meaning(last) {
            problem = problem.because(meaning);
        }
        let program = matches!(last, 126 | 127);
        Some((problem, if program { DataDoubt::Unrelated } else { DataDoubt::Possible }))
    }

    fn health_decides(&self, now: Millis, patience: Patience) -> Option<(Problem, DataDoubt)> {
        let since = self.unhealthy_since?;
        if now < since + patience.grace_ms {
            return None;
        }
        let what = format!("{} has been unhealthy for {} s", self.expected.name, (now - since) / 1000);
        let mut problem = Problem::new("version-unhealthy", what);
        if !self.output.is_empty() {
            problem = problem.because(&self.output);
        }
        Some((problem, DataDoubt::Possible))
    }

    pub fn remarks(&self) -> Vec<String> {
        let name = &self.expected.name;
        let mut remarks = Vec::new();
        if !self.exits.is_empty() {
            remarks.push(format!("{name} exited {} time(s) and was started again", self.exits.len()));
        }
        if self.flaps > 0 {
            remarks.push(format!("{name} was unhealthy {} time(s) and recovered", self.flaps));
        }
        remarks
    }

    pub fn evidence(&self) -> Vec<String> {
        let name = &self.expected.name;
        let mut evidence = Vec::new();
        if !self.exits.is_empty() {
            let codes: Vec<String> = self.exits.iter().map(ToString::to_string).collect();
            evidence.push(format!("{name}: exit codes {}", codes.join(", ")));
        }
        if self.healthy == Some(false) {
            evidence.push(format!("{name}: unhealthy{}", after_colon(&self.output)));
        }
        if self.healthy != Some(true) {
            let times = |n: u32| if n > 1 { format!("{n} times ") } else { String::new() };
            let checks =
                self.checks.iter().map(|(outcome, n)| format!("{name}: health check {}{outcome}", times(*n)));
            evidence.extend(checks);
        }
        evidence
    }
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
