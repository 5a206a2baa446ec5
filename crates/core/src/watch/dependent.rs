//! A container outside of the unit that needs it: it worked before, so it has to go on working.
//!
//! Invariant: only containers that were well before the update are here. What somebody else does to one (stops it,
//! removes it) never counts. One that broke while the service was away gets as long as a start may take to come
//! back; one that worked with the new version and broke then has the grace alone.

use super::{Expectation, Expected, Millis, Restart, Signal};
use crate::problem::Problem;

/// Crashes while it is watched that can't be chance any more.
const CRASHES: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct Dependent {
    expected: Expected,
    running: bool,
    healthy: Option<bool>,
    bad_since: Option<Millis>,
    ever_well: bool,
    recovered: u32,
    killed: bool,
    /// Somebody stopped or removed it.
    stopped: bool,
    /// It ended well and stays so: its work is done.
    done: bool,
    crashes: Vec<i64>,
    why: String,
}

/// The container that a signal is about, if it may be a dependent's.
pub(super) fn named(signal: &Signal) -> Option<&str> {
    match signal {
        Signal::Running { container }
        | Signal::Exited { container, .. }
        | Signal::Killed { container }
        | Signal::OutOfMemory { container }
        | Signal::StartFailed { container, .. }
        | Signal::Gone { container }
        | Signal::Health { container, .. } => Some(container),
        _ => None,
    }
}

impl Dependent {
    pub fn new(expected: Expected) -> Self {
        Self {
            expected,
            running: false,
            healthy: None,
            bad_since: None,
            ever_well: false,
            recovered: 0,
            killed: false,
            stopped: false,
            done: false,
            crashes: Vec::new(),
            why: String::new(),
        }
    }

    pub fn see(&mut self, at: Millis, signal: Signal) {
        match signal {
            Signal::Running { .. } => {
                (self.running, self.stopped, self.done) = (true, false, false);
                self.settle(at);
            }
            Signal::Health { healthy, output, .. } => {
                self.healthy = Some(healthy);
                if !healthy {
                    self.why = if output.is_empty() { "it is unhealthy".to_owned() } else { output };
                }
                self.settle(at);
            }
            Signal::Exited { code, .. } => self.exited(at, code),
            Signal::Killed { .. } => self.killed = true,
            Signal::Gone { .. } => self.stopped = true,
            Signal::OutOfMemory { .. } => self.why = "it was killed for want of memory".to_owned(),
            Signal::StartFailed { error, .. } => {
                self.why = error;
                self.bad_since.get_or_insert(at);
            }
            _ => {}
        }
    }

    fn exited(&mut self, at: Millis, code: i64) {
        (self.running, self.healthy) = (false, None);
        self.stopped = std::mem::take(&mut self.killed);
        self.done = code == 0 && self.expected.restart != Restart::Always;
        if self.stopped || self.done {
            return;
        }
        self.crashes.push(code);
        self.why = format!("it exited with {code}");
        self.bad_since.get_or_insert(at);
    }

    /// Works as far as it is known: runs, and is not unhealthy.
    fn settle(&mut self, at: Millis) {
        let healthy = if self.expected.health_check { self.healthy == Some(true) } else { true };
        if self.running && healthy {
            self.recovered += u32::from(self.bad_since.take().is_some());
            self.ever_well = true;
        } else if self.healthy == Some(false) {
            self.bad_since.get_or_insert(at);
        }
    }

    pub fn bad(&self, now: Millis, expected: &Expectation) -> Option<Problem> {
        if self.stopped || self.done {
            return None;
        }
        if self.crashes.len() >= CRASHES {
            return Some(self.problem(&format!("exited {} times", self.crashes.len())));
        }
        let since = self.bad_since?;
        let patience = if self.ever_well { expected.grace_ms } else { expected.startup_ms };
        let lasts = now.saturating_sub(since);
        (lasts >= patience).then(|| self.problem(&format!("has not worked for {} s", lasts / 1000)))
    }

    /// At the end of the window: it worked before the update, and never since.
    pub fn never_well(&self) -> Option<Problem> {
        let broken = self.bad_since.is_some() && !self.ever_well && !self.stopped && !self.done;
        broken.then(|| self.problem("has not worked since the update"))
    }

    fn problem(&self, what: &str) -> Problem {
        let name = &self.expected.name;
        Problem::new("dependent-broken", format!("{name}, which needs the service, {what}"))
            .because(&self.why)
            .advise(format!("see what it says: `docker logs --tail 50 {name}`"))
    }

    pub fn remarks(&self) -> Option<String> {
        let what = match (self.stopped, self.recovered) {
            (true, _) => "was stopped by somebody else".to_owned(),
            (_, 0) => return None,
            (_, times) => format!("broke {times} time(s) and recovered"),
        };
        Some(format!("{}, which needs the service, {what}", self.expected.name))
    }

    pub fn evidence(&self) -> Option<String> {
        let name = &self.expected.name;
        self.bad_since.map(|_| format!("{name}, which needs the service: {}", self.why))
    }
}
