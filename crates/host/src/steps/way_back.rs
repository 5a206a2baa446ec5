//! The step that looks at the way back before anything is stopped for it, and what other steps look at before
//! they act: whose files these are, whether something runs, and what ever ran.
//!
//! Invariant: it stops, starts and removes nothing. What it may do is bring an old image back that somebody
//! pruned (`old_image.rs`).

use mainstay_core::event::Fact;
use mainstay_core::plan::{FileEdit, Plan};
use mainstay_core::problem::Problem;
use mainstay_runner::Context;

use super::containers::present;
use super::trouble::engine_step;
use super::{Done, Host};
use crate::discover::ListedContainer;
use crate::engine::Engine;
use crate::files;

impl Host {
    /// The files are as the run left them, the old images are there, and whether anything of the new version ran.
    /// A way back that is closed is known while whatever runs still does.
    pub(super) fn confirm_way_back(&mut self, context: &mut Context<'_>) -> Done {
        let plan = context.plan;
        files_are(&plan.edits, |edit, found| *found == edit.before || found.as_ref() == Some(&edit.after))
            .map_err(engine_step)?;
        for service in &plan.unit.services {
            self.have_old_image(service, context).map_err(engine_step)?;
        }
        let ran = self.runtime.block_on(new_version_ran(&self.engine, plan)).map_err(engine_step)?;
        Ok(Fact::WayBack { new_version_ran: ran })
    }
}

/// Every edited file has content that `fits`; else somebody else changed it.
pub(super) fn files_are(
    edits: &[FileEdit],
    fits: impl Fn(&FileEdit, &Option<String>) -> bool,
) -> Result<(), Problem> {
    for edit in edits {
        let found = files::read_if_there(&edit.path)?.as_deref().map(files::hash);
        if !fits(edit, &found) {
            let path = edit.path.display();
            return Err(Problem::new(
                "file-changed",
                format!("{path} was changed by somebody else meanwhile"),
            )
            .because("it is neither as it was planned with nor as the run wrote it, and stays as it is")
            .advise(format!("see what changed in {path}, then decide which version shall run"))
            .advise(
                "the bytes from before and after the run's edit are in the run's directory, below files/",
            ));
        }
    }
    Ok(())
}

/// Whether any container of the new version ever ran, whoever started it. Where there is no container at all, nobody
/// can say that none did.
pub(super) async fn new_version_ran(engine: &Engine, plan: &Plan) -> Result<bool, Problem> {
    let listed = present(engine, plan).await?;
    for (service, container) in &listed {
        if is_new(plan, service, container) && ever_ran(engine, container).await? {
            return Ok(true);
        }
    }
    Ok(listed.is_empty())
}

/// Nobody started the new version after the run had stopped it, or where it never ran: what it may have done to the
/// data since is in no backup.
pub(super) async fn new_version_rests(engine: &Engine, plan: &Plan, never_ran: bool) -> Result<(), Problem> {
    for (service, container) in present(engine, plan).await? {
        if is_new(plan, &service, &container)
            && (runs(&container) || (never_ran && ever_ran(engine, &container).await?))
        {
            return Err(started_by_somebody(&container.container.name));
        }
    }
    Ok(())
}

/// Neither there when the plan was made, nor of the old image.
fn is_new(plan: &Plan, service: &str, container: &ListedContainer) -> bool {
    let planned = plan.unit.services.iter().find(|s| s.name == service);
    planned.is_none_or(|planned| {
        planned.from.id.as_ref() != Some(&container.image_id)
            && !planned.containers.iter().any(|c| c.id == container.container.id)
    })
}

/// Nothing of the new version ran before there is a backup to go back to, and nothing runs.
pub(super) async fn nothing_ran(engine: &Engine, plan: &Plan) -> Result<(), Problem> {
    let running = present(engine, plan).await?.into_iter().find(|(_, c)| runs(c));
    if running.is_none() && !new_version_ran(engine, plan).await? {
        return Ok(());
    }
    let name = running.map_or_else(|| plan.unit.service.clone(), |(_, c)| c.container.name);
    Err(started_by_somebody(&name))
}

fn started_by_somebody(name: &str) -> Problem {
    Problem::new(
        "containers-changed",
        format!("{name} was started by somebody else while the run had it stopped"),
    )
    .advise("let nothing else start the service while a run is at work: a unit at boot, a script, a person")
}

/// Whether a container ever ran. One that never did has the year 1 as its start.
pub(super) async fn ever_ran(engine: &Engine, container: &ListedContainer) -> Result<bool, Problem> {
    let call = engine.docker().inspect_container(&container.container.id, None);
    let state = engine.call("inspect a container", call).await?.state;
    Ok(!state.and_then(|state| state.started_at).unwrap_or_default().starts_with("0001-"))
}

fn runs(container: &ListedContainer) -> bool {
    !matches!(container.state.as_str(), "created" | "exited" | "dead")
}
