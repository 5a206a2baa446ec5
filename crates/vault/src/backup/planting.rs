//! Makes the trees of a snapshot from the entries that were found, the innermost first.
//!
//! Invariant: every entry is in exactly one tree, in the order of the walk, with what its file has in the repository; a
//! tree that the first pass has just the same keeps its identifier and isn't made again. Reads no files.

use std::ffi::OsStr;
use std::path::{Component, Path};

use rustic_core::TreeId;
use rustic_core::repofile::{BlobType, Metadata, Node, NodeType, Tree};

use super::increment::{Before, Files};
use crate::entry::Entry;
use crate::error::{Result, VaultError};
use crate::packing::Packer;
use crate::seal::Sealer;
use crate::trees::Trees;

/// A directory whose entries aren't all known yet.
struct Open {
    at: usize,
    node: Node,
    nodes: Vec<Node>,
}

/// What trees are made of.
pub(super) struct Planting<'a> {
    entries: &'a [Entry],
    files: &'a Files,
    before: &'a Before<'a>,
    known: &'a Trees,
    packer: &'a Packer<'a>,
    sealer: Sealer,
}

impl<'a> Planting<'a> {
    pub(super) fn new(
        entries: &'a [Entry],
        files: &'a Files,
        before: &'a Before<'a>,
        known: &'a Trees,
        packer: &'a Packer<'a>,
    ) -> Result<Self> {
        Ok(Self { entries, files, before, known, packer, sealer: packer.sealer()? })
    }

    /// The tree of the whole snapshot of `source`, which is the root of the entries.
    pub(super) fn plant(mut self, source: &Path) -> Result<TreeId> {
        let names = source.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let mut names: Vec<_> = names.collect();
        let mut top = self.root(names.pop().unwrap_or_default())?;
        for name in names.into_iter().rev() {
            // As the library stores what is above a source: the name, and a mode that lets everybody through.
            let meta = Metadata { mode: Some(0o755), ..Metadata::default() };
            let subtree = Some(self.add(vec![top])?);
            top = Node { subtree, ..Node::new_node(name, NodeType::Dir, meta) };
        }
        self.add(vec![top])
    }

    /// The node of the first entry, with everything below it.
    fn root(&mut self, name: &OsStr) -> Result<Node> {
        let entries = self.entries;
        let mut open: Vec<Open> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            while open.last().is_some_and(|above| entry.path.parent() != Some(&*entries[above.at].path)) {
                self.close(&mut open)?;
            }
            let node = self.node(at, entry.path.file_name().unwrap_or(name))?;
            match open.last_mut() {
                _ if node.is_dir() => open.push(Open { at, node, nodes: Vec::new() }),
                Some(above) => above.nodes.push(node),
                // A source that is a file.
                None => return Ok(node),
            }
        }
        loop {
            if let Some(root) = self.close(&mut open)? {
                return Ok(root);
            }
        }
    }

    /// Ends the innermost directory, and puts it into the one around it; gives it if there is none.
    fn close(&mut self, open: &mut Vec<Open>) -> Result<Option<Node>> {
        let Some(Open { at, mut node, nodes }) = open.pop() else {
            return Err(VaultError::Library {
                action: "make the trees",
                message: "nothing was found".into(),
            });
        };
        let before = self.before.node(at).and_then(|before| before.subtree);
        let same = before.filter(|tree| self.known.known(tree).is_some_and(|tree| tree.nodes == nodes));
        node.subtree = Some(match same {
            Some(tree) => tree,
            None => self.add(nodes)?,
        });
        match open.last_mut() {
            Some(above) => above.nodes.push(node),
            None => return Ok(Some(node)),
        }
        Ok(None)
    }

    fn node(&self, at: usize, name: &OsStr) -> Result<Node> {
        let entry = &self.entries[at];
        let node = entry.to_node(name).map_err(|error| VaultError::unreadable(&entry.path, error))?;
        Ok(Node { content: self.files.get(&at).map(|file| file.blocks.clone()), ..node })
    }

    fn add(&mut self, nodes: Vec<Node>) -> Result<TreeId> {
        let (content, id) = Tree { nodes }
            .serialize()
            .map_err(|error| VaultError::Library { action: "make the trees", message: error.to_string() })?;
        let added = self.packer.add(BlobType::Tree, &content, &mut self.sealer)?;
        debug_assert_eq!(added, *id);
        Ok(id)
    }
}
