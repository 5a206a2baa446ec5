//! Reads files that have changed, block by block, and stores the blocks that are new.
//!
//! Invariant: every stretch of a file is read from the file that was listed, in the state it had then, before and after:
//! what changes meanwhile, or is gone, fails as a whole. A block counts as known without its identifier being computed if
//! the same place of the file before had a block that was proven to have the same BLAKE3. Doesn't decide what to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustic_core::DataId;
use rustic_core::repofile::{BlobType, Node};

use super::Job;
use super::increment::{Files, Stored};
use crate::entry::{Entry, full_path};
use crate::error::{Result, VaultError};
use crate::hashing::{BLOCK, Part, Place, join};
use crate::packing::{Packer, lock};
use crate::parallel;
use crate::progress::Meter;
use crate::readback::Proven;
use crate::seal::Sealer;
use crate::source::{is_as_listed, open_listed};

/// Blocks that one thread reads of a file at a time: large files are read by all of them.
const STRETCH: u64 = 16;

/// Blocks of a file, one after the other; none if it is empty.
struct Stretch<'a> {
    entry: &'a Entry,
    at: usize,
    first: u64,
    end: u64,
    /// The blocks that the file of the same path had.
    before: &'a [DataId],
}

/// What a thread needs, used again for the next stretch.
struct Tools {
    buffer: Vec<u8>,
    sealer: Sealer,
}

type Blocks = Vec<(DataId, Part)>;

/// Reads on all processors.
pub(super) struct Reading<'a> {
    root: &'a Path,
    entries: &'a [Entry],
    meter: &'a Meter,
    proven: &'a Proven,
    packer: &'a Packer<'a>,
    tools: Mutex<Vec<Tools>>,
    read: Mutex<BTreeMap<(usize, u64), Blocks>>,
    changed: Mutex<BTreeSet<PathBuf>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        job: &'a Job<'_>,
        entries: &'a [Entry],
        proven: &'a Proven,
        packer: &'a Packer<'a>,
    ) -> Self {
        let (root, meter) = (&*job.source, &*job.meter);
        let (tools, read, changed) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { root, entries, meter, proven, packer, tools, read, changed }
    }

    /// Notes a file that needn't be read.
    pub(super) fn spared(&self, entry: &Entry) {
        self.meter.bytes(entry.size());
    }

    /// Reads and stores these entries, which are files, beside what the repository had of their paths.
    pub(super) fn read(&self, files: &[(usize, Option<&Node>)]) -> Result<Files> {
        let stretches: Vec<_> = files.iter().flat_map(|(at, before)| self.stretches(*at, *before)).collect();
        parallel::for_each(&stretches, self.meter, |stretch| self.read_stretch(stretch))?;
        let changed = std::mem::take(&mut *lock(&self.changed));
        if !changed.is_empty() {
            return Err(VaultError::Changed { paths: changed.into_iter().collect() });
        }
        let read = std::mem::take(&mut *lock(&self.read));
        let stored = files.iter().map(|(at, _)| {
            let blocks = read.range((*at, 0)..(*at + 1, 0)).flat_map(|(_, blocks)| blocks);
            let (blocks, parts): (Vec<_>, Vec<_>) = blocks.copied().unzip();
            let blake3 = join(&parts, self.entries[*at].size()).to_hex().to_string();
            self.meter.file();
            (*at, Stored { blocks, blake3 })
        });
        Ok(stored.collect())
    }

    fn stretches<'s>(&'s self, at: usize, before: Option<&'s Node>) -> impl Iterator<Item = Stretch<'s>> {
        let entry = &self.entries[at];
        let blocks = entry.size().div_ceil(BLOCK);
        let before = before.and_then(|node| node.content.as_deref()).unwrap_or_default();
        (0..blocks.div_ceil(STRETCH).max(1)).map(move |number| {
            let first = number * STRETCH;
            Stretch { entry, at, first, end: (first + STRETCH).min(blocks), before }
        })
    }

    fn read_stretch(&self, stretch: &Stretch<'_>) -> Result<()> {
        let tools = lock(&self.tools).pop();
        let mut tools = match tools {
            Some(tools) => tools,
            None => Tools { buffer: Vec::new(), sealer: self.packer.sealer()? },
        };
        match self.blocks(stretch, &mut tools)? {
            Some(blocks) => drop(lock(&self.read).insert((stretch.at, stretch.first), blocks)),
            None => drop(lock(&self.changed).insert(full_path(self.root, &stretch.entry.path))),
        }
        lock(&self.tools).push(tools);
        Ok(())
    }

    /// `None` if the file isn't as it was listed, or doesn't stay so.
    fn blocks(&self, stretch: &Stretch<'_>, tools: &mut Tools) -> Result<Option<Blocks>> {
        let entry = stretch.entry;
        let Some(file) = open_listed(self.root, entry)? else { return Ok(None) };
        if !is_as_listed(&file, self.root, entry)? {
            return Ok(None);
        }
        let mut blocks = Blocks::new();
        for number in stretch.first..stretch.end {
            self.meter.check()?;
            let length = BLOCK.min(entry.size() - number * BLOCK);
            match read_block(&file, number * BLOCK, length, &mut tools.buffer) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(VaultError::unreadable(full_path(self.root, &entry.path), error)),
                Ok(()) => blocks.push(self.store(stretch, number, tools)?),
            }
            self.meter.bytes(length);
        }
        Ok(is_as_listed(&file, self.root, entry)?.then_some(blocks))
    }

    /// The identifier of the block in the buffer, and its part in the hash of the file.
    fn store(&self, stretch: &Stretch<'_>, number: u64, tools: &mut Tools) -> Result<(DataId, Part)> {
        let place = Place::of(number, stretch.entry.size());
        let part = place.part(&tools.buffer);
        let before = usize::try_from(number).ok().and_then(|number| stretch.before.get(number));
        let same = before.filter(|block| self.proven.part(block, place) == Some(&part));
        match same {
            Some(block) => Ok((*block, part)),
            None => Ok((self.packer.add(BlobType::Data, &tools.buffer, &mut tools.sealer)?.into(), part)),
        }
    }
}

fn read_block(file: &File, offset: u64, length: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
    file.read_exact_at(buffer, offset)
}
