//! The deeper look: the whole repository, and every backup in it.
//!
//! Invariant: a flipped byte in any file of the repository is found, and the file named: all of them but `config` carry
//! the hash of their content as their name, and that one doesn't open any more if it was altered. A missing or truncated
//! file is found by what refers to it. Repairs nothing, changes nothing.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustic_core::{CheckOptions, CheckResults};
use sha2::{Digest, Sha256};

use crate::durable;
use crate::error::{Result, VaultError};
use crate::guard::call;
use crate::ids::SnapshotId;
use crate::parallel;
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::readback::Proven;
use crate::vault::{Listed, Vault};

/// What a look at the whole repository found.
#[derive(Debug)]
pub struct Inspection {
    /// Files of the repository that were read and compared with their names.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// What is wrong with the repository itself, for people; each names a file or an identifier.
    pub damage: Vec<String>,
    /// Every finished backup, the newest first, and whether it can be relied on.
    pub backups: Vec<(Listed, Result<()>)>,
}

impl Inspection {
    /// Whether nothing at all is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.damage.is_empty() && self.backups.iter().all(|(_, verdict)| verdict.is_ok())
    }
}

/// Its modification time is when everything was good.
const INSPECTED: &str = "repository.inspected";

/// Where files lie whose name is the SHA-256 of their content (restic's repository format, "Repository Layout").
const NAMED_BY_HASH: [&str; 4] = ["keys", "index", "snapshots", "data"];

impl Vault {
    /// Reads every file of the repository, looks whether everything that is referred to is there, and verifies every
    /// backup against its manifest.
    ///
    /// # Errors
    ///
    /// It could not be done: the lock, the list of snapshots, a cancellation. Damage is no error but a finding.
    pub fn inspect(&self, monitor: &dyn Monitor) -> Result<Inspection> {
        let _lock = self.lock_for_reading()?;
        let meter = Meter::new(Phase::ReadingBack, None);
        watched(monitor, &meter, || {
            let mut damage = Vec::new();
            let (files, bytes) = self.compare_names(&mut damage, &meter)?;
            self.check_structure(&mut damage);
            let backups = match self.verify_all(&meter) {
                // Known to be damaged already, and the file is named: no reason to say less.
                Err(error) if !damage.is_empty() && !matches!(error, VaultError::Cancelled) => {
                    damage.push(error.to_string());
                    Vec::new()
                }
                verified => verified?,
            };
            let found = Inspection { files, bytes, damage, backups };
            if found.is_good() {
                durable::write_new(&self.lock_dir().join(INSPECTED), b"")?;
            }
            Ok(found)
        })
    }

    /// When [`Vault::inspect`] found everything good for the last time; `None` if it never did.
    #[must_use]
    pub fn last_inspection(&self) -> Option<SystemTime> {
        std::fs::metadata(self.lock_dir().join(INSPECTED)).and_then(|meta| meta.modified()).ok()
    }

    fn compare_names(&self, damage: &mut Vec<String>, meter: &Meter) -> Result<(u64, u64)> {
        let mut files = Vec::new();
        // What is remote is read when the backups are verified.
        let Some(repository) = self.location().path() else { return Ok((0, 0)) };
        for directory in NAMED_BY_HASH {
            collect(&repository.join(directory), &mut files)?;
        }
        let found = std::sync::Mutex::new((Vec::new(), 0));
        parallel::for_each(&files, meter, |path| {
            let (fits, length) = fits_its_name(path, meter)?;
            let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found.1 += length;
            if !fits {
                found.0.push(format!("{}: the content doesn't fit the name", path.display()));
            }
            Ok(())
        })?;
        let (mut wrong, bytes) = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        wrong.sort();
        damage.extend(wrong);
        Ok((files.len() as u64, bytes))
    }

    /// The first pack whose content doesn't fit its name, where it is known that something is damaged, but not what.
    pub(crate) fn first_bad_pack(&self) -> Option<PathBuf> {
        let mut packs = Vec::new();
        collect(&self.location().path()?.join("data"), &mut packs).ok()?;
        let meter = Meter::new(Phase::ReadingBack, None);
        packs.into_iter().find(|pack| fits_its_name(pack, &meter).is_ok_and(|(fits, _)| !fits))
    }

    /// Whether everything that indexes, snapshots and trees refer to is there.
    fn check_structure(&self, damage: &mut Vec<String>) {
        // The library logs what it finds as well, and more.
        let checked =
            call("check the repository", |_| true, || self.repository()?.check(CheckOptions::default()));
        match checked {
            Ok(found) => damage.extend(faults(&found)),
            Err(error) => damage.push(error.to_string()),
        }
    }

    fn verify_all(&self, meter: &Meter) -> Result<Vec<(Listed, Result<()>)>> {
        // Packs that several backups share are read once.
        let mut proven = Proven::default();
        let mut backups = Vec::new();
        for listed in self.listed()? {
            let verdict = self.verify_one(&listed, &mut proven, meter);
            if let Err(VaultError::Cancelled) = verdict {
                return Err(VaultError::Cancelled);
            }
            backups.push((listed, verdict));
        }
        Ok(backups)
    }

    fn verify_one(&self, listed: &Listed, proven: &mut Proven, meter: &Meter) -> Result<()> {
        let manifest = self.manifest_of(listed)?;
        let content = self.content(listed, &manifest)?;
        content.prove(&manifest, |_| true, proven, meter).map(drop)
    }
}

/// What is no fault, by how the library (0.13) says it. What no index knows was left by an interrupted backup: a prune marks
/// it for removal. When that index is then written anew, the library forgets the size of what is marked and has no known
/// content, and finds that it differs; nothing needs it, and it goes with a later prune.
const HARMLESS: [&str; 2] = ["not referenced in index", "marked to delete: true: size computed by index"];

/// The faults that the library's check has found.
pub(crate) fn faults(found: &CheckResults) -> Vec<String> {
    let all = found.0.iter().map(|(_, error)| error.to_string());
    all.filter(|error| !HARMLESS.iter().any(|harmless| error.contains(harmless))).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let io = |error| VaultError::io("list", directory, error);
    for item in std::fs::read_dir(directory).map_err(io)? {
        let item = item.map_err(io)?;
        if item.file_type().map_err(io)?.is_dir() {
            collect(&item.path(), files)?;
        } else if is_hash(&item.file_name()) {
            files.push(item.path());
        }
    }
    files.sort();
    Ok(())
}

/// A file that is still being written has another name.
fn is_hash(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.parse::<SnapshotId>().is_ok())
}

fn fits_its_name(path: &Path, meter: &Meter) -> Result<(bool, u64)> {
    use std::io::Read;
    let io = |error| VaultError::io("read", path, error);
    let mut file = match std::fs::File::open(path) {
        // Somebody has removed it since: what needs it, says so.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((true, 0)),
        file => file.map_err(io)?,
    };
    let (mut hasher, mut buffer, mut bytes) = (Sha256::new(), vec![0; 256 * 1024], 0);
    loop {
        meter.check()?;
        let length = match file.read(&mut buffer) {
            Ok(length) => length,
            // A disk that can't read it any more is what this looks for.
            Err(_) => return Ok((false, bytes)),
        };
        if length == 0 {
            let name = path.file_name().unwrap_or_default();
            return Ok((name == hex::encode(hasher.finalize()).as_str(), bytes));
        }
        hasher.update(&buffer[..length]);
        meter.bytes(length as u64);
        bytes += length as u64;
    }
}
