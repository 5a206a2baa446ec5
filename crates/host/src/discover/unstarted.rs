//! Projects that are named by their Compose files, whether they have containers or not.
//!
//! The project's name follows Compose's own rules, by asking Compose where it can answer. Reads only.

use std::path::{Path, PathBuf};

use mainstay_core::plan::{ComposeVersion, Project};
use mainstay_core::problem::Problem;
use serde_json::Value;

use super::labels::{existing_env_files, normal};
use super::{Found, Listed, nearest, services_of};
use crate::compose::{Compose, installed};
use crate::engine::Engine;

pub(super) async fn from_files(
    engine: &Engine,
    selector: &str,
    files: &[PathBuf],
    all: &[Listed],
) -> Result<Found, Problem> {
    let mut project = project(files)?;
    let (wanted_project, service) = match selector.split_once('/') {
        Some((project, service)) => (Some(project), service),
        None => (None, selector),
    };
    let resolving = installed().await?.preferred();
    project.compose = resolving.unwrap_or(project.compose);
    let config = Compose::for_project(&project).on_host(engine.host_for_children()).config().await?;
    if let Some(name) = declared_name(&project) {
        project.name = name;
    }
    if let Some(name) = wanted_project {
        name.clone_into(&mut project.name);
    }
    let defined: Vec<String> =
        config["services"].as_object().map(|s| s.keys().cloned().collect()).unwrap_or_default();
    if !defined.iter().any(|name| name == service) {
        return Err(unknown(service, &project, defined));
    }
    // Existing containers decide with which Compose the run goes on.
    if let Some(made) = all.iter().find(|l| l.project.name == project.name) {
        project.compose = made.project.compose.clone();
    }
    let mut services = services_of(&project.name, all);
    for name in defined {
        services.entry(name).or_default();
    }
    Ok(Found { service: service.to_owned(), services, project })
}

fn project(files: &[PathBuf]) -> Result<Project, Problem> {
    let absolute: Vec<PathBuf> =
        files.iter().map(|f| std::path::absolute(f).map(|f| normal(&f))).collect::<Result<_, _>>().map_err(
            |e| Problem::new("compose-file-unreadable", "the current directory is not known").because(e),
        )?;
    let directory = absolute.first().and_then(|f| f.parent()).unwrap_or(Path::new("/")).to_path_buf();
    Ok(Project {
        name: fallback_name(&directory),
        env_files: existing_env_files(Vec::new(), &directory),
        files: absolute,
        directory,
        compose: ComposeVersion::V2(String::new()),
    })
}

/// `COMPOSE_PROJECT_NAME` of the environment, else of `.env`; else the file's own `name:`.
///
/// Compose was asked with a project name given, so that the `name:` which it resolved is that one: the raw
/// files are read instead.
fn declared_name(project: &Project) -> Option<String> {
    let from_env_file = || {
        let texts = project.env_files.iter().filter_map(|f| std::fs::read_to_string(f).ok());
        let mut values = texts.filter_map(|t| {
            let line =
                t.lines().rev().find_map(|l| l.trim().strip_prefix("COMPOSE_PROJECT_NAME="))?.to_owned();
            Some(line.trim_matches(['"', '\'', ' ']).to_owned())
        });
        values.next_back()
    };
    let from_files = || {
        let texts = project.files.iter().filter_map(|f| std::fs::read_to_string(f).ok());
        let mut names = texts.filter_map(|t| {
            let value: Value = yaml_serde::from_str(&t).ok()?;
            value["name"].as_str().filter(|n| !n.contains('$')).map(str::to_owned)
        });
        names.next_back()
    };
    let given = std::env::var("COMPOSE_PROJECT_NAME").ok().or_else(from_env_file).filter(|n| !n.is_empty());
    given.or_else(from_files).map(|n| normal_name(&n))
}

fn fallback_name(directory: &Path) -> String {
    normal_name(&directory.file_name().unwrap_or_default().to_string_lossy())
}

/// Compose's rule: lower case, only letters, digits, `-` and `_`, not beginning with one of the latter.
fn normal_name(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    let name = kept.trim_start_matches(['-', '_']);
    if name.is_empty() { "default".to_owned() } else { name.to_owned() }
}

fn unknown(service: &str, project: &Project, defined: Vec<String>) -> Problem {
    let file = project.files.first().map(|f| f.display().to_string()).unwrap_or_default();
    let problem = Problem::new("unknown-service", format!("{file} defines no service {service}"));
    let near = nearest(service, defined.iter().cloned());
    if near.is_empty() {
        problem.advise(format!("it defines: {}", defined.join(", ")))
    } else {
        problem.advise(format!("did you mean {}?", near.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_composes_rule() {
        assert_eq!(normal_name("My Shop.v2"), "myshopv2");
        assert_eq!(normal_name("_-x_y-z"), "x_y-z");
        assert_eq!(normal_name("..."), "default");
    }

    #[test]
    fn env_file_beats_the_name_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("compose.yml");
        std::fs::write(&file, "name: from-file\nservices: {a: {image: x}}\n").unwrap();
        let mut project = project(std::slice::from_ref(&file)).unwrap();
        assert_eq!(declared_name(&project).as_deref(), Some("from-file"));
        let env = dir.path().join(".env");
        std::fs::write(&env, "A=1\nCOMPOSE_PROJECT_NAME=\"from-env\"\n").unwrap();
        project.env_files = vec![env];
        assert_eq!(declared_name(&project).as_deref(), Some("from-env"));
    }
}
