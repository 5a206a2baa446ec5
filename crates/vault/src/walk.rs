//! Walks a tree of files in the order in which the repository stores it.
//!
//! Invariant: every entry comes exactly once, a directory before what is in it, names sorted by their
//! bytes; what can't be read is an error, never skipped. Mount points below the root are entered, since
//! what a container sees there is its data too. Reads no file content.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::entry::{Entry, full_path};
use crate::error::{Result, VaultError};

/// A directory at the root of a tree that begins so belongs to a replacement under way, not to the data.
pub(crate) const STAGE_PREFIX: &str = ".mainstay-replace-";

/// The walk, as an iterator of entries.
#[derive(Debug)]
pub(crate) struct Walk {
    root: PathBuf,
    /// May entries disappear while we walk?
    live: bool,
    start: bool,
    levels: Vec<(PathBuf, std::vec::IntoIter<OsString>)>,
    gone: Vec<PathBuf>,
    /// What entries are, where the tree is a copy that only has their content.
    told: Option<Arc<HashMap<PathBuf, Entry>>>,
}

impl Walk {
    /// Of a tree that nobody changes.
    pub(crate) fn still(root: &Path) -> Self {
        let (levels, gone) = (Vec::new(), Vec::new());
        Self { root: root.to_owned(), live: false, start: true, levels, gone, told: None }
    }

    /// Of a tree that is in use: what disappears meanwhile is no error.
    pub(crate) fn live(root: &Path) -> Self {
        Self { live: true, ..Self::still(root) }
    }

    /// Of a copy, whose entries are what `told` says.
    pub(crate) fn mirror(root: &Path, told: Arc<HashMap<PathBuf, Entry>>) -> Self {
        Self { told: Some(told), ..Self::still(root) }
    }

    /// What disappeared since the last call.
    pub(crate) fn take_gone(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.gone)
    }

    fn visit(&mut self, path: PathBuf) -> io::Result<Entry> {
        let mut entry = Entry::read(&self.root, path)?;
        if let Some(told) = &self.told {
            let told = told.get(&entry.path);
            entry = entry.told(told.ok_or_else(|| io::Error::other("it isn't part of the copy"))?)?;
        }
        if entry.what == crate::entry::What::Dir {
            match self.names(&entry.path) {
                Ok(names) => self.levels.push((entry.path.clone(), names.into_iter())),
                Err(error) if self.live && error.kind() == io::ErrorKind::NotFound => {
                    self.gone.push(entry.path.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(entry)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let at_root = path.as_os_str().is_empty();
        let mut names = Vec::new();
        for item in std::fs::read_dir(full_path(&self.root, path))? {
            let name = item?.file_name();
            if !(at_root && is_stage(&name)) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn next_path(&mut self) -> Option<PathBuf> {
        if std::mem::take(&mut self.start) {
            return Some(PathBuf::new());
        }
        loop {
            let (dir, names) = self.levels.last_mut()?;
            if let Some(name) = names.next() {
                return Some(dir.join(name));
            }
            self.levels.pop();
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let path = self.next_path()?;
            match self.visit(path.clone()) {
                Ok(entry) => return Some(Ok(entry)),
                // A vanished root is no backup of a busy directory but of nothing.
                Err(error)
                    if self.live
                        && error.kind() == io::ErrorKind::NotFound
                        && !path.as_os_str().is_empty() =>
                {
                    self.gone.push(path);
                }
                Err(error) => {
                    return Some(Err(VaultError::unreadable(full_path(&self.root, &path), error)));
                }
            }
        }
    }
}

/// Whether a name at the root of a tree is that of a staging directory.
pub(crate) fn is_stage(name: &OsStr) -> bool {
    name.as_bytes().starts_with(STAGE_PREFIX.as_bytes())
}
