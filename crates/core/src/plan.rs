//! The plan: everything a run will do, frozen in the run's first event.
//!
//! A plan leaves its execution no choices: it names digests, files with the hashes of their bytes before and
//! after, mounts, probes and limits. It holds no secret: the bytes of edited files lie in the run's directory,
//! the plan has their hashes only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::event::BackupRecord;
use crate::finding::Finding;
use crate::functional::Check;
use crate::verdict::Tier;
use crate::watch::LogRules;

mod hooks;
mod probes;
mod profile;

pub use hooks::Hooks;
pub use probes::{Dependent, InsideProbe, NeighbourProbe, OutsideProbe, Probes, Protocol};
pub use profile::ServiceProfile;

/// The format of plans that this version writes.
pub const FORMAT: u32 = 1;

/// What one run is going to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// What kind of run it is.
    pub kind: Kind,
    /// The engine's own id: a run is resumed only on the engine that it began on.
    pub engine: String,
    /// The services that are updated together, and the project around them.
    pub unit: Unit,
    /// The edits of the operator's files.
    #[serde(default)]
    pub edits: Vec<FileEdit>,
    /// The data that is backed up.
    #[serde(default)]
    pub data: Vec<DataMount>,
    /// How the data is made to stand still for the cutover backup.
    #[serde(default)]
    pub quiesce: Quiesce,
    /// How a run that only backs up makes the data stand still, for a second pass after the one that it takes
    /// while the service runs. `None`: not at all, there is no second pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<Quiesce>,
    /// What the run needs on disks, and what there was when the plan was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub room: Vec<Room>,
    /// How the service is asked whether it works.
    pub probes: Probes,
    /// What else is asked of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Time limits.
    pub limits: Limits,
    /// Whether figures are taken just before the cutover, for the new version to be compared with. Plans of
    /// versions that didn't know of it have no such step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub measure: bool,
    /// Whether the old images are also kept as files in the state directory, as a second way back to them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_image_copy: bool,
    /// What was normal before the run.
    #[serde(default)]
    pub baseline: Baseline,
    /// What the configuration says about log lines.
    #[serde(default, skip_serializing_if = "LogRules::is_empty")]
    pub logs: LogRules,
    /// What validation found.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Checks that the operator overrode by name.
    #[serde(default)]
    pub forced: Vec<String>,
}

/// The kinds of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// To another image, with a way back.
    Update,
    /// Back to what was before a kept update.
    Rollback {
        /// The run that is undone.
        of: String,
        /// Image only, or image and data.
        tier: Tier,
        /// The backups that the undone run took at its cutover.
        backups: Vec<BackupRecord>,
    },
    /// Keep the data and the configuration; change nothing.
    Backup,
    /// Put the data of a backup in place; the version stays.
    Restore {
        /// The backups to restore, one a mount.
        backups: Vec<BackupRecord>,
    },
}

impl Kind {
    /// One word for listings.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Rollback { .. } => "rollback",
            Self::Backup => "backup",
            Self::Restore { .. } => "restore",
        }
    }
}

/// One service, or the services that share its tag: planned, stopped, backed up, verified and rolled back
/// together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The service that the operator named.
    pub service: String,
    /// Every service of the unit, that one included, in start order.
    pub services: Vec<ServicePlan>,
    /// The Compose project.
    pub project: Project,
}

impl Unit {
    /// The names of the unit's services, in start order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|s| s.name.as_str())
    }

    /// `project/service`, as the operator may always write it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.project.name, self.service)
    }
}

/// A Compose project on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Compose's project name.
    pub name: String,
    /// The directory that relative paths of the project start from.
    pub directory: PathBuf,
    /// The Compose files, absolute, in override order.
    pub files: Vec<PathBuf>,
    /// The env files for interpolation, absolute; those that exist.
    pub env_files: Vec<PathBuf>,
    /// The Compose that created the containers; the run stays with it.
    pub compose: ComposeVersion,
}

/// Which Compose created a project's containers: each generation re-creates the other's under other names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "generation", content = "version")]
pub enum ComposeVersion {
    /// `docker-compose`, the Python program.
    V1(String),
    /// `docker compose`, the plugin.
    V2(String),
}

/// What happens to one service of the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// Compose's service name.
    pub name: String,
    /// The containers that run now.
    pub containers: Vec<ContainerRef>,
    /// The image that runs now.
    pub from: Image,
    /// The image that shall run. Equal to `from` where a run changes no version.
    pub to: Image,
    /// Our own tag that keeps the old image from being pruned.
    pub keep_tag: String,
    /// How long the service may take to stop, in milliseconds; the service's own setting.
    pub stop_grace_ms: u64,
    /// Whether a health check is configured, by the Compose file or the old image.
    pub health_check: bool,
    /// What is run in its container before and after a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// What is known about its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ServiceProfile>,
}

/// A container, by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRef {
    /// The engine's full id.
    pub id: String,
    /// Its name without a leading slash.
    pub name: String,
}

/// An image, as exactly as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The reference as the Compose file resolves it.
    pub reference: String,
    /// The engine's image id (`sha256:…`); unknown before the pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The digest in the registry (`sha256:…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// One file of the operator's that the run edits. The bytes before and after lie in the run's directory
/// under `files/`, named by [`FileEdit::stored_before`] and [`FileEdit::stored_after`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEdit {
    /// The file, absolute.
    pub path: PathBuf,
    /// BLAKE3 of the bytes before, in hex; `None` where the file does not exist.
    pub before: Option<String>,
    /// BLAKE3 of the bytes after, in hex.
    pub after: String,
    /// A unified diff for people, secrets left out.
    pub diff: String,
    /// The position of this edit among the plan's edits; names the stored bytes.
    pub index: usize,
}

impl FileEdit {
    /// Where the run directory keeps the bytes from before.
    #[must_use]
    pub fn stored_before(&self) -> PathBuf {
        Path::new("files").join(format!("{}.before", self.index))
    }

    /// Where the run directory keeps the bytes to write.
    #[must_use]
    pub fn stored_after(&self) -> PathBuf {
        Path::new("files").join(format!("{}.after", self.index))
    }
}

/// One place where the unit keeps data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataMount {
    /// The name under which its snapshots are found: the volume's name, or the bind mount's source.
    pub name: String,
    /// What kind of mount it is.
    pub kind: MountKind,
    /// The directory or file on the host.
    pub source: PathBuf,
    /// Where the container sees it.
    pub destination: String,
    /// The services of the unit that use it.
    pub services: Vec<String>,
    /// Bytes that it holds, as counted when the plan was made.
    pub bytes: u64,
    /// Files that it holds.
    pub files: u64,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "Reach::is_direct")]
    pub reach: Reach,
}

/// How mainstay gets at data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// As a directory or file of this machine.
    #[default]
    Direct,
    /// Through the engine's archive API, which keeps less; see [`crate::reach`].
    Archive,
}

impl Reach {
    /// Whether it is a directory or file of this machine.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        *self == Self::Direct
    }
}

/// The kinds of mounts that hold data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// A volume with a name.
    Volume,
    /// A volume that Docker named.
    Anonymous,
    /// A directory or file of the host.
    Bind,
}

/// How the data is made to stand still while it is backed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quiesce {
    /// The containers are stopped. A cutover knows no other way: the old container goes away.
    #[default]
    Stop,
    /// The processes of the containers are frozen.
    Pause,
}

/// What a run may take on one filesystem, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// For what.
    pub purpose: Purpose,
    /// A directory on the filesystem.
    pub path: PathBuf,
    /// About so much is expected to be taken.
    pub likely: u64,
    /// So much if nothing can be compressed and nothing is known yet.
    pub at_worst: u64,
    /// So much was free.
    pub free: u64,
}

/// What room is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The backups of the run, in the repository.
    Backup,
    /// A copy of the data beside itself, should it have to be put back.
    Restore,
    /// Copies of the old images, in the state directory.
    ImageCopy,
}

/// Time limits, all in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long a version may take from its start until it works.
    pub startup_ms: u64,
    /// How long the new version is watched after it was verified.
    pub watch_ms: u64,
    /// How long a probe that works normally may fail before that decides.
    pub probe_grace_ms: u64,
    /// How often probes ask while watching.
    pub probe_interval_ms: u64,
    /// After so long the watch ends, if everything was good until then and there is nothing to report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_keep_ms: Option<u64>,
    /// An answer that takes longer is reported.
    #[serde(default = "usual_answer_ms")]
    pub answer_ms: u64,
}

/// As users see it, an answer after three seconds is late.
fn usual_answer_ms() -> u64 {
    3_000
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            startup_ms: 120_000,
            watch_ms: 30 * 60_000,
            // Two intervals: a lasting fault is decided within three, however it falls between two questions.
            probe_grace_ms: 10_000,
            probe_interval_ms: 5_000,
            early_keep_ms: None,
            answer_ms: usual_answer_ms(),
        }
    }
}
