//! Trees of the repository that were read once, for whoever looks at the same again.
//!
//! Invariant: a tree here is what the repository gave for its identifier, which is the hash of what is in it. Judges
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;

use rustic_core::repofile::Tree;
use rustic_core::{IndexedFullStatus, Repository, RusticResult, TreeId};

/// About 200 MB of memory. Beyond, trees are read again.
const MOST_NODES: usize = 300_000;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    known: HashMap<TreeId, Arc<Tree>>,
    nodes: usize,
}

impl Trees {
    /// The tree, from the repository if nobody has read it yet.
    pub(crate) fn get(
        &mut self,
        repository: &Repository<IndexedFullStatus>,
        id: &TreeId,
    ) -> RusticResult<Arc<Tree>> {
        if let Some(known) = self.known.get(id) {
            return Ok(known.clone());
        }
        let tree = Arc::new(repository.get_tree(id)?);
        if self.nodes + tree.nodes.len() <= MOST_NODES {
            self.nodes += tree.nodes.len();
            self.known.insert(*id, tree.clone());
        }
        Ok(tree)
    }

    /// The tree, if it was read.
    pub(crate) fn known(&self, id: &TreeId) -> Option<&Tree> {
        self.known.get(id).map(|tree| &**tree)
    }
}
