//! Versions as images write them, in variables, labels and tags: numbers with points, and what follows them.
//!
//! A version that says less than another (`8` with `8.4`) may be any of those that it stands for. Comparisons say what is so for
//! all of them, and are false where that isn't known.

use std::cmp::Ordering;
use std::fmt;

/// The numbers at the beginning of a version; what follows (`-alpine`, `~rc1`, `+deb12u1`) orders nothing here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Vec<u64>);

impl Version {
    /// From `17`, `v8.0.42`, `10.11.6-MariaDB-0+deb12u1`, `1:8.0.40-1.el9`, `17-alpine`; `None` for `latest`, `lts-noble`, and
    /// for what is more likely a hash (`7f3a2b1`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let epoch = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let text = text.split_once(':').filter(|(before, _)| epoch(before)).map_or(text, |(_, after)| after);
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = (text[..end].trim_end_matches('.'), &text[end..]);
        if !numbers.contains('.') && rest.starts_with(char::is_alphanumeric) {
            return None;
        }
        let numbers: Option<Vec<u64>> = numbers.split('.').map(|part| part.parse().ok()).collect();
        numbers.map(Self)
    }

    /// The number at this place, counted from 0; `None` where the version doesn't say.
    #[must_use]
    pub fn part(&self, at: usize) -> Option<u64> {
        self.0.get(at).copied()
    }

    /// Whether it is surely below another one.
    #[must_use]
    pub fn below(&self, other: &Self) -> bool {
        self.against(other, u64::MAX) == Ordering::Less
    }

    /// Whether it is surely another one or above it.
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        self.against(other, 0) != Ordering::Less
    }

    /// Whether both may be the same version: one of them may say less than the other.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        self.differs_at(other).is_none()
    }

    /// The first place, counted from 0, at which both say a number and another one.
    #[must_use]
    pub fn differs_at(&self, other: &Self) -> Option<usize> {
        self.0.iter().zip(&other.0).position(|(own, theirs)| own != theirs)
    }

    /// Compares, with `unsaid` for every number that this one doesn't say, and 0 for those that the other doesn't.
    fn against(&self, other: &Self, unsaid: u64) -> Ordering {
        let places = self.0.len().max(other.0.len());
        let own = (0..places).map(|at| self.part(at).unwrap_or(unsaid));
        own.cmp((0..places).map(|at| other.part(at).unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is no version"))
    }

    #[test]
    fn versions_are_read_as_images_write_them() {
        for (text, read) in [
            ("17", "17"),
            ("17.2", "17.2"),
            ("17-alpine", "17"),
            ("v8.0.42", "8.0.42"),
            ("17.2-1.pgdg120+1", "17.2"),
            ("10.11.6-MariaDB-0+deb12u1", "10.11.6"),
            ("1:11.4.2+maria~ubu2404", "11.4.2"),
            ("8.0.40-1.el9", "8.0.40"),
            ("9.0rc1", "9.0"),
            ("4.0.", "4.0"),
        ] {
            assert_eq!(version(text).to_string(), read);
        }
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in
            ["latest", "lts-noble", "", "v", "pg17", "alpine3.20", "7f3a2b1", "sha256:12ab", "17..2", ".1"]
        {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_version_does_not_say_may_be_anything() {
        for (one, other, below, reaches, agrees) in [
            ("17", "17.2", false, false, true),
            ("17.2", "17", false, true, true),
            ("17", "17.0", false, true, true),
            ("16", "17.2", true, false, false),
            ("16.9", "17", true, false, false),
            ("7", "7.4", false, false, true),
            ("7.2.4", "7.4", true, false, false),
            ("10.2", "9.5", false, true, false),
            ("8.0.36", "8.0.36", false, true, true),
        ] {
            let (a, b) = (version(one), version(other));
            assert_eq!((a.below(&b), a.reaches(&b), a.agrees(&b)), (below, reaches, agrees), "{one} {other}");
        }
        assert_eq!(version("8.0.36").differs_at(&version("8.4")), Some(1));
        assert_eq!(version("8").differs_at(&version("8.4")), None);
    }
}
