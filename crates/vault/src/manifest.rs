//! What a backup held, as it was read: the measure for the repository and for every restore.
//!
//! Invariant: a stored manifest is named by the hash of its content, and the snapshot carries that hash
//! as a tag, so an altered one isn't used. It lies beside the repository, and after a run in it, too (see
//! `settle`); restoring with restic needs none.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::entry::{Entry, What};
use crate::error::{Result, VaultError};
use crate::ids::SnapshotId;

const DIRECTORY: &str = "manifests";

/// Every entry of a backup, the root first, in the order of the repository's trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The root comes first; its path is empty.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// Marks the further names of inodes that occur more than once.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        let mut first: HashMap<(u64, u64), PathBuf> = HashMap::new();
        for entry in &mut entries {
            if entry.links > 1 && entry.is_file() {
                let path = first.entry((entry.dev, entry.ino)).or_insert_with(|| entry.path.clone());
                entry.hardlink = (*path != entry.path).then(|| path.clone());
            }
        }
        Self { entries }
    }

    /// How many regular files there are; each name counts.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.is_file()).count() as u64
    }

    /// Bytes of file content; further names of the same inode don't count.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.hardlink.is_none()).map(Entry::size).sum()
    }

    /// Whether both describe the same data: paths, types, sizes, content, owners, modes, extended
    /// attributes, link targets, hard links, and modification times of regular files. Inode numbers,
    /// ctimes and modification times of directories don't count.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.first_difference(other).is_none()
    }

    /// The first thing in which the data differs, for people; see [`Manifest::same_content`].
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        for (ours, theirs) in self.entries.iter().zip(&other.entries) {
            if ours.path != theirs.path {
                let path = (&ours.path).min(&theirs.path);
                return Some(format!("{} is only in one of them", shown(path)));
            }
            if let Some(what) = difference(ours, theirs, true) {
                return Some(format!("{}: {what}", shown(&ours.path)));
            }
        }
        let common = self.entries.len().min(other.entries.len());
        let surplus = self.entries.get(common).or_else(|| other.entries.get(common))?;
        Some(format!("{} is only in one of them", shown(&surplus.path)))
    }

    pub(crate) fn by_path(&self) -> HashMap<&Path, &Entry> {
        self.entries.iter().map(|entry| (&*entry.path, entry)).collect()
    }

    /// Stores it; the result is its hash.
    pub(crate) fn save(&self, state: &Path) -> Result<String> {
        let directory = state.join(DIRECTORY);
        durable::private_dir(&directory)?;
        let lines = self.to_lines().map_err(|error| VaultError::io("write", &directory, error))?;
        let hash = blake3::hash(&lines).to_hex().to_string();
        let packed =
            zstd::encode_all(&*lines, 3).map_err(|error| VaultError::io("write", &directory, error))?;
        durable::write_new(&file(state, &hash), &packed)?;
        durable::sync_parent(&directory)?;
        Ok(hash)
    }

    /// Reads one back and checks it against its hash.
    pub(crate) fn load(state: &Path, hash: &str, snapshot: &SnapshotId) -> Result<Self> {
        let path = file(state, hash);
        let bad = |reason: String| VaultError::Manifest {
            snapshot: snapshot.clone(),
            reason: format!("{}: {reason}", path.display()),
        };
        let packed = read_packed(state, hash).map_err(|error| bad(error.to_string()))?;
        Self::unpack(&packed, hash).map_err(bad)
    }

    /// The manifest in a stored file, if it has the hash.
    pub(crate) fn unpack(packed: &[u8], hash: &str) -> std::result::Result<Self, String> {
        let lines = zstd::decode_all(packed).map_err(|error| error.to_string())?;
        if blake3::hash(&lines).to_hex().as_str() != hash {
            return Err("it was altered".to_owned());
        }
        Self::from_lines(&lines).map_err(|error| error.to_string())
    }

    fn to_lines(&self) -> serde_json::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for entry in &self.entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn from_lines(lines: &[u8]) -> serde_json::Result<Self> {
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(Self { entries: lines.map(serde_json::from_slice).collect::<Result<_, _>>()? })
    }
}

pub(crate) fn directory(state: &Path) -> PathBuf {
    state.join(DIRECTORY)
}

/// The stored file, not checked.
pub(crate) fn read_packed(state: &Path, hash: &str) -> std::io::Result<Vec<u8>> {
    fs::read(file(state, hash))
}

/// Puts a stored file back.
pub(crate) fn write_packed(state: &Path, hash: &str, packed: &[u8]) -> Result<()> {
    durable::private_dir(&state.join(DIRECTORY))?;
    durable::write_new(&file(state, hash), packed)
}

pub(crate) fn file(state: &Path, hash: &str) -> PathBuf {
    directory(state).join(format!("{hash}.zst"))
}

/// A path of a manifest, for people.
pub(crate) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { "the root".to_owned() } else { path.display().to_string() }
}

/// In what two entries of the same path differ; the hash of the content is optional because it is
/// costly to know.
pub(crate) fn difference(ours: &Entry, theirs: &Entry, with_content: bool) -> Option<&'static str> {
    let same_what = match (&ours.what, &theirs.what) {
        (What::File { size: one, blake3: ours }, What::File { size: two, blake3: theirs }) => {
            if one != two {
                return Some("the size differs");
            }
            if with_content && ours != theirs {
                return Some("the content differs");
            }
            true
        }
        (ours, theirs) => ours == theirs,
    };
    let checks = [
        (same_what, "the type or target differs"),
        ((ours.uid, ours.gid) == (theirs.uid, theirs.gid), "the owner differs"),
        (ours.mode == theirs.mode, "the mode differs"),
        (ours.xattrs == theirs.xattrs, "the extended attributes differ"),
        (ours.hardlink == theirs.hardlink, "the hard links differ"),
        (!ours.is_file() || ours.mtime == theirs.mtime, "the modification time differs"),
    ];
    checks.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{Stamp, Xattr};

    fn bytes() -> impl Strategy<Value = PathBuf> {
        vec(any::<u8>(), 0..12).prop_map(|bytes| OsString::from_vec(bytes).into())
    }

    fn what() -> impl Strategy<Value = What> {
        prop_oneof![
            (any::<u64>(), "[0-9a-f]{4}").prop_map(|(size, blake3)| What::File { size, blake3 }),
            bytes().prop_map(|target| What::Symlink { target }),
            any::<u64>().prop_map(|device| What::Block { device }),
            Just(What::Dir),
            Just(What::Socket),
        ]
    }

    prop_compose! {
        fn entry()(
            path in bytes(), what in what(), mode in 0..0o10000_u32, owner in any::<(u32, u32)>(),
            mtime in any::<(i64, u32)>(), numbers in any::<(u64, u64, u64, u64)>(), racy in any::<bool>(),
            xattrs in vec(("user\\.[a-z]{3}", vec(any::<u8>(), 0..5)), 0..3),
            hardlink in proptest::option::of(bytes()),
        ) -> Entry {
            let (ino, dev, links, allocated) = numbers;
            let mtime = Stamp(mtime.0, mtime.1);
            let xattrs = xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect();
            let racy = racy.then_some(mtime);
            let (uid, gid) = owner;
            Entry {
                path, what, mode, uid, gid, mtime, ctime: mtime, ino, dev, links, allocated, racy, xattrs,
                hardlink,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(entries in vec(entry(), 0..5)) {
            let manifest = Manifest { entries };
            let lines = manifest.to_lines().unwrap();
            prop_assert_eq!(&Manifest::from_lines(&lines).unwrap(), &manifest);
            prop_assert!(manifest.same_content(&manifest));
        }

        #[test]
        fn inode_numbers_are_no_content(entry in entry(), ino in any::<u64>(), ctime in any::<i64>()) {
            let moved = Entry { ino, ctime: Stamp(ctime, 0), ..entry.clone() };
            let (one, other) = (Manifest { entries: vec![entry] }, Manifest { entries: vec![moved] });
            prop_assert!(one.same_content(&other));
        }

        #[test]
        fn every_attribute_is_content(entry in entry()) {
            let other = |change: fn(&mut Entry)| {
                let mut other = entry.clone();
                change(&mut other);
                Manifest { entries: vec![other] }
            };
            let changes: [fn(&mut Entry); 6] = [
                |entry| entry.path.push("below"),
                |entry| entry.mode ^= 0o4000,
                |entry| entry.uid ^= 1,
                |entry| entry.gid ^= 1,
                |entry| entry.xattrs.push(Xattr { name: "user.more".into(), value: Vec::new() }),
                |entry| entry.what = if entry.what == What::Dir { What::Fifo } else { What::Dir },
            ];
            let one = Manifest { entries: vec![entry.clone()] };
            for change in changes {
                prop_assert!(one.first_difference(&other(change)).is_some());
            }
            let mut longer = one.clone();
            longer.entries.push(entry.clone());
            prop_assert!(!one.same_content(&longer) && !longer.same_content(&one));
        }
    }

    #[test]
    fn further_names_of_an_inode_point_to_the_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "d"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::fs::hard_link(dir.path().join("b"), dir.path().join("a")).unwrap();
        std::fs::hard_link(dir.path().join("b"), dir.path().join("c")).unwrap();
        let entries = crate::walk::Walk::still(dir.path()).collect::<Result<_>>().unwrap();
        let manifest = Manifest::new(entries);
        let links: Vec<_> = manifest.entries.iter().map(|entry| entry.hardlink.clone()).collect();
        assert_eq!(links, [None, None, Some("a".into()), Some("a".into()), None]);
        assert_eq!((manifest.files(), manifest.bytes()), (4, 2));
    }
}
