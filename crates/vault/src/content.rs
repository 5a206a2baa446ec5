//! A snapshot as the repository holds it, compared with its manifest.
//!
//! Invariant: what passes here is complete: every entry of the manifest is in the repository's trees
//! with the same attributes, and nothing else is. That the content is right too, `readback` proves. Repairs nothing.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use aes256ctr_poly1305aes::Key;
use rustic_core::repofile::{BlobType, Node, PackId};
use rustic_core::{BlobId, DataId, IndexedFullStatus, Repository, RusticError, RusticResult, TreeId};

use crate::entry::{Entry, What};
use crate::error::{Result, VaultError};
use crate::ids::SnapshotId;
use crate::manifest::{Manifest, shown};
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::readback::Proven;
use crate::trees::Trees;
use crate::vault::{Listed, Vault};

/// What a verification read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Regular files whose content agrees with the manifest.
    pub files: u64,
    /// Bytes of content they have.
    pub bytes: u64,
    /// Pack files that were read and hashed.
    pub packs: u64,
}

/// A snapshot as the repository holds it.
pub(crate) struct Content<'a> {
    id: SnapshotId,
    vault: &'a Vault,
    repository: Repository<IndexedFullStatus>,
    /// In the order of the manifest.
    nodes: Vec<(PathBuf, Node)>,
    trees: Vec<TreeId>,
}

impl Vault {
    /// Reads a whole backup back and compares it with its manifest.
    ///
    /// # Errors
    ///
    /// [`VaultError::Damaged`] or [`VaultError::Manifest`] if it can't be relied on.
    pub fn verify(&self, id: &SnapshotId, monitor: &dyn Monitor) -> Result<Verified> {
        let _lock = self.lock_for_reading()?;
        let snapshot = self.snapshot(id)?;
        let manifest = self.manifest_of(&snapshot)?;
        let meter = Meter::new(Phase::ReadingBack, None);
        watched(monitor, &meter, || {
            let content = self.content(&snapshot, &manifest)?;
            let packs = content.prove(&manifest, |_| true, &mut Proven::default(), &meter)?;
            Ok(Verified { files: manifest.files(), bytes: manifest.bytes(), packs })
        })
    }

    /// The snapshot's content, whose trees agree with the manifest.
    pub(crate) fn content(&self, snapshot: &Listed, manifest: &Manifest) -> Result<Content<'_>> {
        let content = self.content_of(snapshot.id.clone(), &snapshot.source)?;
        content.check_entries(manifest)?;
        Ok(content)
    }

    /// The content of any snapshot of `source`, finished or not.
    pub(crate) fn content_of(&self, id: SnapshotId, source: &Path) -> Result<Content<'_>> {
        self.content_beside(id, source, &mut Trees::default())
    }

    /// As [`Vault::content_of`], without reading the trees again that are `known`.
    pub(crate) fn content_beside(
        &self,
        id: SnapshotId,
        source: &Path,
        known: &mut Trees,
    ) -> Result<Content<'_>> {
        let repository = self.indexed()?;
        let library_id = id.to_library()?;
        let (trees, nodes) =
            read_trees(&repository, library_id, source, known).map_err(|error| {
                match damaged(&id, &error, None) {
                    VaultError::Damaged { snapshot, what, pack: None } => {
                        VaultError::Damaged { snapshot, what, pack: self.first_bad_pack() }
                    }
                    other => other,
                }
            })?;
        Ok(Content { id, vault: self, repository, nodes, trees })
    }
}

impl<'a> Content<'a> {
    /// Of a snapshot whose trees nobody looked at yet.
    pub(crate) fn bare(vault: &'a Vault, id: &SnapshotId) -> Result<Self> {
        let (nodes, trees) = (Vec::new(), Vec::new());
        Ok(Self { id: id.clone(), vault, repository: vault.indexed()?, nodes, trees })
    }

    /// With the index.
    pub(crate) fn repository(&self) -> &Repository<IndexedFullStatus> {
        &self.repository
    }

    /// Leaves only what is at or below a path of the backup, which becomes the root.
    pub(crate) fn narrow(&mut self, path: &Path) {
        self.nodes.retain(|(node, _)| node.starts_with(path));
        for (node, _) in &mut self.nodes {
            *node = node.strip_prefix(path).map(Path::to_owned).unwrap_or_default();
        }
    }

    /// The nodes beside the entries of the manifest; both are known to be in the same order.
    pub(crate) fn with_entries<'m>(
        &'m self,
        manifest: &'m Manifest,
    ) -> impl Iterator<Item = (&'m Entry, &'m Node)> {
        manifest.entries.iter().zip(self.nodes.iter().map(|(_, node)| node))
    }

    /// The nodes in the order of the manifest, if they are of the same paths.
    pub(crate) fn nodes_of(&self, manifest: &Manifest) -> Option<Vec<&Node>> {
        let paths = manifest.entries.iter().map(|entry| &entry.path);
        paths
            .eq(self.nodes.iter().map(|(path, _)| path))
            .then(|| self.nodes.iter().map(|(_, node)| node).collect())
    }

    /// Compares names, types and attributes with the manifest.
    pub(crate) fn check_entries(&self, manifest: &Manifest) -> Result<()> {
        if self.nodes.len() != manifest.entries.len() {
            let what = format!("it holds {} entries, {} were read", self.nodes.len(), manifest.entries.len());
            return Err(self.damage(what));
        }
        for (entry, (path, node)) in manifest.entries.iter().zip(&self.nodes) {
            let expected = entry.to_node(&node.name()).map_err(|error| self.damage(error.to_string()))?;
            let same = *path == entry.path
                && (&node.name, &node.node_type, &node.meta)
                    == (&expected.name, &expected.node_type, &expected.meta);
            if !same {
                return Err(self.damage(format!("{} isn't as it was read", shown(&entry.path))));
            }
        }
        Ok(())
    }

    /// Every pack that the snapshot needs.
    pub(crate) fn packs(&self) -> Result<BTreeSet<PackId>> {
        let mut packs = BTreeSet::new();
        let lost = |error: Box<RusticError>| damaged(&self.id, &error, None);
        for tree in &self.trees {
            packs.insert(self.repository.get_index_entry(tree).map_err(lost)?.pack);
        }
        let mut seen = HashSet::new();
        for id in self.nodes.iter().flat_map(|(_, node)| node.content.iter().flatten()) {
            if seen.insert(*id) {
                packs.insert(self.repository.get_index_entry(id).map_err(lost)?.pack);
            }
        }
        Ok(packs)
    }

    /// Reads a whole pack file into the buffer. Its hash is its name.
    pub(crate) fn read_pack(&self, pack: &PackId, buffer: &mut Vec<u8>, meter: &Meter) -> Result<()> {
        let mut file = self.open_pack(pack, meter)?;
        buffer.clear();
        let read = file.read_to_end(buffer);
        meter.check()?;
        read.map_err(|error| self.pack_damage(pack, &error.to_string()))?;
        self.must_fit(pack, pack.blob_matches_reader(buffer.len() as u64, &mut &**buffer))
    }

    /// Reads a whole pack file only to compare its hash with its name.
    pub(crate) fn check_pack(&self, pack: &PackId, meter: &Meter) -> Result<()> {
        let mut file = self.open_pack(pack, meter)?;
        let fits = pack.blob_matches_reader(u64::MAX, &mut file);
        meter.check()?;
        self.must_fit(pack, fits)
    }

    fn open_pack<'m>(&self, pack: &PackId, meter: &'m Meter) -> Result<Counted<'m>> {
        let path = || Some(self.vault.pack_path(pack));
        let file = self.vault.open_pack(pack).map_err(|error| damaged(&self.id, &error, path()))?;
        Ok(Counted { file, meter })
    }

    /// How long a pack file is, where it lies on this machine.
    pub(crate) fn pack_length(&self, pack: &PackId) -> Option<u64> {
        fs::metadata(self.vault.pack_path(pack)).ok().map(|meta| meta.len())
    }

    fn must_fit(&self, pack: &PackId, fits: bool) -> Result<()> {
        if fits { Ok(()) } else { Err(self.pack_damage(pack, "the content doesn't fit the name")) }
    }

    /// Makes those packs of the snapshot durable that nobody has proven yet.
    pub(crate) fn sync_new_packs(&self, proven: &Proven) -> Result<()> {
        let packs = self.packs()?;
        self.vault.sync_packs(packs.iter().filter(|pack| !proven.has_pack(pack)))
    }

    /// What is wrong with a pack file.
    pub(crate) fn pack_damage(&self, pack: &PackId, what: &str) -> VaultError {
        let pack = Some(self.vault.pack_path(pack));
        VaultError::Damaged { snapshot: self.id.clone(), what: what.to_owned(), pack }
    }

    /// What opens its blobs.
    pub(crate) fn cipher_key(&self) -> &Key {
        self.vault.cipher_key()
    }

    /// Hands out the content of a file block by block, and compares its hash in the end.
    pub(crate) fn read(
        &self,
        entry: &Entry,
        node: &Node,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let What::File { size, blake3 } = &entry.what else { return Ok(()) };
        let (mut hasher, mut length) = (blake3::Hasher::new(), 0);
        for id in node.content.iter().flatten() {
            let block = self.block(id)?;
            hasher.update(&block);
            length += block.len() as u64;
            take(&block)?;
        }
        if length == *size && hasher.finalize().to_hex().as_str() == blake3 {
            Ok(())
        } else {
            Err(self.damage(format!("the content of {} isn't what was read", shown(&entry.path))))
        }
    }

    /// One block of a file.
    pub(crate) fn block(&self, id: &DataId) -> Result<impl std::ops::Deref<Target = [u8]> + use<>> {
        let block = self.repository.get_blob_cached(&BlobId::from(*id), BlobType::Data);
        block.map_err(|error| self.lost(&error, id))
    }

    /// A block that can't be read.
    pub(crate) fn lost(&self, error: &RusticError, id: &DataId) -> VaultError {
        damaged(&self.id, error, self.pack_of(id))
    }

    fn pack_of(&self, id: &DataId) -> Option<PathBuf> {
        let entry = self.repository.get_index_entry(id).ok()?;
        Some(self.vault.pack_path(&entry.pack))
    }

    pub(crate) fn damage(&self, what: String) -> VaultError {
        VaultError::Damaged { snapshot: self.id.clone(), what, pack: None }
    }
}

fn damaged(snapshot: &SnapshotId, error: &RusticError, pack: Option<PathBuf>) -> VaultError {
    // A server that can't be reached says nothing about what it holds.
    if let Some(trouble) = VaultError::remote("read the backup", error) {
        return trouble;
    }
    VaultError::Damaged { snapshot: snapshot.clone(), what: error.display_log(), pack }
}

type Found = (Vec<TreeId>, Vec<(PathBuf, Node)>);

/// Reads all trees of a snapshot: their identifiers, and the nodes from the one of `source` on.
fn read_trees(
    repository: &Repository<IndexedFullStatus>,
    id: rustic_core::repofile::SnapshotId,
    source: &Path,
    known: &mut Trees,
) -> RusticResult<Found> {
    let snapshot: rustic_core::repofile::SnapshotFile = repository.get_file(&id)?;
    let (mut trees, mut nodes) = (vec![snapshot.tree], Vec::new());
    let mut tree = snapshot.tree;
    let names = source.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let mut found = None;
    for name in names {
        if let Some(above) = found.take() {
            tree = subtree(&above)?;
            trees.push(tree);
        }
        let level = known.get(repository, &tree)?;
        found = level.nodes.iter().find(|node| node.name() == name).cloned();
        if found.is_none() {
            return Err(missing("the path of the backup isn't in its tree"));
        }
    }
    let root = found.ok_or_else(|| missing("the backup has no path"))?;
    collect(repository, known, (PathBuf::new(), root), (&mut trees, &mut nodes))?;
    Ok((trees, nodes))
}

fn collect(
    repository: &Repository<IndexedFullStatus>,
    known: &mut Trees,
    (path, node): (PathBuf, Node),
    (trees, nodes): (&mut Vec<TreeId>, &mut Vec<(PathBuf, Node)>),
) -> RusticResult<()> {
    let below = if node.is_dir() {
        let tree = subtree(&node)?;
        trees.push(tree);
        Some(known.get(repository, &tree)?)
    } else {
        None
    };
    nodes.push((path.clone(), node));
    for child in below.iter().flat_map(|tree| &tree.nodes) {
        let path = path.join(child.name());
        collect(repository, known, (path, child.clone()), (trees, nodes))?;
    }
    Ok(())
}

fn subtree(node: &Node) -> RusticResult<TreeId> {
    node.subtree.ok_or_else(|| missing("a directory has no content"))
}

fn missing(what: &'static str) -> Box<RusticError> {
    RusticError::new(rustic_core::ErrorKind::Repository, what)
}

/// Counts what is read, and ends early when cancelled.
struct Counted<'a> {
    file: Box<dyn Read>,
    meter: &'a Meter,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.meter.check().map_err(io::Error::other)?;
        let length = self.file.read(buffer)?;
        self.meter.bytes(length as u64);
        Ok(length)
    }
}
