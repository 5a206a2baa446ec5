//! The checks of a plan, as the steps of a run ask them: what they really ask comes from the run's directory.

use mainstay_core::functional::{Answer, Check};
use mainstay_core::plan::Plan;
use mainstay_core::problem::Problem;

use super::{Operator, Place, Spec, ask};
use crate::engine::Engine;
use crate::files::RunDir;

/// One check, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// As the plan has it.
    pub(crate) check: Check,
    spec: Spec,
    place: Place,
}

impl Asking {
    /// Asks once.
    pub(crate) async fn ask(&self) -> Answer {
        ask(&self.place, &self.spec).await
    }
}

/// Every check of the plan. `when` names the pictures that are taken.
pub(crate) fn prepare(
    engine: &Engine,
    plan: &Plan,
    run: &RunDir,
    operator: Option<&Operator>,
    when: &str,
) -> Result<Vec<Asking>, Problem> {
    let read = |check: &Check| {
        let bytes = run.read(check.stored()).map_err(Problem::from)?;
        let spec: Spec = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new("check-unreadable", format!("what the check {} asks can't be read", check.name))
                .because(error)
        })?;
        let place = Place {
            engine: engine.clone(),
            project: plan.unit.project.clone(),
            service: check.service.clone(),
            operator: operator.cloned(),
            screenshot: Some((run.clone(), check.screenshot(when))),
            one_at_a_time: check.profile.is_some(),
        };
        Ok(Asking { check: check.clone(), spec, place })
    };
    plan.checks.iter().map(read).collect()
}
