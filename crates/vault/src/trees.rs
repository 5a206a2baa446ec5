//! Trees of the repository that were read once, for whoever looks at the same again.
//!
//! Invariant: a tree here is what the repository gave for its identifier, which is the hash of what is in it. Judges
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;

use rustic_core::repofile::Tree;
use rustic_core::{IndexedFullStatus, Repository, RusticResult, TreeId};

/// About 35 MB of memory. Where there are more, trees are read again: keeping a part would save little, and cost memory
/// just where much is needed.
const MOST_NODES: usize = 50_000;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    known: HashMap<TreeId, Arc<Tree>>,
    /// Of all trees that were read, kept or not.
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
        self.nodes += tree.nodes.len();
        if self.nodes <= MOST_NODES {
            self.known.insert(*id, tree.clone());
        } else {
            self.known = HashMap::new();
        }
        Ok(tree)
    }

    /// The tree, if it was read.
    pub(crate) fn known(&self, id: &TreeId) -> Option<&Tree> {
        self.known.get(id).map(|tree| &**tree)
    }
}
