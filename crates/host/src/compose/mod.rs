//! Compose, by its command line: what it resolves the project's files to, and the creation of containers.
//!
//! The run stays with the generation of Compose that made the containers. Arguments are built by pure
//! functions ([`args`]); variables of this process's environment beat `.env`, as they do for the operator.
//! What Compose resolves holds secrets in clear: it is returned and never logged.

pub mod args;
pub(crate) mod child;
mod complaint;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_core::plan::{ComposeVersion, Project};
use mainstay_core::problem::Problem;
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value;

pub use args::Overrides;
use child::Output;

/// Compose has this long to read and resolve files.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// Compose for one project.
#[derive(Clone, Debug)]
pub struct Compose {
    project: Project,
    docker_host: Option<String>,
}

/// What is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// The version of `docker-compose`, the Python program.
    pub v1: Option<String>,
    /// The version of `docker compose`, the plugin.
    pub v2: Option<String>,
}

impl Installed {
    /// The one to use for a project without containers: the newer generation.
    #[must_use]
    pub fn preferred(&self) -> Option<ComposeVersion> {
        let v2 = self.v2.clone().map(ComposeVersion::V2);
        v2.or_else(|| self.v1.clone().map(ComposeVersion::V1))
    }
}

impl Compose {
    /// Compose of the project's generation.
    #[must_use]
    pub fn for_project(project: &Project) -> Self {
        Self { project: project.clone(), docker_host: None }
    }

    /// With `DOCKER_HOST` set for Compose, see [`crate::engine::Engine::host_for_children`].
    #[must_use]
    pub fn on_host(mut self, docker_host: Option<&str>) -> Self {
        self.docker_host = docker_host.map(str::to_owned);
        self
    }

    /// Everything resolved: images, env files merged, absolute paths, and **secrets in clear**. Dollar signs
    /// are single, as the container sees them.
    ///
    /// # Errors
    ///
    /// `compose-file-invalid`, `compose-file-unreadable`, `compose-not-installed`, `compose-timeout`,
    /// `compose-failed`.
    pub async fn config(&self) -> Result<Value, Problem> {
        self.config_with(&Overrides::default()).await
    }

    /// As [`Compose::config`], with other files in place of the project's.
    ///
    /// # Errors
    ///
    /// As [`Compose::config`].
    pub async fn config_with(&self, overrides: &Overrides) -> Result<Value, Problem> {
        let output = self.read(&args::config(&self.project, overrides), overrides).await?;
        let parsed: Option<Value> = match self.project.compose {
            ComposeVersion::V1(_) => yaml_serde::from_str(&output.stdout).ok(),
            ComposeVersion::V2(_) => serde_json::from_str(&output.stdout).ok(),
        };
        // The parser's own words could quote a secret.
        let mut value = parsed.ok_or_else(|| {
            Problem::new("compose-failed", "what `config` of Compose printed could not be understood")
        })?;
        single_dollars(&mut value);
        Ok(value)
    }

    /// As [`Compose::config`], for edited bytes, which Compose reads out of this process's memory: they may hold
    /// secrets, and nothing of them is on a disk for a process that is killed to leave behind. A
    /// file of the project that is not among `edited` is taken as it is. An env file of a service
    /// (`env_file:`) is always read as it is on disk, also where it is edited here for interpolation.
    ///
    /// # Errors
    ///
    /// As [`Compose::config`]; `compose-failed` where there is no memory for it.
    pub async fn config_edited(&self, edited: &[(PathBuf, Vec<u8>)]) -> Result<Value, Problem> {
        let mut env_files = self.project.env_files.clone();
        let default_env = self.project.directory.join(".env");
        if env_files.is_empty() && edited.iter().any(|(path, _)| *path == default_env) {
            env_files.push(default_env);
        }
        let mut kept = Vec::new();
        let overrides = Overrides {
            files: substitute(&self.project.files, edited, &mut kept)?,
            env_files: substitute(&env_files, edited, &mut kept)?,
        };
        let resolved = self.config_with(&overrides).await;
        drop(kept); // not before Compose has read them
        resolved
    }

    /// The hash that each service's containers ought to carry in `com.docker.compose.config-hash`.
    ///
    /// # Errors
    ///
    /// As [`Compose::config`].
    pub async fn config_hashes(&self) -> Result<BTreeMap<String, String>, Problem> {
        let none = Overrides::default();
        let output = match self.project.compose {
            ComposeVersion::V1(_) => self.read(&args::hashes(&self.project, &none), &none).await?,
            ComposeVersion::V2(_) => {
                // `config --hash` of the newer generation hashes services before their env files are merged,
                // `up` after that; of the resolved configuration both make the same.
                let resolved = self.read(&args::config(&self.project, &none), &none).await?;
                let args = args::hashes_of_input(&self.project);
                let (directory, host) = (&self.project.directory, self.docker_host.as_deref());
                let input = Some(resolved.stdout.as_bytes());
                let output = child::run(&args, directory, host, READ_LIMIT, input).await?;
                if output.code != Some(0) {
                    return Err(complaint::invalid(&output.stderr, &self.project.files));
                }
                output
            }
        };
        Ok(parse_hashes(&output.stdout))
    }

    /// Makes the new containers of the services and removes the old ones, without starting anything. The
    /// old ones are stopped first, so `limit` has to leave them their time to stop. Should this process be killed
    /// meanwhile, Compose goes on to its end, and [`left_behind`] waits for it by `mark`, a directory.
    ///
    /// # Errors
    ///
    /// As [`Compose::config`], and `compose-create-failed` with the last lines that Compose said.
    pub async fn create_without_start(
        &self,
        services: &[String],
        limit: Duration,
        mark: &Path,
    ) -> Result<(), Problem> {
        let (directory, host) = (&self.project.directory, self.docker_host.as_deref());
        let create = async |all: bool| {
            let args = args::create(&self.project, services, all);
            child::run_marked(&args, directory, host, limit, mark).await
        };
        let output = create(false).await?;
        if output.code == Some(0) {
            return Ok(());
        }
        // Refused while loading, before any effect: a dependency stands in a profile that isn't active.
        let v2 = matches!(self.project.compose, ComposeVersion::V2(_));
        let output = if v2 && output.stderr.contains("invalid compose project") {
            create(true).await?
        } else {
            output
        };
        if output.code == Some(0) {
            return Ok(());
        }
        let what = format!("Compose could not make the containers of {}", services.join(", "));
        let mut problem = Problem::new("compose-create-failed", what);
        problem.causes = complaint::reasons(&output.stderr);
        Err(problem)
    }

    /// The version of the Compose that is going to be run.
    ///
    /// # Errors
    ///
    /// `compose-not-installed`.
    pub async fn version(&self) -> Result<String, Problem> {
        version_of(&self.project.compose).await.ok_or_else(|| {
            let command = args::program(&self.project.compose).join(" ");
            Problem::new(
                "compose-not-installed",
                format!("`{command}`, which created the containers of {}, is not installed", self.project.name),
            )
            .advise(format!("install `{command}`: another generation of Compose would make its containers anew, under other names"))
        })
    }

    /// A read-only call that has to end well.
    async fn read(&self, args: &[String], overrides: &Overrides) -> Result<Output, Problem> {
        let files = if overrides.files.is_empty() { &self.project.files } else { &overrides.files };
        let envs =
            if overrides.env_files.is_empty() { &self.project.env_files } else { &overrides.env_files };
        for file in files.iter().chain(envs) {
            readable(file)?;
        }
        let output = self.run(args, READ_LIMIT).await?;
        if output.code == Some(0) {
            return Ok(output);
        }
        if plugin_missing(&output) {
            self.version().await?;
        }
        // The operator knows their own file, not what stands for it here.
        let default_env = [self.project.directory.join(".env")];
        let own_envs =
            if self.project.env_files.is_empty() { &default_env[..] } else { &self.project.env_files };
        let pairs = files.iter().zip(&self.project.files).chain(envs.iter().zip(own_envs));
        let mut stand_ins: Vec<_> = pairs.filter(|(file, own)| file != own).collect();
        // One name may be the beginning of another.
        stand_ins.sort_by_key(|(file, _)| std::cmp::Reverse(file.as_os_str().len()));
        let said = stand_ins.iter().fold(output.stderr, |said, (file, own)| {
            said.replace(&*file.to_string_lossy(), &own.to_string_lossy())
        });
        Err(complaint::invalid(&said, &self.project.files))
    }

    async fn run(&self, args: &[String], limit: Duration) -> Result<Output, Problem> {
        child::run(args, &self.project.directory, self.docker_host.as_deref(), limit, None).await
    }
}

/// Waits for the Compose that a process which was killed has left at work; see [`Compose::create_without_start`].
///
/// # Errors
///
/// `compose-timeout` where it does not end within `limit`, `compose-failed`.
pub async fn left_behind(mark: &Path, limit: Duration) -> Result<(), Problem> {
    child::alone(mark, limit).await.map(drop)
}

/// Which Compose is installed.
///
/// # Errors
///
/// `compose-not-installed` where there is none.
pub async fn installed() -> Result<Installed, Problem> {
    let (v1, v2) = (ComposeVersion::V1(String::new()), ComposeVersion::V2(String::new()));
    let (v1, v2) = tokio::join!(version_of(&v1), version_of(&v2));
    // A standalone v2 may be installed under the name of v1; it is not the Python program.
    let found = Installed { v1: v1.filter(|v| v.starts_with("1.")), v2 };
    if found == Installed::default() {
        return Err(Problem::new("compose-not-installed", "neither `docker compose` nor `docker-compose` is installed")
            .advise("install the plugin: `apt install docker-compose-plugin`, or https://docs.docker.com/compose/install/"));
    }
    Ok(found)
}

async fn version_of(generation: &ComposeVersion) -> Option<String> {
    let mut args: Vec<String> = args::program(generation).iter().map(ToString::to_string).collect();
    args.extend(["version", "--short"].map(String::from));
    let output = child::run(&args, Path::new("/"), None, READ_LIMIT, None).await.ok()?;
    let version = output.stdout.trim().trim_start_matches('v').to_owned();
    (output.code == Some(0) && version.starts_with(|c: char| c.is_ascii_digit())).then_some(version)
}

/// `docker` without the plugin answers with its own help.
fn plugin_missing(output: &Output) -> bool {
    output.stderr.contains("is not a docker command")
        || output.stderr.contains("unknown flag: --project-name")
}

fn readable(file: &Path) -> Result<(), Problem> {
    let error = match std::fs::File::open(file).and_then(|f| f.metadata()) {
        Ok(meta) if meta.is_file() => return Ok(()),
        // A named pipe or a device is Compose's to judge.
        Ok(meta) if !meta.is_dir() => return Ok(()),
        Ok(_) => std::io::ErrorKind::IsADirectory.into(),
        Err(e) => e,
    };
    Err(Problem::new("compose-file-unreadable", format!("{} can't be read", file.display()))
        .because(&error)
        .advise(if error.kind() == std::io::ErrorKind::PermissionDenied {
            "run mainstay as root, or as the owner of the file"
        } else {
            "the containers were made from this file: put it back, or say where it is now with `-f FILE`"
        }))
}

/// Names edited bytes in place of the originals. They are there for as long as what is `kept`, for processes of the
/// same user, and go with this process.
fn substitute(
    files: &[PathBuf],
    edited: &[(PathBuf, Vec<u8>)],
    kept: &mut Vec<File>,
) -> Result<Vec<PathBuf>, Problem> {
    let mut result = Vec::with_capacity(files.len());
    for file in files {
        let Some((_, bytes)) = edited.iter().find(|(path, _)| path == file) else {
            result.push(file.clone());
            continue;
        };
        let in_memory = in_memory(bytes).map_err(|e| temporary(&e))?;
        result.push(format!("/proc/{}/fd/{}", std::process::id(), in_memory.as_raw_fd()).into());
        kept.push(in_memory);
    }
    Ok(result)
}

fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("edited", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

fn temporary(error: &std::io::Error) -> Problem {
    Problem::new("compose-failed", "could not keep the edited Compose file in memory").because(error)
}

fn parse_hashes(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once(' '));
    pairs.map(|(service, hash)| (service.to_owned(), hash.trim().to_owned())).collect()
}

/// `config` doubles every dollar sign, so that its output could be a Compose file again.
fn single_dollars(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("$$") => *text = text.replace("$$", "$"),
        Value::Array(items) => items.iter_mut().for_each(single_dollars),
        Value::Object(map) => map.values_mut().for_each(single_dollars),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_lines_of_two_words() {
        let hashes = parse_hashes("db 95054f\nweb d67331\n");
        assert_eq!(hashes["web"], "d67331");
        assert_eq!(hashes.len(), 2);
    }

    #[test]
    fn dollars_become_single_everywhere() {
        let mut value = serde_json::json!({"a": ["x$$y", {"b": "$$$$"}], "c": 1});
        single_dollars(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["x$y", {"b": "$$"}], "c": 1}));
    }

    #[test]
    fn a_missing_file_is_unreadable_not_invalid() {
        let problem = readable(Path::new("/nonexistent/compose.yml")).unwrap_err();
        assert_eq!(problem.code, "compose-file-unreadable");
        assert!(problem.advice[0].contains("-f FILE"));
    }

    #[test]
    fn only_edited_files_are_substituted() {
        let mut kept = Vec::new();
        let files = [PathBuf::from("/a.yml"), PathBuf::from("/b.yml")];
        let edited = [(PathBuf::from("/b.yml"), b"x".to_vec())];
        let result = substitute(&files, &edited, &mut kept).unwrap();
        assert_eq!(result[0], files[0]);
        assert_eq!(std::fs::read(&result[1]).unwrap(), b"x");
        drop(kept);
        assert_ne!(std::fs::read(&result[1]).ok().as_deref(), Some(&b"x"[..]), "it is gone");
    }

    #[test]
    fn the_plugin_is_preferred() {
        let both = Installed { v1: Some("1.29.2".into()), v2: Some("2.26.1".into()) };
        assert_eq!(both.preferred(), Some(ComposeVersion::V2("2.26.1".into())));
        assert_eq!(Installed::default().preferred(), None);
    }
}
