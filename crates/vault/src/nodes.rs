//! Finds single entries in the trees of a snapshot.
//!
//! Invariant: only the trees on the way to what is asked for are read, each once. What a tree says is
//! not compared with the manifest here: whoever uses it compares the content with the manifest's hash.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use rustic_core::repofile::{Node, SnapshotFile};
use rustic_core::{IndexedFullStatus, Repository, TreeId};

use crate::error::{Result, VaultError};
use crate::ids::SnapshotId;

type Level = HashMap<OsString, Node>;

/// The entries of one snapshot, by their path in the backup.
pub(crate) struct Nodes<'a> {
    repository: &'a Repository<IndexedFullStatus>,
    id: SnapshotId,
    /// The tree of the backed-up directory.
    root: TreeId,
    levels: HashMap<PathBuf, Level>,
}

impl<'a> Nodes<'a> {
    /// Of a snapshot of the directory `source`.
    pub(crate) fn of(
        repository: &'a Repository<IndexedFullStatus>,
        id: &SnapshotId,
        source: &Path,
    ) -> Result<Self> {
        let library_id = id.to_library()?;
        let read = repository.get_file::<SnapshotFile>(&library_id);
        let root = read.map_err(|error| damaged(id, error.display_log()))?.tree;
        let mut nodes = Self { repository, id: id.clone(), root, levels: HashMap::new() };
        for part in source.components() {
            if let Component::Normal(name) = part {
                let level = nodes.level(Path::new(""))?;
                let tree = level.get(name).and_then(|node| node.subtree);
                nodes.root = tree.ok_or_else(|| damaged(id, "the path of the backup isn't in its tree"))?;
                nodes.levels.clear();
            }
        }
        Ok(nodes)
    }

    /// What is stored of a path below the root; `None` if there is nothing.
    pub(crate) fn get(&mut self, path: &Path) -> Result<Option<&Node>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        Ok(self.level(parent)?.get(name))
    }

    fn level(&mut self, path: &Path) -> Result<&Level> {
        if !self.levels.contains_key(path) {
            let tree = match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => self.level(parent)?.get(name).and_then(|node| node.subtree),
                _ => Some(self.root),
            };
            let nodes = match tree {
                Some(tree) => {
                    let read = self.repository.get_tree(&tree);
                    read.map_err(|error| damaged(&self.id, error.display_log()))?.nodes
                }
                None => Vec::new(),
            };
            let level = nodes.into_iter().map(|node| (node.name().into_owned(), node)).collect();
            self.levels.insert(path.to_owned(), level);
        }
        self.levels.get(path).ok_or_else(|| damaged(&self.id, "a directory has no content"))
    }
}

fn damaged(snapshot: &SnapshotId, what: impl Into<String>) -> VaultError {
    VaultError::Damaged { snapshot: snapshot.clone(), what: what.into(), pack: None }
}
