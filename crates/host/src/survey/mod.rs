//! Gathers everything that is worth knowing before an update, and changes nothing.
//!
//! A survey doesn't judge: that is for [`crate::checks`]. What could not be learned is recorded as such, so
//! that a check can say it; only an engine that fails ends the survey.

mod containers;
mod dependencies;
mod detect;
mod doctor;
mod facts;
mod layer;
mod mounts;
mod profiles;
mod space;

use std::path::{Path, PathBuf};

use mainstay_core::plan::Probes;
use mainstay_core::problem::Problem;
use serde_json::Value;

use crate::compose::Compose;
use crate::discover::{Found, Listed};
use crate::engine::Engine;

pub(crate) use containers::{image, inspected, layer_of, used as memory_used};
pub(crate) use dependencies::{closure as needed_by, needs};
pub use detect::probes;
pub(crate) use detect::protocol;
pub use doctor::{Doctor, doctor};
pub use facts::*;
pub use profiles::{ProfileFacts, ProfileWish};
pub(crate) use profiles::{recognise, refusal};
pub use space::{Count, count, free, human};

/// What a survey needs to know besides the service.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory in which backups are kept; need not exist yet. `None` if that is not on this machine.
    pub repository: Option<PathBuf>,
    /// The state directory; need not exist yet.
    pub state: Option<PathBuf>,
}

/// Gathers the facts about a unit: `unit` names its services in start order, `service` is the one that the
/// operator named (added where it is missing).
///
/// # Errors
///
/// Those of the engine. A Compose file that is not valid is no error but a fact.
pub async fn survey(
    engine: &Engine,
    found: &Found,
    service: &str,
    unit: &[String],
    options: &Options,
) -> Result<Survey, Problem> {
    let mut names = unit.to_vec();
    if !names.iter().any(|n| n == service) {
        names.push(service.to_owned());
    }
    let compose = resolve(engine, found).await;
    let mut services = Vec::with_capacity(names.len());
    for name in &names {
        services.push(service_facts(engine, found, name, compose.as_ref().ok()).await?);
    }
    let mounts = mounts::survey(engine, &services, true).await?;
    let dependencies = match &compose {
        Ok(resolved) => dependencies::survey(engine, resolved, &names, &found.services).await?,
        Err(_) => Vec::new(),
    };
    Ok(Survey {
        project: found.project.clone(),
        service: service.to_owned(),
        files: files(found, &names, compose.as_ref().ok()),
        probes: detect::probes(&services, service),
        unit: services,
        compose,
        mounts: mounts.data,
        unsupported: mounts.unsupported,
        dependencies,
        remote_repository: options.repository.is_none(),
        repository: options.repository.as_deref().and_then(|dir| space::free(dir).ok()),
        engine_local: engine.is_local(),
        engine_architecture: engine.architecture().to_owned(),
        state: options.state.as_deref().and_then(|dir| space::free(dir).ok()),
    })
}

/// What a listing tells about a service: quickly found out, without Compose.
#[derive(Clone, Debug)]
pub struct Glance {
    /// How the service can be asked.
    pub probes: Probes,
    /// Bytes of data.
    pub data_bytes: u64,
}

/// Glances at a service that has containers.
///
/// # Errors
///
/// Those of the engine.
pub async fn glance(engine: &Engine, listed: &Listed) -> Result<Glance, Problem> {
    let services = [listed_facts(engine, listed).await?];
    // Listing is quick: what would have to be fetched isn't counted.
    let mounts = mounts::survey(engine, &services, false).await?;
    Ok(Glance {
        probes: detect::probes(&services, &listed.service),
        data_bytes: mounts.data.iter().map(|m| m.mount.bytes).sum(),
    })
}

/// How a service that has containers can be asked.
///
/// # Errors
///
/// Those of the engine.
pub async fn probes_of(engine: &Engine, listed: &Listed) -> Result<Probes, Problem> {
    Ok(detect::probes(&[listed_facts(engine, listed).await?], &listed.service))
}

async fn listed_facts(engine: &Engine, listed: &Listed) -> Result<ServiceFacts, Problem> {
    let mut facts = ServiceFacts { name: listed.service.clone(), ..ServiceFacts::default() };
    for container in &listed.containers {
        facts.containers.push(containers::inspected(engine, &container.container).await?);
    }
    if let Some(first) = facts.containers.first() {
        facts.image = containers::image(engine, &first.image_id).await?;
    }
    Ok(facts)
}

async fn resolve(engine: &Engine, found: &Found) -> Result<Resolved, Problem> {
    let compose = Compose::for_project(&found.project).on_host(engine.host_for_children());
    let (config, hashes) = tokio::join!(compose.config(), compose.config_hashes());
    Ok(Resolved { config: Hidden(config?), hashes: hashes? })
}

async fn service_facts(
    engine: &Engine,
    found: &Found,
    name: &str,
    resolved: Option<&Resolved>,
) -> Result<ServiceFacts, Problem> {
    let mut facts = ServiceFacts { name: name.to_owned(), ..ServiceFacts::default() };
    for container in found.services.get(name).into_iter().flatten() {
        facts.containers.push(containers::container(engine, container).await?);
    }
    if let Some(first) = facts.containers.first() {
        facts.image = containers::image(engine, &first.image_id).await?;
    }
    if let Some(reference) = resolved.and_then(|r| r.image(name)) {
        facts.tagged_id = containers::image(engine, reference).await?.map(|i| i.id);
    }
    Ok(facts)
}

pub(crate) fn files(found: &Found, unit: &[String], resolved: Option<&Resolved>) -> Vec<FileFacts> {
    let project = &found.project;
    let mut files: Vec<FileFacts> = Vec::new();
    let mut add = |path: PathBuf, role: FileRole| {
        if !files.iter().any(|f| f.path == path) {
            let bytes = std::fs::read(&path).map(Hidden).map_err(|e| e.to_string());
            files.push(FileFacts { path, role, bytes });
        }
    };
    project.files.iter().for_each(|f| add(f.clone(), FileRole::Compose));
    project.env_files.iter().for_each(|f| add(f.clone(), FileRole::Env));
    for path in service_env_files(&project.files, &project.directory, unit) {
        add(path, FileRole::ServiceEnv);
    }
    // `config` resolves env files away in the newer generation; the older one leaves them.
    for name in unit {
        let definition = resolved.and_then(|r| r.service(name)).cloned().unwrap_or_default();
        for path in env_file_entries(&definition["env_file"], &project.directory) {
            add(path, FileRole::ServiceEnv);
        }
    }
    files
}

/// The `env_file:` entries of services as the Compose files write them; merges and anchors are followed, names
/// with variables in them are left out.
fn service_env_files(files: &[PathBuf], directory: &Path, unit: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let Ok(mut yaml) = yaml_serde::from_str::<yaml_serde::Value>(&text) else { continue };
        let _unmerged = yaml.apply_merge();
        let Ok(value) = serde_json::to_value(&yaml) else { continue };
        for name in unit {
            found.extend(env_file_entries(&value["services"][name]["env_file"], directory));
        }
    }
    found
}

fn env_file_entries(value: &Value, directory: &Path) -> Vec<PathBuf> {
    let entry = |v: &Value| v.as_str().or_else(|| v["path"].as_str()).map(str::to_owned);
    let names: Vec<String> = match value {
        Value::Array(items) => items.iter().filter_map(entry).collect(),
        other => entry(other).into_iter().collect(),
    };
    let plain = names.into_iter().filter(|n| !n.contains('$'));
    plain.map(|n| directory.join(n.trim_start_matches("./"))).filter(|p| p.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_of_services_are_found_in_every_form() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.env", "b.env", "c.env"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let file = dir.path().join("compose.yml");
        let text = "x-base: &base\n  env_file: ./a.env\nservices:\n  app:\n    <<: *base\n  job:\n    env_file: \
                    [b.env, {path: c.env, required: false}, gone.env, '${X}.env']\n  other:\n    env_file: b.env\n";
        std::fs::write(&file, text).unwrap();
        let unit = ["app".to_owned(), "job".to_owned()];
        let found = service_env_files(&[file], dir.path(), &unit);
        let expected: Vec<PathBuf> = ["a.env", "b.env", "c.env"].map(|n| dir.path().join(n)).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn debug_shows_no_secret() {
        let hidden = Hidden("hunter2");
        let env = Env::from_lines(&["PASSWORD=hunter2".to_owned()]);
        assert_eq!(format!("{hidden:?} {env:?}"), "[hidden] {\"PASSWORD\"}");
    }
}
