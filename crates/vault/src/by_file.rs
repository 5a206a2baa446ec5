//! Puts back single files where little differs.
//!
//! Everything happens in a directory on the same filesystem, `.NAME.mainstay-RUN+files` beside the
//! target or, at a mount point, `.mainstay-replace-RUN+files` in it, which backups leave out:
//!
//! 1. what is to be made is made in `new`, written to the disk and compared;
//! 2. the target is once more compared with the safety snapshot, and all moves are written down;
//! 3. the moves: what goes away to `old`, what was made to its place; then attributes;
//! 4. the whole is compared, the directory gets the ending `+done`, and is removed.
//!
//! Invariant: up to the second step the target is untouched; from then on every call with the same
//! arguments finishes it. Nothing that was moved away is deleted before the target was found equal to
//! the snapshot, and what is neither as before nor as wanted is left alone ([`VaultError::Foreign`]).
//! A file that wasn't moved counts as equal, unread, if its inode, size and times are those of a manifest
//! with the wanted hash.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::delta::Delta;
use crate::durable;
use crate::entry::What;
use crate::error::{Result, VaultError};
use crate::manifest::Manifest;
use crate::moves::{Moves, NEW, OLD, step};
use crate::replace::{Replacement, listed};
use crate::restore::{attributes, bytes_to_write};
use crate::staged::Staging;
use crate::walk::STAGE_PREFIX;

#[cfg(test)]
pub(crate) mod tests;

/// Reading a byte out of the repository costs about as much as copying so many.
const COPIES: u64 = 4;
/// A file costs about as much as so many bytes.
const ENTRY: u64 = 16 << 10;

/// Where the files are meanwhile.
struct Stage {
    root: PathBuf,
    done: PathBuf,
}

impl Stage {
    fn beside(replacement: &Replacement<'_>) -> Self {
        Self::at(replacement.stage())
    }

    fn below(replacement: &Replacement<'_>) -> Self {
        Self::at(replacement.target.join(format!("{STAGE_PREFIX}{}", replacement.run)))
    }

    /// A plus sign isn't part of a run's name, so no other run has the same.
    fn at(base: PathBuf) -> Self {
        let ending = |ending: &str| {
            let mut path = OsString::from(&base);
            path.push(ending);
            path.into()
        };
        Self { root: ending("+files"), done: ending("+done") }
    }
}

/// Finishes what an earlier call began; `false` if there is nothing that had touched the target.
pub(crate) fn resume(replacement: &Replacement<'_>) -> Result<bool> {
    if !replacement.target.is_dir() {
        return Ok(false);
    }
    for stage in [Stage::beside(replacement), Stage::below(replacement)] {
        durable::remove(&stage.done)?;
        match Moves::load(&stage.root)? {
            Some(moves) => {
                if (&moves.snapshot, &moves.safety) != (&replacement.snapshot.id, &replacement.safety.id) {
                    let reason = format!("a replacement by {} was interrupted", moves.snapshot.short());
                    return Err(VaultError::Foreign { target: replacement.target.clone(), reason });
                }
                finish(replacement, &moves, &stage, &replacement.safety_manifest)?;
                return Ok(true);
            }
            None => durable::remove(&stage.root)?,
        }
    }
    Ok(false)
}

/// Puts back what differs if that is little, or if there is no room for more; else does nothing and is
/// `false`. `present` is what the target holds, with the hashes of the safety manifest.
pub(crate) fn run(replacement: &Replacement<'_>, present: &Manifest) -> Result<bool> {
    let target = &replacement.target;
    let is_dir = |manifest: &Manifest| manifest.entries.first().is_some_and(|root| root.what == What::Dir);
    if !is_dir(present) || !is_dir(&replacement.manifest) || !one_filesystem(present) {
        return Ok(false);
    }
    let delta = Delta::between(present, &replacement.manifest);
    let snapshots = (&replacement.snapshot, &replacement.safety);
    let staging = Staging::plan(replacement.vault, snapshots, &delta, present, target)?;
    let mut cost = staging.cost();
    cost.entries += delta.directories.len() as u64;
    let fits_whole = replacement.fits_whole()?;
    if !is_little(replacement, cost.fresh + (cost.bytes - cost.fresh) / COPIES, cost.entries) && fits_whole {
        return Ok(false);
    }
    replacement.check_room_for(cost.bytes + (cost.entries + 1) * ENTRY / 4)?;
    let stage = place(replacement)?;
    let filled = fill(replacement, &delta, &staging, &stage, present);
    let moves = filled.inspect_err(|_| abandon(replacement, &stage, present))?;
    finish(replacement, &moves, &stage, present)?;
    Ok(true)
}

/// Less than half of the work of a restore of everything.
fn is_little(replacement: &Replacement<'_>, bytes: u64, entries: u64) -> bool {
    let wanted = &replacement.manifest.entries;
    let all = bytes_to_write(wanted.iter()) + wanted.len() as u64 * ENTRY;
    2 * (bytes + entries * ENTRY) < all
}

fn one_filesystem(present: &Manifest) -> bool {
    let first = present.entries.first().map(|root| root.dev);
    present.entries.iter().all(|entry| Some(entry.dev) == first)
}

/// Steps 1 and 2.
fn fill(
    replacement: &Replacement<'_>,
    delta: &Delta<'_>,
    staging: &Staging<'_>,
    stage: &Stage,
    present: &Manifest,
) -> Result<Moves> {
    staging.fill(&stage.root.join(NEW), replacement.meter)?;
    // Making it took a while: whoever wrote meanwhile would lose what they wrote.
    replacement.check_unchanged(present)?;
    let ids = (&replacement.snapshot.id, &replacement.safety.id);
    let moves = Moves::of(delta, present, ids, &stage.root)?;
    moves.save(&stage.root)?;
    Ok(moves)
}

/// Makes the staging directory: beside the target, if files can be moved from there.
fn place(replacement: &Replacement<'_>) -> Result<Stage> {
    let beside = Stage::beside(replacement);
    if !replacement.is_mount_point()? && make(&beside).is_ok() && is_reachable(&beside, replacement)? {
        return Ok(beside);
    }
    durable::remove(&beside.root)?;
    let below = Stage::below(replacement);
    make(&below)?;
    Ok(below)
}

fn make(stage: &Stage) -> Result<()> {
    durable::remove(&stage.root)?;
    [stage.root.clone(), stage.root.join(NEW), stage.root.join(OLD)]
        .iter()
        .try_for_each(|path| durable::private_dir(path))
}

/// Tries to move something to the target and back: quotas can forbid it although it is one filesystem.
fn is_reachable(stage: &Stage, replacement: &Replacement<'_>) -> Result<bool> {
    let probe = stage.root.join("probe");
    durable::private_dir(&probe)?;
    let there = Stage::below(replacement).done;
    let moved = fs::rename(&probe, &there);
    durable::remove(&there)?;
    durable::remove(&probe)?;
    Ok(moved.is_ok())
}

/// The target is as it was, but for the times of its root.
fn abandon(replacement: &Replacement<'_>, stage: &Stage, present: &Manifest) {
    // Written down, it has to be finished.
    if !matches!(Moves::load(&stage.root), Ok(None)) {
        return;
    }
    // What fails here is removed by the next call.
    let _ = durable::remove(&stage.root);
    if let Some(root) = present.entries.first() {
        let _ = attributes(root, &replacement.target);
    }
}

/// Steps 3 and 4. `known` has hashes of files that needn't be read.
fn finish(replacement: &Replacement<'_>, moves: &Moves, stage: &Stage, known: &Manifest) -> Result<()> {
    let target = &replacement.target;
    moves.apply(&stage.root, target, &replacement.safety_manifest, replacement.meter)?;
    if let Some(reason) = replacement.difference(&listed(target)?, known)? {
        return Err(VaultError::Foreign { target: target.clone(), reason });
    }
    step(&stage.root)?;
    fs::rename(&stage.root, &stage.done).map_err(|error| VaultError::io("move", &stage.root, error))?;
    durable::sync_parent(&stage.done)?;
    step(&stage.done)?;
    durable::remove(&stage.done)?;
    step(target)?;
    // Work in the target's own directory changed its times.
    if let Some(root) = replacement.manifest.entries.first() {
        attributes(root, target)?;
    }
    durable::sync_dir(target)
}
