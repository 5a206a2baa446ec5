//! Makes a large file out of blocks of the repository and blocks of the file that is there now.
//!
//! Invariant: a block is taken from the present file only if both snapshots have the same block at the
//! same offset; nothing is believed of the result, which the caller compares with the manifest as a
//! whole. Holes of the present file stay holes. Never writes to the present file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustic_core::DataId;
use rustic_core::repofile::Node;
use rustix::fs::{Mode, OFlags, SeekFrom, open, seek};
use rustix::io::Errno;

use crate::content::Content;
use crate::error::{Result, VaultError};
use crate::progress::Meter;
use crate::restore::write_block;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    offset: u64,
    length: u64,
    /// The block in the repository, if the present file doesn't have it there.
    fresh: Option<DataId>,
}

/// A file in parts.
#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<Part>);

impl Parts {
    /// Compares two versions of a file, block by block.
    pub(crate) fn of(content: &Content<'_>, wanted: &Node, present: &Node) -> Result<Self> {
        let there: std::collections::HashMap<u64, DataId> =
            blocks(content, present)?.into_iter().map(|(offset, _, id)| (offset, id)).collect();
        let mut parts: Vec<Part> = Vec::new();
        for (offset, length, id) in blocks(content, wanted)? {
            let fresh = (there.get(&offset) != Some(&id)).then_some(id);
            match parts.last_mut() {
                Some(last) if last.fresh.is_none() && fresh.is_none() => last.length += length,
                _ => parts.push(Part { offset, length, fresh }),
            }
        }
        Ok(Self(parts))
    }

    /// Bytes that only the repository has.
    pub(crate) fn fresh_bytes(&self) -> u64 {
        self.0.iter().filter(|part| part.fresh.is_some()).map(|part| part.length).sum()
    }

    /// Fills a new, empty file; the result is the hash of what was written.
    pub(crate) fn write(
        &self,
        content: &Content<'_>,
        from: &Path,
        to: (&File, &Path),
        meter: &Meter,
    ) -> Result<String> {
        let read = |error: Errno| VaultError::io("read", from, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from_file = File::from(open(from, flags, Mode::empty()).map_err(read)?);
        let written = |error: std::io::Error| VaultError::io("write", to.1, error);
        let mut copy = Copy { to: to.0, at: 0, hasher: blake3::Hasher::new(), meter, buffer: vec![0; STEP] };
        for part in &self.0 {
            match &part.fresh {
                Some(id) => {
                    meter.check()?;
                    copy.block(&content.block(id)?).map_err(written)?;
                }
                None => copy.range(&from_file, from, part.offset + part.length, written)?,
            }
        }
        // A hole at the end.
        to.0.set_len(copy.at).map_err(written)?;
        Ok(copy.hasher.finalize().to_hex().to_string())
    }
}

/// So much that it stays in a processor's cache, between being read, hashed and written.
const STEP: usize = 256 << 10;

/// A file that grows from its start.
struct Copy<'a> {
    to: &'a File,
    at: u64,
    hasher: blake3::Hasher,
    meter: &'a Meter,
    buffer: Vec<u8>,
}

impl Copy<'_> {
    fn block(&mut self, block: &[u8]) -> std::io::Result<()> {
        self.hasher.update(block);
        write_block(self.to, block, self.at)?;
        self.at += block.len() as u64;
        self.meter.bytes(block.len() as u64);
        Ok(())
    }

    /// Copies up to `end`, without reading the holes.
    fn range(
        &mut self,
        from: &File,
        path: &Path,
        end: u64,
        written: impl Fn(std::io::Error) -> VaultError,
    ) -> Result<()> {
        let read = |error: std::io::Error| VaultError::io("read", path, error);
        let mut buffer = std::mem::take(&mut self.buffer);
        while self.at < end {
            let data = match seek(from, SeekFrom::Data(self.at)) {
                Ok(data) => data.min(end),
                // Nothing but a hole.
                Err(Errno::NXIO) => end,
                // The filesystem knows of no holes.
                Err(Errno::INVAL) => self.at,
                Err(error) => return Err(read(error.into())),
            };
            let is_hole = data > self.at;
            let stop = if is_hole { data } else { seek(from, SeekFrom::Hole(data)).unwrap_or(end).min(end) };
            let stop = stop.max(self.at + 1);
            while self.at < stop {
                self.meter.check()?;
                let length = usize::try_from(stop - self.at).unwrap_or(STEP).min(STEP);
                if is_hole {
                    buffer[..length].fill(0);
                } else {
                    from.read_exact_at(&mut buffer[..length], self.at).map_err(read)?;
                }
                self.block(&buffer[..length]).map_err(&written)?;
            }
        }
        self.buffer = buffer;
        Ok(())
    }
}

fn blocks(content: &Content<'_>, node: &Node) -> Result<Vec<(u64, u64, DataId)>> {
    let mut offset = 0;
    let ids = node.content.iter().flatten();
    ids.map(|id| {
        let found = content.repository().get_index_entry(id);
        let length = u64::from(found.map_err(|error| content.lost(&error, id))?.data_length());
        let block = (offset, length, *id);
        offset += length;
        Ok(block)
    })
    .collect()
}
