//! Versions as images write them, in variables, labels and tags: numbers with points, and what follows them.

use std::fmt;

/// The numbers at the beginning of a version; what follows (`-alpine`, `~rc1`, `+deb12u1`) orders nothing here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Vec<u64>);

impl Version {
    /// From `17`, `v8.0.42`, `10.11.6-MariaDB-0+deb12u1`, `1:8.0.40-1.el9`, `17-alpine`; `None` for `latest`, `lts-noble`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.split_once(':').map_or(text, |(_, after_epoch)| after_epoch);
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers: Option<Vec<u64>> =
            text[..end].trim_end_matches('.').split('.').map(|part| part.parse().ok()).collect();
        numbers.map(Self)
    }

    /// The number at this place, counted from 0; `None` where the version doesn't say.
    #[must_use]
    pub fn part(&self, at: usize) -> Option<u64> {
        self.0.get(at).copied()
    }

    /// Whether it is surely below another one. A version that says less than it is compared with (`8` with `8.4`) may be any of
    /// those that it stands for, and is below only where all of them are.
    #[must_use]
    pub fn below(&self, other: &Self) -> bool {
        for at in 0..other.0.len() {
            match (self.part(at), other.part(at)) {
                (Some(own), Some(theirs)) if own != theirs => return own < theirs,
                (Some(_), Some(_)) => {}
                _ => return false,
            }
        }
        false
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}
