//! The configuration: `mainstay.toml` beside the Compose file, `/etc/mainstay/config.toml` for the host.
//!
//! Flag over environment over project file over host file over detection. Unknown keys are errors that name
//! the nearest known key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use mainstay_core::plan::Quiesce;
use mainstay_core::problem::Problem;
use mainstay_core::state::OnResume;
use mainstay_core::watch::{LogRules, Patterns};
use mainstay_host::functional::CheckWishes;
use mainstay_host::plan::{HookWishes, ProfileWishes};
use mainstay_vault::Retention;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cli::ProbeArgs;
use crate::resolver::Resolver;
use crate::span::Span;

mod around;
mod checks;
mod profile;

pub use around::{HookCommand, QuiesceMode};
pub use checks::CheckConfig;
pub use profile::ProfileName;

/// One configuration file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where backups are kept: a directory, or `s3:https://HOST/BUCKET/PREFIX`.
    pub repository: Option<String>,
    /// Second repository that gets a copy of every backup when a run has ended.
    pub copy_to: Option<String>,
    /// What holds for every service.
    #[serde(default)]
    pub defaults: Settings,
    /// What holds for one service, by its name or as `project/service`.
    #[serde(default)]
    pub service: BTreeMap<String, Settings>,
}

/// How one service is asked, and how long it is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// URL that users have, or `none`.
    pub url: Option<String>,
    /// Certificate authority to trust besides the system's, PEM.
    pub ca: Option<PathBuf>,
    /// Connect to this address instead of what DNS says.
    pub resolve: Option<IpAddr>,
    /// Ask this DNS server instead of the system's, `IP` or `IP:PORT`.
    #[schemars(with = "Option<String>")]
    pub resolver: Option<Resolver>,
    /// Port that the service listens on inside its network.
    pub port: Option<u16>,
    /// Path to ask for, inside.
    pub path: Option<String>,
    /// Container or service of the project from whose place it is asked as well, or `none`; the reverse proxy where it
    /// is not said.
    pub from: Option<String>,
    /// Services of the project that have to go on working; those that name this one in `depends_on` where it is not
    /// said.
    pub dependents: Option<Vec<String>>,
    /// How long to watch a new version.
    pub watch: Option<Span>,
    /// How long a version may take to start.
    pub startup: Option<Span>,
    /// How long a probe that works normally may fail before that decides.
    pub probe_grace: Option<Span>,
    /// How often probes ask while watching.
    pub probe_interval: Option<Span>,
    /// After how long the watch may end, if everything was good until then and there is nothing to report. Not at
    /// all where it is not said.
    pub early_keep: Option<Span>,
    /// Regular expressions of log lines that no good version prints: the first one rolls back.
    pub log_fatal: Option<Vec<String>>,
    /// Regular expressions of log lines to count as errors, and to warn of.
    pub log_alert: Option<Vec<String>>,
    /// Regular expressions of log lines that mean nothing.
    pub log_ignore: Option<Vec<String>>,
    /// An answer that takes longer is reported (3s).
    pub slow: Option<Span>,
    /// For how many days every backup is kept (7).
    pub keep_days: Option<u32>,
    /// How many runs' backups are kept however old they are (3).
    pub keep_last: Option<u32>,
    /// Whether an update also keeps the old image as a file in the state directory, should it be pruned and no registry
    /// have it any more; not where it is not said.
    pub keep_image_copy: Option<bool>,
    /// How `mainstay backup` makes the data stand still; not at all where it is not said. An update stops the
    /// service for its backup in any case.
    pub quiesce: Option<QuiesceMode>,
    /// Run in the service's container before its data is backed up. May be run twice.
    pub before_backup: Option<HookCommand>,
    /// Run in the service's container after its data was backed up, and where that failed. May be run twice.
    pub after_backup: Option<HookCommand>,
    /// How long each of these commands may take; 60s where it is not said.
    pub hook_timeout: Option<Span>,
    /// What the service's image is: the name of a profile, or `none`; recognised by its configuration where it is not said.
    #[schemars(with = "Option<String>")]
    pub profile: Option<ProfileName>,
    /// What `mainstay resume` does with an update that was cut off before its new version had been verified: turn it
    /// back (`safe`, where it is not said), or go on with it (`continue`).
    pub on_resume: Option<ResumeMode>,
    /// What else is asked of the service, to tell whether a version works.
    #[serde(default)]
    pub check: Vec<CheckConfig>,
}

/// What becomes of an update that was cut off before its new version had been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ResumeMode {
    /// It turns back.
    Safe,
    /// It goes on.
    Continue,
}

impl From<ResumeMode> for OnResume {
    fn from(mode: ResumeMode) -> Self {
        match mode {
            ResumeMode::Safe => Self::Safe,
            ResumeMode::Continue => Self::Continue,
        }
    }
}

const PROJECT_FILE: &str = "mainstay.toml";
const HOST_FILE: &str = "/etc/mainstay/config.toml";

const KEYS: &[&str] = &[
    "repository",
    "copy_to",
    "defaults",
    "service",
    "url",
    "ca",
    "resolve",
    "resolver",
    "port",
    "path",
    "from",
    "dependents",
    "watch",
    "startup",
    "probe_grace",
    "probe_interval",
    "early_keep",
    "log_fatal",
    "log_alert",
    "log_ignore",
    "slow",
    "keep_days",
    "keep_last",
    "keep_image_copy",
    "quiesce",
    "before_backup",
    "after_backup",
    "hook_timeout",
    "profile",
    "on_resume",
    "check",
];

impl Settings {
    /// The settings of a service: flags over the project's file over the host's file.
    ///
    /// # Errors
    /// A file that can't be read or understood.
    pub fn of(project_dir: &Path, project: &str, service: &str, flags: &ProbeArgs) -> Result<Self, Problem> {
        let local = read(&project_dir.join(PROJECT_FILE))?.for_service(project, service);
        let host = read(Path::new(HOST_FILE))?.for_service(project, service);
        let flags = Settings {
            url: flags.url.clone(),
            ca: flags.ca.as_ref().map(|p| std::path::absolute(p).unwrap_or_else(|_| p.clone())),
            resolve: flags.resolve,
            resolver: flags.resolver,
            port: flags.port,
            path: flags.path.clone(),
            ..Settings::default()
        };
        let local = Settings { ca: local.ca.map(|ca| project_dir.join(ca)), ..local };
        Ok(flags.or(local).or(host))
    }

    /// How the data of a service is made to stand still for `mainstay backup`: by flag, else by configuration.
    pub fn still(&self, flag: Option<QuiesceMode>) -> Option<Quiesce> {
        flag.or(self.quiesce).and_then(QuiesceMode::wish)
    }

    /// What the services of a project want run around a backup.
    ///
    /// # Errors
    /// A file that can't be read or understood.
    pub fn hooks(project_dir: &Path, project: &str) -> Result<HookWishes, Problem> {
        let local = read(&project_dir.join("mainstay.toml"))?;
        let host = read(Path::new("/etc/mainstay/config.toml"))?;
        Ok(around::wishes(&[local, host], project))
    }

    /// What else is asked of the services of a project.
    ///
    /// # Errors
    /// A file that can't be read or understood, a check that can't work.
    pub fn checks(project_dir: &Path, project: &str) -> Result<CheckWishes, Problem> {
        let local = read(&project_dir.join(PROJECT_FILE))?;
        let host = read(Path::new(HOST_FILE))?;
        checks::wishes([(local, project_dir), (host, Path::new("/etc/mainstay"))], project)
    }

    /// What the images of a project's services are taken for.
    ///
    /// # Errors
    /// A file that can't be read or understood.
    pub fn profiles(project_dir: &Path, project: &str) -> Result<ProfileWishes, Problem> {
        let local = read(&project_dir.join(PROJECT_FILE))?;
        let host = read(Path::new(HOST_FILE))?;
        Ok(profile::wishes(&[local, host], project))
    }

    /// What log lines mean besides what is known.
    ///
    /// # Errors
    /// What is no regular expression.
    pub fn log_rules(&self) -> Result<LogRules, Problem> {
        let said = |patterns: &Option<Vec<String>>| patterns.clone().unwrap_or_default();
        let rules = LogRules {
            fatal: said(&self.log_fatal),
            alert: said(&self.log_alert),
            ignore: said(&self.log_ignore),
        };
        Patterns::compile(&rules).map(|_| rules)
    }

    fn or(self, other: Self) -> Self {
        Self {
            url: self.url.or(other.url),
            ca: self.ca.or(other.ca),
            resolve: self.resolve.or(other.resolve),
            resolver: self.resolver.or(other.resolver),
            port: self.port.or(other.port),
            path: self.path.or(other.path),
            from: self.from.or(other.from),
            dependents: self.dependents.or(other.dependents),
            watch: self.watch.or(other.watch),
            startup: self.startup.or(other.startup),
            probe_grace: self.probe_grace.or(other.probe_grace),
            probe_interval: self.probe_interval.or(other.probe_interval),
            early_keep: self.early_keep.or(other.early_keep),
            log_fatal: self.log_fatal.or(other.log_fatal),
            log_alert: self.log_alert.or(other.log_alert),
            log_ignore: self.log_ignore.or(other.log_ignore),
            slow: self.slow.or(other.slow),
            keep_days: self.keep_days.or(other.keep_days),
            keep_last: self.keep_last.or(other.keep_last),
            keep_image_copy: self.keep_image_copy.or(other.keep_image_copy),
            quiesce: self.quiesce.or(other.quiesce),
            before_backup: self.before_backup.or(other.before_backup),
            after_backup: self.after_backup.or(other.after_backup),
            hook_timeout: self.hook_timeout.or(other.hook_timeout),
            profile: self.profile.or(other.profile),
            on_resume: self.on_resume.or(other.on_resume),
            check: CheckConfig::nearer(self.check, other.check),
        }
    }
}

/// How long the backups of a service are kept; `directory` is where its project has its configuration, if known.
///
/// # Errors
/// A file that can't be read or understood: then nothing is removed by a rule that nobody wrote.
pub fn retention(directory: Option<&Path>, project: &str, service: &str) -> Result<Retention, Problem> {
    let settings = match directory {
        Some(directory) => Settings::of(directory, project, service, &ProbeArgs::default())?,
        None => read(Path::new(HOST_FILE))?.for_service(project, service),
    };
    let default = Retention::default();
    Ok(Retention {
        keep_days: settings.keep_days.unwrap_or(default.keep_days),
        keep_last: settings.keep_last.unwrap_or(default.keep_last),
    })
}

impl Config {
    fn for_service(mut self, project: &str, service: &str) -> Settings {
        let by_id = self.service.remove(&format!("{project}/{service}")).unwrap_or_default();
        let by_name = self.service.remove(service).unwrap_or_default();
        by_id.or(by_name).or(self.defaults)
    }
}

/// What the files say about repositories, with the directory that relative paths are from: the project's file
/// over the host's.
#[derive(Debug, Default)]
pub struct Places {
    /// Where backups are kept.
    pub repository: Option<(String, PathBuf)>,
    /// Where they are copied to.
    pub copy_to: Option<(String, PathBuf)>,
}

impl Places {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that can't be read or understood.
    pub fn of(project_dir: Option<&Path>) -> Result<Self, Problem> {
        let host = Path::new("/etc/mainstay");
        let mut places = Self::default();
        let files = project_dir.map(|dir| (dir, "mainstay.toml")).into_iter().chain([(host, "config.toml")]);
        for (dir, name) in files {
            let config = read(&dir.join(name))?;
            let from_here = |text: String| (text, dir.to_owned());
            places.repository = places.repository.or(config.repository.map(from_here));
            places.copy_to = places.copy_to.or(config.copy_to.map(from_here));
        }
        Ok(places)
    }
}

/// The services of a project that the files name.
fn named(layers: [&Config; 2], project: &str) -> BTreeSet<String> {
    let own = |key: &String| match key.split_once('/') {
        Some((of, name)) => (of == project).then(|| name.to_owned()),
        None => Some(key.clone()),
    };
    layers.iter().flat_map(|c| c.service.keys().filter_map(own)).collect()
}

/// What the files say about each service that they name, and about all others.
fn layered(layers: &[Config; 2], project: &str) -> (BTreeMap<String, Settings>, Settings) {
    let of = |name: &str| {
        let [local, host] = layers.clone().map(|config| config.for_service(project, name));
        local.or(host)
    };
    let names = named([&layers[0], &layers[1]], project);
    (names.into_iter().map(|name| (name.clone(), of(&name))).collect(), of(""))
}

fn read(path: &Path) -> Result<Config, Problem> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(error) => {
            return Err(Problem::new("config-unreadable", format!("{} can't be read", path.display()))
                .because(error)
                .advise("make it readable, or move it away"));
        }
    };
    parse(&text)
        .map_err(|problem| Problem { what: format!("{}: {}", path.display(), problem.what), ..problem })
}

fn parse(text: &str) -> Result<Config, Problem> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let message = error.message().to_owned();
        let mut problem =
            Problem::new("config-invalid", format!("line {line} can't be used")).because(&message);
        let key = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        if let Some(near) = key.and_then(nearest) {
            problem = problem.advise(format!("did you mean `{near}`?"));
        }
        problem.advise("`mainstay config-schema` prints what can stand there")
    })
}

fn nearest(key: &str) -> Option<&'static str> {
    KEYS.iter()
        .chain(checks::KEYS)
        .map(|known| (strsim::damerau_levenshtein(key, known), *known))
        .filter(|(distance, known)| *distance <= known.len() / 2)
        .min()
        .map(|(_, known)| known)
}

/// The JSON Schema of a configuration file.
#[must_use]
pub fn schema() -> String {
    serde_json::to_string_pretty(&schemars::schema_for!(Config)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
