//! One entry of a tree of files: what the manifest remembers of it, and how the repository stores it.
//!
//! Invariant: everything in an [`Entry`] comes from one `lstat` of it and what belongs to it, so two
//! entries can be compared field by field. Reads no file content.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustic_core::jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};
use serde::{Deserialize, Serialize};

/// A point in time as the filesystem knows it: seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp(pub i64, pub u32);

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Xattr {
    /// With its namespace, as in `user.origin`.
    pub name: String,
    /// Its bytes.
    #[serde(with = "base64_text")]
    pub value: Vec<u8>,
}

/// What kind of entry it is, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// BLAKE3 of its content in hexadecimal digits; empty as long as nobody read it.
        blake3: String,
    },
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink {
        /// Where it points, as written in it.
        #[serde(with = "path_text")]
        target: PathBuf,
    },
    /// A block device.
    Block {
        /// Its device number.
        device: u64,
    },
    /// A character device.
    Char {
        /// Its device number.
        device: u64,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One entry of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the root of the backup; empty for the root itself.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// Its type and content.
    pub what: What,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content changed last.
    pub mtime: Stamp,
    /// When anything of it changed last.
    pub ctime: Stamp,
    /// Inode number.
    pub ino: u64,
    /// The filesystem it was on.
    pub dev: u64,
    /// How many names the inode has.
    pub links: u64,
    /// Bytes that it takes on the disk; less than its size if it has holes.
    pub allocated: u64,
    /// When it was looked at, if it had changed so shortly before that a further change might leave no
    /// trace in its times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub racy: Option<Stamp>,
    /// Sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<Xattr>,
    /// The first path of the same inode within the backup, if this isn't the first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_path_text")]
    pub hardlink: Option<PathBuf>,
}

/// Timestamps of the kernel advance in steps of some milliseconds, on some filesystems of two seconds.
const RACY_SECONDS: i64 = 2;

impl Entry {
    /// Looks at `root/path` without following a symbolic link.
    pub(crate) fn read(root: &Path, path: PathBuf) -> io::Result<Self> {
        let full = full_path(root, &path);
        let meta = std::fs::symlink_metadata(&full)?;
        let kind = meta.file_type();
        let what = if kind.is_dir() {
            What::Dir
        } else if kind.is_symlink() {
            What::Symlink { target: std::fs::read_link(&full)? }
        } else if kind.is_block_device() {
            What::Block { device: meta.rdev() }
        } else if kind.is_char_device() {
            What::Char { device: meta.rdev() }
        } else if kind.is_fifo() {
            What::Fifo
        } else if kind.is_socket() {
            What::Socket
        } else {
            What::File { size: meta.len(), blake3: String::new() }
        };
        let ctime = stamp(meta.ctime(), meta.ctime_nsec());
        Ok(Self {
            path,
            what,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: stamp(meta.mtime(), meta.mtime_nsec()),
            ctime,
            ino: meta.ino(),
            dev: meta.dev(),
            links: meta.nlink(),
            allocated: meta.blocks() * 512,
            racy: racy(ctime, now()),
            xattrs: xattrs(&full)?,
            hardlink: None,
        })
    }

    /// The size of a regular file in bytes, 0 for everything else.
    #[must_use]
    pub fn size(&self) -> u64 {
        if let What::File { size, .. } = self.what { size } else { 0 }
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.what, What::File { .. })
    }

    /// The same inode in the same state, so that its content needn't be read again.
    pub(crate) fn untouched_since(&self, before: &Self) -> bool {
        before.racy.is_none()
            && self.is_file()
            && (self.dev, self.ino, self.size()) == (before.dev, before.ino, before.size())
            && (self.mtime, self.ctime) == (before.mtime, before.ctime)
    }

    /// The same entry in the same state in everything that the repository stores.
    pub(crate) fn is_still(&self, before: &Self) -> bool {
        let same_what = if self.is_file() { self.untouched_since(before) } else { self.what == before.what };
        same_what
            && (self.racy, before.racy) == (None, None)
            && (&self.path, self.mode, self.uid, self.gid)
                == (&before.path, before.mode, before.uid, before.gid)
            && (self.mtime, self.ctime, self.links) == (before.mtime, before.ctime, before.links)
            && (self.dev, self.ino, &self.xattrs) == (before.dev, before.ino, &before.xattrs)
    }

    /// How the repository stores it; `name` is that of the root for the root.
    pub(crate) fn to_node(&self, name: &OsStr) -> serde_json::Result<Node> {
        let (node_type, type_bits) = match &self.what {
            What::File { .. } => (NodeType::File, 0),
            What::Dir => (NodeType::Dir, 1 << 31),
            What::Symlink { target } => (NodeType::from_link(target), 1 << 27),
            What::Block { device } => (NodeType::Dev { device: *device }, 1 << 26),
            What::Char { device } => (NodeType::Chardev { device: *device }, (1 << 26) | (1 << 21)),
            What::Fifo => (NodeType::Fifo, 1 << 25),
            What::Socket => (NodeType::Socket, 1 << 24),
        };
        let mtime = timestamp(self.mtime);
        let several_names = self.links > 1 && self.what != What::Dir;
        let meta = Metadata {
            mode: Some(go_mode(self.mode) | type_bits),
            mtime,
            atime: mtime,
            ctime: timestamp(self.stored_ctime()),
            uid: Some(self.uid),
            gid: Some(self.gid),
            user: None,
            group: None,
            inode: self.ino,
            device_id: if several_names { self.dev } else { 0 },
            size: self.size(),
            links: if self.what == What::Dir { 0 } else { self.links },
            extended_attributes: if self.xattrs.is_empty() {
                Vec::new()
            } else {
                // The library's own type has no public name, but the same JSON form as ours.
                serde_json::from_value(serde_json::to_value(&self.xattrs)?)?
            },
        };
        Ok(Node::new_node(name, node_type, meta))
    }

    /// A racy entry is stored with a ctime that no other look at it has, so that the library reads it
    /// again next time.
    fn stored_ctime(&self) -> Stamp {
        self.racy.map_or(self.ctime, |seen| Stamp(-seen.0, seen.1))
    }
}

/// Joins without the slash that `join("")` would leave, which follows symbolic links.
pub(crate) fn full_path(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

fn now() -> Stamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX), elapsed.subsec_nanos())
}

fn racy(ctime: Stamp, now: Stamp) -> Option<Stamp> {
    (ctime.0 + RACY_SECONDS >= now.0).then_some(now)
}

fn stamp(seconds: i64, nanoseconds: i64) -> Stamp {
    Stamp(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}

fn timestamp(stamp: Stamp) -> Option<Timestamp> {
    Timestamp::new(stamp.0, i32::try_from(stamp.1).ok()?).ok()
}

/// The permission bits as Go numbers them.
fn go_mode(mode: u32) -> u32 {
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    special.iter().filter(|(unix, _)| mode & unix != 0).fold(mode & 0o777, |all, (_, go)| all | go)
}

/// All extended attributes of an entry, sorted; symbolic links aren't followed.
fn xattrs(path: &Path) -> io::Result<Vec<Xattr>> {
    let mut found = Vec::new();
    for name in xattr_names(path)? {
        let Some(text) = name.to_str() else {
            return Err(io::Error::other(format!(
                "the name of extended attribute {} isn't text",
                name.display()
            )));
        };
        let value = grow(|buffer| rustix::fs::lgetxattr(path, &*name, buffer))?;
        found.push(Xattr { name: text.to_owned(), value });
    }
    found.sort();
    Ok(found)
}

/// The names of the extended attributes of an entry; none where the filesystem has none.
pub(crate) fn xattr_names(path: &Path) -> io::Result<Vec<OsString>> {
    match grow(|buffer| rustix::fs::llistxattr(path, buffer)) {
        Ok(list) => Ok(list
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| OsString::from_vec(name.to_vec()))
            .collect()),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Calls with a larger buffer until the answer fits.
fn grow(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(rustix::io::Errno::RANGE) if buffer.len() <= 1 << 20 => buffer = vec![0; buffer.len() * 4],
            Err(error) => return Err(error.into()),
        }
    }
}

/// Paths as JSON: text if they are, else an array of bytes.
mod path_text {
    use super::{OsStrExt, OsString, OsStringExt, Path, PathBuf};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Text {
        Utf8(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(to),
            None => path.as_os_str().as_bytes().serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Text::deserialize(from)? {
            Text::Utf8(text) => text.into(),
            Text::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

mod optional_path_text {
    use super::{PathBuf, path_text};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => path_text::serialize(path, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        path_text::deserialize(from).map(Some)
    }
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_change_within_the_clock_step_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let fresh = Entry::read(dir.path(), "file".into()).unwrap();
        assert!(fresh.racy.is_some());
        assert!(!fresh.untouched_since(&fresh));
        let settled = Entry { racy: None, ..fresh.clone() };
        assert!(fresh.untouched_since(&settled));
        assert_ne!(
            fresh.to_node("file".as_ref()).unwrap().meta.ctime,
            settled.to_node("file".as_ref()).unwrap().meta.ctime,
        );
        let touched = Entry { ctime: Stamp(settled.ctime.0, settled.ctime.1 ^ 1), ..settled.clone() };
        assert!(!touched.untouched_since(&settled));
    }

    #[test]
    fn modes_are_numbered_as_go_does() {
        assert_eq!(go_mode(0o7777), 0o777 | 1 << 23 | 1 << 22 | 1 << 20);
        assert_eq!(go_mode(0o644), 0o644);
    }
}
