//! Steps on the operator's files: confirm, save, edit, put back.

use std::sync::atomic::AtomicUsize;

use mainstay_core::event::Fact;
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{FileEdit, Kind, Plan, Project};
use mainstay_core::problem::Problem;
use mainstay_core::verdict::Tier;
use mainstay_runner::Context;

use super::trouble::engine_step;
use super::{Done, Host};
use crate::discover;
use crate::engine::Engine;
use crate::files::{self, NewFile, RunDir};
use crate::watch::tail;

/// Log lines that are saved of each container.
const LOG_LINES: usize = 500;

impl Host {
    /// What runs, and what stands in the files, is still what the plan was made from.
    pub(super) fn confirm(&mut self, context: &mut Context<'_>) -> Done {
        let plan = context.plan;
        for edit in &plan.edits {
            let found = files::read_if_there(&edit.path).map_err(|e| engine_step(e.into()))?;
            if found.as_deref().map(files::hash) != edit.before {
                let what = format!("{} was changed after the plan was made", edit.path.display());
                return Err(engine_step(
                    Problem::new("file-changed", what).advise("start again: the plan is made anew"),
                ));
            }
        }
        // A rollback or a restoration starts from whatever is there.
        if matches!(plan.kind, Kind::Update | Kind::Backup) {
            self.runtime.block_on(same_containers(&self.engine, plan)).map_err(engine_step)?;
        }
        Ok(Fact::Nothing)
    }

    /// Compose and env files byte for byte, `inspect`, and the last log lines, into the run's directory.
    pub(super) fn save_configuration(&mut self, context: &mut Context<'_>) -> Done {
        let plan = context.plan;
        save_files(&self.run, &plan.unit.project, &plan.edits).map_err(engine_step)?;
        for service in &plan.unit.services {
            for container in &service.containers {
                let saved = save_container(&self.engine, &self.run, &container.id, &container.name);
                self.runtime.block_on(saved).map_err(engine_step)?;
            }
        }
        Ok(Fact::Nothing)
    }

    /// Writes the planned bytes in place of those that the plan was made from, and of nothing else.
    pub(super) fn edit_files(&mut self, context: &mut Context<'_>) -> Done {
        for edit in &context.plan.edits {
            let bytes = self.run.read(edit.stored_after()).map_err(|e| engine_step(e.into()))?;
            files::replace(&edit.path, edit.before.as_deref(), &bytes, NewFile::Private)
                .map_err(|e| engine_step(e.into()))?;
        }
        Ok(Fact::Nothing)
    }

    /// Puts the operator's files back, byte for byte; one that was never edited is left alone. One that somebody
    /// else changed stays as it is: where the containers were never touched, that is reported and no more;
    /// else the old container can't be made from it.
    pub(super) fn restore_files(&mut self, context: &mut Context<'_>) -> Done {
        let only_files = matches!(context.state.turned_back(), Some((Tier::Files, _)));
        for edit in &context.plan.edits {
            match put_back(&self.run, edit) {
                Err(problem) if only_files && problem.code == "file-changed" => {
                    let finding = Finding::new("file-changed", Severity::Warning, problem.what)
                        .advice(format!("see which tag {} names; it was left as it is", edit.path.display()));
                    context.observe(finding);
                }
                other => other.map_err(engine_step)?,
            }
        }
        Ok(Fact::Nothing)
    }

    pub(super) fn interrupt(&self) -> &AtomicUsize {
        &self.interrupt
    }
}

fn put_back(run: &RunDir, edit: &FileEdit) -> Result<(), Problem> {
    let Some(before) = &edit.before else { return Ok(files::remove(&edit.path, &edit.after)?) };
    // Also where the edit was cut off before it had taken effect: then there is nothing else to put back.
    files::tidy(&edit.path)?;
    let present = files::read_if_there(&edit.path)?;
    if present.as_deref().map(files::hash).as_ref() == Some(before) {
        return Ok(());
    }
    let bytes = run.read(edit.stored_before())?;
    Ok(files::replace(&edit.path, Some(&edit.after), &bytes, NewFile::Private)?)
}

/// Each service has the containers that it had when the plan was made.
pub(super) async fn same_containers(engine: &Engine, plan: &Plan) -> Result<(), Problem> {
    let listed = discover::list(engine).await?;
    for service in &plan.unit.services {
        let now: Vec<_> = listed
            .iter()
            .filter(|l| l.project.name == plan.unit.project.name && l.service == service.name)
            .flat_map(|l| &l.containers)
            .collect();
        let same = now.len() == service.containers.len()
            && service.containers.iter().all(|planned| {
                let image = service.from.id.as_deref();
                now.iter().any(|c| c.container.id == planned.id && image.is_none_or(|id| c.image_id == id))
            });
        if !same {
            let what = format!("the containers of {} changed after the plan was made", service.name);
            return Err(Problem::new("containers-changed", what).advise("start again: the plan is made anew"));
        }
    }
    Ok(())
}

/// Every file of the project that exists, numbered, because two of them can have the same name.
fn save_files(run: &RunDir, project: &Project, edits: &[FileEdit]) -> Result<(), Problem> {
    let mut paths: Vec<_> = project.files.iter().chain(&project.env_files).collect();
    paths.extend(edits.iter().map(|e| &e.path).filter(|p| p.exists()));
    paths.dedup();
    for (number, path) in paths.iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        run.write(format!("configuration/{number}-{name}"), &files::read(path)?)?;
    }
    let list: Vec<String> =
        paths.iter().enumerate().map(|(number, path)| format!("{number} {}\n", path.display())).collect();
    Ok(run.write("configuration/files.txt", list.concat().as_bytes())?)
}

async fn save_container(engine: &Engine, run: &RunDir, id: &str, name: &str) -> Result<(), Problem> {
    let what = format!("inspect the container {name}");
    let inspect = engine.call(&what, engine.docker().inspect_container(id, None)).await?;
    let text = serde_json::to_vec_pretty(&inspect)
        .map_err(|e| Problem::new("engine-refused", "what the engine told can't be written").because(e))?;
    run.write(format!("configuration/{name}.inspect.json"), &text)?;
    let lines = tail(engine, id, LOG_LINES).await;
    Ok(run.write(format!("configuration/{name}.log"), (lines.join("\n") + "\n").as_bytes())?)
}
