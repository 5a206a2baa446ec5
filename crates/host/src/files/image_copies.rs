//! Copies of images below the state directory, as files.
//!
//! Invariant: what has a copy's own name was written to its end and is on the disk; until then it has a name with the
//! run that writes it, and goes with the value. Nobody but the owner can read it. What it does not do: say what is in
//! a file, or how long one is needed.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::FileError;
use super::replace::sync_directory;
use super::run_dir::make_private;

/// So much is brought to the disk at a time: the end of a large file doesn't wait for all of it.
const AT_A_TIME: u64 = 64 << 20;

/// `<state>/images`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageCopies {
    directory: PathBuf,
}

impl ImageCopies {
    /// Those of a state directory, which need not exist yet.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { directory: state.join("images") }
    }

    /// Where the copy of an image is, or would be.
    #[must_use]
    pub fn path(&self, image_id: &str) -> PathBuf {
        self.directory.join(format!("{}.tar", digits(image_id)))
    }

    /// The copy of an image, if there is one.
    pub fn open(&self, image_id: &str) -> Result<Option<File>, FileError> {
        let path = self.path(image_id);
        match OpenOptions::new().read(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FileError::Unreadable { path, source }),
        }
    }

    /// Begins a copy for a run; one that it had begun before is begun anew.
    pub fn begin(&self, image_id: &str, run: &str) -> Result<Unfinished, FileError> {
        make_private(&self.directory)?;
        let target = self.path(image_id);
        let temporary = self.directory.join(format!("{}.tar.{run}.tmp", digits(image_id)));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        match options.open(&temporary) {
            Ok(file) => Ok(Unfinished { file, temporary, target, unsynced: 0 }),
            Err(source) => Err(FileError::writing(&target, "making the file", source)),
        }
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        fs::read_dir(&self.directory).map_or(true, |mut entries| entries.next().is_none())
    }

    /// Removes the copies of all images but these, and what runs had begun that are not at work any more. Returns how
    /// many copies went.
    pub fn keep_only(&self, images: &HashSet<String>, at_work: &HashSet<&str>) -> Result<u64, FileError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(|source| self.unreadable(source))?,
        };
        let kept: HashSet<String> = images.iter().map(|id| digits(id)).collect();
        let mut removed = 0;
        for entry in entries {
            let entry = entry.map_err(|source| self.unreadable(source))?;
            let name = entry.file_name();
            let Some((image, run)) = name.to_str().and_then(parts) else { continue };
            if run.map_or_else(|| kept.contains(image), |run| at_work.contains(run)) {
                continue;
            }
            let path = entry.path();
            fs::remove_file(&path).map_err(|e| FileError::writing(&path, "removing it", e))?;
            removed += u64::from(run.is_none());
        }
        Ok(removed)
    }

    fn unreadable(&self, source: io::Error) -> FileError {
        FileError::Unreadable { path: self.directory.clone(), source }
    }
}

/// A copy that is being written; gone with the value, unless it was finished.
#[derive(Debug)]
pub struct Unfinished {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    unsynced: u64,
}

impl Unfinished {
    /// Writes what comes next.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(|e| self.failed(e))?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= AT_A_TIME {
            self.unsynced = 0;
            self.file.sync_data().map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    /// What was written, brought to the disk.
    pub fn written(&self) -> Result<&File, FileError> {
        self.file.sync_all().map_err(|e| self.failed(e))?;
        Ok(&self.file)
    }

    /// Gives it its name, in place of what had it.
    pub fn finish(self) -> Result<(), FileError> {
        self.written()?;
        fs::rename(&self.temporary, &self.target).map_err(|e| self.failed(e))?;
        sync_directory(&self.target)
    }

    fn failed(&self, source: io::Error) -> FileError {
        FileError::writing(&self.target, "writing a copy of an image", source)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Gone already where it was finished; what can't be removed now is when runs are tidied.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The part of an image's id that files are named by.
fn digits(image_id: &str) -> String {
    let digits = image_id.strip_prefix("sha256:").unwrap_or(image_id);
    digits.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The image, and the run where it isn't finished; nothing for a file that is none of ours.
fn parts(name: &str) -> Option<(&str, Option<&str>)> {
    match name.strip_suffix(".tmp") {
        Some(begun) => begun.split_once(".tar.").map(|(image, run)| (image, Some(run))),
        None => name.strip_suffix(".tar").map(|image| (image, None)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ID: &str = "sha256:0123";

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir.join("images")).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_has_its_name_when_it_is_whole_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let copies = ImageCopies::of(dir.path());
        assert!(copies.is_empty() && copies.open(ID).unwrap().is_none());
        let mut begun = copies.begin(ID, "run-1").unwrap();
        begun.write(b"half").unwrap();
        assert_eq!(names(dir.path()), ["0123.tar.run-1.tmp"]);
        assert!(copies.open(ID).unwrap().is_none());
        drop(begun);
        assert!(copies.is_empty(), "what fails leaves nothing");

        let mut begun = copies.begin(ID, "run-1").unwrap();
        begun.write(b"whole").unwrap();
        begun.finish().unwrap();
        assert_eq!(names(dir.path()), ["0123.tar"]);
        assert_eq!(fs::read(copies.path(ID)).unwrap(), b"whole");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&copies.path(ID)), mode(&dir.path().join("images"))), (0o600, 0o700));
    }

    #[test]
    fn what_a_run_had_begun_is_begun_anew_and_is_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let copies = ImageCopies::of(dir.path());
        // Killed: nothing was dropped.
        let killed = copies.begin(ID, "run-1").map(std::mem::ManuallyDrop::new).unwrap();
        let mut other = copies.begin(ID, "run-2").unwrap();
        other.write(b"other").unwrap();
        let mut again = copies.begin(ID, "run-1").unwrap();
        again.write(b"x").unwrap();
        assert_eq!(fs::metadata(&killed.temporary).unwrap().len(), 1);
        other.finish().unwrap();
        again.finish().unwrap();
        assert_eq!(
            (names(dir.path()), fs::read(copies.path(ID)).unwrap()),
            (vec!["0123.tar".into()], b"x".into())
        );
    }

    #[test]
    fn only_what_is_needed_or_at_work_stays() {
        let dir = tempfile::tempdir().unwrap();
        let copies = ImageCopies::of(dir.path());
        assert_eq!(copies.keep_only(&HashSet::new(), &HashSet::new()).unwrap(), 0, "no directory yet");
        make_private(&dir.path().join("images")).unwrap();
        for name in ["aa.tar", "bb.tar", "cc.tar.run-1.tmp", "cc.tar.run-2.tmp", "notes.txt"] {
            fs::write(dir.path().join("images").join(name), name).unwrap();
        }
        let removed = copies.keep_only(&HashSet::from(["sha256:aa".to_owned()]), &HashSet::from(["run-2"]));
        assert_eq!(removed.unwrap(), 1);
        assert_eq!(names(dir.path()), ["aa.tar", "cc.tar.run-2.tmp", "notes.txt"]);
    }
}
