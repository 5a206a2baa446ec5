//! How the attempt to perform a step ends: as it should, badly, or with the death of the process.

use mainstay_core::event::Outcome;
use mainstay_core::plan::{Plan, Quiesce};
use mainstay_core::problem::Problem;
use mainstay_core::state::RunState;
use mainstay_core::step::Step;
use mainstay_core::verdict::{Cause, DataDoubt, Failure};

use crate::steps::{Act, Halt, Moves};
use crate::world::{Version, World};

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does what it finds to do.
    Done,
    /// It fails after so many moves: before any, in the middle, or with its work done and the reply lost.
    Fails {
        /// Moves that were made.
        after: u8,
        /// Why.
        cause: Cause,
    },
    /// It takes too long and is given up; what it had begun comes true later, after the next step.
    Late,
    /// The process dies after so many moves.
    Dies {
        /// Moves that were made.
        after: u8,
    },
}

/// A broken law, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Performed {
    /// The outcome; `None` where the process died.
    pub outcome: Option<Outcome>,
    /// Whether it was cut off before its end, so that there are more places to cut it.
    pub cut: bool,
}

/// Why a step may fail, as far as that changes what follows. A version that is looked at is good or bad; everything
/// else is the engine's, the disk's, or the network's fault.
pub(crate) fn causes(step: Step) -> &'static [Cause] {
    match step {
        Step::VerifyNew | Step::Watch => {
            &[Cause::Version(DataDoubt::Unrelated), Cause::Version(DataDoubt::Possible)]
        }
        Step::VerifyOld => &[Cause::Version(DataDoubt::Possible)],
        _ => &[Cause::Step],
    }
}

impl World {
    /// Performs a step, as `mainstay_runner::World` does.
    ///
    /// # Errors
    /// Where a law is broken on the way.
    pub fn perform(
        &mut self,
        plan: &Plan,
        state: &RunState,
        step: Step,
        again: bool,
        fate: Fate,
    ) -> Result<Performed, Broken> {
        let act = Act { plan, state, step, again };
        let late = self.late.take();
        let performed = match fate {
            Fate::Done => self.limited(act, None),
            Fate::Fails { cause, .. } if judges(step) => {
                self.verified = None;
                Ok(Performed { outcome: Some(failed(cause)), cut: false })
            }
            Fate::Fails { after, cause } => self.fail(act, after, cause),
            Fate::Late => self.be_late(act),
            Fate::Dies { after } => self.limited(act, Some(after)).map(|p| Performed { outcome: None, ..p }),
        };
        if let Some(version) = late {
            self.come_true(version);
        }
        performed
    }

    fn limited(&mut self, act: Act<'_>, moves: Option<u8>) -> Result<Performed, Broken> {
        let (outcome, cut) = match self.act(act, &mut Moves(moves)) {
            Ok(fact) => (Some(Outcome::Done { fact }), false),
            Err(Halt::Failed(cause)) => (Some(failed(cause)), false),
            Err(Halt::Cut) => (None, true),
            Err(Halt::Broken(law)) => return Err(Broken(law)),
        };
        Ok(Performed { outcome, cut })
    }

    fn fail(&mut self, act: Act<'_>, after: u8, cause: Cause) -> Result<Performed, Broken> {
        let performed = self.limited(act, Some(after))?;
        if act.step == Step::BackUpStill
            && act.plan.still == Some(Quiesce::Pause)
            && performed.cut
            && after < 3
        {
            // Whatever became of the backup, the step lets go on; the last move is just that, and failed.
            self.each_container().for_each(|c| c.paused = false);
        }
        self.after_failed |= act.step == Step::RunAfterBackup;
        let outcome = match performed.outcome {
            Some(Outcome::Failed { failure }) => Outcome::Failed { failure },
            _ => failed(cause),
        };
        Ok(Performed { outcome: Some(outcome), cut: performed.cut })
    }

    /// Only a start is worth being late: a stop, a command of Compose, a backup are ended with their process.
    fn be_late(&mut self, act: Act<'_>) -> Result<Performed, Broken> {
        let mut would = *self;
        let performed = would.limited(act, None)?;
        if matches!(performed.outcome, Some(Outcome::Done { .. })) {
            self.late = would.runs();
        }
        Ok(Performed { outcome: Some(failed(Cause::Step)), cut: false })
    }

    fn come_true(&mut self, version: Version) {
        if self.container(version).is_some_and(|c| !c.running) {
            let stays = self.launch(version);
            if let Some(container) = self.container(version) {
                container.running = stays;
            }
        }
    }
}

/// Whether a step looks at a version, and changes nothing.
fn judges(step: Step) -> bool {
    matches!(step, Step::VerifyNew | Step::VerifyOld | Step::Watch)
}

pub(crate) fn failed(cause: Cause) -> Outcome {
    Outcome::Failed { failure: Box::new(Failure::new(Problem::new("simulated", "it failed"), cause)) }
}
