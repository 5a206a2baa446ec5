//! What the new version is compared with: sampled beside the steps before the cutover, and taken at the last moment.
//!
//! Invariant: only the version that was there before is looked at. A sample that can't be taken is none: figures are wanted,
//! not required.

use futures_util::future::join_all;
use mainstay_core::baseline::{Figure, Measured, Sample};
use mainstay_core::event::{Fact, Progress, ProgressUnit};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::functional::{Answer, Before, Check, Kind, Page};
use mainstay_core::step::Step;
use mainstay_runner::Context;

use super::trouble::engine_step;
use super::{Done, Host, now};
use crate::functional;
use crate::watch::sampling::Sampling;

impl Host {
    /// Takes what the new version is compared with.
    pub(super) fn take_baseline(&mut self, context: &mut Context<'_>) -> Done {
        let mut measured = Measured { sample: self.sample(), ..Measured::default() };
        for (check, answer) in self.ask_before(context)? {
            if !answer.good {
                context.observe(not_taken(&check, &answer));
                continue;
            }
            let name = check.name;
            measured.figures.extend(answer.figure.map(|value| Figure { check: name.clone(), value }));
            if check.kind == Kind::Browser {
                measured.pages.push(Page { check: name, complaints: answer.complaints });
            }
        }
        Ok(Fact::Measured { measured: Box::new(measured) })
    }

    /// What is compared and not only judged: figures and pages.
    fn ask_before(
        &self,
        context: &mut Context<'_>,
    ) -> Result<Vec<(Check, Answer)>, Box<mainstay_core::verdict::Failure>> {
        let all = functional::prepare(&self.engine, context.plan, &self.run, None, "before")
            .map_err(engine_step)?;
        let compared = |check: &Check| {
            check.before != Before::Bad && (check.figure.is_some() || check.kind == Kind::Browser)
        };
        let wanted: Vec<_> = all.into_iter().filter(|asking| compared(&asking.check)).collect();
        if !wanted.is_empty() {
            let what = format!("{} figures and pages of the version that runs", wanted.len());
            context.progress(&Progress::of(Step::TakeBaseline, what, 0, None, ProgressUnit::None));
        }
        let asked = wanted.into_iter().map(async |asking| {
            let answer = asking.ask().await;
            (asking.check, answer)
        });
        Ok(self.runtime.block_on(join_all(asked)))
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

fn not_taken(check: &Check, answer: &Answer) -> Finding {
    let message =
        format!("the check {} fails just before the cutover: there is less to compare with", check.name);
    Finding::new("functional", Severity::Note, message).evidence(&answer.detail)
}
