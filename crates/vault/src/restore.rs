//! Writes a snapshot's data to a place where nothing is yet, and proves it.
//!
//! Invariant: nothing that existed is overwritten or followed: every file, directory and link is newly
//! made below a directory that only we know, and in the end everything is read again from the disk and
//! compared with the manifest. Written with our own code since the library reports failures of a restore
//! as warnings and panics. Replaces nothing; see `replace`.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustic_core::repofile::Node;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use crate::compare::{Trust, first_difference};
use crate::content::Content;
use crate::durable;
use crate::entry::{Entry, Stamp, What, full_path, xattr_names};
use crate::error::{Result, VaultError};
use crate::guard::caught;
use crate::ids::SnapshotId;
use crate::manifest::Manifest;
use crate::parallel;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::vault::Vault;

/// What a restore wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// Regular files; each name counts.
    pub files: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

impl Restored {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self { files: manifest.files(), bytes: manifest.bytes() }
    }
}

/// Whether a second copy fits on a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that the copy takes: what the original took, holes not counted.
    pub needed: u64,
    /// Bytes that are free.
    pub available: u64,
}

const BLOCK: u64 = 4096;

impl Vault {
    /// Restores a backup into an empty or new directory; the backup of a single file becomes a file in
    /// it.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotEmpty`]; [`VaultError::Damaged`] if the repository doesn't hold what was read;
    /// [`VaultError::Mismatch`] if the disk doesn't hold what was written.
    pub fn restore_to(&self, id: &SnapshotId, empty_dir: &Path, monitor: &dyn Monitor) -> Result<Restored> {
        let _lock = self.lock_for_reading()?;
        let snapshot = self.snapshot(id)?;
        let manifest = self.manifest_of(&snapshot)?;
        let meter = Meter::new(Phase::Restoring, Some(manifest.bytes()));
        let work = || {
            let content = self.content(&snapshot, &manifest)?;
            let place = be_empty(empty_dir)?;
            let is_dir = manifest.entries.first().is_some_and(|root| root.what == What::Dir);
            let root = match snapshot.source.file_name() {
                Some(name) if !is_dir => empty_dir.join(name),
                _ => empty_dir.to_owned(),
            };
            place.or_as_before(write(&content, &manifest, &root, &meter))?;
            Ok(Restored::of(&manifest))
        };
        watched(monitor, &meter, || caught("restore", work))
    }

    /// Restores one file or one directory of a backup: `path`, relative to the root of the backup, becomes
    /// an entry of its own name in an empty or new directory. An empty path is the whole backup.
    ///
    /// # Errors
    ///
    /// [`VaultError::UnknownPath`] if the backup holds no such entry; else as [`Vault::restore_to`].
    pub fn restore_path(
        &self,
        id: &SnapshotId,
        path: &Path,
        empty_dir: &Path,
        monitor: &dyn Monitor,
    ) -> Result<Restored> {
        let Some(name) = path.file_name() else { return self.restore_to(id, empty_dir, monitor) };
        let _lock = self.lock_for_reading()?;
        let snapshot = self.snapshot(id)?;
        let manifest = self.manifest_of(&snapshot)?;
        let part = manifest.below(path);
        if part.entries.is_empty() {
            return Err(VaultError::UnknownPath { snapshot: id.clone(), path: path.to_owned() });
        }
        let meter = Meter::new(Phase::Restoring, Some(part.bytes()));
        let work = || {
            let mut content = self.content(&snapshot, &manifest)?;
            content.narrow(path);
            let place = be_empty(empty_dir)?;
            place.or_as_before(write(&content, &part, &empty_dir.join(name), &meter))?;
            Ok(Restored::of(&part))
        };
        watched(monitor, &meter, || caught("restore", work))
    }

    /// What a restore beside `target` would need, and what there is.
    ///
    /// # Errors
    ///
    /// The backup or its manifest can't be read, or neither `target` nor a directory above it exists.
    pub fn room_for_restore(&self, id: &SnapshotId, target: &Path) -> Result<Room> {
        room(&self.manifest(id)?, target)
    }
}

impl Manifest {
    /// Only what is at or below a path, which becomes the root. The first name of an inode there counts
    /// as its first.
    fn below(&self, path: &Path) -> Self {
        let mut first: HashMap<&Path, PathBuf> = HashMap::new();
        let inside = self.entries.iter().filter(|entry| entry.path.starts_with(path));
        let entries = inside.map(|entry| {
            let inode = entry.hardlink.as_deref().unwrap_or(&entry.path);
            let below = entry.path.strip_prefix(path).map(Path::to_owned).unwrap_or_default();
            let name = first.entry(inode).or_insert_with(|| below.clone());
            let hardlink = (*name != below).then(|| name.clone());
            Entry { path: below, hardlink, ..entry.clone() }
        });
        Self { entries: entries.collect() }
    }
}

/// See [`Vault::room_for_restore`].
pub(crate) fn room(manifest: &Manifest, target: &Path) -> Result<Room> {
    let needed = bytes_to_write(manifest.entries.iter()) + manifest.entries.len() as u64 * BLOCK / 4;
    let existing = target.ancestors().find(|path| path.exists()).unwrap_or(target);
    let stat = rustix::fs::statvfs(existing).map_err(|error| VaultError::io("look at", existing, error))?;
    Ok(Room { needed, available: stat.f_bavail.saturating_mul(stat.f_frsize) })
}

/// What the content of entries takes on a disk, without holes.
pub(crate) fn bytes_to_write<'a>(entries: impl Iterator<Item = &'a Entry>) -> u64 {
    let first_names = entries.filter(|entry| entry.hardlink.is_none());
    first_names.map(|entry| entry.size().min(entry.allocated).div_ceil(BLOCK) * BLOCK).sum()
}

/// Makes the directory if it doesn't exist.
fn be_empty(directory: &Path) -> Result<Place<'_>> {
    let io = |error| VaultError::io("list", directory, error);
    match fs::read_dir(directory) {
        Ok(mut list) => match list.next() {
            None => Ok(Place { directory, made: false }),
            Some(_) => Err(VaultError::NotEmpty { path: directory.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            durable::private_dir(directory)?;
            Ok(Place { directory, made: true })
        }
        Err(error) => Err(io(error)),
    }
}

/// A directory that was empty, or wasn't there.
struct Place<'a> {
    directory: &'a Path,
    made: bool,
}

impl Place<'_> {
    /// Takes away what a restoration wrote that failed or was cancelled. What can't be removed stays, and is seen.
    fn or_as_before(&self, written: Result<()>) -> Result<()> {
        if written.is_err() {
            for item in fs::read_dir(self.directory).into_iter().flatten().flatten() {
                let _ = durable::remove(&item.path());
            }
            if self.made {
                let _ = fs::remove_dir(self.directory);
            }
        }
        written
    }
}

/// Writes everything, makes it durable and compares it with the manifest. `root` is an empty directory,
/// or doesn't exist.
pub(crate) fn write(content: &Content<'_>, manifest: &Manifest, root: &Path, meter: &Meter) -> Result<()> {
    directories(manifest, root)?;
    files(content, manifest, root, meter)?;
    for entry in &manifest.entries {
        let (path, first) = (full_path(root, &entry.path), entry.hardlink.as_ref());
        let first = first.map(|first| full_path(root, first));
        make(entry, &path, first.as_deref()).map_err(|error| VaultError::io("create", &path, error))?;
    }
    let (directories, rest): (Vec<_>, Vec<_>) =
        manifest.entries.iter().partition(|entry| entry.what == What::Dir);
    let set = |entry: &&Entry| attributes(entry, &full_path(root, &entry.path));
    // Further names of an inode have those of the first.
    let rest: Vec<_> = rest.into_iter().filter(|entry| entry.hardlink.is_none()).collect();
    parallel::for_each(&rest, meter, set)?;
    // Directories last and from below, since work in a directory changes its times.
    directories.iter().rev().try_for_each(set)?;
    let synced = if root.is_dir() { root } else { root.parent().unwrap_or(root) };
    durable::sync_filesystem(synced)?;
    meter.enter(Phase::Comparing, Some(manifest.bytes()));
    match first_difference(root, manifest, Trust::Nothing, meter)? {
        None => Ok(()),
        Some(difference) => {
            Err(VaultError::Mismatch { path: root.to_owned(), differences: vec![difference] })
        }
    }
}

fn directories(manifest: &Manifest, root: &Path) -> Result<()> {
    for entry in manifest.entries.iter().filter(|entry| entry.what == What::Dir) {
        let path = full_path(root, &entry.path);
        if entry.path.as_os_str().is_empty() && path.is_dir() {
            continue;
        }
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| VaultError::io("create", &path, error))?;
    }
    Ok(())
}

fn files(content: &Content<'_>, manifest: &Manifest, root: &Path, meter: &Meter) -> Result<()> {
    let files: Vec<_> = content
        .with_entries(manifest)
        .filter(|(entry, _)| entry.is_file() && entry.hardlink.is_none())
        .collect();
    parallel::for_each(&files, meter, |(entry, node)| {
        let path = full_path(root, &entry.path);
        let io = |error| VaultError::io("write", &path, error);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io)?;
        write_file(content, (*entry, *node), &file, &path, meter)
    })
}

/// Fills a new, empty file.
pub(crate) fn write_file(
    content: &Content<'_>,
    (entry, node): (&Entry, &Node),
    file: &File,
    path: &Path,
    meter: &Meter,
) -> Result<()> {
    let io = |error| VaultError::io("write", path, error);
    let mut offset = 0;
    content.read(entry, node, |block| {
        meter.check()?;
        write_block(file, block, offset).map_err(io)?;
        offset += block.len() as u64;
        meter.bytes(block.len() as u64);
        Ok(())
    })?;
    // A hole at the end.
    file.set_len(offset).map_err(io)?;
    meter.file();
    Ok(())
}

/// Leaves holes where there are only zeros: the file is new, so there is nothing to overwrite.
pub(crate) fn write_block(file: &File, block: &[u8], offset: u64) -> std::io::Result<()> {
    let mut at = offset;
    for part in block.chunks(64 * 1024) {
        if part.iter().any(|byte| *byte != 0) {
            file.write_all_at(part, at)?;
        }
        at += part.len() as u64;
    }
    Ok(())
}

/// Makes everything that is neither a directory nor the first name of a file, which is at `first`.
pub(crate) fn make(entry: &Entry, path: &Path, first: Option<&Path>) -> std::io::Result<()> {
    let make = |kind, device| {
        rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).map_err(Into::into)
    };
    match (&entry.what, first) {
        (What::File { .. }, Some(first)) => fs::hard_link(first, path),
        (What::File { .. }, None) | (What::Dir, _) => Ok(()),
        (What::Symlink { target }, _) => symlink(target, path),
        (What::Block { device }, _) => make(FileType::BlockDevice, *device),
        (What::Char { device }, _) => make(FileType::CharacterDevice, *device),
        (What::Fifo, _) => make(FileType::Fifo, 0),
        (What::Socket, _) => make(FileType::Socket, 0),
    }
}

/// Owner, extended attributes, mode and times, in this order: a change of owner drops setuid bits and
/// capabilities, and an access list changes the mode.
pub(crate) fn attributes(entry: &Entry, path: &Path) -> Result<()> {
    let apply = || -> std::io::Result<()> {
        let (owner, group) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        rustix::fs::chownat(CWD, path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        // What a new entry inherits from the directory above isn't part of the backup.
        for name in xattr_names(path)? {
            if !entry.xattrs.iter().any(|xattr| *xattr.name == *name) {
                rustix::fs::lremovexattr(path, &*name)?;
            }
        }
        for xattr in &entry.xattrs {
            rustix::fs::lsetxattr(path, &*xattr.name, &xattr.value, XattrFlags::empty())?;
        }
        if !matches!(entry.what, What::Symlink { .. }) {
            fs::set_permissions(path, Permissions::from_mode(entry.mode))?;
        }
        let time = timespec(entry.mtime);
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    };
    apply().map_err(|error| VaultError::io("set the attributes of", path, error))
}

pub(crate) fn timespec(stamp: Stamp) -> Timespec {
    Timespec { tv_sec: stamp.0, tv_nsec: i64::from(stamp.1) }
}
