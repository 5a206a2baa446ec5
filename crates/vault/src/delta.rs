//! What has to be done to make one tree of files another one.
//!
//! Invariant: applied in the order of the fields, the changes turn what the present manifest describes
//! into what the wanted one describes, and nothing else is touched. Names of one inode are changed
//! together or not at all, so hard links come out as they are wanted. Pure: looks at no file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::entry::{Entry, What};
use crate::manifest::Manifest;

/// The changes between two manifests of the same directory.
#[derive(Debug, Default)]
pub(crate) struct Delta<'a> {
    /// What goes away: superfluous, or in the place of something that is made. Of a directory only
    /// itself, not what is in it.
    pub(crate) away: Vec<&'a Entry>,
    /// Directories that aren't there yet, the upper ones first.
    pub(crate) directories: Vec<&'a Entry>,
    /// Everything else that is made, further names of an inode after its first.
    pub(crate) made: Vec<&'a Entry>,
    /// Whose owner, mode, times or extended attributes have to be set where they are; directories last
    /// and from below.
    pub(crate) attributes: Vec<&'a Entry>,
}

impl<'a> Delta<'a> {
    /// `present` needs hashes too.
    pub(crate) fn between(present: &'a Manifest, wanted: &'a Manifest) -> Self {
        let mut delta = Self::default();
        let (now, then) = (present.by_path(), wanted.by_path());
        let (now_names, then_names) = (names(present), names(wanted));
        let mut in_place = Vec::new();
        let mut leaves: HashSet<&Path> = HashSet::new();
        for entry in &wanted.entries {
            let fate = match now.get(&*entry.path) {
                None => Fate::New,
                Some(old) => fate(old, entry, &now, &now_names, &then_names),
            };
            match fate {
                Fate::Stays => continue,
                Fate::Attributes => in_place.push(entry),
                Fate::New | Fate::Replaced => {
                    let kind = if entry.what == What::Dir { &mut delta.directories } else { &mut delta.made };
                    kind.push(entry);
                }
            }
            if matches!(fate, Fate::Replaced) {
                leaves.insert(&entry.path);
            }
        }
        delta.away =
            topmost(present, |entry| leaves.contains(&*entry.path) || !then.contains_key(&*entry.path));
        delta.attributes = delta.attributes_to_set(wanted, &in_place);
        delta
    }

    /// The directories in which names come or go.
    pub(crate) fn touched(&self) -> HashSet<&'a Path> {
        let all = self.away.iter().chain(&self.directories).chain(&self.made);
        all.filter_map(|entry| entry.path.parent()).collect()
    }

    /// Work in a directory changes its times.
    fn attributes_to_set(&self, wanted: &'a Manifest, in_place: &[&'a Entry]) -> Vec<&'a Entry> {
        let touched = self.touched();
        let made = self.directories.iter().chain(in_place).map(|entry| &*entry.path);
        let all: HashSet<&Path> = made.chain(touched).collect();
        let (directories, rest): (Vec<_>, Vec<_>) = wanted
            .entries
            .iter()
            .filter(|entry| all.contains(&*entry.path))
            .partition(|entry| entry.what == What::Dir);
        rest.into_iter().chain(directories.into_iter().rev()).collect()
    }
}

/// Whether two entries of the same kind differ in what can be set where they are. Times of everything
/// count: a restored tree is to have them all.
pub(crate) fn attributes_differ(one: &Entry, other: &Entry) -> bool {
    (one.uid, one.gid, one.mode, one.mtime) != (other.uid, other.gid, other.mode, other.mtime)
        || one.xattrs != other.xattrs
}

enum Fate {
    Stays,
    Attributes,
    New,
    Replaced,
}

type Names<'a> = HashMap<&'a Path, Vec<&'a Path>>;

/// The paths of every inode with several, by the first of them.
fn names(manifest: &Manifest) -> Names<'_> {
    let mut names = Names::new();
    for entry in &manifest.entries {
        if let Some(first) = &entry.hardlink {
            names.entry(first).or_insert_with(|| vec![first]).push(&entry.path);
        }
    }
    names
}

fn fate(
    old: &Entry,
    new: &Entry,
    now: &HashMap<&Path, &Entry>,
    now_names: &Names<'_>,
    then_names: &Names<'_>,
) -> Fate {
    let may_stay = match (&old.what, &new.what) {
        (What::Dir, What::Dir) => true,
        (What::File { .. }, What::File { .. }) => {
            return file_fate(new, now, now_names, then_names);
        }
        // Its other names, which are unknown, would be changed too.
        (one, other) => one == other && (old.links == 1 || !attributes_differ(old, new)),
    };
    match may_stay {
        false => Fate::Replaced,
        true if attributes_differ(old, new) => Fate::Attributes,
        true => Fate::Stays,
    }
}

/// The same for all names of an inode.
fn file_fate(
    new: &Entry,
    now: &HashMap<&Path, &Entry>,
    now_names: &Names<'_>,
    then_names: &Names<'_>,
) -> Fate {
    let first = new.hardlink.as_deref().unwrap_or(&new.path);
    let Some(old) = now.get(first).filter(|old| old.hardlink.is_none()) else { return Fate::Replaced };
    let same_names = now_names.get(first) == then_names.get(first);
    if !same_names || old.what != new.what {
        return Fate::Replaced;
    }
    if !attributes_differ(old, new) {
        return Fate::Stays;
    }
    // Names outside of the tree would get the attributes too.
    let known = then_names.get(first).map_or(1, Vec::len) as u64;
    if old.links == known { Fate::Attributes } else { Fate::Replaced }
}

/// Those entries that aren't below another one of them.
fn topmost(manifest: &Manifest, leaves: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
    let (mut found, mut gone) = (Vec::new(), HashSet::new());
    for entry in &manifest.entries {
        let below = entry.path.parent().is_some_and(|parent| gone.contains(parent));
        if below || leaves(entry) {
            gone.insert(&*entry.path);
            if !below {
                found.push(entry);
            }
        }
    }
    found
}
