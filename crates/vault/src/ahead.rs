//! Reads a large file ahead: a thread of its own reads and hashes the next blocks while the library works on one.
//!
//! Invariant: exactly as many bytes come out as the file had when it was listed, and the hash is of these bytes; what
//! is missing in the end is zeros, and said. The thread ends when the reader is dropped. Looks at no metadata.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use blake3::Hash;

use crate::hashing::{BLOCK, FileHasher};

/// Smaller files aren't worth a thread.
pub(crate) const LARGE: u64 = 8 * BLOCK;
/// Blocks that wait for the library.
const WAITING: usize = 2;

/// What the thread has to say.
enum Told {
    Block { bytes: Vec<u8>, short: bool },
    End(Hash),
    Failed(io::Error),
}

/// What comes next of a file.
pub(crate) enum Next {
    /// So many bytes were put into the buffer; whether any of the block are zeros for want of others.
    Bytes(usize, bool),
    /// That was all.
    End(Hash),
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Ahead {
    blocks: Receiver<Told>,
    bytes: Vec<u8>,
    at: usize,
    short: bool,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

impl Ahead {
    /// Begins to read `size` bytes.
    pub(crate) fn new(file: File, size: u64) -> Self {
        let (sender, blocks) = sync_channel(WAITING);
        std::thread::spawn(move || {
            if let Err(error) = read(file, size, &sender) {
                // Nobody listens any more if the backup has failed already.
                let _ = sender.send(Told::Failed(error));
            }
        });
        Self { blocks, bytes: Vec::new(), at: 0, short: false }
    }

    /// Fills a part of the buffer, which isn't empty.
    pub(crate) fn next(&mut self, buffer: &mut [u8]) -> io::Result<Next> {
        if self.at == self.bytes.len() {
            match self.blocks.recv().map_err(|_| io::Error::other("the thread that read it has ended"))? {
                Told::Block { bytes, short } => (self.bytes, self.at, self.short) = (bytes, 0, short),
                Told::End(hash) => return Ok(Next::End(hash)),
                Told::Failed(error) => return Err(error),
            }
        }
        let rest = &self.bytes[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(Next::Bytes(length, self.short))
    }
}

fn read(file: File, size: u64, sender: &SyncSender<Told>) -> io::Result<()> {
    let (mut hasher, mut left) = (FileHasher::new(size), size);
    while left > 0 {
        let wanted = left.min(BLOCK);
        let length = usize::try_from(wanted).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(length);
        let short = (&file).take(wanted).read_to_end(&mut bytes)? < length;
        bytes.resize(length, 0);
        hasher.update(&bytes);
        left -= wanted;
        if sender.send(Told::Block { bytes, short }).is_err() {
            return Ok(());
        }
    }
    let _ = sender.send(Told::End(hasher.finish()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read_all(ahead: &mut Ahead) -> (Vec<u8>, bool, Hash) {
        let (mut all, mut any_short, mut buffer) = (Vec::new(), false, vec![0; 300_000]);
        loop {
            match ahead.next(&mut buffer).unwrap() {
                Next::Bytes(length, short) => {
                    all.extend_from_slice(&buffer[..length]);
                    any_short |= short;
                }
                Next::End(hash) => return (all, any_short, hash),
            }
        }
    }

    #[test]
    fn what_is_there_comes_out_and_what_is_missing_is_zeros() {
        let mut content = vec![0; 3 * BLOCK as usize + 77];
        blake3::Hasher::new().finalize_xof().fill(&mut content);
        for (size, short) in
            [(content.len(), false), (content.len() - 500, false), (content.len() + 2_000_000, true)]
        {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            let mut expected = content.clone();
            expected.resize(size, 0);
            let (bytes, was_short, hash) = read_all(&mut Ahead::new(file, size as u64));
            assert!(bytes == expected, "{size}");
            assert_eq!((was_short, hash), (short, blake3::hash(&expected)));
        }
    }

    #[test]
    fn the_thread_ends_with_its_reader() {
        let file = File::open("/dev/zero").unwrap();
        let mut ahead = Ahead::new(file, 1 << 50);
        assert!(matches!(ahead.next(&mut [0; 10]).unwrap(), Next::Bytes(10, false)));
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        drop(ahead);
        for _ in 0..100 {
            if threads() < before {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("it still reads");
    }
}
