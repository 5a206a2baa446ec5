//! The directory of one run below the state directory: what is too big or too secret for the journal.
//!
//! Invariant: nobody but the owner can read it (0700, files 0600), and what [`RunDir::write`] returned from
//! is on the disk. What it does not do: decide when a run is old enough to be removed.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::FileError;
use super::replace::{read, sync_directory};

/// How the name of a file begins that is still being written. No file of a run is called so, whatever the operator's
/// files are called.
const UNFINISHED: &str = ".writing-";

/// `<state>/runs/<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes the directory, or takes the one that is there.
    pub fn create(state: &Path, run: &str) -> Result<Self, FileError> {
        let path = Self::locate(state, run)?;
        make_private(&path)?;
        Ok(Self { path })
    }

    /// The directory of a run that was begun before.
    pub fn open(state: &Path, run: &str) -> Result<Self, FileError> {
        let path = Self::locate(state, run)?;
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Self { path }),
            Ok(_) => Err(unreadable(&path, io::ErrorKind::NotADirectory.into())),
            Err(error) => Err(unreadable(&path, error)),
        }
    }

    /// Removes the directory of a run with everything in it; it is no error if there is none.
    pub fn remove(state: &Path, run: &str) -> Result<(), FileError> {
        let path = Self::locate(state, run)?;
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::writing(&path, "removing the directory of an old run", error))
            }
            _ => sync_directory(&path),
        }
    }

    /// The state directory that it is in.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.path.ancestors().nth(2).unwrap_or(&self.path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, `inside` being relative; directories in between are made. Replaces what is there.
    pub fn write(&self, inside: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
        let target = self.inside(inside.as_ref())?;
        if let Some(directory) = target.parent() {
            make_private(directory)?;
        }
        let mut name = OsString::from(UNFINISHED);
        name.push(target.file_name().unwrap_or_default());
        let temporary = target.with_file_name(name);
        let failed = |source| FileError::writing(&target, "keeping it for the run", source);
        let mut file = private_file(&temporary).map_err(failed)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&temporary, &target).map_err(failed)?;
        sync_directory(&target)
    }

    /// Removes what a process that was killed had not finished writing. Nobody else may be at work on the run.
    ///
    /// # Errors
    /// Where a directory can't be read, or a file not be removed.
    pub fn tidy(&self) -> Result<(), FileError> {
        tidy(&self.path)
            .map_err(|source| FileError::writing(&self.path, "removing what is unfinished", source))
    }

    /// Reads a file back.
    pub fn read(&self, inside: impl AsRef<Path>) -> Result<Vec<u8>, FileError> {
        read(&self.inside(inside.as_ref())?)
    }

    fn locate(state: &Path, run: &str) -> Result<PathBuf, FileError> {
        let path = state.join("runs").join(run);
        let plain = Path::new(run).components().count() == 1 && is_inside(Path::new(run));
        if plain { Ok(path) } else { Err(unreadable(&path, io::ErrorKind::InvalidInput.into())) }
    }

    fn inside(&self, inside: &Path) -> Result<PathBuf, FileError> {
        let path = self.path.join(inside);
        if is_inside(inside) { Ok(path) } else { Err(unreadable(&path, io::ErrorKind::InvalidInput.into())) }
    }
}

fn tidy(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let unfinished = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
        match entry.file_type()? {
            kind if kind.is_dir() => tidy(&entry.path())?,
            kind if kind.is_file() && unfinished => fs::remove_file(entry.path())?,
            _ => {}
        }
    }
    Ok(())
}

fn is_inside(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|c| matches!(c, Component::Normal(_)))
}

fn unreadable(path: &Path, source: io::Error) -> FileError {
    FileError::Unreadable { path: path.to_owned(), source }
}

fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Makes a directory and what is missing above it, 0700, each one durably named in the one above.
pub(super) fn make_private(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_private(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError::writing(path, "making the directory", error))
        }
        _ => sync_directory(path),
    }
}
