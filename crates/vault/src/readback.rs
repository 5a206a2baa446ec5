//! Reads packs back, and proves by them that files are in the repository as they were read.
//!
//! Invariant: a pack counts as read if all of it was read from where it lies and has the hash that is its name; a file
//! counts as proven if the blocks that the repository names for it, taken from such packs, make up the hash in the
//! manifest. Every pack is read once, whatever is needed of it. What was proven in a run is remembered for the rest of
//! it: so the proof of a cutover, while the service stands still, costs what has changed. Repairs nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use rustic_core::DataId;
use rustic_core::repofile::{Node, PackId};

use crate::content::Content;
use crate::entry::{Entry, What};
use crate::error::Result;
use crate::hashing::{BLOCK, Part, Place, join};
use crate::manifest::{Manifest, shown};
use crate::parallel;
use crate::progress::Meter;
use crate::seal::Opener;
use crate::trees::Trees;

/// What was proven of a repository during one run of one process.
#[derive(Debug, Default)]
pub(crate) struct Proven {
    run: String,
    packs: HashSet<PackId>,
    parts: HashMap<(DataId, Place), Part>,
    /// Not proven but compared; they lie in packs that are proven.
    pub(crate) trees: Trees,
}

/// So much holds every pack of ours: it is full at 16 MiB, and what fills it has at most one block more.
const ROOM: usize = 18 << 20;
/// About 100 MB of memory. What doesn't fit is read again.
const MOST_PARTS: usize = 1_000_000;

impl Proven {
    /// Forgets what another run has proven: packs may have rotted since.
    pub(crate) fn begin(&mut self, run: &str) {
        if self.run != run {
            *self = Self { run: run.to_owned(), ..Self::default() };
        }
    }

    /// What a block that was read back contributes to the hash of a file that has it at that place.
    pub(crate) fn part(&self, block: &DataId, place: Place) -> Option<&Part> {
        self.parts.get(&(*block, place))
    }

    pub(crate) fn has_pack(&self, pack: &PackId) -> bool {
        self.packs.contains(pack)
    }
}

/// A block that has to be read, where its pack has it.
struct Wanted {
    block: DataId,
    place: Place,
    offset: usize,
    length: usize,
    /// If it is compressed.
    plain_length: Option<NonZeroU32>,
}

impl Content<'_> {
    /// Reads every pack of the snapshot that isn't proven yet, and proves the files that are `wanted`. The result is
    /// how many packs the snapshot has.
    pub(crate) fn prove(
        &self,
        manifest: &Manifest,
        wanted: impl Fn(&Entry) -> bool,
        proven: &mut Proven,
        meter: &Meter,
    ) -> Result<u64> {
        let files: Vec<_> =
            self.with_entries(manifest).filter(|(entry, _)| entry.is_file() && wanted(entry)).collect();
        let (regular, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(entry, node)| self.has_regular_blocks(entry, node));
        let needed = self.packs()?;
        let mut work: BTreeMap<PackId, Vec<Wanted>> =
            needed.iter().filter(|pack| !proven.has_pack(pack)).map(|pack| (*pack, Vec::new())).collect();
        self.plan(&regular, proven, &mut work)?;
        let work: Vec<_> = work.into_iter().collect();
        meter.expect(work.iter().map(|(pack, _)| self.pack_length(pack)).sum());
        let read = Mutex::new(HashMap::new());
        let buffers = Mutex::new(Vec::new());
        parallel::for_each(&work, meter, |(pack, wanted)| {
            if wanted.is_empty() {
                return self.check_pack(pack, meter);
            }
            // Used again, because memory that is new to the process is filled with zeros first.
            let used = buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut buffer = used.unwrap_or_else(|| Vec::with_capacity(ROOM));
            let parts = self.hash_blocks(pack, wanted, &mut buffer, meter)?;
            buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
            read.lock().unwrap_or_else(PoisonError::into_inner).extend(parts);
            Ok(())
        })?;
        proven.packs.extend(work.iter().map(|(pack, _)| *pack));
        proven.parts.extend(read.into_inner().unwrap_or_else(PoisonError::into_inner));
        for (entry, node) in &regular {
            self.check_joined(entry, node, proven)?;
            meter.file();
        }
        if proven.parts.len() > MOST_PARTS {
            proven.parts.clear();
        }
        self.read_whole(&others, meter)?;
        Ok(needed.len() as u64)
    }

    /// Whether all blocks but the last have the size that hashes of blocks are joined by. So it is in repositories of
    /// ours; another program may have made one otherwise.
    fn has_regular_blocks(&self, entry: &Entry, node: &Node) -> bool {
        let blocks = node.content.as_deref().unwrap_or_default();
        let expected = |number: usize| (entry.size() - (number as u64 * BLOCK)).min(BLOCK);
        blocks.len() as u64 == entry.size().div_ceil(BLOCK)
            && blocks.iter().enumerate().all(|(number, block)| {
                let known = self.repository().get_index_entry(block);
                known.is_ok_and(|known| u64::from(known.data_length()) == expected(number))
            })
    }

    /// Adds the blocks that nobody has read yet to the packs that they are in.
    fn plan(
        &self,
        files: &[(&Entry, &Node)],
        proven: &Proven,
        work: &mut BTreeMap<PackId, Vec<Wanted>>,
    ) -> Result<()> {
        let mut planned = HashSet::new();
        for (entry, node) in files {
            for (number, block) in node.content.iter().flatten().enumerate() {
                let place = Place::of(number as u64, entry.size());
                if proven.parts.contains_key(&(*block, place)) || !planned.insert((*block, place)) {
                    continue;
                }
                let known =
                    self.repository().get_index_entry(block).map_err(|error| self.lost(&error, block))?;
                work.entry(known.pack).or_default().push(Wanted {
                    block: *block,
                    place,
                    offset: known.location.offset as usize,
                    length: known.location.length as usize,
                    plain_length: known.location.uncompressed_length,
                });
            }
        }
        Ok(())
    }

    /// Reads one pack file, compares its hash with its name, and hashes the blocks that are wanted of it.
    fn hash_blocks(
        &self,
        pack: &PackId,
        wanted: &[Wanted],
        buffer: &mut Vec<u8>,
        meter: &Meter,
    ) -> Result<Vec<((DataId, Place), Part)>> {
        self.read_pack(pack, buffer, meter)?;
        let damage = |what: &str| self.pack_damage(pack, what);
        let mut opener = Opener::new(self.cipher_key()).map_err(|error| damage(&error.to_string()))?;
        let mut parts = Vec::with_capacity(wanted.len());
        for block in wanted {
            meter.check()?;
            let sealed = buffer.get(block.offset..block.offset.saturating_add(block.length));
            let sealed = sealed.ok_or_else(|| damage("a block isn't where the index says"))?;
            let plain = opener
                .open(sealed, block.plain_length)
                .map_err(|what| damage(&format!("a block of it can't be used: {what}")))?;
            parts.push(((block.block, block.place), block.place.part(&plain)));
        }
        Ok(parts)
    }

    fn check_joined(&self, entry: &Entry, node: &Node, proven: &Proven) -> Result<()> {
        let What::File { size, blake3 } = &entry.what else { return Ok(()) };
        let blocks = node.content.iter().flatten().enumerate();
        let parts: Option<Vec<Part>> = blocks
            .map(|(number, block)| proven.parts.get(&(*block, Place::of(number as u64, *size))).copied())
            .collect();
        if parts.is_some_and(|parts| join(&parts, *size).to_hex().as_str() == blake3) {
            Ok(())
        } else {
            Err(self.damage(format!("the content of {} isn't what was read", shown(&entry.path))))
        }
    }

    /// The slow way, for blocks of any size.
    fn read_whole(&self, files: &[(&Entry, &Node)], meter: &Meter) -> Result<()> {
        parallel::for_each(files, meter, |(entry, node)| {
            self.read(entry, node, |block| {
                meter.bytes(block.len() as u64);
                meter.check()
            })?;
            meter.file();
            Ok(())
        })
    }
}
