//! Compares files on the disk with a manifest.
//!
//! Invariant: content counts as equal only if it was read and hashed now, or if the inode is the one
//! that was hashed for the manifest, in the same state ([`Trust::Untouched`]). Changes nothing.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::manifest::{Manifest, difference, shown};
use crate::parallel;
use crate::progress::{Meter, Phase};
use crate::walk::Walk;

/// Which files needn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those whose inode, size, mtime and ctime are those of the manifest.
    Untouched,
    /// None.
    Nothing,
}

/// The first difference between what is at `root` and the manifest, if there is one. Metadata is
/// compared first, so that a tree that differs there isn't read.
pub(crate) fn first_difference(
    root: &Path,
    manifest: &Manifest,
    trust: Trust,
    meter: &Meter,
) -> Result<Option<String>> {
    match std::fs::symlink_metadata(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Some("it doesn't exist".to_owned()));
        }
        Err(error) => return Err(VaultError::io("look at", root, error)),
        Ok(_) => {}
    }
    let present = Manifest::new(Walk::still(root).collect::<Result<_>>()?);
    entries_differ(&present, manifest, trust, meter, |entry| full_path(root, &entry.path))
}

/// Compares entries that were just listed; `locate` says where their content is.
pub(crate) fn entries_differ(
    present: &Manifest,
    manifest: &Manifest,
    trust: Trust,
    meter: &Meter,
    locate: impl Fn(&Entry) -> std::path::PathBuf + Sync,
) -> Result<Option<String>> {
    if let Some(what) = metadata_difference(present, manifest) {
        return Ok(Some(what));
    }
    let mut to_read: Vec<_> = present
        .entries
        .iter()
        .zip(&manifest.entries)
        .filter(|(now, then)| now.is_file() && !(trust == Trust::Untouched && now.untouched_since(then)))
        .filter(|(now, _)| now.hardlink.is_none())
        .collect();
    to_read.sort_by_key(|(now, _)| std::cmp::Reverse(now.size()));
    contents_differ(&to_read, meter, locate)
}

/// Compares everything, also times of all kinds of entries but the root's. A file that one of `known` had
/// in the same state, with the wanted hash, isn't read.
pub(crate) fn exact_difference(
    root: &Path,
    (present, manifest): (&Manifest, &Manifest),
    known: &[&Manifest],
    meter: &Meter,
) -> Result<Option<String>> {
    if let Some(what) = metadata_difference(present, manifest) {
        return Ok(Some(what));
    }
    let pairs = || present.entries.iter().zip(&manifest.entries);
    if let Some((now, _)) = pairs().skip(1).find(|(now, then)| now.mtime != then.mtime) {
        return Ok(Some(format!("{}: the modification time differs", shown(&now.path))));
    }
    contents_unknown(root, pairs(), known, meter)
}

/// Reads the files that nothing is known of.
pub(crate) fn contents_unknown<'a>(
    root: &Path,
    pairs: impl Iterator<Item = (&'a Entry, &'a Entry)>,
    known: &[&Manifest],
    meter: &Meter,
) -> Result<Option<String>> {
    let known: Vec<_> = known.iter().map(|manifest| manifest.by_path()).collect();
    let is_known = |now: &Entry, then: &Entry| {
        let all = known.iter().filter_map(|entries| entries.get(&*now.path));
        all.into_iter().any(|before| before.what == then.what && now.untouched_since(before))
    };
    let mut to_read: Vec<_> =
        pairs.filter(|(now, then)| now.is_file() && now.hardlink.is_none() && !is_known(now, then)).collect();
    // So that no processor is left with a large one in the end.
    to_read.sort_by_key(|(now, _)| std::cmp::Reverse(now.size()));
    meter.enter(Phase::Comparing, Some(to_read.iter().map(|(now, _)| now.size()).sum()));
    contents_differ(&to_read, meter, |entry| full_path(root, &entry.path))
}

/// Reads the files of entries and compares their hashes.
fn contents_differ(
    to_read: &[(&Entry, &Entry)],
    meter: &Meter,
    locate: impl Fn(&Entry) -> std::path::PathBuf + Sync,
) -> Result<Option<String>> {
    let read = parallel::for_each(to_read, meter, |(now, then)| {
        let What::File { blake3, .. } = &then.what else { return Ok(()) };
        let path = locate(now);
        if hash(&path, meter)? == *blake3 {
            Ok(())
        } else {
            let differences = vec![format!("{}: the content differs", shown(&now.path))];
            Err(VaultError::Mismatch { path, differences })
        }
    });
    match read {
        Ok(()) => Ok(None),
        Err(VaultError::Mismatch { mut differences, .. }) => Ok(differences.pop()),
        Err(error) => Err(error),
    }
}

pub(crate) fn metadata_difference(present: &Manifest, manifest: &Manifest) -> Option<String> {
    for (now, then) in present.entries.iter().zip(&manifest.entries) {
        if now.path != then.path {
            let (path, what) = if now.path < then.path {
                (&now.path, "it is additional")
            } else {
                (&then.path, "it is missing")
            };
            return Some(format!("{}: {what}", shown(path)));
        }
        if let Some(what) = difference(now, then, false) {
            return Some(format!("{}: {what}", shown(&now.path)));
        }
    }
    let (now, then) = (present.entries.len(), manifest.entries.len());
    (now != then).then(|| format!("there are {now} entries instead of {then}"))
}

/// BLAKE3 of a file's content.
pub(crate) fn hash(path: &Path, meter: &Meter) -> Result<String> {
    let io = |error: std::io::Error| VaultError::io("read", path, error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file =
        File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| io(error.into()))?);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        meter.check()?;
        let length = file.read(&mut buffer).map_err(io)?;
        if length == 0 {
            meter.file();
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&buffer[..length]);
        meter.bytes(length as u64);
    }
}
