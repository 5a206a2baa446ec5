//! The step that takes figures of the old version just before the cutover.

use futures_util::future::join_all;
use mainstay_core::baseline::{Figure, Measured};
use mainstay_core::event::{Fact, Progress, ProgressUnit};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::functional::{Answer, Before, Check, Kind, Page};
use mainstay_core::step::Step;
use mainstay_runner::Context;

use super::trouble::engine_step;
use super::{Done, Host};
use crate::functional;

impl Host {
    /// Takes what the new version is compared with.
    pub(super) fn take_baseline(&mut self, context: &mut Context<'_>) -> Done {
        let mut measured = Measured::default();
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
}

fn not_taken(check: &Check, answer: &Answer) -> Finding {
    let message =
        format!("the check {} fails just before the cutover: there is less to compare with", check.name);
    Finding::new("functional", Severity::Note, message).evidence(&answer.detail)
}
