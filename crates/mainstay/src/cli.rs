//! The command line: what can be said, and its help. What each command does is in `commands/`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{QuiesceMode, ResumeMode};
use crate::resolver::Resolver;
use crate::span::Span;

/// Update a Docker Compose service with a tested backup, a watch, and a way back.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Options that every command has.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command has.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Compose file of a project, also of one that does not run (can be given several times)
    #[arg(short, long = "file", value_name = "FILE", global = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON event a line instead of text; the last line is `run.ended`
    #[arg(long, global = true)]
    pub json: bool,
    /// Where journal, repository and runs are kept [default: /var/lib/mainstay as root]
    #[arg(long, value_name = "DIR", env = "MAINSTAY_STATE_DIR", global = true)]
    pub state_dir: Option<PathBuf>,
    /// Where backups are kept: a directory, or s3:https://HOST/BUCKET/PREFIX [default: in the state directory]
    #[arg(long, value_name = "PLACE", env = "MAINSTAY_REPOSITORY", global = true)]
    pub repository: Option<String>,
    /// Second repository that gets a copy of every backup when a run has ended
    #[arg(long, value_name = "PLACE", env = "MAINSTAY_COPY_TO", global = true)]
    pub copy_to: Option<String>,
    /// Engine to talk to, as in DOCKER_HOST
    #[arg(long, value_name = "URL", global = true)]
    pub host: Option<String>,
    /// Where the lock file lies that allows one run per engine [default: /run/lock as root]
    #[arg(long, value_name = "DIR", env = "MAINSTAY_LOCK_DIR", hide = true, global = true)]
    pub lock_dir: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every service: version, health, URL, last backup, last run
    Status,
    /// Validate a service: what would refuse an update, and why
    Check(CheckArgs),
    /// Say why a service is not well: what was found, what was seen, what to do; changes nothing
    Diagnose(CheckArgs),
    /// Print everything that an update would do; touches nothing
    Plan(UpdateArgs),
    /// Update a service: back up, edit, pull, replace, verify, watch, and roll back by itself if it turns out bad
    Update(UpdateArgs),
    /// Back up a service's data and configuration while it runs, or paused or stopped for it; or export a backup
    Backup(BackupArgs),
    /// List backups
    Backups(BackupsArgs),
    /// Copy the backups that the second repository (--copy-to) lacks
    Copy,
    /// Put the data of a backup in place, after a safety snapshot of what is there
    Restore(RestoreArgs),
    /// Undo a kept update
    Rollback(RollbackArgs),
    /// List runs, newest first
    Runs(RunsArgs),
    /// Show what a run did, as it was shown when it ran
    Show(ShowArgs),
    /// Go on with a run that was cut off
    Resume(ResumeArgs),
    /// Remove backups that are old enough, and what no backup needs; happens by itself after every run
    Prune(PruneArgs),
    /// Read backups back, and compare them with what was read when they were made
    VerifyBackup(VerifyArgs),
    /// Look at the engine, Compose, disk, permissions, repository, clock and state
    Doctor,
    /// Print a completion script for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of mainstay.toml
    #[command(hide = true)]
    ConfigSchema,
    /// What mainstay runs on the engine where data can't be put back from here
    #[command(hide = true)]
    PutBackData {
        /// The data
        data: PathBuf,
        /// The paths to remove, each followed by a zero byte
        list: PathBuf,
    },
}

/// A service, and how it is asked whether it works.
#[derive(Clone, Debug, Args)]
pub struct ServiceArgs {
    /// SERVICE if one running project has it, else PROJECT/SERVICE
    pub service: String,
    /// How the service is asked.
    #[command(flatten)]
    pub probes: ProbeArgs,
    /// Override a required finding by its name (can be given several times)
    #[arg(long, value_name = "CHECK")]
    pub force: Vec<String>,
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `backup`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BackupArgs {
    /// What to do with backups, if not to make one. A service of such a name is PROJECT/NAME.
    #[command(subcommand)]
    pub action: Option<BackupAction>,
    /// SERVICE if one running project has it, else PROJECT/SERVICE
    #[arg(required = true)]
    pub service: Option<String>,
    /// How the service is asked.
    #[command(flatten)]
    pub probes: ProbeArgs,
    /// Override a required finding by its name (can be given several times)
    #[arg(long, value_name = "CHECK")]
    pub force: Vec<String>,
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
    /// Have the service stand still for a second pass over what changed during the first one
    /// [default: `quiesce` in mainstay.toml, else none]
    #[arg(long, value_name = "MODE", env = "MAINSTAY_QUIESCE")]
    pub quiesce: Option<QuiesceMode>,
}

impl BackupArgs {
    /// The service that is to be backed up, if that is what is to be done.
    pub fn service(&self) -> Option<ServiceArgs> {
        Some(ServiceArgs {
            service: self.service.clone()?,
            probes: self.probes.clone(),
            force: self.force.clone(),
            yes: self.yes,
        })
    }
}

/// What can be done with backups.
#[derive(Clone, Debug, Subcommand)]
pub enum BackupAction {
    /// Write a backup as a tar archive; below a directory for each mount
    Export(ExportArgs),
}

/// `backup export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// SERVICE, PROJECT/SERVICE, or the beginning of a snapshot's id
    #[arg(value_name = "SERVICE|SNAPSHOT")]
    pub what: String,
    /// Which of the service's backups.
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// FILE.tar.zst, FILE.tar, or `-` for tar.zst on standard output
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    pub overwrite: bool,
}

/// Which backup of a service.
#[derive(Clone, Debug, Args)]
pub struct ChoiceArgs {
    /// The backup of this run [default: the newest one]
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Which of the run's backups: live, cutover, safety, manual [default: cutover, else live or manual]
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
}

/// `check` and `diagnose`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// SERVICE if one running project has it, else PROJECT/SERVICE
    pub service: String,
    /// How the service is asked.
    #[command(flatten)]
    pub probes: ProbeArgs,
}

/// How the service is asked whether it works; detected where it is not said.
#[derive(Clone, Debug, Default, Args)]
pub struct ProbeArgs {
    /// URL that users have, or `none`
    #[arg(long, env = "MAINSTAY_URL")]
    pub url: Option<String>,
    /// Certificate authority to trust besides the system's, PEM
    #[arg(long, value_name = "FILE", env = "MAINSTAY_CA")]
    pub ca: Option<PathBuf>,
    /// Connect to this address instead of what DNS says
    #[arg(long, value_name = "IP", env = "MAINSTAY_RESOLVE")]
    pub resolve: Option<IpAddr>,
    /// Ask this DNS server instead of the system's
    #[arg(long, value_name = "IP[:PORT]", env = "MAINSTAY_RESOLVER")]
    pub resolver: Option<Resolver>,
    /// Port that the service listens on inside its network
    #[arg(long, env = "MAINSTAY_PORT")]
    pub port: Option<u16>,
    /// Path to ask for, inside
    #[arg(long, env = "MAINSTAY_PATH_INSIDE")]
    pub path: Option<String>,
}

/// `plan` and `update`.
#[derive(Clone, Debug, Args)]
pub struct UpdateArgs {
    /// The service.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Tag to update to
    #[arg(long, value_name = "TAG")]
    pub to: Option<String>,
    /// Add a new random secret (32 bytes, base64) under this name to the env file
    #[arg(long, value_name = "NAME")]
    pub new_secret: Vec<String>,
    /// Add a new variable to the env file
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// How long to watch the new version
    #[arg(long, value_name = "DURATION", env = "MAINSTAY_WATCH")]
    pub watch: Option<Span>,
    /// How long the new version may take to start
    #[arg(long, value_name = "DURATION", env = "MAINSTAY_STARTUP")]
    pub startup: Option<Span>,
    /// How long a probe that works normally may fail before that decides
    #[arg(long, value_name = "DURATION", env = "MAINSTAY_PROBE_GRACE")]
    pub probe_grace: Option<Span>,
    /// How often probes ask while watching
    #[arg(long, value_name = "DURATION", env = "MAINSTAY_PROBE_INTERVAL")]
    pub probe_interval: Option<Span>,
    /// Whether to keep the old image as a file, too, for as long as a way back needs it
    /// [default: `keep_image_copy` in mainstay.toml, else false]
    #[arg(
        long,
        value_name = "true|false",
        env = "MAINSTAY_KEEP_IMAGE_COPY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub keep_image_copy: Option<bool>,
}

/// `backups`.
#[derive(Clone, Debug, Args)]
pub struct BackupsArgs {
    /// Only of this service
    pub service: Option<String>,
}

/// `restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The service.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Which backup.
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Restore into this empty directory instead; the service is not touched
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// With --to: only this file or directory. A path in the container, or in the mount, or MOUNT:PATH
    #[arg(long, value_name = "PATH")]
    pub only: Option<PathBuf>,
}

/// `prune`.
#[derive(Clone, Debug, Args)]
pub struct PruneArgs {
    /// Only of this service
    pub service: Option<String>,
    /// Only show what would go and what would stay, and why
    #[arg(long)]
    pub dry_run: bool,
}

/// `verify-backup`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The newest backups of this SERVICE or PROJECT/SERVICE, or the one whose snapshot id begins so
    #[arg(required_unless_present = "all")]
    pub what: Option<String>,
    /// Every backup, and every file of the repository; worth doing once a week
    #[arg(long, conflicts_with = "what")]
    pub all: bool,
}

/// `rollback`.
#[derive(Clone, Debug, Args)]
pub struct RollbackArgs {
    /// The service.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Old image on the present data; the data is restored only if the old version does not work on it
    #[arg(long, conflicts_with = "full")]
    pub image_only: bool,
    /// Old image on the data from before the update; the default
    #[arg(long)]
    pub full: bool,
    /// The update to undo [default: the newest kept one]
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
}

/// `runs`.
#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// Only of this service
    pub service: Option<String>,
}

/// `show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// The run's id, or the beginning of it [default: the newest run]
    pub run: Option<String>,
}

/// `resume`.
#[derive(Clone, Debug, Args)]
pub struct ResumeArgs {
    /// The run's id, or the beginning of it [default: the newest unfinished run]
    pub run: Option<String>,
    /// What to do with an update whose new version had not been verified
    /// [default: `on_resume` in mainstay.toml, else safe]
    #[arg(long, value_name = "MODE", env = "MAINSTAY_ON_RESUME")]
    pub on_resume: Option<ResumeMode>,
    /// Wait until the engine answers, for so long (10m where LIMIT is not said); for resuming at boot
    #[arg(long, value_name = "LIMIT", num_args = 0..=1, require_equals = true, default_missing_value = "10m")]
    pub wait_engine: Option<Span>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_copy_of_the_old_image_is_wanted_or_not_by_a_word() {
        let wanted = |words: &[&str]| match Cli::try_parse_from([&["mainstay", "update"], words].concat()) {
            Ok(Cli { command: Command::Update(args), .. }) => {
                Some((args.service.service, args.keep_image_copy))
            }
            _ => None,
        };
        let app = || "app".to_owned();
        assert_eq!(wanted(&["--keep-image-copy", "app"]), Some((app(), Some(true))));
        assert_eq!(wanted(&["app", "--keep-image-copy=false"]), Some((app(), Some(false))));
        assert_eq!(wanted(&["app"]), Some((app(), None)));
        assert_eq!(wanted(&["app", "--keep-image-copy=maybe"]), None);
    }

    #[test]
    fn a_backup_is_made_or_exported() {
        let backup = |words: &[&str]| match Cli::try_parse_from([&["mainstay", "backup"], words].concat()) {
            Ok(Cli { command: Command::Backup(args), .. }) => {
                let exported = args.action.is_some();
                Some((exported, args.service().map(|service| service.service)))
            }
            _ => None,
        };
        assert_eq!(backup(&["app", "-y"]), Some((false, Some("app".to_owned()))));
        assert_eq!(backup(&["shop/export"]), Some((false, Some("shop/export".to_owned()))));
        assert_eq!(backup(&["export", "app", "--to", "-"]), Some((true, None)));
        assert_eq!(backup(&["export", "--to", "x.tar"]), None);
        assert_eq!(backup(&[]), None);
    }
}
