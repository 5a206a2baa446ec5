//! The one seam: everything that touches the world is behind [`World`].
//!
//! There are two implementations: the real one in `mainstay-host`, and the simulated one in `mainstay-sim`
//! that fails and crashes on command.

use mainstay_core::event::{Outcome, Progress};
use mainstay_core::finding::Finding;
use mainstay_core::plan::Plan;
use mainstay_core::state::RunState;
use mainstay_core::time::Timestamp;

use crate::journal::Permit;

/// What steps act on.
pub trait World {
    /// Performs the effect that the permit allows. It looks first at what is there: the step may have been
    /// begun before ([`Permit::again`]).
    fn perform(&mut self, permit: &Permit, context: &mut Context<'_>) -> Outcome;

    /// The time, for people and for deadlines that must survive a restart.
    fn now(&self) -> Timestamp;

    /// The signal by which the operator asked to stop, if one came.
    fn interruption(&self) -> Option<String>;
}

/// What a step is given.
pub struct Context<'a> {
    /// What the run is going to do.
    pub plan: &'a Plan,
    /// What it has done.
    pub state: &'a RunState,
    /// When the step was first begun, by this process or one before it: deadlines start here.
    pub begun_at: Timestamp,
    pub(crate) progress: &'a mut dyn FnMut(&Progress),
    pub(crate) observed: Vec<Finding>,
    pub(crate) observe: &'a mut dyn FnMut(&Finding),
}

impl Context<'_> {
    /// Tells how far the step is; lossy.
    pub fn progress(&mut self, progress: &Progress) {
        (self.progress)(progress);
    }

    /// Keeps something that was seen: shown at once, journaled with the end of the step.
    pub fn observe(&mut self, finding: Finding) {
        (self.observe)(&finding);
        self.observed.push(finding);
    }
}
