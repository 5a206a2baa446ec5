//! Jumps between versions that can't work on the data of the old one, and the right way instead.
//!
//! Where a version isn't known well enough, nothing is refused: the rehearsal and the cutover tell.

use super::{Profile, Version};

/// Which versions can work with data of which others.
#[derive(Debug)]
pub struct Data {
    /// How many numbers of a version have to stay the same on a way up: 1 where every major version has its own format and
    /// nothing converts it at a start; 0 for none.
    pub fixed: usize,
    /// How many numbers of a version have to stay the same on a way down; 0 for none. With 3, every way down is refused.
    pub back: usize,
    /// The versions that can only be reached from some others.
    pub gates: &'static [Gate],
    /// Other programs whose data it can take over, by the names of their profiles, up to below a version.
    pub takes: &'static [(&'static str, Option<&'static str>)],
    /// How it is done right.
    pub way: &'static str,
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

/// Why a new version can't work on data of the old one, and what to do instead; `None` where nothing is known against it.
#[must_use]
pub fn refused(from: Jump<'_>, to: Jump<'_>) -> Option<(String, String)> {
    let data = &to.profile.data;
    let name = |jump: Jump<'_>| match jump.version {
        Some(version) => format!("{} {version}", jump.profile.title),
        None => jump.profile.title.to_owned(),
    };
    let no = |why: String| Some((format!("{} can't work on data of {}: {why}", name(to), name(from)), data.way.to_owned()));
    if from.profile.name != to.profile.name {
        let taken = data.takes.iter().find(|(other, _)| *other == from.profile.name);
        let keeps = |p: &Profile| p.data.fixed + p.data.back + p.data.gates.len() > 0;
        return match taken {
            _ if !keeps(from.profile) || !keeps(to.profile) => None,
            None => no("it is another program".to_owned()),
            Some((_, Some(below))) => {
                let below = Version::parse(below)?;
                if from.version?.below(&below) { None } else { no(format!("it reads that of versions below {below}")) }
            }
            Some((_, None)) => None,
        };
    }
    let (old, new) = (from.version?, to.version?);
    if new.below(old) {
        let kept = (0..data.back).all(|at| old.part(at) == new.part(at) || new.part(at).is_none());
        return if data.back == 0 || (kept && data.back < 3) { None } else { no("there is no way down".to_owned()) };
    }
    if (0..data.fixed).any(|at| old.part(at) != new.part(at)) {
        return no("the format of its files is another one, and a start doesn't convert them".to_owned());
    }
    let gates = data.gates.iter().filter_map(|gate| Some((Version::parse(gate.to)?, Version::parse(gate.from)?)));
    // The last gate that lies between the two.
    let (_, from) = gates.filter(|(to, _)| !new.below(to) && old.below(to)).last()?;
    if old.below(&from) { no(format!("it takes data of {from} and later")) } else { None }
}
