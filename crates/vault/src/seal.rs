//! Seals blobs for the repository, and opens them: encrypted with AES-256 in counter mode, authenticated with
//! Poly1305-AES, and mostly compressed (restic's repository format, "Keys, Encryption and MAC" and "Pack Format").
//!
//! Invariant: what comes out is what was sealed with the same key, or nothing comes out; every seal has a nonce of its
//! own, from the kernel's random numbers. Of our own, because the library opens a pack file for every blob and makes a
//! decompressor for every one: for 200,000 small files that is most of the time.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU32;

use aes256ctr_poly1305aes::aead::{Aead, AeadInPlace};
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce};
use rustic_core::repofile::MasterKey;
use zstd::bulk::{Compressor, Decompressor};

const NONCE: usize = 16;
/// By so much a seal is longer than what is in it.
/// restic's mark of a compressed file.
pub(crate) const COMPRESSED: u8 = 2;
pub(crate) const OVERHEAD: usize = NONCE + 16;

/// The key of a repository, as the cipher wants it.
pub(crate) fn cipher_key(key: &MasterKey) -> Key {
    let mut bytes = Key::default();
    let parts = key.encrypt.iter().chain(&key.mac.k).chain(&key.mac.r);
    bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = *part);
    bytes
}

/// Opens blobs, one after the other.
pub(crate) struct Opener {
    cipher: Aes256CtrPoly1305Aes,
    decompressor: Decompressor<'static>,
}

impl Opener {
    pub(crate) fn new(key: &Key) -> std::io::Result<Self> {
        Ok(Self { cipher: Aes256CtrPoly1305Aes::new(key), decompressor: Decompressor::new()? })
    }

    /// The content of a blob; `plain_length` is known of compressed ones.
    pub(crate) fn open(
        &mut self,
        sealed: &[u8],
        plain_length: Option<NonZeroU32>,
    ) -> Result<Vec<u8>, &'static str> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or("it is too short")?;
        let plain = self
            .cipher
            .decrypt(Nonce::from_slice(nonce), sealed)
            .map_err(|_| "it was altered, or sealed with another key")?;
        match plain_length {
            None => Ok(plain),
            Some(length) => {
                let length = usize::try_from(length.get()).map_err(|_| "it is too long")?;
                let content = self.decompressor.decompress(&plain, length);
                content.ok().filter(|content| content.len() == length).ok_or("it can't be decompressed")
            }
        }
    }
}

/// A blob as it is stored.
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    /// If it is compressed.
    pub(crate) plain_length: Option<NonZeroU32>,
}

/// Seals, one after the other.
pub(crate) struct Sealer {
    cipher: Aes256CtrPoly1305Aes,
    random: File,
    compressor: Option<Compressor<'static>>,
}

impl Sealer {
    /// `compression` is zstd's level; without it blobs are stored as they are.
    pub(crate) fn new(key: &Key, compression: Option<i32>) -> io::Result<Self> {
        let compressor = compression.map(Compressor::new).transpose()?;
        Ok(Self { cipher: Aes256CtrPoly1305Aes::new(key), random: File::open("/dev/urandom")?, compressor })
    }

    /// The content as it is, encrypted and authenticated.
    pub(crate) fn seal(&mut self, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = Nonce::default();
        self.random.read_exact(&mut nonce)?;
        let mut sealed = Vec::with_capacity(content.len() + OVERHEAD);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(content);
        let tag = self.cipher.encrypt_in_place_detached(&nonce, &[], &mut sealed[NONCE..]);
        sealed.extend(tag.map_err(|_| io::Error::other("it can't be encrypted"))?);
        Ok(sealed)
    }

    /// As a blob: compressed, if that makes it smaller.
    pub(crate) fn blob(&mut self, content: &[u8]) -> io::Result<Sealed> {
        let packed = self.compressor.as_mut().map(|compressor| compressor.compress(content)).transpose()?;
        match packed.filter(|packed| packed.len() < content.len()) {
            None => Ok(Sealed { bytes: self.seal(content)?, plain_length: None }),
            Some(packed) => {
                let length = u32::try_from(content.len()).map_err(io::Error::other)?;
                Ok(Sealed { bytes: self.seal(&packed)?, plain_length: NonZeroU32::new(length) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_out_and_nothing_altered_does() {
        let key = *Key::from_slice(&[7; 64]);
        let mut noise = vec![0; 70_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for (content, packs) in [(&noise[..], false), (&[7; 70_000], true), (b"", false), (b"x", false)] {
            for compression in [None, Some(1)] {
                let sealed = Sealer::new(&key, compression).unwrap().blob(content).unwrap();
                assert_eq!(sealed.plain_length.is_some(), packs && compression.is_some());
                let mut opener = Opener::new(&key).unwrap();
                assert!(opener.open(&sealed.bytes, sealed.plain_length).unwrap() == content);
                for at in [0, NONCE, sealed.bytes.len() - 1] {
                    let mut altered = sealed.bytes.clone();
                    altered[at] ^= 1;
                    assert!(opener.open(&altered, sealed.plain_length).is_err());
                }
            }
        }
    }

    #[test]
    fn the_same_content_is_never_sealed_alike() {
        let mut sealer = Sealer::new(Key::from_slice(&[7; 64]), None).unwrap();
        assert!(sealer.seal(b"content").unwrap() != sealer.seal(b"content").unwrap());
    }
}
