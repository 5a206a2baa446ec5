//! Reading, replacing and removing one file of the operator's.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::{FileError, attributes, hash};

/// The mode of a file that did not exist before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewFile {
    /// 0600: it holds secrets.
    Private,
    /// 0644.
    Ordinary,
}

impl NewFile {
    fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Ordinary => 0o644,
        }
    }
}

/// The bytes of a regular file; symbolic links are followed.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    fs::read(path).map_err(unreadable)
}

/// The same, with `None` for a file that is not there.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts `bytes` in place of those that hash to `expected_before` (`None`: in place of no file), atomically
/// and durably. A symbolic link stays, its target is replaced. Does nothing where `bytes` are there already.
pub fn replace(
    path: &Path,
    expected_before: Option<&str>,
    bytes: &[u8],
    new_file: NewFile,
) -> Result<(), FileError> {
    let target = follow(path)?;
    let temporary = temporary_name(&target);
    clean_up(&temporary)?;
    if is_in_place(&target, expected_before, bytes)? {
        return sync_directory(&target);
    }
    let written = write_temporary(&target, &temporary, bytes, new_file).and_then(|()| {
        if is_in_place(&target, expected_before, bytes)? {
            return clean_up(&temporary);
        }
        fs::rename(&temporary, &target)
            .map_err(|e| FileError::writing(&target, "renaming the new file over it", e))
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // the first error is the one to tell
    }
    written?;
    sync_directory(&target)
}

/// Removes a file that holds the bytes that hash to `expected`. Does nothing where there is none.
pub fn remove(path: &Path, expected: &str) -> Result<(), FileError> {
    clean_up(&temporary_name(path))?;
    let foreign = |found: &str| FileError::Foreign {
        path: path.to_owned(),
        found: found.to_owned(),
        expected: short(expected),
    };
    if path.is_symlink() {
        return Err(foreign("is a symbolic link"));
    }
    if let Some(bytes) = read_if_there(path)? {
        if hash(&bytes) != expected {
            return Err(foreign("has other content"));
        }
        fs::remove_file(path).map_err(|e| FileError::writing(path, "removing it", e))?;
    }
    sync_directory(path)
}

/// Removes what a call of [`replace`] that was cut off left beside a file. It holds what the file was to hold.
pub fn tidy(path: &Path) -> Result<(), FileError> {
    clean_up(&temporary_name(&follow(path)?))
}

/// Whether the wanted bytes are there; an error where neither they nor the expected ones are.
fn is_in_place(target: &Path, expected_before: Option<&str>, bytes: &[u8]) -> Result<bool, FileError> {
    let present = read_if_there(target)?;
    if present.as_deref() == Some(bytes) {
        return Ok(true);
    }
    let found = present.as_deref().map(hash);
    if found.as_deref() == expected_before {
        return Ok(false);
    }
    let found = found.map_or("is gone".to_owned(), |found| format!("has other content ({})", short(&found)));
    let expected = expected_before.map_or("no file there".to_owned(), short);
    Err(FileError::Foreign { path: target.to_owned(), found, expected })
}

fn short(hash: &str) -> String {
    format!("content {}…", hash.get(..12).unwrap_or(hash))
}

/// Writes the bytes beside the target, with the target's attributes, onto the disk.
fn write_temporary(
    target: &Path,
    temporary: &Path,
    bytes: &[u8],
    new_file: NewFile,
) -> Result<(), FileError> {
    let failed = |doing| move |source| FileError::writing(target, doing, source);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(failed("creating a temporary file in its directory"))?;
    file.write_all(bytes).map_err(failed("writing a temporary file in its directory"))?;
    match File::open(target) {
        Ok(old) => attributes::copy(&old, &file).map_err(|(doing, source)| failed(doing)(source))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            own_like_directory(target, &file).map_err(failed("giving it to its directory's owner"))?;
            file.set_permissions(fs::Permissions::from_mode(new_file.mode()))
                .map_err(failed("setting its mode"))?;
        }
        Err(source) => return Err(FileError::Unreadable { path: target.to_owned(), source }),
    }
    file.sync_all().map_err(failed("bringing it to the disk"))
}

/// A new file in the operator's directory belongs to whoever owns the directory, also when root makes it.
fn own_like_directory(target: &Path, file: &File) -> io::Result<()> {
    let directory = fs::metadata(parent(target))?;
    if rustix::process::geteuid().is_root() {
        fchown(file, Some(directory.uid()), Some(directory.gid()))?;
    }
    Ok(())
}

/// Where a path leads through symbolic links, also when nothing is there yet.
fn follow(path: &Path) -> Result<PathBuf, FileError> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(to) => path = parent(&path).join(to),
            Err(_) => return Ok(path), // not a link, or not there
        }
    }
    let source = io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error());
    Err(FileError::Unreadable { path, source })
}

/// One name for each target, so that a left-over is found by the next call.
fn temporary_name(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".mainstay-tmp");
    parent(target).join(name)
}

fn clean_up(temporary: &Path) -> Result<(), FileError> {
    match fs::remove_file(temporary) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(FileError::writing(temporary, "removing a left-over temporary file", error))
        }
        _ => Ok(()),
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn sync_directory(of: &Path) -> Result<(), FileError> {
    let directory = parent(of);
    let synced = File::open(directory).and_then(|opened| opened.sync_all());
    synced.map_err(|e| FileError::writing(directory, "bringing the directory to the disk", e))
}
