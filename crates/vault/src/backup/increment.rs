//! The second pass of a run, while the service stands still: looks at everything, reads what has changed since the first,
//! and stores what is new of it.
//!
//! Invariant: the snapshot has the tree that the library would have made of the same files, to the last byte, and the same
//! manifest; what it names is in packs and an index that were written before it. Of our own, because the library takes
//! every entry through a pipeline of threads, and computes the identifier of every block that it reads, however little
//! has changed. What can't be gone on from is left to the library.

use std::collections::HashMap;

use rustic_core::DataId;
use rustic_core::repofile::{Chunker, Node, SnapshotFile, SnapshotSummary};

use super::changed::Reading;
use super::planting::Planting;
use super::{Job, Pass};
use crate::content::Content;
use crate::entry::{Entry, What};
use crate::error::Result;
use crate::hashing::BLOCK;
use crate::manifest::Manifest;
use crate::packing::Added;
use crate::source::Findings;
use crate::vault::Listed;
use crate::walk::Walk;

/// A file as the repository has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) blocks: Vec<DataId>,
    pub(super) blake3: String,
}

/// By the number of the entry.
pub(super) type Files = HashMap<usize, Stored>;

/// What the first pass left, beside what is there now.
pub(super) struct Before<'a> {
    known: &'a Manifest,
    content: &'a Content<'a>,
    nodes: Vec<&'a Node>,
    /// For each entry that is there now, where the one of the same path is.
    places: Vec<Option<usize>>,
}

impl Job<'_> {
    /// An unfinished snapshot that goes on from the one that this run made before. `None` if it made none, or none that
    /// can be used, or if the service runs, the source can't be read as a directory, or the repository's blocks are cut
    /// otherwise than ours.
    pub(super) fn increment(&self) -> Result<Option<(SnapshotFile, Findings)>> {
        let Some((parent, known)) = self.first_pass() else { return Ok(None) };
        let entries = self.look()?;
        if is_still(&entries, known) {
            self.meter.bytes(known.bytes());
            return Ok(Some((self.store_tree(parent, None)?, still(entries, known))));
        }
        let mut proven = self.vault.proven();
        proven.begin(&self.tags.run);
        let content = self.vault.content_beside(parent.id.clone(), &self.source, &mut proven.trees);
        // What is wrong with it the library finds, or who reads the backup back.
        let Ok(content) = content else { return Ok(None) };
        let Some(before) = Before::new(known, &content, &entries) else { return Ok(None) };
        let ((tree, files), added) = self.vault.adding(content.repository(), |packer| {
            let files = before.files(&entries, &Reading::new(self, &entries, &proven, packer))?;
            let planting = Planting::new(&entries, &files, &before, &proven.trees, packer)?;
            Ok((planting.plant(&self.source)?, files))
        })?;
        let snapshot = self.store_tree(parent, Some((tree, summary(&entries, added))))?;
        let hashes = files.into_iter().map(|(at, file)| (entries[at].path.clone(), file.blake3)).collect();
        Ok(Some((snapshot, Findings { entries, hashes, ..Findings::default() })))
    }

    /// The backup that this run made of the same source, if an increment can be made of it now.
    fn first_pass(&self) -> Option<(&Listed, &Manifest)> {
        let (parent, known) = self.parent.as_ref()?;
        let read_here = self.mirror.is_none();
        (read_here && self.pass == Pass::Still && parent.tags.run == self.tags.run)
            .then_some((parent, &**known))
    }

    /// Everything that is there now.
    fn look(&self) -> Result<Vec<Entry>> {
        Walk::still(&self.source).map(|entry| self.meter.check().and(entry)).collect()
    }
}

fn is_still(entries: &[Entry], known: &Manifest) -> bool {
    entries.len() == known.entries.len()
        && entries.iter().zip(&known.entries).all(|(entry, before)| entry.is_still(before))
}

/// What is found where nothing has changed.
fn still(entries: Vec<Entry>, known: &Manifest) -> Findings {
    let hashes = known.entries.iter().filter_map(|entry| match &entry.what {
        What::File { blake3, .. } => Some((entry.path.clone(), blake3.clone())),
        _ => None,
    });
    Findings { hashes: hashes.collect(), entries, ..Findings::default() }
}

impl<'a> Before<'a> {
    /// `None` if the trees don't hold what the manifest says, or the blocks aren't those of ours.
    fn new(known: &'a Manifest, content: &'a Content<'_>, entries: &[Entry]) -> Option<Self> {
        let config = content.repository().config();
        let ours = config.chunker() == Chunker::FixedSize && config.chunk_size() as u64 == BLOCK;
        let nodes = content.nodes_of(known).filter(|_| ours)?;
        let mut at = 0;
        // Both are in the order of the walk.
        let places = entries.iter().map(|entry| {
            while known.entries.get(at).is_some_and(|before| before.path < entry.path) {
                at += 1;
            }
            known.entries.get(at).filter(|before| before.path == entry.path).map(|_| at)
        });
        Some(Self { known, content, places: places.collect(), nodes })
    }

    /// What the repository has of the entry's path, whatever that was.
    pub(super) fn node(&self, at: usize) -> Option<&'a Node> {
        self.places[at].map(|place| self.nodes[place])
    }

    /// All files: as they were, if nobody has touched them since, else as they are read now.
    fn files(&self, entries: &[Entry], reading: &Reading<'_>) -> Result<Files> {
        let (mut files, mut touched) = (Files::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.is_file()) {
            match self.untouched(at, entry) {
                Some(stored) => {
                    reading.spared(entry);
                    files.insert(at, stored);
                }
                None => touched.push((at, self.node(at))),
            }
        }
        files.extend(reading.read(&touched)?);
        Ok(files)
    }

    fn untouched(&self, at: usize, entry: &Entry) -> Option<Stored> {
        let place = self.places[at]?;
        let (before, blocks) = (&self.known.entries[place], self.nodes[place].content.as_ref()?);
        let What::File { blake3, .. } = &before.what else { return None };
        let known = |block| self.content.repository().get_index_entry(block).is_ok();
        (entry.untouched_since(before) && blocks.iter().all(known))
            .then(|| Stored { blocks: blocks.clone(), blake3: blake3.clone() })
    }
}

/// For people, and for programs that show it: nothing is decided by it.
fn summary(entries: &[Entry], [data, trees]: [Added; 2]) -> SnapshotSummary {
    let mut summary = SnapshotSummary::default();
    summary.total_files_processed = entries.iter().filter(|entry| entry.what != What::Dir).count() as u64;
    summary.total_bytes_processed = entries.iter().map(Entry::size).sum();
    summary.total_dirs_processed = entries.len() as u64 - summary.total_files_processed;
    (summary.data_blobs, summary.tree_blobs) = (data.blobs, trees.blobs);
    (summary.data_added_files, summary.data_added_trees) = (data.bytes, trees.bytes);
    (summary.data_added_files_packed, summary.data_added_trees_packed) = (data.packed, trees.packed);
    summary.data_added = data.bytes + trees.bytes;
    summary.data_added_packed = data.packed + trees.packed;
    summary
}

#[cfg(test)]
mod tests;
