//! The plan of an update: where the tag stands, who shares it, what the registry has, what would be refused.

use std::path::{Path, PathBuf};

use mainstay_core::edit::{self, Edited, SourceFile};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{FileEdit, Image, Kind, Plan, ServicePlan};
use mainstay_core::problem::Problem;
use serde_json::Value;

use super::{Bytes, Draft, Wishes, hooks, look, unit, variables};
use crate::checks::Wanted;
use crate::compose::Compose;
use crate::discover::Found;
use crate::engine::Engine;
use crate::images::{self, Reference, Remote};
use crate::survey::{self, Hidden, Resolved};
use crate::{files, functional};

/// What to update to, and what to add on the way.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The tag.
    pub to: String,
    /// Names of secrets to make.
    pub new_secrets: Vec<String>,
    /// Variables to add, `NAME=VALUE`.
    pub set: Vec<String>,
}

/// Plans an update.
///
/// # Errors
///
/// Whatever makes it impossible: `same-version` (it runs already), `unknown-tag`, everything about the Compose
/// file and about where its tag stands, and what the engine says.
pub async fn update(
    engine: &Engine,
    found: &Found,
    wishes: &Wishes,
    update: &Update,
) -> Result<Draft, Problem> {
    let compose = Compose::for_project(&found.project).on_host(engine.host_for_children());
    compose.version().await?;
    let before = compose.config().await?;
    let image = image(&before, &found.service)?;
    // A variable that is not set leaves a hole: whoever looks where the tag stands can name it.
    let current = Reference::parse(image)
        .map_err(|problem| retag(found, image, &update.to).err().unwrap_or(problem))?;
    let old_tag = current.effective_tag().unwrap_or_default().to_owned();
    let wanted = current.with_tag(&update.to);
    let added = variables::wanted(update)?;

    let mut edits = if old_tag == update.to { Vec::new() } else { retag(found, image, &update.to)? };
    let (target, notes) = variables::target(found, &before, &added)?;
    variables::add(&mut edits, target.as_deref(), &added)?;
    let edited: Vec<(PathBuf, Vec<u8>)> = edits.iter().map(|e| (e.path.clone(), e.after.clone())).collect();
    let after = if edited.is_empty() { before.clone() } else { compose.config_edited(&edited).await? };
    let names: Vec<String> = added.iter().map(|(name, _)| name.clone()).collect();
    let unit = if old_tag == update.to {
        vec![found.service.clone()]
    } else {
        edit::prove(&before, &after, &found.service, &old_tag, &update.to, &names)?
    };
    let unit = unit::start_order(&before, &unit);
    let images = resolve(engine, &after, &unit).await?;
    let to = unit.iter().cloned().zip(images.iter().map(|image| image.reference.clone())).collect();
    let hooks = wishes.hooks.any(&unit);
    let wanted_checks = Wanted { backup: true, recreate: true, hooks, to, ..Wanted::default() };
    let mut looked = look(engine, found, &unit, wishes, &wanted_checks).await?;
    looked.findings.extend(notes);
    let checks = std::mem::take(&mut looked.checks);
    let mut plan = unit::plan(engine, found, looked, wishes, Kind::Update).await;
    for (service, image) in plan.unit.services.iter_mut().zip(images) {
        service.to = image;
    }
    if edits.is_empty() && plan.unit.services.iter().all(|s| same(&s.from, &s.to)) {
        return Err(Problem::new("same-version", format!("{} runs {wanted} already", found.service)));
    }
    plan.findings.extend(only_here(&plan));
    plan.edits = edits.iter().enumerate().map(|(index, edit)| file_edit(index, edit)).collect();
    let files = edits.into_iter().map(|e| Bytes { before: existing(&e), after: e.after }).collect();
    let mut commands = hooks::add(&mut plan, &wishes.hooks);
    commands.extend(functional::add(&mut plan, checks));
    Ok(Draft { plan, files, commands })
}

/// The image as Compose resolves it.
fn image<'a>(config: &'a Value, service: &str) -> Result<&'a str, Problem> {
    let image = config["services"][service]["image"].as_str();
    image.filter(|image| !image.is_empty()).ok_or_else(|| {
        Problem::new("image-not-set", format!("the service {service} names no image"))
            .because("it is built from source (`build:`), or its profile is not active")
            .advise("only services with an `image:` can be updated to a tag")
    })
}

/// The edits that change the tag where it stands.
fn retag(found: &Found, image: &str, tag: &str) -> Result<Vec<Edited>, Problem> {
    let mut sources = Vec::new();
    let roles = [(&found.project.files, edit::Role::Compose), (&found.project.env_files, edit::Role::Env)];
    for (paths, role) in roles {
        for path in paths {
            let bytes = files::read(path).map_err(Problem::from)?;
            sources.push(SourceFile { path: path.clone(), role, bytes });
        }
    }
    let shell = |name: &str| std::env::var(name).ok();
    let retag = edit::retag(&sources, &found.service, image, tag, &shell)?;
    Ok(retag.edits)
}

/// What the registries say about the images that are going to run, in the order of the unit.
async fn resolve(engine: &Engine, config: &Value, unit: &[String]) -> Result<Vec<Image>, Problem> {
    let mut images = Vec::new();
    for service in unit {
        let reference = Reference::parse(image(config, service)?)?;
        let (id, digest) = match images::resolve(engine.docker(), &reference).await? {
            Remote::Published { digest, .. } => (None, Some(digest)),
            Remote::LocalOnly { image_id } => (Some(image_id), None),
        };
        images.push(Image { reference: reference.to_string(), id, digest });
    }
    Ok(images)
}

/// Old images that nobody could pull again.
fn only_here(plan: &Plan) -> Vec<Finding> {
    let services = plan.unit.services.iter().filter(|_| !plan.keep_image_copy);
    let only_here = services.filter(|service| service.from.id.is_some() && service.from.digest.is_none());
    let finding = |service: &ServicePlan| {
        let message = format!(
            "{}: the image that runs came from no registry: if somebody removes it meanwhile, there is no way back",
            service.name
        );
        Finding::new("image-copy", Severity::Note, message)
            .advice("have the update keep a copy of it: `--keep-image-copy`, `keep_image_copy = true`")
    };
    only_here.map(finding).collect()
}

/// Whether what runs is what is wanted: the same digest, or the same image that no registry has.
fn same(from: &Image, to: &Image) -> bool {
    match (&to.digest, &to.id) {
        (Some(digest), _) => from.digest.as_ref() == Some(digest),
        (None, id) => from.id == *id,
    }
}

fn existing(edit: &Edited) -> Option<Vec<u8>> {
    let new = edit.before.is_empty() && !edit.path.exists();
    (!new).then(|| edit.before.clone())
}

fn file_edit(index: usize, edit: &Edited) -> FileEdit {
    FileEdit {
        before: existing(edit).as_deref().map(files::hash),
        after: files::hash(&edit.after),
        diff: edit::diff(&edit.path, &edit.before, &edit.after),
        path: edit.path.clone(),
        index,
    }
}

/// The env files of a service, as the survey finds them.
pub(super) fn service_env_files(found: &Found, config: &Value) -> Vec<PathBuf> {
    let resolved = Resolved { config: Hidden(config.clone()), hashes: Default::default() };
    let all = survey::files(found, std::slice::from_ref(&found.service), Some(&resolved));
    all.into_iter().filter(|f| f.role == survey::FileRole::ServiceEnv).map(|f| f.path).collect()
}

/// Whether any Compose file mentions a variable.
pub(super) fn mentions(files: &[PathBuf], name: &str) -> bool {
    let mentioned = |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(name));
    files.iter().any(|file| mentioned(file))
}
