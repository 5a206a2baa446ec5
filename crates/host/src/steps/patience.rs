//! An engine that goes away in the middle of a step, as one does that is restarted: it is waited for, and the step is
//! performed again.
//!
//! Invariant: only what the engine's absence explains is tried again, a bounded number of times, within a bounded
//! time; a step looks first at what is there, so that trying again is what resuming would do. Nothing is decided by an
//! engine that does not answer: neither for a version nor against it.

use std::time::{Duration, Instant};

use mainstay_core::event::{Progress, ProgressUnit};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::problem::Problem;
use mainstay_core::verdict::{Cause, Failure};
use mainstay_runner::{Context, Permit};

use super::{Done, Host};
use crate::engine::Engine;

/// A restart of an engine with many containers takes a minute or so.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a step is performed again.
const TRIES: u32 = 4;
/// How often the engine is asked whether it is there,
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// and how long it may take to say so.
const ANSWER: Duration = Duration::from_secs(5);

/// What Compose says of an engine that it can't reach; the last one is that of the Python program.
const ABSENT: [&str; 4] = [
    "Cannot connect to the Docker daemon",
    "error during connect",
    "dial unix",
    "Error while fetching server API version",
];

impl Host {
    /// Performs a step, and performs it again where the engine went away meanwhile and came back.
    pub(super) fn patiently(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        let mut tries = 0;
        loop {
            let failure = match self.step(permit, context) {
                Ok(fact) => return Ok(fact),
                Err(failure) => failure,
            };
            tries += 1;
            if !away(&failure.problem) || tries > TRIES {
                return Err(failure);
            }
            // From when it was missed: a step may have taken longer than that by itself.
            if !self.comes_back(Instant::now() + PATIENCE, permit, context) {
                return Err(if Self::cancelled(&self.interrupt, context.state) {
                    stopped(&failure)
                } else {
                    failure
                });
            }
            self.once_more = true;
            let message = format!("{} was begun again after the engine had not answered", permit.step());
            context.observe(
                Finding::new("engine-away", Severity::Warning, message)
                    .evidence(failure.problem.what)
                    .advice("see why: `journalctl -u docker -n 50`"),
            );
        }
    }

    /// Waits for the engine; whether it is there.
    fn comes_back(&self, until: Instant, permit: &Permit, context: &mut Context<'_>) -> bool {
        let began = Instant::now();
        let total = u64::try_from(until.saturating_duration_since(began).as_millis()).ok();
        while !self.runtime.block_on(answers(&self.engine)) {
            if Instant::now() >= until || Self::cancelled(&self.interrupt, context.state) {
                return false;
            }
            let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let what = "the engine does not answer; waiting for it".to_owned();
            context.progress(&Progress::of(permit.step(), what, waited, total, ProgressUnit::Millis));
            std::thread::sleep(LOOK_AGAIN);
        }
        true
    }
}

/// The same engine: another one behind the same address has not what the run is about.
pub(super) async fn answers(engine: &Engine) -> bool {
    let info = engine.call_within(ANSWER, "ask the engine about itself", engine.docker().info()).await;
    info.is_ok_and(|info| info.id.as_deref() == Some(engine.id()))
}

/// Whether the engine's absence explains it.
pub(super) fn away(problem: &Problem) -> bool {
    // A service may say the same, of a socket of its own.
    let engines = problem.code.starts_with("compose-") || problem.code == "version-start-failed";
    let said = || problem.causes.iter().any(|cause| ABSENT.iter().any(|sign| cause.contains(sign)));
    matches!(problem.code.as_str(), "engine-unreachable" | "engine-timeout") || (engines && said())
}

/// The operator didn't want to wait.
fn stopped(failure: &Failure) -> Box<Failure> {
    let problem = Problem::new("interrupted", "the run was interrupted while the engine did not answer")
        .because(&failure.problem.what);
    Box::new(Failure::new(problem, Cause::Interrupted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_absence_of_the_engine_is_waited_for() {
        let compose = |said: &str| Problem::new("compose-create-failed", "no").because(said);
        assert!(away(&Problem::new("engine-unreachable", "no")));
        assert!(away(&Problem::new("engine-timeout", "no")));
        assert!(away(&compose("Cannot connect to the Docker daemon at unix:///x. Is it running?")));
        assert!(!away(&Problem::new("engine-refused", "no")));
        assert!(!away(&compose("port is already allocated")));
        let health =
            Problem::new("version-unhealthy", "no").because("dial unix /run/php.sock: connect: no such file");
        assert!(!away(&health), "the service's own words");
    }
}
