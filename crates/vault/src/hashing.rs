//! BLAKE3 of a file, put together from the hashes of its blocks.
//!
//! BLAKE3 is a tree of 1 KiB chunks, so what it makes of a block of 1 MiB at a given place of a file can be computed
//! alone and joined later (BLAKE3 specification, section 2; `blake3::hazmat`). A block that was proven once needn't be
//! read again to prove another file that has it at the same place. Invariant: the result is the plain BLAKE3 of the
//! content. Reads nothing.

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{Hash, Hasher};

/// Bytes of a block, but the last one of a file. Repositories of ours are made with chunks of this size.
pub(crate) const BLOCK: u64 = 1 << 20;

/// What a block contributes to the hash of its file.
pub(crate) type Part = [u8; 32];

/// Where a block lies, as far as its hash depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// It is the whole file.
    Whole,
    /// The how-manieth block of a larger file it is.
    At(u64),
}

impl Place {
    /// Of block `number` in a file of `size` bytes.
    pub(crate) fn of(number: u64, size: u64) -> Self {
        if size <= BLOCK { Self::Whole } else { Self::At(number) }
    }

    fn hasher(self) -> Hasher {
        let mut hasher = Hasher::new();
        if let Self::At(number) = self {
            hasher.set_input_offset(number * BLOCK);
        }
        hasher
    }

    fn finish(self, hasher: &Hasher) -> Part {
        match self {
            Self::Whole => *hasher.finalize().as_bytes(),
            Self::At(_) => hasher.finalize_non_root(),
        }
    }

    /// The part of a block whose bytes are at hand.
    pub(crate) fn part(self, block: &[u8]) -> Part {
        let mut hasher = self.hasher();
        hasher.update(block);
        self.finish(&hasher)
    }
}

/// The hash of a file of `size` bytes with these blocks, in order. An empty file has none.
pub(crate) fn join(parts: &[Part], size: u64) -> Hash {
    match parts {
        [] => blake3::hash(b""),
        [whole] => Hash::from_bytes(*whole),
        parts => {
            let (left, right) = halves(parts, size);
            merge_subtrees_root(&subtree(left.0, left.1), &subtree(right.0, right.1), Mode::Hash)
        }
    }
}

fn subtree(parts: &[Part], length: u64) -> Part {
    match parts {
        [one] => *one,
        parts => {
            let (left, right) = halves(parts, length);
            merge_subtrees_non_root(&subtree(left.0, left.1), &subtree(right.0, right.1), Mode::Hash)
        }
    }
}

type Half<'a> = (&'a [Part], u64);

/// As BLAKE3 divides its input: the left half is the largest power of two that leaves something for the right.
fn halves(parts: &[Part], length: u64) -> (Half<'_>, Half<'_>) {
    let left = left_subtree_len(length);
    let at = usize::try_from(left / BLOCK).unwrap_or(usize::MAX).min(parts.len());
    ((&parts[..at], left), (&parts[at..], length - left))
}

/// Hashes a file of known size while it is read.
#[derive(Debug)]
pub(crate) struct FileHasher {
    size: u64,
    at: u64,
    hasher: Hasher,
    parts: Vec<Part>,
}

impl FileHasher {
    /// For exactly `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        Self { size, at: 0, hasher: Place::of(0, size).hasher(), parts: Vec::new() }
    }

    fn place(&self) -> Place {
        Place::of(self.parts.len() as u64, self.size)
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BLOCK - self.at % BLOCK;
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            self.hasher.update(&bytes[..take]);
            self.at += take as u64;
            bytes = &bytes[take..];
            if self.at.is_multiple_of(BLOCK) {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        self.parts.push(self.place().finish(&self.hasher));
        self.hasher = self.place().hasher();
    }

    /// The hash, and the parts of the blocks.
    pub(crate) fn finish(&mut self) -> Hash {
        if !self.at.is_multiple_of(BLOCK) {
            self.end_block();
        }
        join(&self.parts, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn joined_blocks_have_the_hash_of_the_whole() {
        let block = BLOCK as usize;
        for length in [
            0,
            1,
            1024,
            block - 1,
            block,
            block + 1,
            2 * block,
            3 * block,
            5 * block + 77,
            8 * block,
            9 * block - 1,
        ] {
            let bytes = noise(length);
            let size = length as u64;
            let parts: Vec<_> = bytes
                .chunks(block)
                .enumerate()
                .map(|(number, block)| Place::of(number as u64, size).part(block))
                .collect();
            assert_eq!(join(&parts, size), blake3::hash(&bytes), "{length}");
            for step in [block / 3 + 1, block, 3 * block] {
                let mut hasher = FileHasher::new(size);
                bytes.chunks(step).for_each(|piece| hasher.update(piece));
                assert_eq!(hasher.finish(), blake3::hash(&bytes), "{length} by {step}");
            }
        }
    }

    #[test]
    fn a_block_elsewhere_is_another_part() {
        let bytes = noise(BLOCK as usize);
        let parts = [Place::Whole, Place::At(0), Place::At(1)].map(|place| place.part(&bytes));
        assert!(parts[0] != parts[1] && parts[1] != parts[2]);
    }
}
