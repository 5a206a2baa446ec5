//! Says why a version is bad, between its verdict and the way back: the facts go with its containers.
//!
//! The verdict stands already and does not change; what is not known in time is left out.

use std::time::Duration;

use mainstay_core::diagnosis;
use mainstay_core::plan::{ContainerRef, Plan};
use mainstay_core::verdict::{Cause, Failure};

use super::Host;
use crate::diagnose::{self, Patient};

/// The way back waits so long at most,
const LIMIT: Duration = Duration::from_millis(900);
/// and so long where it is promised within a second, and what tells why is in the container's state and log.
const SOON: Duration = Duration::from_millis(300);

impl Host {
    /// The failure of a version, with its diagnosis. Failures of our own steps have none.
    /// `known` are the containers, each with its service, where the step has them.
    pub(super) fn diagnosed(
        &self,
        plan: &Plan,
        known: Vec<(String, ContainerRef)>,
        failure: Box<Failure>,
    ) -> Box<Failure> {
        if !matches!(failure.cause, Cause::Version(_)) {
            return failure;
        }
        let patient = Patient::of(plan, known, self.run.path(), &failure);
        let limit = if ended(&failure) { SOON } else { LIMIT };
        let facts = self.runtime.block_on(diagnose::gather(&self.engine, &patient, limit));
        Box::new(failure.diagnosed(diagnosis::diagnose(&facts)))
    }
}

/// Whether its process ended, or never began: the engine said so.
pub(super) fn ended(failure: &Failure) -> bool {
    let code = failure.problem.code.as_str();
    matches!(code, "version-exits" | "version-out-of-memory" | "version-start-failed")
}
