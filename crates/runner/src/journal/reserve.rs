//! Room on the disk that is kept for the journal: a run whose disk is full can still be brought to its end.
//!
//! Invariant: it is given back piece by piece, only to a journal that could not be written, since whatever fills the
//! disk may take a piece before the journal does. What it does not do: help anything else that needs room, or fail a
//! run; where there is no room for it, there is none.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// What is kept: a way back takes about 30 entries, of some pages of 4 KiB each.
const SIZE: u64 = 2 << 20;
/// What is given back at a time.
const PIECE: u64 = 128 << 10;

/// The file that takes the room.
#[derive(Debug)]
pub(super) struct Reserve {
    path: Option<PathBuf>,
}

impl Reserve {
    /// For a journal at `path`; one in memory has none.
    pub(super) fn beside(path: &Path) -> Self {
        let in_memory = path.to_str() == Some(":memory:");
        Self { path: (!in_memory).then(|| path.with_extension("reserve")) }
    }

    /// Takes the room, as far as it is there.
    pub(super) fn take(&self) {
        let open = |path| OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        if let Some(Ok(file)) = self.path.as_ref().map(open) {
            // Unlike zeros, this takes room on filesystems that compress, too.
            let _ = fallocate(&file, FallocateFlags::empty(), 0, SIZE);
        }
    }

    /// Gives a piece back. Whether there was one.
    pub(super) fn give(&self) -> bool {
        let open = |path| OpenOptions::new().write(true).open(path);
        let Some(Ok(file)) = self.path.as_ref().map(open) else { return false };
        shorten(&file).unwrap_or(false)
    }
}

fn shorten(file: &File) -> std::io::Result<bool> {
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(PIECE))?;
    file.sync_all()?;
    Ok(length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_given_back_piece_by_piece() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&directory.path().join("journal.db"));
        assert!(!reserve.give(), "nothing was taken yet");
        for _ in 0..2 {
            reserve.take();
            let pieces = std::iter::repeat_with(|| reserve.give()).take_while(|given| *given).count();
            assert_eq!(pieces as u64, SIZE / PIECE, "and it can be taken again");
        }
        assert_eq!(std::fs::metadata(directory.path().join("journal.reserve")).unwrap().len(), 0);
        let in_memory = Reserve::beside(":memory:".as_ref());
        in_memory.take();
        assert!(!in_memory.give());
    }
}
