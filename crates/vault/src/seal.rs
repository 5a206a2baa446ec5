//! Opens what the repository has sealed: encrypted with AES-256 in counter mode, authenticated with Poly1305-AES, and
//! mostly compressed (restic's repository format, "Keys, Encryption and MAC" and "Pack Format").
//!
//! Invariant: what comes out is what was sealed with the same key, or nothing comes out. Of our own, because the
//! library opens a pack file for every blob and makes a decompressor for every one: for 200,000 small files that is most
//! of the time. And a proof by other code than that which wrote is the better proof.

use std::num::NonZeroU32;

use aes256ctr_poly1305aes::aead::Aead;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce};
use rustic_core::repofile::MasterKey;
use zstd::bulk::Decompressor;

const NONCE: usize = 16;

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
