//! Puts blobs into packs, and writes the index of them (restic's repository format, "Pack Format" and "Indexing").
//!
//! Invariant: the index is written after the packs that it names, so whatever moment this dies at, nothing points to what
//! isn't there; a blob that the repository has, or that was added before, isn't stored again. Of our own, because the
//! library adds blobs only in its one order of reading a whole source. What is written is proven by reading it back, not
//! here.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustic_core::repofile::{BlobType, PackId};
use rustic_core::{BytesList, FileType, Id, IndexedFullStatus, Repository};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Result, VaultError};
use crate::open::Backend;
use crate::seal::{COMPRESSED, OVERHEAD, Sealed, Sealer};
use crate::vault::Vault;

/// As large as packs are in repositories of ours.
const FULL: usize = 16 << 20;
/// As many blobs as the library puts into one pack.
const MOST_BLOBS: usize = 10_000;
/// Packs that wait to be written: a write ends when the disk has it, and meanwhile the processors have other work.
const WAITING: usize = 1;
const ACTION: &str = "store what has changed";

/// A blob in its pack, as the index names it.
#[derive(Debug, Serialize)]
struct Blob {
    id: Id,
    /// The same, in bytes.
    #[serde(skip)]
    digest: [u8; 32],
    #[serde(rename = "type")]
    kind: BlobType,
    offset: u32,
    length: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncompressed_length: Option<NonZeroU32>,
}

/// A pack in the index.
#[derive(Debug, Serialize)]
struct Entry {
    id: PackId,
    blobs: Vec<Blob>,
}

#[derive(Debug, Serialize)]
struct Index {
    packs: Vec<Entry>,
}

/// A pack that isn't written yet.
#[derive(Debug, Default)]
struct Pack {
    /// As they were sealed, one after the other: what is put into a buffer of its own for the file costs a copy.
    parts: BytesList,
    length: usize,
    blobs: Vec<Blob>,
}

/// How much was added.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    /// As they are stored, with what packs need around them.
    pub(crate) packed: u64,
}

#[derive(Debug, Default)]
struct Open {
    pack: Pack,
    added: Added,
}

/// Takes blobs from any thread.
pub(crate) struct Packer<'a> {
    vault: &'a Vault,
    index: &'a Repository<IndexedFullStatus>,
    compression: Option<i32>,
    added: Mutex<HashSet<(BlobType, Id)>>,
    data: Mutex<Open>,
    trees: Mutex<Open>,
    full: SyncSender<Pack>,
}

/// Where the packs come out.
pub(crate) struct Full(Receiver<Pack>);

impl Vault {
    /// Adds to the repository what `work` hands over; the result is what that gave, and what was added: data, trees.
    pub(crate) fn adding<T>(
        &self,
        index: &Repository<IndexedFullStatus>,
        work: impl FnOnce(&Packer<'_>) -> Result<T>,
    ) -> Result<(T, [Added; 2])> {
        let compression = index.config().zstd().map_err(|error| VaultError::library(ACTION, &error))?;
        let (sender, full) = sync_channel(WAITING);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| Full(full).write(&self.backend, self.sealer(None)?));
            let packer = Packer {
                vault: self,
                index,
                compression,
                added: Mutex::default(),
                data: Mutex::default(),
                trees: Mutex::default(),
                full: sender,
            };
            let worked = work(&packer).and_then(|value| Ok((value, packer.finish()?)));
            let packs =
                writer.join().unwrap_or_else(|_| Err(trouble("the thread that writes packs panicked")));
            // Work that could hand nothing over any more failed for the reason that the writer has.
            let (packs, (value, added)) = (packs?, worked?);
            self.write_index(&Index { packs }, compression)?;
            Ok((value, added))
        })
    }

    fn sealer(&self, compression: Option<i32>) -> Result<Sealer> {
        Sealer::new(self.cipher_key(), compression).map_err(trouble)
    }

    fn write_index(&self, index: &Index, compression: Option<i32>) -> Result<()> {
        if index.packs.is_empty() {
            return Ok(());
        }
        let mut content = serde_json::to_vec(index).map_err(trouble)?;
        if let Some(level) = compression {
            let packed = zstd::encode_all(&*content, level).map_err(trouble)?;
            content = [&[COMPRESSED], &*packed].concat();
        }
        let sealed = self.sealer(None)?.seal(&content).map_err(trouble)?;
        write(&self.backend, FileType::Index, sealed.into()).map(drop)
    }
}

impl Packer<'_> {
    /// What seals for one thread.
    pub(crate) fn sealer(&self) -> Result<Sealer> {
        self.vault.sealer(self.compression)
    }

    /// Adds a blob, unless it is there already.
    pub(crate) fn add(&self, kind: BlobType, content: &[u8], sealer: &mut Sealer) -> Result<Id> {
        let digest = Sha256::digest(content).into();
        let id = Id::new(digest);
        if self.is_known(kind, id) || !lock(&self.added).insert((kind, id)) {
            return Ok(id);
        }
        let sealed = sealer.blob(content).map_err(trouble)?;
        let mut open = lock(if kind == BlobType::Data { &self.data } else { &self.trees });
        open.added.blobs += 1;
        open.added.bytes += content.len() as u64;
        open.pack.push(kind, digest, sealed)?;
        if open.pack.is_full() {
            let full = std::mem::take(&mut open.pack);
            open.added.packed += full.length();
            drop(open);
            self.hand_over(full)?;
        }
        Ok(id)
    }

    fn is_known(&self, kind: BlobType, id: Id) -> bool {
        match kind {
            BlobType::Data => self.index.get_index_entry(&rustic_core::DataId::from(id)).is_ok(),
            BlobType::Tree => self.index.get_index_entry(&rustic_core::TreeId::from(id)).is_ok(),
        }
    }

    fn hand_over(&self, pack: Pack) -> Result<()> {
        self.full.send(pack).map_err(|_| trouble("packs can't be written any more"))
    }

    /// Writes what isn't full, too, and lets the writer end.
    fn finish(self) -> Result<[Added; 2]> {
        let mut added = [Added::default(); 2];
        for (open, added) in [&self.data, &self.trees].into_iter().zip(&mut added) {
            let open = std::mem::take(&mut *lock(open));
            *added = open.added;
            if !open.pack.blobs.is_empty() {
                added.packed += open.pack.length();
                self.hand_over(open.pack)?;
            }
        }
        Ok(added)
    }
}

impl Pack {
    fn push(&mut self, kind: BlobType, digest: [u8; 32], sealed: Sealed) -> Result<()> {
        let offset = u32::try_from(self.length).map_err(trouble)?;
        let length = u32::try_from(sealed.bytes.len()).map_err(trouble)?;
        let uncompressed_length = sealed.plain_length;
        self.blobs.push(Blob { id: Id::new(digest), digest, kind, offset, length, uncompressed_length });
        self.length += sealed.bytes.len();
        self.parts.add(sealed.bytes.into());
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.length >= FULL || self.blobs.len() >= MOST_BLOBS
    }

    /// Of the whole file.
    fn length(&self) -> u64 {
        let header: usize = self.blobs.iter().map(|blob| blob.header().len()).sum();
        (self.length + header + OVERHEAD + size_of::<u32>()) as u64
    }

    /// The whole file: the blobs, what they are, sealed, and how long that is.
    fn close(mut self, sealer: &mut Sealer) -> Result<(BytesList, Vec<Blob>)> {
        let header: Vec<u8> = self.blobs.iter().flat_map(Blob::header).collect();
        let header = sealer.seal(&header).map_err(trouble)?;
        let length = u32::try_from(header.len()).map_err(trouble)?.to_le_bytes().to_vec();
        self.parts.add(header.into());
        self.parts.add(length.into());
        Ok((self.parts, self.blobs))
    }
}

impl Blob {
    /// Type, lengths and identifier.
    fn header(&self) -> Vec<u8> {
        let kind = u8::from(self.kind == BlobType::Tree);
        let length = self.length.to_le_bytes();
        match self.uncompressed_length {
            None => [&[kind], &length[..], &self.digest].concat(),
            Some(plain) => [&[kind + 2], &length[..], &plain.get().to_le_bytes(), &self.digest].concat(),
        }
    }
}

impl Full {
    /// Writes packs as they come; each is on the disk before the next is taken.
    fn write(self, backend: &Backend, mut sealer: Sealer) -> Result<Vec<Entry>> {
        self.0
            .into_iter()
            .map(|pack| {
                let (parts, blobs) = pack.close(&mut sealer)?;
                Ok(Entry { id: write(backend, FileType::Pack, parts)?.into(), blobs })
            })
            .collect()
    }
}

/// Writes a file under the name that its content gives it.
fn write(backend: &Backend, kind: FileType, content: BytesList) -> Result<Id> {
    let mut hasher = Sha256::new();
    content.slice().iter().for_each(|part| hasher.update(part));
    let id = Id::new(hasher.finalize().into());
    let written = backend.write_bytes(kind, &id, false, content);
    written.map_err(|error| VaultError::library(ACTION, &error))?;
    Ok(id)
}

/// What a panic left behind is looked at by whoever reports the panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn trouble(error: impl ToString) -> VaultError {
    VaultError::Library { action: ACTION, message: error.to_string() }
}
