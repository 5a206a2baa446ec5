//! What the new version is compared with: sampled beside the steps before the cutover, and taken at the last moment.
//!
//! Invariant: only the version that was there before is looked at. A sample that can't be taken is none: figures are wanted,
//! not required.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_core::baseline::{Figure, Measured, Sample};
use mainstay_core::event::{Fact, Progress, ProgressUnit};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::functional::{Answer, Before, Check, Kind, Page};
use mainstay_core::step::Step;
use mainstay_runner::Context;

use super::trouble::engine_step;
use super::{Done, Host, now};
use crate::functional::{self, Asking};
use crate::watch::sampling::Sampling;

/// A bad answer is asked for again, and is bad if it was so as often as this;
const TIMES: usize = 3;
/// after a while each time.
const AGAIN: Duration = Duration::from_millis(500);

impl Host {
    /// Takes what the new version is compared with.
    pub(super) fn take_baseline(&mut self, context: &mut Context<'_>) -> Done {
        let mut measured = Measured { sample: self.sample(), ..Measured::default() };
        for (check, answer) in self.ask_before(context)? {
            if answer.void {
                context.observe(not_taken(&check, &answer));
                continue;
            }
            if !answer.good {
                context.observe(gone_bad(&check, &answer));
                measured.bad.push(check.name);
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

    /// Asks everything but questions that was good when the plan was made: what has gone bad since, while the old version
    /// ran, can't condemn the new one, and figures and pages are compared.
    fn ask_before(
        &self,
        context: &mut Context<'_>,
    ) -> Result<Vec<(Check, Answer)>, Box<mainstay_core::verdict::Failure>> {
        let all = functional::prepare(&self.engine, context.plan, &self.run, None, "before")
            .map_err(engine_step)?;
        let asked = |check: &Check| check.before != Before::Bad && check.kind != Kind::Question;
        let wanted: Vec<_> = all.into_iter().filter(|asking| asked(&asking.check)).collect();
        if !wanted.is_empty() {
            let what = format!("{} functional checks of the version that runs", wanted.len());
            context.progress(&Progress::of(Step::TakeBaseline, what, 0, None, ProgressUnit::None));
        }
        let asked = wanted.into_iter().map(async |asking| {
            let answer = surely(&asking).await;
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

/// An answer that says something about the service, and is no accident if it is bad.
async fn surely(asking: &Asking) -> Answer {
    let mut answer = asking.ask().await;
    for _ in 1..TIMES {
        if answer.good {
            break;
        }
        tokio::time::sleep(AGAIN).await;
        answer = asking.ask().await;
    }
    answer
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
    let message = format!(
        "the check {} could not be asked just before the cutover: there is less to compare with",
        check.name
    );
    Finding::new("functional", Severity::Note, message).evidence(&answer.detail)
}

fn gone_bad(check: &Check, answer: &Answer) -> Finding {
    let severity = if check.required { Severity::Warning } else { Severity::Note };
    let name = &check.name;
    let message = format!(
        "the check {name} fails just before the cutover: it can't tell whether the new version is good"
    );
    let advice = format!("mend the service, or `name = \"{name}\"` in mainstay.toml");
    Finding::new("functional", severity, message).evidence(&answer.detail).advice(advice)
}
