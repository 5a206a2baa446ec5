//! Files and directories that are on the disk when a function returns.
//!
//! Invariant: a file that [`write_new`] made is either absent or complete, whatever fails. Doesn't know
//! what is written.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Result, VaultError};

/// Makes a directory and its parents, accessible to the owner only.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| VaultError::io("create", path, error))
}

/// Writes a file that others can't read, through a temporary name, and syncs it and its directory.
/// What has the name already is replaced.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| VaultError::io("write", path, error))?;
    sync_parent(path)
}

/// Writes a file, or a directory's list of names, to the disk.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|error| VaultError::io("sync", path, error))
}

/// Writes the directory that holds `path` to the disk.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_dir)
}

/// Writes everything on the filesystem of `path` to the disk.
pub(crate) fn sync_filesystem(path: &Path) -> Result<()> {
    let sync = || -> std::io::Result<()> { Ok(rustix::fs::syncfs(File::open(path)?)?) };
    sync().map_err(|error| VaultError::io("sync", path, error))
}

/// So many files are cheaper to write to the disk one by one than with everything else that others wrote.
const FEW: usize = 256;

/// Writes files and directories, which are all on the filesystem of `place`, to the disk.
pub(crate) fn sync_each(paths: &[PathBuf], place: &Path) -> Result<()> {
    if paths.len() > FEW {
        return sync_filesystem(place);
    }
    // Side by side, since the filesystem writes its journal once for all that wait.
    let chunk = paths.len().div_ceil(8).max(1);
    std::thread::scope(|scope| {
        let sync = |paths: &[PathBuf]| paths.iter().try_for_each(|path| sync_dir(path));
        let threads: Vec<_> = paths.chunks(chunk).map(|part| scope.spawn(move || sync(part))).collect();
        threads.into_iter().try_for_each(|thread| {
            let panicked = |_| Err(VaultError::io("sync", place, std::io::Error::other("a thread panicked")));
            thread.join().unwrap_or_else(panicked)
        })
    })?;
    sync_dir(place)
}

/// The library renames new files into place without syncing the directories they are in. This makes the names of
/// everything in a repository durable.
pub(crate) fn sync_repository(repository: &Path) -> Result<()> {
    let data = repository.join("data");
    let list = fs::read_dir(&data).map_err(|error| VaultError::io("list", &data, error))?;
    let all: std::io::Result<Vec<_>> = list.map(|dir| Ok(dir?.path())).collect();
    sync_packs(repository, all.map_err(|error| VaultError::io("list", &data, error))?)?;
    for name in ["snapshots", "keys"] {
        sync_dir(&repository.join(name))?;
    }
    sync_dir(repository)
}

/// As [`sync_repository`], for what a backup adds: packs in these directories, and the index.
pub(crate) fn sync_packs(repository: &Path, directories: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    for directory in directories {
        sync_dir(&directory)?;
    }
    sync_dir(&repository.join("data"))?;
    sync_dir(&repository.join("index"))
}

/// Removes a file or a whole directory; it is no error if there is none.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(VaultError::io("remove", path, error)),
        _ => Ok(()),
    }
}
