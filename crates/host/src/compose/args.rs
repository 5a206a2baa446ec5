//! Command lines of Compose, as pure functions of the project.
//!
//! Both generations get the same files, the same project name and the same project directory, so that what
//! Compose resolves is what the operator's own call resolves. Nothing is run here.

use std::path::{Path, PathBuf};

use mainstay_core::plan::{ComposeVersion, Project};

/// Files to resolve instead of the project's own: edited copies, when a plan is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The Compose files; empty: the project's.
    pub files: Vec<PathBuf>,
    /// The env files for interpolation; empty: the project's.
    pub env_files: Vec<PathBuf>,
}

/// The program that stands for a generation of Compose, and its leading arguments.
#[must_use]
pub fn program(version: &ComposeVersion) -> &'static [&'static str] {
    match version {
        ComposeVersion::V1(_) => &["docker-compose"],
        ComposeVersion::V2(_) => &["docker", "compose"],
    }
}

/// Everything before the subcommand.
#[must_use]
pub fn global(project: &Project, overrides: &Overrides) -> Vec<String> {
    let mut args: Vec<String> = program(&project.compose).iter().map(ToString::to_string).collect();
    args.extend(["--ansi".into(), "never".into()]);
    if supports(&project.compose, (2, 19)) {
        args.extend(["--progress".into(), "plain".into()]);
    }
    args.extend(["--project-name".into(), project.name.clone()]);
    args.extend(["--project-directory".into(), text(&project.directory)]);
    for file in either(&overrides.files, &project.files) {
        args.extend(["--file".into(), text(file)]);
    }
    let own: &[PathBuf] = if uses_default_env(project) { &[] } else { &project.env_files };
    for file in either(&overrides.env_files, own) {
        args.extend(["--env-file".into(), text(file)]);
    }
    args
}

/// `config`: everything resolved, secrets in clear. Inactive profiles are included where Compose can.
#[must_use]
pub fn config(project: &Project, overrides: &Overrides) -> Vec<String> {
    let mut args = global(project, overrides);
    match project.compose {
        ComposeVersion::V1(_) => args.push("config".into()),
        ComposeVersion::V2(_) => {
            args.extend(["--profile", "*", "config", "--format", "json"].map(String::from));
        }
    }
    args
}

/// `config --hash`: a line for each service, its name and the hash that its containers ought to carry.
#[must_use]
pub fn hashes(project: &Project, overrides: &Overrides) -> Vec<String> {
    let mut args = global(project, overrides);
    args.extend(["config", "--hash=*"].map(String::from));
    args
}

/// The same of the newer generation, for a configuration on standard input that is resolved already.
#[must_use]
pub fn hashes_of_input(project: &Project) -> Vec<String> {
    let mut args: Vec<String> = program(&project.compose).iter().map(ToString::to_string).collect();
    args.extend(["--project-name".into(), project.name.clone()]);
    args.extend(["--project-directory".into(), text(&project.directory)]);
    args.extend(["--file", "-", "--profile", "*", "config", "--hash", "*"].map(String::from));
    args
}

/// `up --no-start`: makes the new containers of the services, stops and removes the old ones, starts nothing,
/// builds nothing and, where Compose can be told so, pulls nothing.
#[must_use]
pub fn create(project: &Project, services: &[String], all_profiles: bool) -> Vec<String> {
    let mut args = global(project, &Overrides::default());
    if all_profiles {
        args.extend(["--profile".into(), "*".into()]);
    }
    args.extend(["up", "--no-start", "--no-build"].map(String::from));
    if supports(&project.compose, (2, 12)) {
        args.extend(["--pull".into(), "never".into()]);
    }
    args.extend(services.iter().cloned());
    args
}

/// Whether it is the plugin, of at least this version.
fn supports(version: &ComposeVersion, least: (u32, u32)) -> bool {
    let ComposeVersion::V2(version) = version else { return false };
    let mut parts = version.trim_start_matches('v').split(['.', '-', '+']).map_while(|p| p.parse().ok());
    (parts.next().unwrap_or(2), parts.next().unwrap_or(0)) >= least
}

/// Compose finds `.env` in the project directory by itself; naming it would leave a label on the containers.
fn uses_default_env(project: &Project) -> bool {
    match project.env_files.as_slice() {
        [] => true,
        [one] => *one == project.directory.join(".env"),
        _ => false,
    }
}

fn either<'a>(first: &'a [PathBuf], second: &'a [PathBuf]) -> &'a [PathBuf] {
    if first.is_empty() { second } else { first }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(compose: ComposeVersion) -> Project {
        Project {
            name: "shop".into(),
            directory: "/srv/shop".into(),
            files: vec!["/srv/shop/compose.yml".into(), "/srv/shop/local.yml".into()],
            env_files: vec!["/srv/shop/.env".into()],
            compose,
        }
    }

    #[test]
    fn v2_creates_without_starting_building_or_pulling() {
        let args = create(&project(ComposeVersion::V2("2.26.1-4".into())), &["app".into()], false);
        assert_eq!(
            args.join(" "),
            "docker compose --ansi never --progress plain --project-name shop --project-directory /srv/shop \
             --file /srv/shop/compose.yml --file /srv/shop/local.yml up --no-start --no-build --pull never app"
        );
    }

    #[test]
    fn v1_has_neither_progress_nor_pull() {
        let args = create(&project(ComposeVersion::V1("1.29.2".into())), &["app".into()], false);
        assert_eq!(
            args.join(" "),
            "docker-compose --ansi never --project-name shop --project-directory /srv/shop \
             --file /srv/shop/compose.yml --file /srv/shop/local.yml up --no-start --no-build app"
        );
    }

    #[test]
    fn edited_copies_replace_the_projects_files() {
        let overrides = Overrides { files: vec!["/tmp/a.yml".into()], env_files: vec!["/tmp/a.env".into()] };
        let args = config(&project(ComposeVersion::V2("2.26.1".into())), &overrides).join(" ");
        assert!(args.contains("--file /tmp/a.yml --env-file /tmp/a.env --profile * config --format json"));
        assert!(!args.contains("compose.yml"));
    }

    #[test]
    fn an_env_file_of_another_name_is_passed_on() {
        let mut project = project(ComposeVersion::V2("2.26.1".into()));
        project.env_files = vec!["/srv/shop/prod.env".into()];
        assert!(hashes(&project, &Overrides::default()).join(" ").contains("--env-file /srv/shop/prod.env"));
    }

    #[test]
    fn versions_compare_by_number() {
        let v2 = |v: &str| ComposeVersion::V2(v.into());
        assert!(supports(&v2("2.26.1-4"), (2, 19)));
        assert!(supports(&v2("v2.19.0"), (2, 19)));
        assert!(supports(&v2("5.0.0"), (2, 19)));
        assert!(!supports(&v2("2.9.0"), (2, 12)));
        assert!(!supports(&ComposeVersion::V1("1.29.2".into()), (0, 0)));
    }
}
