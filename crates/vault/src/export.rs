//! Writes backups as a tar archive, for those who want to leave or to take a copy along.
//!
//! Invariant: an archive whose writing succeeded holds every entry of the manifests but sockets, which a
//! tar can't hold and which are counted; the content of every file had the hash of its manifest while it
//! was written. A file of that name appears when it is whole and on the disk. Memory doesn't grow with
//! the data. Reads nothing but the repository.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::archive::Archive;
use crate::durable;
use crate::entry::{Entry, What};
use crate::error::{Result, VaultError};
use crate::guard::caught;
use crate::ids::SnapshotId;
use crate::progress::{Meter, Monitor, Phase, watched};

use crate::vault::Vault;

/// How an archive is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain tar (POSIX.1-2001, pax).
    Tar,
    /// The same, compressed with Zstandard.
    TarZst,
}

/// One backup in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The backup.
    pub id: SnapshotId,
    /// The directory in the archive that holds it; empty for the archive's own top. The backup of a
    /// single file becomes a file of this name.
    pub top: PathBuf,
}

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// All entries in it.
    pub entries: u64,
    /// Regular files in it; each name counts.
    pub files: u64,
    /// Bytes of file content in it.
    pub bytes: u64,
    /// Sockets that aren't in it.
    pub sockets: u64,
}

impl Vault {
    /// Writes backups as one archive.
    ///
    /// # Errors
    ///
    /// `to` fails; [`VaultError::Damaged`] if the repository doesn't hold what was read: what was written
    /// until then isn't to be used, and lacks the end of a tar archive.
    pub fn export(
        &self,
        parts: &[Part],
        format: Format,
        to: &mut dyn Write,
        monitor: &dyn Monitor,
    ) -> Result<Exported> {
        let _lock = self.lock_for_reading()?;
        let meter = Meter::new(Phase::Restoring, None);
        watched(monitor, &meter, || caught("export", || self.export_to(parts, format, to, &meter)))
    }

    /// Writes backups as one archive to a file that only its owner can read: first as `FILE.partial`,
    /// which gets the right name when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError::Exists`] if there is such a file and `overwrite` isn't set; else as
    /// [`Vault::export`]. There is no file then, or the one that was there.
    pub fn export_file(
        &self,
        parts: &[Part],
        format: Format,
        path: &Path,
        overwrite: bool,
        monitor: &dyn Monitor,
    ) -> Result<Exported> {
        let exists = || VaultError::Exists { path: path.to_owned() };
        if !overwrite && fs::symlink_metadata(path).is_ok() {
            return Err(exists());
        }
        let mut name = OsString::from(path);
        name.push(".partial");
        let partial = PathBuf::from(name);
        let file = partial_file(&partial)?;
        let written = self.export(parts, format, &mut &file, monitor).and_then(|exported| {
            file.sync_all().map_err(|error| VaultError::io("write", &partial, error))?;
            let flags = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
            match renameat_with(CWD, &partial, CWD, path, flags) {
                Err(rustix::io::Errno::EXIST) => Err(exists()),
                renamed => renamed.map_err(|error| VaultError::io("create", path, error)),
            }?;
            durable::sync_parent(&absolute(path)?)?;
            Ok(exported)
        });
        written.inspect_err(|_| {
            // The failure is the news; what stays behind has a name that says what it is.
            let _ = fs::remove_file(&partial);
        })
    }

    fn export_to(
        &self,
        parts: &[Part],
        format: Format,
        to: &mut dyn Write,
        meter: &Meter,
    ) -> Result<Exported> {
        match format {
            Format::Tar => {
                let mut writer = BufWriter::with_capacity(1 << 20, to);
                let exported = self.write_parts(parts, &mut writer, meter)?;
                writer.flush().map_err(broken)?;
                Ok(exported)
            }
            Format::TarZst => {
                let mut encoder = zstd::Encoder::new(to, 3).map_err(broken)?;
                encoder.include_checksum(true).map_err(broken)?;
                let exported = self.write_parts(parts, &mut encoder, meter)?;
                encoder.finish().and_then(|to| to.flush()).map_err(broken)?;
                Ok(exported)
            }
        }
    }

    fn write_parts(&self, parts: &[Part], to: &mut dyn Write, meter: &Meter) -> Result<Exported> {
        let mut loaded = Vec::new();
        for part in parts {
            let snapshot = self.snapshot(&part.id)?;
            loaded.push((part, self.manifest_of(&snapshot)?, snapshot));
        }
        meter.enter(Phase::Restoring, Some(loaded.iter().map(|(_, manifest, _)| manifest.bytes()).sum()));
        let mut archive = Archive::new(to);
        let mut exported = Exported::default();
        for (part, manifest, snapshot) in &loaded {
            let content = self.content(snapshot, manifest)?;
            for (entry, node) in content.with_entries(manifest) {
                meter.check()?;
                if entry.what == What::Socket {
                    exported.sockets += 1;
                    continue;
                }
                archive.entry(entry, &part.top).map_err(broken)?;
                exported.count(entry);
                if entry.is_file() && entry.hardlink.is_none() {
                    content.read(entry, node, |block| {
                        meter.check()?;
                        archive.content(block).map_err(broken)?;
                        meter.bytes(block.len() as u64);
                        Ok(())
                    })?;
                    archive.pad().map_err(broken)?;
                    meter.file();
                }
            }
        }
        archive.finish().map_err(broken)?;
        Ok(exported)
    }
}

impl Exported {
    fn count(&mut self, entry: &Entry) {
        self.entries += 1;
        self.files += u64::from(entry.is_file());
        self.bytes += if entry.hardlink.is_none() { entry.size() } else { 0 };
    }
}

fn broken(error: std::io::Error) -> VaultError {
    VaultError::io("write", "the archive", error)
}

/// A new, empty file, or what an interrupted export left, if no other one is at work on it.
fn partial_file(path: &Path) -> Result<File> {
    let io = |error| VaultError::io("create", path, error);
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => io(std::io::Error::other("another export writes it")),
        fs::TryLockError::Error(error) => io(error),
    })?;
    file.set_len(0).map_err(io)?;
    Ok(file)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| VaultError::io("find", path, error))
}
