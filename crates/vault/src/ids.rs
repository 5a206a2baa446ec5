//! Names: of snapshots, and of what a snapshot is of.
//!
//! Invariant: what is stored as a restic tag comes back as the same [`Tags`]. Knows nothing of the
//! repository's files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Result, VaultError};

/// The identifier of a snapshot: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(String);

impl SnapshotId {
    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, as restic shows them.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..8]
    }

    pub(crate) fn from_library(id: rustic_core::repofile::SnapshotId) -> Self {
        Self(id.to_hex().as_str().to_owned())
    }

    pub(crate) fn to_library(&self) -> Result<rustic_core::repofile::SnapshotId> {
        let id = rustic_core::Id::from_str(&self.0)
            .map_err(|_| VaultError::UnknownSnapshot { id: self.0.clone() })?;
        Ok(id.into())
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = VaultError;

    fn try_from(text: String) -> Result<Self> {
        let fits = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text)) } else { Err(VaultError::UnknownSnapshot { id: text }) }
    }
}

impl FromStr for SnapshotId {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self> {
        Self::try_from(text.to_owned())
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// While the service runs, ahead of a cutover.
    Live,
    /// The service is stopped, the update is about to happen.
    Cutover,
    /// What a restore is about to overwrite.
    Safety,
    /// Because the operator asked for it.
    Manual,
}

impl Kind {
    /// The word in the tag.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Cutover => "cutover",
            Self::Safety => "safety",
            Self::Manual => "manual",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Live, Self::Cutover, Self::Safety, Self::Manual].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What a snapshot is of; stored as restic tags `run:…`, `project:…` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    /// The run that made it.
    pub run: String,
    /// The Compose project.
    pub project: String,
    /// The service.
    pub service: String,
    /// The mount: a volume's name or a path in the container.
    pub mount: String,
    /// Why it was made.
    pub kind: Kind,
}

impl Tags {
    /// Refuses what a restic tag can't hold: a comma separates tags, control characters break listings.
    pub(crate) fn check(&self) -> Result<()> {
        let all = [("run", &self.run), ("project", &self.project), ("service", &self.service)];
        for (what, value) in all.into_iter().chain([("mount", &self.mount)]) {
            if value.is_empty() || value.contains(',') || value.chars().any(char::is_control) {
                let reason = "it is empty or holds a comma or control character";
                return Err(VaultError::BadName { what, value: value.clone(), reason });
            }
        }
        Ok(())
    }

    pub(crate) fn to_strings(&self) -> Vec<String> {
        vec![
            format!("run:{}", self.run),
            format!("project:{}", self.project),
            format!("service:{}", self.service),
            format!("mount:{}", self.mount),
            format!("kind:{}", self.kind.as_str()),
        ]
    }

    pub(crate) fn parse<'a>(tags: impl IntoIterator<Item = &'a str> + Clone) -> Option<Self> {
        let find = |key: &str| tag_value(tags.clone(), key).map(str::to_owned);
        Some(Self {
            run: find("run")?,
            project: find("project")?,
            service: find("service")?,
            mount: find("mount")?,
            kind: Kind::parse(&find("kind")?)?,
        })
    }

    /// The same mount of the same service.
    #[must_use]
    pub fn same_mount(&self, other: &Self) -> bool {
        (&self.project, &self.service, &self.mount) == (&other.project, &other.service, &other.mount)
    }
}

/// The value of the first tag `key:value`.
pub(crate) fn tag_value<'a>(tags: impl IntoIterator<Item = &'a str>, key: &str) -> Option<&'a str> {
    tags.into_iter().find_map(|tag| tag.strip_prefix(key)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Live), Just(Kind::Cutover), Just(Kind::Safety), Just(Kind::Manual)]
    }

    proptest! {
        #[test]
        fn accepted_tags_come_back(names in any::<[String; 4]>(), kind in kind()) {
            let [run, project, service, mount] = names;
            let tags = Tags { run, project, service, mount, kind };
            if tags.check().is_ok() {
                let mut stored = tags.to_strings();
                prop_assert!(stored.iter().all(|tag| !tag.contains(',')));
                stored.sort();
                prop_assert_eq!(Tags::parse(stored.iter().map(String::as_str)), Some(tags));
            }
        }
    }

    #[test]
    fn what_restic_would_split_is_refused() {
        let tags = |run: &str, mount: &str| Tags {
            run: run.into(),
            project: "p".into(),
            service: "s".into(),
            mount: mount.into(),
            kind: Kind::Live,
        };
        for bad in ["", "a,b", "line\nend"] {
            assert!(tags(bad, "m").check().is_err() && tags("r", bad).check().is_err());
        }
        assert!(tags("r", "m").check().is_ok());
    }

    #[test]
    fn an_identifier_has_64_lower_digits() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(good.parse::<SnapshotId>().unwrap().short(), "01234567");
        for bad in [&good[1..], &good.to_uppercase(), ""] {
            assert!(bad.parse::<SnapshotId>().is_err());
        }
    }
}
