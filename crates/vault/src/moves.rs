//! The moves that turn the present files into the wanted ones, as they are written down before the first
//! of them.
//!
//! Invariant: every move is one `rename` within one filesystem, and tells from the inodes whether it
//! was done before, so the list can be worked off again after any interruption, and after a power cut
//! that kept some moves and lost others. What is neither as before nor as wanted stops it; nothing is
//! overwritten and nothing is deleted. Doesn't prove the result.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::compare::{Trust, entries_differ};
use crate::delta::Delta;
use crate::durable;
use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::ids::SnapshotId;
use crate::manifest::Manifest;
use crate::progress::Meter;
use crate::restore::attributes;
use crate::walk::Walk;

const FILE: &str = "moves";
/// Where files are that were made aside.
pub(crate) const NEW: &str = "new";
/// Where files are moved to.
pub(crate) const OLD: &str = "old";

/// One replacement's moves.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moves {
    /// What is put back.
    pub(crate) snapshot: SnapshotId,
    /// What holds everything that is moved away.
    pub(crate) safety: SnapshotId,
    /// As they are before they go to `old/NUMBER`.
    away: Vec<Entry>,
    directories: Vec<Entry>,
    made: Vec<Made>,
    attributes: Vec<Attributes>,
}

/// What comes from `new/NUMBER`.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    entry: Entry,
    ino: u64,
}

/// Attributes that are set in place.
#[derive(Debug, Serialize, Deserialize)]
struct Attributes {
    entry: Entry,
    /// The file that has them not yet; `None` for what is made in this replacement.
    before: Option<Entry>,
}

impl Moves {
    /// Reads what an earlier call wrote down; `None` if it didn't come so far.
    pub(crate) fn load(stage: &Path) -> Result<Option<Self>> {
        let path = stage.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| VaultError::io("read", &path, error))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| VaultError::io("read", &path, error))
    }

    /// With the inodes of what was made in the staging directory.
    pub(crate) fn of(
        delta: &Delta<'_>,
        present: &Manifest,
        (snapshot, safety): (&SnapshotId, &SnapshotId),
        stage: &Path,
    ) -> Result<Self> {
        let (new, now) = (stage.join(NEW), present.by_path());
        let made = delta.made.iter().enumerate().map(|(number, entry)| {
            let path = new.join(number.to_string());
            let ino =
                fs::symlink_metadata(&path).map_err(|error| VaultError::io("look at", &path, error))?.ino();
            Ok(Made { entry: (*entry).clone(), ino })
        });
        let attributes = delta.attributes.iter().map(|entry| Attributes {
            entry: (*entry).clone(),
            before: now.get(&*entry.path).filter(|old| old.what == entry.what).map(|old| (*old).clone()),
        });
        Ok(Self {
            snapshot: snapshot.clone(),
            safety: safety.clone(),
            away: delta.away.iter().map(|entry| (*entry).clone()).collect(),
            directories: delta.directories.iter().map(|entry| (*entry).clone()).collect(),
            made: made.collect::<Result<_>>()?,
            attributes: attributes.collect(),
        })
    }

    /// Writes them down.
    pub(crate) fn save(&self, stage: &Path) -> Result<()> {
        let path = stage.join(FILE);
        let text = serde_json::to_vec(self).map_err(|error| VaultError::io("write", &path, error))?;
        durable::write_new(&path, &text)
    }

    /// Does what wasn't done yet, and writes it to the disk.
    pub(crate) fn apply(&self, stage: &Path, target: &Path, safety: &Manifest, meter: &Meter) -> Result<()> {
        let foreign = |path: &Path, what: &str| VaultError::Foreign {
            target: target.to_owned(),
            reason: format!("{} {what}", path.display()),
        };
        for (number, entry) in self.away.iter().enumerate() {
            let (from, to) = (full_path(target, &entry.path), stage.join(OLD).join(number.to_string()));
            if fs::symlink_metadata(&to).is_ok() {
                continue;
            }
            if !is_as_before(target, entry, safety, meter)? {
                return Err(foreign(&from, "changed meanwhile"));
            }
            rename(&from, &to)?;
        }
        for entry in &self.directories {
            make_directory(&full_path(target, &entry.path))?;
        }
        for (number, made) in self.made.iter().enumerate() {
            let (from, to) = (stage.join(NEW).join(number.to_string()), full_path(target, &made.entry.path));
            match fs::symlink_metadata(&to) {
                Ok(there) if there.ino() == made.ino => {}
                Ok(_) => return Err(foreign(&to, "appeared meanwhile")),
                Err(_) => rename(&from, &to)?,
            }
        }
        for Attributes { entry, before } in &self.attributes {
            let path = full_path(target, &entry.path);
            if !may_be_set(&path, entry, before.as_ref())? {
                return Err(foreign(&path, "changed meanwhile"));
            }
            step(&path)?;
            attributes(entry, &path)?;
        }
        durable::sync_each(&self.touched(target), target)
    }

    /// What has to be written to the disk.
    fn touched(&self, target: &Path) -> Vec<PathBuf> {
        let moved = self.away.iter().chain(&self.directories).chain(self.made.iter().map(|made| &made.entry));
        let parents = moved.filter_map(|entry| entry.path.parent());
        let set = self.attributes.iter().map(|set| &set.entry);
        let set = set.filter(|entry| entry.is_file() || entry.what == What::Dir).map(|entry| &*entry.path);
        let mut all: Vec<_> = parents.chain(set).map(|path| full_path(target, path)).collect();
        all.sort();
        all.dedup();
        // The directory of something that went away may have gone with something else.
        all.retain(|path| path.exists());
        all
    }
}

/// What goes away must be in the safety snapshot: it is as it was when that was last looked at.
fn is_as_before(target: &Path, entry: &Entry, safety: &Manifest, meter: &Meter) -> Result<bool> {
    let path = full_path(target, &entry.path);
    let now = match Entry::read(target, entry.path.clone()) {
        Ok(now) => now,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(VaultError::io("look at", &path, error)),
    };
    if entry.what != What::Dir {
        let state = |entry: &Entry| (entry.dev, entry.ino, entry.size(), entry.mtime);
        // The move of one name of an inode changes the ctime of all.
        return Ok(state(&now) == state(entry) && (entry.links > 1 || now.ctime == entry.ctime));
    }
    let mut below = Walk::still(&path).collect::<Result<Vec<_>>>()?;
    for found in &mut below {
        found.path = full_path(&entry.path, &found.path);
    }
    let is_below = |known: &&Entry| known.path.starts_with(&entry.path);
    let known = Manifest { entries: safety.entries.iter().filter(is_below).cloned().collect() };
    // Names of an inode outside of it may have gone before: what matters here is what is inside.
    let (below, known) = (unlinked(below), unlinked(known.entries));
    let locate = |found: &Entry| full_path(target, &found.path);
    Ok(entries_differ(&below, &known, Trust::Untouched, meter, locate)?.is_none())
}

/// Every name by itself.
fn unlinked(mut entries: Vec<Entry>) -> Manifest {
    for entry in &mut entries {
        entry.hardlink = None;
    }
    Manifest { entries }
}

/// Whether it is what it was, or is made by this replacement; its attributes may be set in part.
fn may_be_set(path: &Path, entry: &Entry, before: Option<&Entry>) -> Result<bool> {
    let now = match fs::symlink_metadata(path) {
        Ok(now) => now,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(VaultError::io("look at", path, error)),
    };
    if entry.what == What::Dir {
        return Ok(now.is_dir());
    }
    let times = |mtime: crate::entry::Stamp| (now.mtime(), now.mtime_nsec()) == (mtime.0, i64::from(mtime.1));
    Ok(before.is_some_and(|before| {
        (now.dev(), now.ino()) == (before.dev, before.ino)
            && (!entry.is_file() || now.len() == before.size())
            && (times(before.mtime) || times(entry.mtime))
    }))
}

fn make_directory(path: &Path) -> Result<()> {
    step(path)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_directory(path) => Ok(()),
        made => made.map_err(|error| VaultError::io("create", path, error)),
    }
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Where tests interrupt it.
pub(crate) fn step(_path: &Path) -> Result<()> {
    #[cfg(test)]
    crate::by_file::tests::step(_path)?;
    Ok(())
}

/// Moves without overwriting.
fn rename(from: &Path, to: &Path) -> Result<()> {
    step(to)?;
    let moved = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every filesystem can. Nothing was there a moment ago, and nobody is at work here.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::rename(from, to),
        moved => moved.map_err(Into::into),
    };
    moved.map_err(|error| VaultError::io("move", from, error))
}
