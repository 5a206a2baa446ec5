//! Jumps between versions that can't work on the data of the old one, and the right way instead.
//!
//! Where a version isn't known well enough, nothing is refused: the new image tells its version when it was pulled, and the cutover
//! tells in any case.

use super::{Profile, Version, of_repository, recognise};
use crate::finding::{Finding, Severity};
use crate::image::ImageConfig;

/// The check that refuses a jump, as `--force` takes it.
pub const JUMP: &str = "profile-jump";

/// Which versions can work with data of which others.
#[derive(Debug)]
pub struct Data {
    /// How many numbers of a version have to stay the same on a way up: 1 where every major version has its own format and
    /// nothing converts it at a start; 0 for none.
    pub fixed: usize,
    /// How many numbers of a version have to stay the same on a way down; 0 for none. With 3, every way down is refused.
    pub back: usize,
    /// The versions that can only be reached from some others, in ascending order.
    pub gates: &'static [Gate],
    /// Other programs whose data it can take over, by the names of their profiles, up to below a version.
    pub takes: &'static [(&'static str, Option<&'static str>)],
    /// How it is done right.
    pub way: &'static str,
}

impl Data {
    /// Whether a version may refuse the data of another one.
    #[must_use]
    pub fn is_particular(&self) -> bool {
        self.fixed + self.back + self.gates.len() > 0
    }
}

/// Versions from `to` on (up to the next gate) can be reached from `from` on.
#[derive(Debug)]
pub struct Gate {
    /// The first version behind the gate.
    pub to: &'static str,
    /// The first version that gets through.
    pub from: &'static str,
}

/// A program and its version.
#[derive(Clone, Copy, Debug)]
pub struct Jump<'a> {
    /// What the program is.
    pub profile: &'static Profile,
    /// Its version, where it is known.
    pub version: Option<&'a Version>,
}

/// An image, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its repository, without registry and tag.
    pub repository: &'a str,
    /// Its tag.
    pub tag: Option<&'a str>,
    /// What it brings along, where it is here.
    pub config: Option<&'a ImageConfig>,
}

/// A jump that can't work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What can't work, and why.
    pub what: String,
    /// How it is done right.
    pub way: String,
    /// By what the versions are known.
    pub evidence: Vec<String>,
}

impl Refusal {
    /// As a finding about a service.
    #[must_use]
    pub fn finding(&self, service: &str) -> Finding {
        let finding = Finding::new(JUMP, Severity::Required, format!("{service}: {}", self.what));
        self.evidence.iter().fold(finding, Finding::evidence).advice(&self.way)
    }
}

/// Whether the image of a service can be exchanged for another one, on the same data. A profile that the operator `named` is that
/// of both.
#[must_use]
pub fn exchange(profile: &'static Profile, named: bool, from: Known<'_>, to: Known<'_>) -> Option<Refusal> {
    if converts(to) {
        return None;
    }
    let becomes = match to.config {
        _ if named => None,
        Some(config) => {
            let command: Vec<String> = config.entrypoint.iter().chain(&config.cmd).cloned().collect();
            recognise(config, &command).map(|found| found.profile)
        }
        None if to.repository != from.repository => of_repository(to.repository),
        None => None,
    };
    let becomes = becomes.unwrap_or(profile);
    let old = version(profile, from, None);
    let reading = old.as_ref().filter(|_| becomes.name == profile.name).zip(from.tag);
    let new = version(becomes, to, reading.map(|((version, _), tag)| (version, tag)));
    let told = |known: &Option<(Version, String)>, which: &str| {
        known.as_ref().map(|(version, by)| format!("{which}: {version}, by {by}"))
    };
    let evidence = [told(&old, "runs"), told(&new, "shall run")].into_iter().flatten().collect();
    let from = Jump { profile, version: old.as_ref().map(|(version, _)| version) };
    let to = Jump { profile: becomes, version: new.as_ref().map(|(version, _)| version) };
    refused(from, to).map(|refusal| Refusal { evidence, ..refusal })
}

/// Whether an image converts old data itself at its start: that of `pgautoupgrade`, which is built on the official one
/// (<https://github.com/pgautoupgrade/docker-pgautoupgrade>).
fn converts(image: Known<'_>) -> bool {
    let told = image.config.is_some_and(|config| config.env.get("PGTARGET").is_some());
    told || image.repository.contains("autoupgrade")
}

/// The version of an image, and by what it is known: by what it brings along, else by its tag. A tag is believed where the old one,
/// read the same way, says what the old image says (`old`: that version and tag), and else only in the program's own repositories:
/// `0.8.0-pg17` is no version of PostgreSQL.
fn version(profile: &Profile, image: Known<'_>, old: Option<(&Version, &str)>) -> Option<(Version, String)> {
    if let Some(told) = image.config.and_then(|config| profile.signs.told(config)) {
        return Some(told);
    }
    let tag = image.tag?;
    let same = old.and_then(|(version, tag)| Some(Version::parse(tag)?.agrees(version)));
    let believed = same.unwrap_or_else(|| profile.is_called(image.repository));
    Version::parse(tag).filter(|_| believed).map(|version| (version, format!("the tag {tag}")))
}

/// Why a new version can't work on data of the old one, and what to do instead; `None` where nothing is known against it.
#[must_use]
pub fn refused(from: Jump<'_>, to: Jump<'_>) -> Option<Refusal> {
    let why =
        if from.profile.name == to.profile.name { other_version(from, to) } else { other_program(from, to) };
    let name = |jump: Jump<'_>| match jump.version {
        Some(version) => format!("{} {version}", jump.profile.title),
        None => jump.profile.title.to_owned(),
    };
    Some(Refusal {
        what: format!("{} can't work on data of {}: {}", name(to), name(from), why?),
        way: to.profile.data.way.to_owned(),
        evidence: Vec::new(),
    })
}

fn other_program(from: Jump<'_>, to: Jump<'_>) -> Option<String> {
    if !from.profile.data.is_particular() || !to.profile.data.is_particular() {
        return None;
    }
    match to.profile.data.takes.iter().find(|(other, _)| *other == from.profile.name) {
        None => Some("it is another program".to_owned()),
        Some((_, None)) => None,
        Some((_, Some(below))) => {
            let limit = Version::parse(below)?;
            from.version?.reaches(&limit).then(|| format!("it reads that of versions below {below}"))
        }
    }
}

fn other_version(from: Jump<'_>, to: Jump<'_>) -> Option<String> {
    let data = &to.profile.data;
    let (old, new) = (from.version?, to.version?);
    let first = old.differs_at(new);
    if new.below(old) {
        let leaves = data.back >= 3 || first.is_some_and(|at| at < data.back);
        return leaves.then(|| "there is no way down".to_owned());
    }
    if first.is_some_and(|at| at < data.fixed) {
        return Some("its files have another format, and a start doesn't convert them".to_owned());
    }
    let mut gates =
        data.gates.iter().filter_map(|gate| Some((Version::parse(gate.to)?, Version::parse(gate.from)?)));
    // The last gate that lies between the two.
    let (_, least) = gates.rfind(|(behind, _)| new.reaches(behind) && old.below(behind))?;
    old.below(&least).then(|| format!("it takes that of {least} and later"))
}
