//! What the repository library reads a backup from.
//!
//! Invariant: whatever is emitted is in the manifest, with the hash of exactly the bytes that the
//! library got; whatever could not be read, or was changed meanwhile, is on record. The library drops
//! entries that fail and carries on, so its success alone means nothing. Decides nothing: the
//! [`Findings`] do that when the library is done.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustic_core::{ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::ahead::{self, Ahead, Next};
use crate::backup::Pass;
use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::hashing::FileHasher;
use crate::manifest::Manifest;
use crate::mirror::Mirror;
use crate::progress::Meter;
use crate::walk::Walk;

/// In every error that is reported to the library but already on record here.
pub(crate) const ON_RECORD: &str = "mainstay has this on record";

/// What reading found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// In the order of the walk.
    pub(crate) entries: Vec<Entry>,
    /// Hashes of the files that were read, by path.
    pub(crate) hashes: HashMap<PathBuf, String>,
    /// Files that changed while they were read.
    pub(crate) changed: BTreeSet<PathBuf>,
    /// Entries that disappeared before they could be read.
    pub(crate) gone: BTreeSet<PathBuf>,
    /// The first thing that makes the backup incomplete.
    pub(crate) failure: Option<VaultError>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    name: OsString,
    pass: Pass,
    /// The copy that is read in place of what is at the root.
    mirror: Option<Mirror>,
    parent: Option<Arc<Manifest>>,
    meter: Arc<Meter>,
    findings: Mutex<Findings>,
}

impl Shared {
    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where an entry is read.
    fn place(&self, path: &Path) -> PathBuf {
        self.mirror.as_ref().map_or_else(|| full_path(&self.root, path), |mirror| mirror.place(path))
    }

    fn fail(&self, error: VaultError) -> Box<RusticError> {
        self.findings().failure.get_or_insert(error);
        RusticError::new(ErrorKind::InputOutput, ON_RECORD)
    }
}

/// The tree of files at an absolute path.
#[derive(Debug, Clone)]
pub(crate) struct Source(Arc<Shared>);

impl Source {
    /// `mirror` is a copy of what is at `root`, if that itself can't be read; `parent` is the manifest of the snapshot
    /// that the library compares with.
    pub(crate) fn new(
        root: &Path,
        mirror: Option<Mirror>,
        pass: Pass,
        parent: Option<Arc<Manifest>>,
        meter: Arc<Meter>,
    ) -> Self {
        Self(Arc::new(Shared {
            root: root.to_owned(),
            name: root.file_name().unwrap_or_default().to_owned(),
            pass,
            mirror,
            parent,
            meter,
            findings: Mutex::default(),
        }))
    }

    /// Everything that was found, once the library is done.
    pub(crate) fn finish(self) -> Findings {
        std::mem::take(&mut *self.0.findings())
    }
}

impl ReadSource for Source {
    type Open = Opener;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Entries {
        let walk = match (&self.0.mirror, self.0.pass) {
            (Some(mirror), _) => mirror.walk(),
            (None, Pass::Live) => Walk::live(&self.0.root),
            (None, Pass::Still) => Walk::still(&self.0.root),
        };
        Entries { shared: self.0.clone(), known: 0, walk, ended: false }
    }
}

/// The entries in the order of the walk, until the first failure.
pub(crate) struct Entries {
    shared: Arc<Shared>,
    /// How far we are in the parent's manifest, which is in the same order.
    known: usize,
    walk: Walk,
    ended: bool,
}

impl Entries {
    fn emit(&mut self, entry: Entry) -> RusticResult<ReadSourceEntry<Opener>> {
        let shared = &self.shared;
        let name = entry.path.file_name().unwrap_or(&shared.name);
        let node =
            entry.to_node(name).map_err(|error| shared.fail(VaultError::unreadable(&entry.path, error)))?;
        let open = entry.is_file().then(|| Opener { shared: shared.clone(), before: entry.clone() });
        let path = full_path(&shared.root, &entry.path);
        let hash = self.known_hash(&entry);
        let mut findings = self.shared.findings();
        if let Some(hash) = hash {
            // The library won't read it again; if it does after all, the hash is replaced.
            findings.hashes.insert(entry.path.clone(), hash);
            self.shared.meter.bytes(entry.size());
        }
        findings.entries.push(entry);
        Ok(ReadSourceEntry { path, node, open })
    }

    /// The hash in the parent's manifest, if the file is untouched since.
    fn known_hash(&mut self, entry: &Entry) -> Option<String> {
        let known = &self.shared.parent.as_ref()?.entries;
        while known.get(self.known)?.path < entry.path {
            self.known += 1;
        }
        let known = known.get(self.known).filter(|known| known.path == entry.path)?;
        match &known.what {
            What::File { blake3, .. } if entry.untouched_since(known) => Some(blake3.clone()),
            _ => None,
        }
    }
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Opener>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.shared.findings().failure.is_some() {
            return None;
        }
        let item = match self.shared.meter.check() {
            Ok(()) => self.walk.next()?,
            Err(cancelled) => Err(cancelled),
        };
        self.shared.findings().gone.extend(self.walk.take_gone());
        let item = match item {
            Ok(entry) => self.emit(entry),
            Err(error) => Err(self.shared.fail(error)),
        };
        self.ended = item.is_err();
        Some(item)
    }
}

/// Opens one file when the library wants to read it.
pub(crate) struct Opener {
    shared: Arc<Shared>,
    before: Entry,
}

impl ReadSourceOpen for Opener {
    type Reader = Reader;

    fn open(self) -> RusticResult<Reader> {
        let file = match open_file(self.shared.place(&self.before.path)) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(self.gone()),
            Err(error) => return Err(self.shared.fail(error)),
        };
        let left = self.before.size();
        let hasher = FileHasher::new(left);
        let ahead = match file.try_clone() {
            Ok(file) if left >= ahead::LARGE => Some(Ahead::new(file, left)),
            _ => None,
        };
        let mut reader =
            Reader { shared: self.shared, before: self.before, file, left, hasher, ahead, ended: false };
        reader.compare()?;
        Ok(reader)
    }
}

impl Opener {
    fn gone(&self) -> Box<RusticError> {
        self.shared.findings().gone.insert(self.before.path.clone());
        RusticError::new(ErrorKind::InputOutput, ON_RECORD)
    }
}

/// Reads as many bytes as the file had when it was listed: less is filled up with zeros, more is left,
/// as `tar` does, because the size is on its way into the repository already. Both count as a change.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    before: Entry,
    file: File,
    left: u64,
    hasher: FileHasher,
    /// Large files only.
    ahead: Option<Ahead>,
    ended: bool,
}

impl Reader {
    /// Notes a change since the file was listed.
    fn compare(&mut self) -> RusticResult<()> {
        let same = is_as_listed(&self.file, &self.shared.root, &self.before);
        let same = same.map_err(|error| self.shared.fail(error))?;
        if !same {
            self.shared.findings().changed.insert(self.before.path.clone());
        }
        Ok(())
    }

    fn end(&mut self, hash: impl FnOnce(&mut Self) -> blake3::Hash) -> io::Result<usize> {
        if !std::mem::replace(&mut self.ended, true) {
            self.compare().map_err(|error| io::Error::other(error.to_string()))?;
            let hash = hash(self).to_hex().to_string();
            self.shared.findings().hashes.insert(self.before.path.clone(), hash);
            self.shared.meter.file();
        }
        Ok(0)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(cancelled) = self.shared.meter.check() {
            self.shared.fail(cancelled);
            return Err(io::Error::other(ON_RECORD));
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.ended {
            return Ok(0);
        }
        let read = match &mut self.ahead {
            Some(ahead) => match ahead.next(buffer) {
                Ok(Next::End(hash)) => return self.end(|_| hash),
                Ok(Next::Bytes(length, short)) => Ok((length, short)),
                Err(error) => Err(error),
            },
            None if self.left == 0 => return self.end(|reader| reader.hasher.finish()),
            None => self.read_directly(buffer),
        };
        match read {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let path = full_path(&self.shared.root, &self.before.path);
                self.shared.fail(VaultError::unreadable(path, error));
                Err(io::Error::other(ON_RECORD))
            }
            Err(interrupted) => Err(interrupted),
            Ok((length, short)) => {
                if short {
                    self.shared.findings().changed.insert(self.before.path.clone());
                }
                self.shared.meter.bytes(length as u64);
                Ok(length)
            }
        }
    }
}

impl Reader {
    /// How many bytes were put into the buffer, and whether they are zeros because the file has none any more.
    fn read_directly(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let length = self.file.read(&mut buffer[..wanted])?;
        let short = length == 0;
        let length = if short {
            buffer[..wanted].fill(0);
            wanted
        } else {
            length
        };
        self.hasher.update(&buffer[..length]);
        self.left -= length as u64;
        Ok((length, short))
    }
}

/// Opens a file that was listed below `root`; `None` if it isn't there any more, or is no file any more.
pub(crate) fn open_listed(root: &Path, entry: &Entry) -> Result<Option<File>> {
    open_file(full_path(root, &entry.path))
}

fn open_file(path: PathBuf) -> Result<Option<File>> {
    // Not to be led astray, or to wait for ever, by what may have taken the file's place.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(VaultError::unreadable(path, error)),
    };
    let meta = file.metadata().map_err(|error| VaultError::unreadable(&path, error))?;
    Ok(meta.is_file().then_some(file))
}

/// Whether an open file is the one that was listed, in the state that it had then.
pub(crate) fn is_as_listed(file: &File, root: &Path, entry: &Entry) -> Result<bool> {
    let meta =
        file.metadata().map_err(|error| VaultError::unreadable(full_path(root, &entry.path), error))?;
    Ok((meta.dev(), meta.ino(), meta.len()) == (entry.dev, entry.ino, entry.size())
        && same_time(entry.mtime, meta.mtime(), meta.mtime_nsec())
        && same_time(entry.ctime, meta.ctime(), meta.ctime_nsec()))
}

fn same_time(stamp: crate::entry::Stamp, seconds: i64, nanoseconds: i64) -> bool {
    stamp.0 == seconds && i64::from(stamp.1) == nanoseconds
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Lists a directory with one file, does something to it, and then reads as the library would.
    fn read_after(change: impl FnOnce(&Path)) -> (Option<Vec<u8>>, Findings) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        let source =
            Source::new(dir.path(), None, Pass::Live, None, Meter::new(crate::Phase::BackingUp, None));
        let mut entries = source.entries();
        entries.next().unwrap().unwrap();
        let file = entries.next().unwrap().unwrap();
        assert!(entries.next().is_none());
        change(&path);
        let bytes = file.open.unwrap().open().ok().map(|mut reader| {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        });
        (bytes, source.finish())
    }

    #[test]
    fn an_untouched_file_is_read_and_hashed() {
        let (bytes, findings) = read_after(|_| ());
        assert_eq!(bytes.unwrap(), b"content");
        assert_eq!(findings.hashes[Path::new("file")], blake3::hash(b"content").to_hex().as_str());
        assert!(findings.changed.is_empty() && findings.gone.is_empty() && findings.failure.is_none());
    }

    #[test]
    fn what_a_file_gained_is_left_and_what_it_lost_is_zeros() {
        for (now, read) in [("content and more", &b"content"[..]), ("con", b"con\0\0\0\0")] {
            let (bytes, findings) = read_after(|path| fs::write(path, now).unwrap());
            assert_eq!(bytes.unwrap(), read);
            assert_eq!(findings.hashes[Path::new("file")], blake3::hash(read).to_hex().as_str());
            assert!(findings.changed.contains(Path::new("file")));
        }
    }

    #[test]
    fn another_file_of_the_same_name_is_a_change() {
        let (_, findings) = read_after(|path| {
            fs::write(path.with_extension("new"), "content").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        });
        assert!(findings.changed.contains(Path::new("file")));
    }

    #[test]
    fn a_file_that_is_gone_or_no_file_any_more_is_on_record() {
        let remove: fn(&Path) = |path| fs::remove_file(path).unwrap();
        let link: fn(&Path) = |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        };
        let directory: fn(&Path) = |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        };
        for change in [remove, link, directory] {
            let (bytes, findings) = read_after(change);
            assert!(bytes.is_none());
            assert!(findings.gone.contains(Path::new("file")));
            assert!(findings.failure.is_none());
        }
    }
}
