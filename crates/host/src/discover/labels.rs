//! What Compose's labels on containers say about their project. Pure, but for asking which env files exist.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::ContainerSummary;
use mainstay_core::plan::{ComposeVersion, Project};

/// The project's name.
pub(crate) const PROJECT: &str = "com.docker.compose.project";
/// The service's name.
pub(crate) const SERVICE: &str = "com.docker.compose.service";
/// The hash of the service's definition that the container was made from.
pub(crate) const CONFIG_HASH: &str = "com.docker.compose.config-hash";

const ONE_OFF: &str = "com.docker.compose.oneoff";
const NUMBER: &str = "com.docker.compose.container-number";
const VERSION: &str = "com.docker.compose.version";
const DIRECTORY: &str = "com.docker.compose.project.working_dir";
const FILES: &str = "com.docker.compose.project.config_files";
const ENV_FILES: &str = "com.docker.compose.project.environment_file";

type Labels = HashMap<String, String>;

/// Project and service of a container; `None` for one-off containers and those that Compose didn't make.
pub(crate) fn service_of(container: &ContainerSummary) -> Option<(String, String)> {
    let labels = container.labels.as_ref()?;
    if labels.get(ONE_OFF).is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return None;
    }
    Some((labels.get(PROJECT)?.clone(), labels.get(SERVICE)?.clone()))
}

/// The container's number within its service.
pub(super) fn number(container: &ContainerSummary) -> u64 {
    let labels = container.labels.as_ref();
    labels.and_then(|l| l.get(NUMBER)?.parse().ok()).unwrap_or(u64::MAX)
}

/// The project as a container's labels tell; without files where they don't.
pub(super) fn project(name: &str, labels: Option<&Labels>) -> Project {
    let get = |key: &str| labels.and_then(|l| l.get(key)).map_or("", String::as_str);
    let directory = PathBuf::from(get(DIRECTORY));
    // v1 names files relative to the directory, v2 absolute: `join` does both.
    let list = |key: &str| -> Vec<PathBuf> {
        get(key).split(',').filter(|f| !f.is_empty()).map(|f| normal(&directory.join(f.trim()))).collect()
    };
    let files = if directory.is_absolute() { list(FILES) } else { Vec::new() };
    Project {
        name: name.to_owned(),
        env_files: existing_env_files(list(ENV_FILES), &directory),
        files,
        directory,
        compose: generation(get(VERSION)),
    }
}

/// The env files that exist of those named, or the default one where none is named.
pub(super) fn existing_env_files(named: Vec<PathBuf>, directory: &Path) -> Vec<PathBuf> {
    let candidates = if named.is_empty() { vec![directory.join(".env")] } else { named };
    candidates.into_iter().filter(|f| f.is_absolute() && f.exists()).collect()
}

fn generation(version: &str) -> ComposeVersion {
    let version = version.trim_start_matches('v').to_owned();
    if version.starts_with("1.") { ComposeVersion::V1(version) } else { ComposeVersion::V2(version) }
}

/// Without `.` and `..`, by text alone, as Compose itself does it.
pub(super) fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn v1_files_are_relative_to_the_directory() {
        let labels = labels(&[
            (DIRECTORY, "/srv/shop"),
            (FILES, "docker-compose.yml,../common/base.yml"),
            (VERSION, "1.29.2"),
        ]);
        let project = project("shop", Some(&labels));
        let files: Vec<PathBuf> =
            ["/srv/shop/docker-compose.yml", "/srv/common/base.yml"].map(Into::into).into();
        assert_eq!(project.files, files);
        assert_eq!(project.compose, ComposeVersion::V1("1.29.2".into()));
    }

    #[test]
    fn v2_files_are_absolute_and_only_existing_env_files_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("prod.env"), "").unwrap();
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let envs = format!("{},{}", at("prod.env"), at("gone.env"));
        let labels = labels(&[
            (DIRECTORY, &at("")),
            (FILES, &at("compose.yml")),
            (ENV_FILES, &envs),
            (VERSION, "2.26.1"),
        ]);
        let project = project("shop", Some(&labels));
        assert_eq!(project.files, [dir.path().join("compose.yml")]);
        assert_eq!(project.env_files, [dir.path().join("prod.env")]);
        assert_eq!(project.compose, ComposeVersion::V2("2.26.1".into()));
    }

    #[test]
    fn the_default_env_file_counts_when_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        assert!(existing_env_files(Vec::new(), dir.path()).is_empty());
        std::fs::write(dir.path().join(".env"), "").unwrap();
        assert_eq!(existing_env_files(Vec::new(), dir.path()), [dir.path().join(".env")]);
    }

    #[test]
    fn without_labels_there_are_no_files() {
        assert!(project("shop", None).files.is_empty());
    }
}
