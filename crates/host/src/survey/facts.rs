//! What a survey found: plain data, for checks to judge and for the plan to be made from.
//!
//! Whatever may hold a secret is [`Hidden`]: its `Debug` shows nothing, and it can't be serialised.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use mainstay_core::plan::{ContainerRef, DataMount, MountKind, Probes, Project};
use mainstay_core::problem::Problem;
use serde_json::Value;

use super::profiles::ProfileFacts;

/// A value that may hold secrets: usable, but its `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Environment variables: `Debug` shows their names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env(pub BTreeMap<String, String>);

impl Env {
    /// From `NAME=value` lines, as the engine gives them.
    #[must_use]
    pub fn from_lines(lines: &[String]) -> Self {
        let pairs = lines.iter().map(|l| l.split_once('=').unwrap_or((l, "")));
        Self(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    /// A variable's value; empty ones count as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Everything that was gathered about a unit.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The project.
    pub project: Project,
    /// The service that the operator named.
    pub service: String,
    /// The services of the unit, in the order they were given.
    pub unit: Vec<ServiceFacts>,
    /// What Compose makes of the files, or why it doesn't.
    pub compose: Result<Resolved, Problem>,
    /// The Compose files, then the env files for interpolation, then the services' own.
    pub files: Vec<FileFacts>,
    /// The unit's data.
    pub mounts: Vec<MountFacts>,
    /// Writable mounts that can't be backed up.
    pub unsupported: Vec<UnsupportedMount>,
    /// The services that the unit needs, directly or not, without the unit itself.
    pub dependencies: Vec<DependencyFacts>,
    /// Room for backups.
    pub repository: Option<Space>,
    /// Whether the repository is on another machine, whose room is not ours to look at.
    pub remote_repository: bool,
    /// Whether the engine's directories can be read here.
    pub engine_local: bool,
    /// The architecture of the engine's machine.
    pub engine_architecture: String,
    /// Room where the state directory is, for copies of what is had through the archive API.
    pub state: Option<Space>,
    /// How the service can be asked, as far as its configuration tells.
    pub probes: Probes,
}

impl Survey {
    /// The facts of one service of the unit.
    #[must_use]
    pub fn of(&self, service: &str) -> Option<&ServiceFacts> {
        self.unit.iter().find(|s| s.name == service)
    }

    /// Every container of the unit, with its service's name.
    pub fn containers(&self) -> impl Iterator<Item = (&str, &ContainerFacts)> {
        self.unit.iter().flat_map(|s| s.containers.iter().map(|c| (s.name.as_str(), c)))
    }

    /// Whether a service keeps anything.
    #[must_use]
    pub fn keeps_data(&self, service: &str) -> bool {
        self.mounts.iter().any(|m| m.exists && m.mount.services.iter().any(|name| name == service))
    }

    /// Bytes of all data mounts.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.mounts.iter().map(|m| m.mount.bytes).sum()
    }
}

/// The project's files, as Compose resolves them.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// `config`: holds secrets in clear.
    pub config: Hidden<Value>,
    /// The hash that each service's containers ought to carry.
    pub hashes: BTreeMap<String, String>,
}

impl Resolved {
    /// The definition of a service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Value> {
        self.config.0["services"].get(name)
    }

    /// The image of a service, with everything filled in.
    #[must_use]
    pub fn image(&self, service: &str) -> Option<&str> {
        self.service(service)?["image"].as_str()
    }
}

/// One service of the unit.
#[derive(Clone, Debug, Default)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// Its containers, in the order of their numbers.
    pub containers: Vec<ContainerFacts>,
    /// The image that its first container runs; `None` where the image is gone.
    pub image: Option<ImageFacts>,
    /// The id that the image reference of the Compose file has on this engine now.
    pub tagged_id: Option<String>,
    /// What is known about its image, where somebody looked.
    pub profile: Option<ProfileFacts>,
}

/// One container.
#[derive(Clone, Debug, Default)]
pub struct ContainerFacts {
    /// The engine's full id.
    pub id: String,
    /// Its name without a leading slash.
    pub name: String,
    /// `running`, `restarting`, `exited`, ….
    pub status: String,
    /// Whether a process runs in it.
    pub running: bool,
    /// Its health, where it has a check.
    pub health: Option<HealthFacts>,
    /// How often the engine restarted it.
    pub restarts: u64,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// The last exit code.
    pub exit_code: i64,
    /// What the engine says went wrong at the start.
    pub error: String,
    /// RFC 3339.
    pub started_at: String,
    /// Limit in bytes; `None` where there is none.
    pub memory_limit: Option<u64>,
    /// Bytes in use, caches not counted; `None` where it does not run.
    pub memory_used: Option<u64>,
    /// The image's id.
    pub image_id: String,
    /// The image as the container's configuration names it.
    pub image_ref: String,
    /// Its networks.
    pub networks: Vec<NetworkFacts>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its environment.
    pub env: Env,
    /// Its mounts.
    pub mounts: Vec<ContainerMount>,
    /// TCP ports that it publishes on the host.
    pub published: Vec<PublishedPort>,
    /// How long it may take to stop, in milliseconds.
    pub stop_grace_ms: u64,
    /// What it wrote outside its mounts, noise left out.
    pub layer: Vec<LayerFile>,
    /// Where its writable layer is on the host, if the storage driver says so.
    pub layer_directory: Option<PathBuf>,
    /// The whole answer of the engine, to be kept with the backup. May hold secrets.
    pub inspect: Hidden<Value>,
}

impl ContainerFacts {
    /// Id and name.
    #[must_use]
    pub fn reference(&self) -> ContainerRef {
        ContainerRef { id: self.id.clone(), name: self.name.clone() }
    }
}

/// A container's health, as the engine knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthFacts {
    /// `starting`, `healthy`, `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub streak: u64,
    /// Exit code and output of the last probes, oldest first; outputs shortened and redacted.
    pub last: Vec<(i64, String)>,
}

/// A network that a container is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The container's addresses in it, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The names that the container has in it.
    pub aliases: Vec<String>,
}

/// A mount, as the container has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerMount {
    /// `volume`, `bind`, `tmpfs`, ….
    pub kind: String,
    /// The volume's name.
    pub volume: Option<String>,
    /// The volume's driver.
    pub driver: Option<String>,
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// A TCP port that is published on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// In the container.
    pub inside: u16,
    /// The host's address; empty or all zeros: every address.
    pub address: String,
    /// On the host.
    pub port: u16,
}

/// A file in a container's writable layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFile {
    /// In the container.
    pub path: String,
    /// Whether the image has a file there too.
    pub changed: bool,
    /// Its size, where it can be seen from here.
    pub bytes: Option<u64>,
}

/// An image.
#[derive(Clone, Debug, Default)]
pub struct ImageFacts {
    /// Its id.
    pub id: String,
    /// `name@sha256:…`, from the registries it came from or went to.
    pub repo_digests: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// `8080/tcp`, ….
    pub exposed: Vec<String>,
    /// Its environment.
    pub env: Env,
    /// The paths that it declares as volumes.
    pub volumes: Vec<String>,
    /// The user that it runs as.
    pub user: String,
    /// The command of its health check.
    pub healthcheck: Option<Vec<String>>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The architecture that it was built for, as Go names it.
    pub architecture: String,
    /// Bytes.
    pub size: u64,
}

/// What a file of the operator's is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// A Compose file.
    Compose,
    /// An env file for interpolation.
    Env,
    /// An `env_file:` of a service of the unit.
    ServiceEnv,
}

/// A file of the operator's.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// Absolute.
    pub path: PathBuf,
    /// What it is for.
    pub role: FileRole,
    /// Its bytes, or why they can't be read.
    pub bytes: Result<Hidden<Vec<u8>>, String>,
}

/// One place where the unit keeps data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountFacts {
    /// What the plan is going to say about it.
    pub mount: DataMount,
    /// Why it isn't reached directly.
    pub why: Option<String>,
    /// Whether how much there is could be found out.
    pub counted: bool,
    /// Whether it is there.
    pub exists: bool,
    /// Entries that could not be read, up to ten, and why.
    pub unreadable: Vec<String>,
    /// How many could not be read.
    pub unreadable_count: u64,
    /// Running containers outside the unit that use the same data.
    pub sharers: Vec<Sharer>,
    /// The filesystem that it is on.
    pub space: Option<Space>,
}

/// A container outside the unit that uses the unit's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// The container.
    pub container: String,
    /// `project/service`, if Compose made it.
    pub service: Option<String>,
    /// What it mounts.
    pub source: String,
    /// Whether it may write.
    pub writable: bool,
}

/// A writable mount that can't be backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedMount {
    /// The service.
    pub service: String,
    /// The volume's name or the source.
    pub name: String,
    /// Where the container sees it.
    pub destination: String,
    /// Volume, anonymous or bind.
    pub kind: MountKind,
    /// Why.
    pub reason: String,
}

/// A service that the unit depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyFacts {
    /// Its name.
    pub name: String,
    /// The hash that Compose expects; `None` where the files don't define it.
    pub expected_hash: Option<String>,
    /// Its image as the files resolve it.
    pub image_ref: Option<String>,
    /// The id that this reference has on the engine now.
    pub tagged_id: Option<String>,
    /// Its containers.
    pub containers: Vec<DependencyContainer>,
}

/// A container of a dependency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyContainer {
    /// Its name.
    pub name: String,
    /// `running`, ….
    pub status: String,
    /// The hash that it was made from.
    pub hash: Option<String>,
    /// The id of its image.
    pub image_id: String,
}

/// Room on a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// The directory that was asked about, or its nearest parent that exists.
    pub path: PathBuf,
    /// Tells filesystems apart.
    pub device: u64,
    /// Bytes that we may use.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}
