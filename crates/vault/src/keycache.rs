//! Remembers the key of a repository, because deriving it from the password takes a good part of a second.
//!
//! The file lies in the state directory with mode 0600, as the password file does: whoever can read one can
//! read the other. Invariant: a remembered key is used only for the repository it is of, only while the
//! password is the one that opened it, and only while the key file in the repository, which stock restic
//! needs, is whole; else the password has to prove itself again. A password that came from the environment
//! isn't on the disk, so no key is remembered for it: that would weaken it.

use std::fs;
use std::path::{Path, PathBuf};

use rustic_core::repofile::{KeyId, MasterKey};
use rustic_core::{FileType, Id, WriteBackend};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::Result;

const FILE: &str = "repository.key";

/// What is on the disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The repository's identifier, 64 hexadecimal digits.
    repository: String,
    /// The key file in the repository that the password opened.
    key_file: Id,
    /// BLAKE3 of the password, keyed with the master key.
    password: String,
    key: MasterKey,
}

/// The remembered key, if there is one for this password and its key file is whole; and of which repository.
pub(crate) fn load(dir: &Path, password: &str, backend: &dyn WriteBackend) -> Option<(MasterKey, String)> {
    // Anything wrong with it only means that the password has to do.
    let stored: Stored = serde_json::from_slice(&fs::read(file(dir)).ok()?).ok()?;
    if digest(&stored.key, password)? != stored.password {
        return None;
    }
    let key_file = backend.read_full(FileType::Key, &stored.key_file).ok()?;
    let whole = stored.key_file.blob_matches_reader(u64::MAX, &mut &key_file[..]);
    whole.then_some((stored.key, stored.repository))
}

/// Remembers a key that the password just opened.
pub(crate) fn store(
    dir: &Path,
    repository: &str,
    key_file: &KeyId,
    password: &str,
    key: &MasterKey,
) -> Result<()> {
    let Some(password) = digest(key, password) else { return Ok(()) };
    let stored =
        Stored { repository: repository.to_owned(), key_file: **key_file, password, key: key.clone() };
    let Ok(json) = serde_json::to_vec(&stored) else { return Ok(()) };
    durable::private_dir(dir)?;
    durable::write_new(&file(dir), &json)
}

fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Useless without the master key, which opens the repository anyway.
fn digest(key: &MasterKey, password: &str) -> Option<String> {
    let material = serde_json::to_vec(key).ok()?;
    let derived = blake3::derive_key("mainstay 2026 digest of the password of a remembered key", &material);
    Some(blake3::keyed_hash(&derived, password.as_bytes()).to_hex().to_string())
}
