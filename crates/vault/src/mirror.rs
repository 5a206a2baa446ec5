//! A copy of a tree of files that can only be had as a tar archive, to be backed up like any other tree.
//!
//! Invariant: after [`Mirror::fill`] the copy holds the content of exactly the entries of the archive, and the
//! attributes lie beside it in memory, since only root could give them to files. What has the same content as before
//! stays the same inode, untouched, so that the next backup knows it. Nothing is written through a link.
//! Doesn't ask for the archive, and can't tell a file that was torn while the other side read it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, Timestamps};

use crate::durable;
use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::guard::caught;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::restore::timespec;
use crate::tarred;
use crate::walk::Walk;

const BUFFER: usize = 256 * 1024;

/// A filled copy.
#[derive(Debug, Clone)]
pub struct Mirror {
    root: PathBuf,
    attributes: Arc<HashMap<PathBuf, Entry>>,
    late: Vec<PathBuf>,
}

impl Mirror {
    /// Makes `directory/data` hold what a tar archive holds; what an earlier call left there is made use of.
    ///
    /// `began` is the time of the other machine, in seconds since 1970, just before it began to read: what changed
    /// after that may have been torn.
    ///
    /// # Errors
    ///
    /// The archive can't be read to its end, or the copy can't be written.
    pub fn fill(
        directory: &Path,
        archive: impl Read + Send,
        (began, expected): (i64, Option<u64>),
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        durable::private_dir(directory)?;
        let (root, spare) = (directory.join("data"), directory.join("new"));
        durable::remove(&spare)?;
        let meter = Meter::new(Phase::BackingUp, expected);
        let since = Instant::now();
        let work = || {
            let mut filling = Filling::new(&root, &spare, &meter);
            let read = tarred::each(archive, |entry, content| filling.take(entry, content));
            read.map_err(|error| filling.problem(error))?;
            filling.remove_the_rest()?;
            let ended = began.saturating_add_unsigned(since.elapsed().as_secs() + 1);
            let late = filling.changed_within(began, ended);
            Ok(Self { root: root.clone(), attributes: Arc::new(filling.attributes), late })
        };
        watched(monitor, &meter, || caught("read the data through the engine", work))
    }

    /// Entries that changed after the reading had begun, as far as their times tell.
    pub(crate) fn late(&self) -> &[PathBuf] {
        &self.late
    }

    /// Where the copy of an entry is.
    pub(crate) fn place(&self, path: &Path) -> PathBuf {
        full_path(&self.root, path)
    }

    /// The entries as the archive has them, each with the inode of its copy.
    pub(crate) fn walk(&self) -> Walk {
        Walk::mirror(&self.root, Arc::clone(&self.attributes))
    }
}

impl Entry {
    /// What the archive says of this entry of a copy; inode, content and when that was written are those of the copy.
    pub(crate) fn told(self, archived: &Self) -> io::Result<Self> {
        let same = self.is_file() && self.size() == archived.size();
        if archived.is_file() && !same {
            return Err(io::Error::other("the copy is another one than was made"));
        }
        let what = if archived.is_file() { self.what } else { archived.what.clone() };
        let (mode, uid, gid, mtime) = (archived.mode, archived.uid, archived.gid, archived.mtime);
        Ok(Self { what, mode, uid, gid, mtime, xattrs: archived.xattrs.clone(), ..self })
    }
}

/// A copy being filled.
struct Filling<'a> {
    root: &'a Path,
    /// Where a file is made before it gets its name.
    spare: &'a Path,
    meter: &'a Meter,
    attributes: HashMap<PathBuf, Entry>,
    /// Inodes that hold the content of an entry already.
    taken: HashSet<u64>,
    /// What went wrong here and not with the archive.
    failure: Option<VaultError>,
    buffers: (Vec<u8>, Vec<u8>),
}

impl<'a> Filling<'a> {
    fn new(root: &'a Path, spare: &'a Path, meter: &'a Meter) -> Self {
        let (attributes, taken) = (HashMap::new(), HashSet::new());
        let buffers = (vec![0; BUFFER], vec![0; BUFFER]);
        Self { root, spare, meter, attributes, taken, failure: None, buffers }
    }

    fn take(&mut self, entry: Entry, content: &mut dyn Read) -> io::Result<()> {
        self.meter.check().map_err(|cancelled| self.fail(cancelled))?;
        let place = full_path(self.root, &entry.path);
        let mut fed = Fed { content, broken: false };
        let copied = self.copy(&entry, &place, &mut fed);
        if let Err(error) = copied {
            // An error of the archive speaks for itself.
            return Err(if fed.broken { error } else { self.fail(VaultError::io("write", &place, error)) });
        }
        self.attributes.insert(entry.path.clone(), entry);
        Ok(())
    }

    fn copy(&mut self, entry: &Entry, place: &Path, content: &mut dyn Read) -> io::Result<()> {
        let present = fs::symlink_metadata(place).ok();
        let kind = present.as_ref().map(fs::Metadata::file_type);
        if let Some(first) = &entry.hardlink {
            let first = full_path(self.root, first);
            let inode = fs::symlink_metadata(&first)?.ino();
            if present.is_none_or(|meta| meta.ino() != inode) {
                clear(place)?;
                fs::hard_link(first, place)?;
            }
            return Ok(());
        }
        match &entry.what {
            What::Dir if kind.is_some_and(|kind| kind.is_dir()) => Ok(()),
            What::Dir => {
                clear(place)?;
                fs::DirBuilder::new().mode(0o700).create(place)
            }
            What::Symlink { target } => {
                if fs::read_link(place).ok().as_ref() != Some(target) {
                    clear(place)?;
                    symlink(target, place)?;
                }
                self.claim(place)
            }
            // What is neither has no content: an empty file stands for it.
            _ => {
                let usable = present.filter(|meta| meta.is_file() && !self.taken.contains(&meta.ino()));
                match usable {
                    Some(meta) => self.update(entry, place, meta.len(), content)?,
                    None => self.write(entry, place, (None, 0), content)?,
                }
                self.claim(place)
            }
        }
    }

    fn claim(&mut self, place: &Path) -> io::Result<()> {
        self.taken.insert(fs::symlink_metadata(place)?.ino());
        Ok(())
    }

    /// Leaves the file alone as long as the archive has the same content.
    fn update(&mut self, entry: &Entry, place: &Path, length: u64, content: &mut dyn Read) -> io::Result<()> {
        if length != entry.size() {
            return self.write(entry, place, (None, 0), content);
        }
        let present = OpenOptions::new().read(true).open(place)?;
        let mut at = 0;
        loop {
            let Self { buffers: (ours, theirs), meter, .. } = self;
            let read = fill(content, theirs)?;
            if read == 0 {
                return set_time(entry, place);
            }
            meter.check().map_err(io::Error::other)?;
            present.read_exact_at(&mut ours[..read], at)?;
            if ours[..read] != theirs[..read] {
                let differing = io::Cursor::new(theirs[..read].to_vec());
                return self.write(entry, place, (Some(&present), at), &mut differing.chain(content));
            }
            at += read as u64;
            meter.bytes(read as u64);
        }
    }

    /// A new file in the place of what is there, which begins with so much of another one.
    fn write(
        &mut self,
        entry: &Entry,
        place: &Path,
        (beginning, length): (Option<&File>, u64),
        content: &mut dyn Read,
    ) -> io::Result<()> {
        clear(self.spare)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.spare)?;
        let buffer = &mut self.buffers.0;
        let mut at = 0;
        while let Some(beginning) = beginning.filter(|_| at < length) {
            let part = buffer.len().min(usize::try_from(length - at).unwrap_or(usize::MAX));
            beginning.read_exact_at(&mut buffer[..part], at)?;
            (&file).write_all(&buffer[..part])?;
            at += part as u64;
        }
        loop {
            self.meter.check().map_err(io::Error::other)?;
            let read = fill(content, buffer)?;
            if read == 0 {
                break;
            }
            (&file).write_all(&buffer[..read])?;
            self.meter.bytes(read as u64);
        }
        clear_unless_file(place)?;
        fs::rename(self.spare, place)?;
        self.meter.file();
        set_time(entry, place)
    }

    /// What changed in these seconds. What has a time after them has a wrong one, and nothing is known of it.
    fn changed_within(&self, began: i64, ended: i64) -> Vec<PathBuf> {
        let within =
            |entry: &&Entry| entry.mtime.0 > began && entry.mtime.0 <= ended && entry.what != What::Dir;
        let mut paths: Vec<_> =
            self.attributes.values().filter(within).map(|entry| entry.path.clone()).collect();
        paths.sort();
        paths
    }

    /// Removes what the archive doesn't hold.
    fn remove_the_rest(&self) -> Result<()> {
        let mut surplus = Vec::new();
        for entry in Walk::still(self.root) {
            let path = entry?.path;
            if !self.attributes.contains_key(&path) {
                surplus.push(path);
            }
        }
        surplus.iter().rev().try_for_each(|path| durable::remove(&full_path(self.root, path)))
    }

    fn fail(&mut self, error: VaultError) -> io::Error {
        self.failure.get_or_insert(error);
        io::Error::other("see the failure")
    }

    fn problem(&mut self, archive: io::Error) -> VaultError {
        let cancelled = self.meter.check().err();
        let reading = || VaultError::io("read", "the archive of the engine", archive);
        cancelled.or_else(|| self.failure.take()).unwrap_or_else(reading)
    }
}

/// Knows whether it was the archive that failed.
struct Fed<'a> {
    content: &'a mut dyn Read,
    broken: bool,
}

impl Read for Fed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.read(buffer).inspect_err(|_| self.broken = true)
    }
}

/// As much as fits, or as there is.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// The time is one of the things by which the next backup knows the file.
fn set_time(entry: &Entry, place: &Path) -> io::Result<()> {
    let present = fs::symlink_metadata(place)?;
    if !entry.is_file() || (present.mtime(), present.mtime_nsec()) == (entry.mtime.0, entry.mtime.1.into()) {
        return Ok(());
    }
    let time = timespec(entry.mtime);
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn clear(place: &Path) -> io::Result<()> {
    durable::remove(place).map_err(io::Error::other)
}

fn clear_unless_file(place: &Path) -> io::Result<()> {
    if fs::symlink_metadata(place).is_ok_and(|meta| meta.is_dir()) { clear(place) } else { Ok(()) }
}
