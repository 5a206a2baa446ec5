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
use rustix::fs::{Mode, OFlags, SeekFrom, copy_file_range, open, seek};
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

    /// Bytes in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.last().map_or(0, |last| last.offset + last.length)
    }

    /// Fills the new, empty file `to`.
    pub(crate) fn write(
        &self,
        content: &Content<'_>,
        from: &Path,
        to: &File,
        to_path: &Path,
        meter: &Meter,
    ) -> Result<()> {
        let read = |error: Errno| VaultError::io("read", from, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from_file = File::from(open(from, flags, Mode::empty()).map_err(read)?);
        let written = |error: std::io::Error| VaultError::io("write", to_path, error);
        for part in &self.0 {
            meter.check()?;
            match &part.fresh {
                Some(id) => write_block(to, &content.block(id)?, part.offset).map_err(written)?,
                None => copy(&from_file, to, part.offset, part.length, meter)
                    .map_err(|error| meter.check().err().unwrap_or_else(|| written(error)))?,
            }
            meter.bytes(part.length);
        }
        // A hole at the end.
        to.set_len(self.bytes()).map_err(written)
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

/// So much at a time that a cancellation is seen soon.
const STEP: u64 = 16 << 20;

/// Copies a range, without its holes.
fn copy(from: &File, to: &File, start: u64, length: u64, meter: &Meter) -> std::io::Result<()> {
    let end = start + length;
    let mut at = start;
    while at < end {
        let data = match seek(from, SeekFrom::Data(at)) {
            Ok(data) if data < end => data,
            // Nothing but a hole.
            Ok(_) | Err(Errno::NXIO) => break,
            // The filesystem knows of no holes.
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error.into()),
        };
        let stop = seek(from, SeekFrom::Hole(data)).unwrap_or(end).min(end).max(data + 1);
        at = data;
        while at < stop {
            meter.check().map_err(std::io::Error::other)?;
            at += copy_some(from, to, at, (stop - at).min(STEP))?;
        }
    }
    Ok(())
}

/// Copies some of a range, at least one byte.
fn copy_some(from: &File, to: &File, at: u64, length: u64) -> std::io::Result<u64> {
    let (mut read, mut write) = (at, at);
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    match copy_file_range(from, Some(&mut read), to, Some(&mut write), wanted) {
        Ok(copied) if copied > 0 => Ok(copied as u64),
        Ok(_) | Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let mut buffer = vec![0; wanted.min(1 << 20)];
            from.read_exact_at(&mut buffer, at)?;
            write_block(to, &buffer, at)?;
            Ok(buffer.len() as u64)
        }
        Err(error) => Err(error.into()),
    }
}
