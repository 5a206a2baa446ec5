//! Replaces the content of a directory that can't be exchanged, entry by entry.
//!
//! Everything happens in `.mainstay-replace-RUN` below the target, which backups leave out:
//!
//! 1. the snapshot is restored to `new` and compared; then the file `ready` is made;
//! 2. the old entries move to `old`; then the file `emptied` is made;
//! 3. the new entries move from `new` to the target, which gets the attributes of the root;
//! 4. the whole is compared once more, and the directory is removed.
//!
//! Invariant: the markers are on the disk before the next step begins, so each step can be repeated; old
//! data is deleted after the target was found equal to the snapshot, or, before `ready`, not at all.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::compare::{Trust, entries_differ};
use crate::durable;
use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::manifest::Manifest;
use crate::replace::Replacement;
use crate::restore::attributes;
use crate::walk::{STAGE_PREFIX, Walk, is_stage};

struct Stage {
    root: PathBuf,
    new: PathBuf,
    old: PathBuf,
    ready: PathBuf,
    emptied: PathBuf,
}

impl Stage {
    fn of(replacement: &Replacement<'_>) -> Self {
        let root = replacement.target.join(format!("{STAGE_PREFIX}{}", replacement.run));
        Self {
            new: root.join("new"),
            old: root.join("old"),
            ready: root.join("ready"),
            emptied: root.join("emptied"),
            root,
        }
    }
}

/// Whether an earlier call got so far that the target may hold both old and new entries.
pub(crate) fn is_under_way(replacement: &Replacement<'_>) -> bool {
    Stage::of(replacement).root.exists()
}

/// Begins, or finishes what an earlier call began.
pub(crate) fn run(replacement: &Replacement<'_>) -> Result<()> {
    let stage = Stage::of(replacement);
    if !is_directory(&replacement.manifest) || !replacement.target.is_dir() {
        let reason = "it can be exchanged only as a whole, and the system refuses that".to_owned();
        return Err(VaultError::Foreign { target: replacement.target.clone(), reason });
    }
    // `old` is the first thing that cleaning up removes, after the target was found to be right.
    if !stage.old.exists()
        && replacement.target_differs_from(&replacement.manifest, Trust::Nothing)?.is_none()
    {
        return clean(replacement, &stage);
    }
    if !stage.ready.exists() {
        prepare(replacement, &stage)?;
    }
    if !stage.emptied.exists() {
        check_old(replacement, &stage)?;
        move_all(&replacement.target, &stage.old)?;
        mark(&stage.emptied)?;
    }
    move_all(&stage.new, &replacement.target)?;
    if let Some(root) = replacement.manifest.entries.first() {
        attributes(root, &replacement.target)?;
    }
    durable::sync_dir(&replacement.target)?;
    if let Some(reason) = replacement.target_differs_from(&replacement.manifest, Trust::Nothing)? {
        return Err(VaultError::Foreign { target: replacement.target.clone(), reason });
    }
    clean(replacement, &stage)
}

fn is_directory(manifest: &Manifest) -> bool {
    manifest.entries.first().is_some_and(|root| root.what == What::Dir)
}

/// Step 1. An unfinished `new` of an earlier call is made anew; `old` is still empty then.
fn prepare(replacement: &Replacement<'_>, stage: &Stage) -> Result<()> {
    let target = &replacement.target;
    let io = |error| VaultError::io("look at", target, error);
    let before = Entry::read(target, PathBuf::new()).map_err(io)?;
    durable::remove(&stage.root)?;
    let prepare = || {
        for directory in [&stage.root, &stage.old] {
            durable::private_dir(directory)?;
        }
        replacement.restore(&stage.new)?;
        mark(&stage.ready)
    };
    prepare().inspect_err(|_| {
        // Nothing was moved yet: the target is left as it was, and the disk not fuller than it was.
        let _ = durable::remove(&stage.root).and_then(|()| attributes(&before, target));
    })
}

/// The old data, wherever its entries are by now, must be that of the safety snapshot.
fn check_old(replacement: &Replacement<'_>, stage: &Stage) -> Result<()> {
    let target = &replacement.target;
    let mut entries = Walk::still(target).collect::<Result<Vec<_>>>()?;
    let moved = Walk::still(&stage.old).skip(1).collect::<Result<Vec<_>>>()?;
    let is_moved: HashSet<PathBuf> = moved.iter().map(|entry: &Entry| entry.path.clone()).collect();
    entries.extend(moved);
    // The order of a walk.
    entries.sort_by(|one, two| one.path.cmp(&two.path));
    let locate = |entry: &Entry| {
        let root = if is_moved.contains(&entry.path) { &stage.old } else { target };
        full_path(root, &entry.path)
    };
    let present = Manifest::new(entries);
    match entries_differ(&present, &replacement.safety_manifest, Trust::Untouched, replacement.meter, locate)?
    {
        None => Ok(()),
        Some(reason) => Err(VaultError::Foreign { target: target.clone(), reason }),
    }
}

/// Moves every entry but the stage.
fn move_all(from: &Path, to: &Path) -> Result<()> {
    let list = fs::read_dir(from).map_err(|error| VaultError::io("list", from, error))?;
    for item in list {
        let name = item.map_err(|error| VaultError::io("list", from, error))?.file_name();
        if is_stage(&name) {
            continue;
        }
        let (old, new) = (from.join(&name), to.join(&name));
        if fs::symlink_metadata(&new).is_ok() {
            let reason = format!("{} appeared meanwhile", new.display());
            return Err(VaultError::Foreign { target: to.to_owned(), reason });
        }
        fs::rename(&old, &new).map_err(|error| VaultError::io("move", &old, error))?;
    }
    durable::sync_dir(to)?;
    durable::sync_dir(from)
}

fn mark(path: &Path) -> Result<()> {
    let made = File::create(path).and_then(|file| file.sync_all());
    made.map_err(|error| VaultError::io("write", path, error))?;
    durable::sync_parent(path)
}

/// Step 4.
fn clean(replacement: &Replacement<'_>, stage: &Stage) -> Result<()> {
    durable::remove(&stage.old)?;
    durable::sync_dir(&stage.root)?;
    durable::remove(&stage.root)?;
    if let Some(root) = replacement.manifest.entries.first() {
        // The removal changed its times.
        attributes(root, &replacement.target)?;
    }
    durable::sync_dir(&replacement.target)
}
