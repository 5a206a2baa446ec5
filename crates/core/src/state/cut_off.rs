//! Where a run that was cut off goes, when nobody looks on.

use serde::{Deserialize, Serialize};

use super::RunState;
use super::standing::Course;
use crate::event::{Event, Outcome};
use crate::plan::{Kind, Plan};
use crate::problem::Problem;
use crate::step::Step;
use crate::verdict::{Cause, Failure};

/// What becomes of an update that was cut off before its new version had been verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnResume {
    /// It turns back: whoever began it may not be there to look at the new version.
    #[default]
    Safe,
    /// It goes on.
    Continue,
}

impl RunState {
    /// What has to be journaled before a run that was cut off is resumed safely, if anything: an update turns back
    /// unless its new version had been verified. The step in doubt is not performed again, because what it did
    /// half is undone by the way back in any case; except for commands in containers, which may still run, and
    /// which only their own step can end. Every other run has no better way than the one it is on.
    #[must_use]
    pub fn cut_off(&self, plan: &Plan) -> Option<Event> {
        let now = &self.standing;
        let open = now.course == Course::Forward && !now.new_version_verified;
        if plan.kind != Kind::Update || !open || now.interrupted {
            return None;
        }
        Some(match now.running {
            None | Some(Step::RunBeforeBackup | Step::RunAfterBackup | Step::RunBeforeCutover) => {
                Event::Interrupted { signal: "the end of its process".to_owned() }
            }
            Some(step) => {
                let what = format!("the run was cut off in {step}, before the new version had been verified");
                let problem = Problem::new("interrupted", what)
                    .advise("update again; `on_resume = \"continue\"` has such a run go on instead");
                let failure = Box::new(Failure::new(problem, Cause::Interrupted));
                Event::StepEnded { step, outcome: Outcome::Failed { failure } }
            }
        })
    }
}
