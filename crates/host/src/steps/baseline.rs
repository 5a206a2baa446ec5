//! What the new version is compared with: sampled beside the steps before the cutover, and taken at the last moment.
//!
//! Invariant: only the version that was there before is looked at. A sample that can't be taken is none: figures are wanted,
//! not required.

use mainstay_core::baseline::{Measured, Sample};
use mainstay_core::event::Fact;
use mainstay_core::step::Step;
use mainstay_runner::Context;

use super::{Done, Host, now};
use crate::watch::sampling::Sampling;

impl Host {
    /// Takes what the new version is compared with.
    pub(super) fn take_baseline(&mut self, _context: &mut Context<'_>) -> Done {
        let measured = Measured { figures: Vec::new(), sample: self.sample() };
        Ok(Fact::Measured { measured: Box::new(measured) })
    }

    /// Samples beside the steps up to `take-baseline`, and ends with the first one that is not of these.
    pub(super) fn keep_sampling(&mut self, step: Step, context: &Context<'_>) {
        let Some(quiet) = sampled(step).filter(|_| context.plan.measure) else {
            self.sampling = None;
            return;
        };
        if self.sampling.is_none()
            && let Ok(subjects) = self.subjects(context.plan)
        {
            self.sampling = Sampling::start(&self.runtime, &self.engine, context.plan, subjects).ok();
        }
        if let Some(sampling) = &self.sampling {
            sampling.quiet(quiet);
        }
    }

    fn sample(&mut self) -> Option<Box<Sample>> {
        let sampling = self.sampling.take()?;
        Some(Box::new(self.runtime.block_on(sampling.finish(now()))))
    }
}

/// Whether the service is left alone during a step before the cutover; `None` for all other steps.
fn sampled(step: Step) -> Option<bool> {
    match step {
        Step::Confirm | Step::KeepImage | Step::SaveConfiguration | Step::EditFiles | Step::TakeBaseline => {
            Some(true)
        }
        Step::RunBeforeBackup
        | Step::BackUpLive
        | Step::RunAfterBackup
        | Step::PullImage
        | Step::RunBeforeCutover => Some(false),
        _ => None,
    }
}
