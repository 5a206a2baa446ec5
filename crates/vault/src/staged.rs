//! Makes the files of a replacement aside, and proves them before anything uses them.
//!
//! Invariant: what [`Staging::fill`] returned without an error is on the disk, was read back, has the content and
//! the attributes of the manifest, and touched nothing outside of the staging directory. Doesn't move
//! anything to its place.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustic_core::repofile::Node;

use crate::blocks::Parts;
use crate::compare::hash;
use crate::content::Content;
use crate::delta::{Delta, attributes_differ};
use crate::durable;
use crate::entry::{Entry, What, full_path};
use crate::error::{Result, VaultError};
use crate::ids::SnapshotId;
use crate::manifest::{Manifest, difference, shown};
use crate::nodes::Nodes;
use crate::parallel;
use crate::progress::{Meter, Phase};
use crate::restore::{attributes, bytes_to_write, make, write_file};
use crate::vault::{Listed, Vault};

/// Smaller files aren't worth a look at their blocks.
const LARGE: u64 = 4 << 20;

/// Something to be made, with what the repository knows of it.
struct Item<'a> {
    entry: &'a Entry,
    node: Option<Node>,
    /// How to make it from the present file.
    parts: Option<Parts>,
}

/// What is to be made aside.
pub(crate) struct Staging<'a> {
    content: Content<'a>,
    items: Vec<Item<'a>>,
    target: &'a Path,
}

/// How much work that is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Bytes to be written.
    pub(crate) bytes: u64,
    /// Bytes of those that come out of the repository.
    pub(crate) fresh: u64,
    /// Entries to be made.
    pub(crate) entries: u64,
}

impl<'a> Staging<'a> {
    /// Looks up in the repository what has to be made. `present` is the target as it is, which the
    /// safety snapshot holds.
    pub(crate) fn plan(
        vault: &'a Vault,
        (snapshot, safety): (&Listed, &Listed),
        delta: &Delta<'a>,
        present: &Manifest,
        target: &'a Path,
    ) -> Result<Self> {
        let content = Content::bare(vault, &snapshot.id)?;
        let now = present.by_path();
        let mut items = Vec::new();
        let is_large = |entry: &Entry| entry.size() >= LARGE;
        {
            let mut nodes = Nodes::of(content.repository(), &snapshot.id, &snapshot.source)?;
            let mut old_nodes = None;
            for entry in &delta.made {
                let node =
                    if is_first_name(entry) { Some(node(&mut nodes, entry, &snapshot.id)?) } else { None };
                let is_there = now.get(&*entry.path).is_some_and(|old| is_large(old));
                let parts = match &node {
                    Some(node) if is_large(entry) && is_there => {
                        let mut known = match old_nodes.take() {
                            Some(known) => known,
                            None => Nodes::of(content.repository(), &safety.id, &safety.source)?,
                        };
                        let old = known.get(&entry.path)?.cloned();
                        old_nodes = Some(known);
                        old.map(|old| Parts::of(&content, node, &old)).transpose()?
                    }
                    _ => None,
                };
                items.push(Item { entry, node, parts });
            }
        }
        Ok(Self { content, items, target })
    }

    /// Without the directories.
    pub(crate) fn cost(&self) -> Cost {
        let mut cost = Cost { bytes: 0, fresh: 0, entries: self.items.len() as u64 };
        for item in &self.items {
            let bytes = bytes_to_write(std::iter::once(item.entry));
            cost.bytes += bytes;
            cost.fresh += item.parts.as_ref().map_or(bytes, |parts| parts.fresh_bytes().min(bytes));
        }
        cost
    }

    /// Makes item `n` at `directory/n`.
    pub(crate) fn fill(&self, directory: &Path, meter: &Meter) -> Result<()> {
        let bytes = self.items.iter().filter(|item| item.entry.hardlink.is_none());
        meter.enter(Phase::Restoring, Some(bytes.map(|item| item.entry.size()).sum()));
        let numbers = self.largest_first();
        parallel::for_each(&numbers, meter, |number| self.make_file(*number, directory, meter))?;
        let mut first_names: HashMap<&Path, PathBuf> = HashMap::new();
        for (number, item) in self.items.iter().enumerate() {
            let path = directory.join(number.to_string());
            let first = item.entry.hardlink.as_deref().and_then(|first| first_names.get(first));
            make(item.entry, &path, first.map(PathBuf::as_path))
                .map_err(|error| VaultError::io("create", &path, error))?;
            first_names.insert(&item.entry.path, path);
        }
        parallel::for_each(&numbers, meter, |number| match self.items[*number].entry {
            // It has those of its first name.
            Entry { hardlink: Some(_), .. } => Ok(()),
            entry => attributes(entry, &directory.join(number.to_string())),
        })?;
        let files: Vec<PathBuf> =
            self.files().map(|(number, _)| directory.join(number.to_string())).collect();
        durable::sync_each(&files, directory)?;
        self.compare(directory, meter)
    }

    /// So that no processor is left with a large one in the end.
    fn largest_first(&self) -> Vec<usize> {
        let mut numbers: Vec<_> = (0..self.items.len()).collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(self.items[*number].entry.size()));
        numbers
    }

    /// First names of regular files.
    fn files(&self) -> impl Iterator<Item = (usize, &Item<'a>)> {
        self.items.iter().enumerate().filter(|(_, item)| is_first_name(item.entry))
    }

    fn make_file(&self, number: usize, directory: &Path, meter: &Meter) -> Result<()> {
        let item = &self.items[number];
        let Some(node) = &item.node else { return Ok(()) };
        let path = directory.join(number.to_string());
        if let (Some(parts), What::File { blake3, .. }) = (&item.parts, &item.entry.what) {
            let from = full_path(self.target, &item.entry.path);
            let file = new_file(&path)?;
            if parts.write(&self.content, &from, (&file, &path), meter)? == *blake3 {
                meter.file();
                return Ok(());
            }
            // The blocks are those of another file: everything is in the repository.
            durable::remove(&path)?;
        }
        write_file(&self.content, (item.entry, node), &new_file(&path)?, &path, meter)
    }

    /// Reads everything that was made, from the disk.
    fn compare(&self, directory: &Path, meter: &Meter) -> Result<()> {
        meter.enter(Phase::Comparing, Some(self.files().map(|(_, item)| item.entry.size()).sum()));
        let numbers = self.largest_first();
        parallel::for_each(&numbers, meter, |number| {
            let (item, path) = (&self.items[*number], directory.join(number.to_string()));
            match self.difference(item, directory, *number, meter)? {
                None => Ok(()),
                Some(what) => Err(VaultError::Mismatch {
                    path: full_path(self.target, &item.entry.path),
                    differences: vec![format!(
                        "{} (made aside as {}): {what}",
                        shown(&item.entry.path),
                        path.display()
                    )],
                }),
            }
        })
    }

    fn difference(
        &self,
        item: &Item<'_>,
        directory: &Path,
        number: usize,
        meter: &Meter,
    ) -> Result<Option<&'static str>> {
        let path = PathBuf::from(number.to_string());
        let full = directory.join(&path);
        let read = Entry::read(directory, path).map_err(|error| VaultError::io("look at", &full, error))?;
        let made = Entry { hardlink: item.entry.hardlink.clone(), ..read };
        if let Some(what) = difference(&made, item.entry, false) {
            return Ok(Some(what));
        }
        if attributes_differ(&made, item.entry) {
            return Ok(Some("the modification time differs"));
        }
        match &item.entry.what {
            // Large ones that were made of parts were hashed on the way, and are read in their place.
            What::File { blake3, .. } if is_first_name(item.entry) && item.parts.is_none() => {
                Ok((hash(&full, meter)? != *blake3).then_some("the content differs"))
            }
            _ => Ok(None),
        }
    }
}

fn is_first_name(entry: &Entry) -> bool {
    entry.is_file() && entry.hardlink.is_none()
}

fn node(nodes: &mut Nodes<'_>, entry: &Entry, snapshot: &SnapshotId) -> Result<Node> {
    nodes.get(&entry.path)?.cloned().ok_or_else(|| VaultError::Damaged {
        snapshot: snapshot.clone(),
        what: format!("{} is missing", shown(&entry.path)),
        pack: None,
    })
}

fn new_file(path: &Path) -> Result<File> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| VaultError::io("write", path, error))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Pass;
    use crate::ids::{Kind, Tags};
    use crate::progress::Unwatched;
    use crate::replace::listed;

    /// Blocks are only taken from a file that is as the safety snapshot has it. Should that ever be wrong, the
    /// hash tells.
    #[test]
    fn a_file_made_of_wrong_blocks_is_read_from_the_repository() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(&dir.path().join("state")).unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let mut content: Vec<u8> = (0..6_u32 << 20).map(|number| (number >> 12) as u8).collect();
        let back_up = || {
            let [run, project, service, mount] = ["r", "p", "s", "m"].map(str::to_owned);
            let tags = Tags { run, project, service, mount, kind: Kind::Manual };
            let id = vault.backup(&data, &tags, Pass::Still, &Unwatched).unwrap().id;
            let listed = vault.snapshot(&id).unwrap();
            let manifest = vault.manifest_of(&listed).unwrap();
            (listed, manifest)
        };
        fs::write(data.join("large"), &content).unwrap();
        let (old, wanted) = back_up();
        content[3 << 20] ^= 1;
        fs::write(data.join("large"), &content).unwrap();
        let (safety, present) = back_up();
        assert_eq!(listed(&data).unwrap().entries.len(), 2);

        let meter = Meter::new(Phase::Restoring, None);
        for (number, wrong) in [false, true].into_iter().enumerate() {
            if wrong {
                content[5 << 20] ^= 1;
                fs::write(data.join("large"), &content).unwrap();
            }
            let delta = Delta::between(&present, &wanted);
            let staging = Staging::plan(&vault, (&old, &safety), &delta, &present, &data).unwrap();
            let cost = staging.cost();
            assert_eq!((cost.bytes, cost.fresh), (6 << 20, 1 << 20), "one block of six");
            let to = dir.path().join(number.to_string());
            fs::create_dir(&to).unwrap();
            staging.fill(&to, &meter).unwrap();
            let What::File { blake3, .. } = &wanted.entries[1].what else { panic!("no file") };
            assert_eq!(blake3::hash(&fs::read(to.join("0")).unwrap()).to_hex().as_str(), blake3);
        }
    }
}
