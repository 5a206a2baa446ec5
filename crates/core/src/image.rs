//! Two images side by side: what a new one would change for the service that runs the old one.
//!
//! Invariant: a finding names the difference it rests on, and no finding holds a secret: values of
//! environment variables are shown redacted, and [`Env`] shows and serialises them redacted only. What it
//! does not do: look inside layers, or know what the service overrides in its Compose file; the caller passes
//! what matters of that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::finding::Finding;
use crate::redact;
use crate::time::Timestamp;

mod rules;

/// What an image brings along, as the engine tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// The engine's id, `sha256:…`.
    pub id: String,
    /// The digest in the registry it came from, `sha256:…`; `None` for images that were built here.
    pub digest: Option<String>,
    /// Bytes of all its layers.
    pub size_bytes: u64,
    /// Default environment.
    pub env: Env,
    /// Exposed ports, `8080/tcp`.
    pub ports: BTreeSet<String>,
    /// Paths that are declared as volumes.
    pub volumes: BTreeSet<String>,
    /// The user it runs as, as written in the image; empty for root.
    pub user: String,
    /// The health check as one line, redacted by whoever fills it in; `None` without one or with a disabled
    /// one.
    pub health_check: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Entry point.
    pub entrypoint: Vec<String>,
    /// Default command.
    pub cmd: Vec<String>,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`, …
    pub os: String,
    /// The signal that stops it, where it isn't the usual one.
    pub stop_signal: Option<String>,
    /// When it was built; reproducible builds lie here.
    pub created: Option<Timestamp>,
}

impl ImageConfig {
    /// The version that the image says it has.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        ["org.opencontainers.image.version", "org.label-schema.version", "version"]
            .iter()
            .find_map(|label| self.labels.get(*label))
            .map(String::as_str)
            .filter(|version| !version.is_empty())
    }
}

/// Environment variables. Their values leave this type redacted, except through [`Env::get`].
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// From `NAME=VALUE` lines; a name without `=` has an empty value.
    pub fn from_lines<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Self {
        let pair = |line: S| {
            let (name, value) = line.as_ref().split_once('=').unwrap_or((line.as_ref(), ""));
            (name.to_owned(), value.to_owned())
        };
        Self(lines.into_iter().map(pair).collect())
    }

    /// The value as it is. Not for showing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and values as they may be shown.
    pub fn redacted(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, value)| (name.as_str(), redact::value_for_display(name, value)))
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.redacted()).finish()
    }
}

impl Serialize for Env {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.redacted())
    }
}

/// What an operator should know before `new` replaces `old`, most severe first. `mounted` are the paths in
/// the container that the service mounts something at, `port` is the one that a proxy or probe uses. The
/// host's architecture is taken to be that of `old`, which runs on it. No findings for an image and itself
/// but a note.
#[must_use]
pub fn compare(old: &ImageConfig, new: &ImageConfig, mounted: &[String], port: Option<u16>) -> Vec<Finding> {
    let pair = rules::Pair { old, new, mounted, port };
    let mut findings = if !old.id.is_empty() && old.id == new.id {
        vec![rules::same(&pair)]
    } else {
        rules::ALL.iter().flat_map(|rule| rule(&pair)).collect::<Vec<_>>()
    };
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

#[cfg(test)]
mod tests;
