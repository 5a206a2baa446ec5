//! Everything in a directory: content and metadata, to be compared byte for byte.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Paths, and what is there: kind, mode, owner, size, links, hash of the content.
#[derive(PartialEq)]
pub struct Tree(pub BTreeMap<PathBuf, String>);

impl Tree {
    /// What is in a directory, itself included.
    pub fn of(directory: &Path) -> Self {
        let mut entries = BTreeMap::new();
        walk(directory, Path::new("."), &mut entries);
        Self(entries)
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

fn walk(root: &Path, relative: &Path, entries: &mut BTreeMap<PathBuf, String>) {
    let path = root.join(relative);
    let metadata = std::fs::symlink_metadata(&path).unwrap();
    let kind = metadata.file_type();
    let owner = format!("{:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid());
    let what = if kind.is_dir() {
        for entry in std::fs::read_dir(&path).unwrap() {
            walk(root, &relative.join(entry.unwrap().file_name()), entries);
        }
        format!("directory {owner}")
    } else if kind.is_symlink() {
        format!("link {owner} to {}", std::fs::read_link(&path).unwrap().display())
    } else if kind.is_file() {
        let bytes = std::fs::read(&path).unwrap();
        format!(
            "file {owner} {} bytes {} links {}",
            bytes.len(),
            metadata.nlink(),
            blake3::hash(&bytes).to_hex()
        )
    } else {
        format!("special {owner} {}", if kind.is_socket() { "socket" } else { "other" })
    };
    entries.insert(relative.to_owned(), what);
}
