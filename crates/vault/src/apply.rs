//! Makes a tree of files what an archive says, at the other end of `through`: where the tree is a directory again.
//!
//! Invariant: only what is named is removed, and nothing that holds more than sockets is removed with its content; a
//! file is exchanged in one move, except where it is the whole tree, since a mounted file can't be moved. What was cut
//! off is finished by the same call. Follows no link. Compares nothing: whoever sends the archive does.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Timestamps, Uid, XattrFlags};

use crate::durable;
use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::restore::{make, timespec, write_block};
use crate::tarred;
use crate::walk::STAGE_PREFIX;

/// An access list that a new entry inherits from the directory that it is made in.
const INHERITED: &str = "system.posix_acl_access";

/// Removes the paths, which are relative to `root`, then makes what the archive holds.
///
/// # Errors
///
/// The first thing that the system refuses, or that the archive is cut off; the same call again finishes it.
pub fn apply(root: &Path, remove: &[PathBuf], archive: impl Read) -> Result<()> {
    let is_dir = fs::symlink_metadata(root).map_err(|error| VaultError::io("look at", root, error))?.is_dir();
    let stage = root.join(format!("{STAGE_PREFIX}new"));
    if is_dir {
        durable::remove(&stage)?;
    }
    let mut paths: Vec<&PathBuf> = remove.iter().filter(|path| !path.as_os_str().is_empty()).collect();
    // What is in a directory comes before it.
    paths.sort_by(|one, other| other.cmp(one));
    for path in paths {
        let full = full_path(root, path);
        take_away(root, &full).map_err(|error| VaultError::io("remove", &full, error))?;
    }
    let (mut directories, mut failure) = (Vec::new(), None);
    let read = tarred::each(archive, |entry, content| {
        let place = full_path(root, &entry.path);
        let made = put(&entry, &place, (root, &stage), content);
        if entry.what == What::Dir {
            directories.push(entry);
        }
        made.map_err(|error| {
            failure.get_or_insert(VaultError::io("create", &place, error));
            io::Error::other("see the failure")
        })
    });
    read.map_err(|error| failure.unwrap_or_else(|| VaultError::io("read", "the archive", error)))?;
    if is_dir {
        durable::remove(&stage)?;
    }
    // From below, since work in a directory changes its times.
    for entry in directories.iter().rev() {
        let place = full_path(root, &entry.path);
        give(entry, &place).map_err(|error| VaultError::io("set the attributes of", &place, error))?;
    }
    durable::sync_filesystem(root)
}

/// Removes one entry; of what may be in a directory still, sockets alone, which no archive names.
fn take_away(root: &Path, path: &Path) -> io::Result<()> {
    let above = path.ancestors().skip(1).take_while(|above| above.starts_with(root));
    if above.into_iter().any(|above| !fs::symlink_metadata(above).is_ok_and(|meta| meta.is_dir())) {
        return Ok(());
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if !meta.is_dir() => fs::remove_file(path),
        Ok(_) => {
            for item in fs::read_dir(path)? {
                let item = item?;
                if item.file_type()?.is_socket() {
                    fs::remove_file(item.path())?;
                }
            }
            fs::remove_dir(path)
        }
    }
}

/// Makes one entry; the directory that it is in has been made or seen.
fn put(entry: &Entry, place: &Path, (root, stage): (&Path, &Path), content: &mut dyn Read) -> io::Result<()> {
    let present = fs::symlink_metadata(place).ok();
    if let Some(first) = &entry.hardlink {
        if present.is_some() {
            fs::remove_file(place)?;
        }
        return fs::hard_link(full_path(root, first), place);
    }
    match (&entry.what, present) {
        (What::Dir, Some(meta)) if meta.is_dir() => Ok(()),
        (What::Dir, Some(_)) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        (What::Dir, None) => fs::create_dir(place),
        (What::File { .. }, Some(meta)) if place == root && meta.is_file() => {
            let file = OpenOptions::new().write(true).truncate(true).open(place)?;
            copy(content, &file)?;
            give(entry, place)
        }
        _ => {
            fs::create_dir_all(stage)?;
            let new = stage.join("entry");
            durable::remove(&new).map_err(io::Error::other)?;
            if entry.is_file() {
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
                copy(content, &file)?;
            } else {
                make(entry, &new, None)?;
            }
            give(entry, &new)?;
            fs::rename(new, place)
        }
    }
}

/// Leaves holes where there are only zeros.
fn copy(content: &mut dyn Read, file: &File) -> io::Result<()> {
    let (mut buffer, mut at) = (vec![0; 256 * 1024], 0);
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return file.set_len(at),
            Ok(length) => {
                write_block(file, &buffer[..length], at)?;
                at += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Owner, extended attributes, mode and times, in this order, and only what differs: a change of owner drops
/// capabilities, and one of the mode changes an access list. What an archive of an engine doesn't know stays.
fn give(entry: &Entry, path: &Path) -> io::Result<()> {
    let now = fs::symlink_metadata(path)?;
    if (now.uid(), now.gid()) != (entry.uid, entry.gid) {
        let (owner, group) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        rustix::fs::chownat(CWD, path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    let is_link = matches!(entry.what, What::Symlink { .. });
    let named = entry.xattrs.iter().any(|xattr| xattr.name == INHERITED);
    if !is_link && entry.what != What::Dir && !named {
        match rustix::fs::lremovexattr(path, INHERITED) {
            Ok(()) | Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for xattr in &entry.xattrs {
        rustix::fs::lsetxattr(path, &*xattr.name, &xattr.value, XattrFlags::empty())?;
    }
    if !is_link && fs::symlink_metadata(path)?.mode() & 0o7777 != entry.mode {
        fs::set_permissions(path, Permissions::from_mode(entry.mode))?;
    }
    let time = timespec(entry.mtime);
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
