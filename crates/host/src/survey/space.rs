//! How much room there is, and how much a directory holds. Reads only; both block.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::facts::Space;

/// Unreadable entries that are named; more are only counted.
const NAMED: usize = 10;

/// What a walk through a directory (or a single file) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Bytes of all files; of hard links once.
    pub bytes: u64,
    /// Everything that is not a directory.
    pub files: u64,
    /// Entries that could not be read, up to ten, and why.
    pub unreadable: Vec<String>,
    /// How many could not be read.
    pub unreadable_count: u64,
}

/// Room on the filesystem of `path`, or of its nearest parent that exists.
///
/// # Errors
///
/// What the system says.
pub fn free(path: &Path) -> io::Result<Space> {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(existing)?;
    Ok(Space {
        path: existing.to_path_buf(),
        device: std::fs::metadata(existing)?.dev(),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// Counts what is below `path`, without following symbolic links.
#[must_use]
pub fn count(path: &Path) -> Count {
    let mut count = Count::default();
    let mut linked = std::collections::HashSet::new();
    let mut todo: Vec<PathBuf> = vec![path.to_path_buf()];
    while let Some(path) = todo.pop() {
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => match std::fs::read_dir(&path) {
                Ok(entries) => {
                    for entry in entries {
                        match entry {
                            Ok(entry) => todo.push(entry.path()),
                            Err(e) => count.miss(&path, &e),
                        }
                    }
                }
                Err(e) => count.miss(&path, &e),
            },
            Ok(meta) => {
                count.files += 1;
                let first = meta.nlink() < 2 || linked.insert((meta.dev(), meta.ino()));
                if meta.is_file() && first {
                    count.bytes += meta.len();
                }
                if meta.is_file() && !may_read(&path) {
                    count.miss(&path, &io::ErrorKind::PermissionDenied.into());
                }
            }
            // Gone between the listing and the look at it: nothing to count.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => count.miss(&path, &e),
        }
    }
    count
}

fn may_read(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok()
}

impl Count {
    fn miss(&mut self, path: &Path, error: &io::Error) {
        self.unreadable_count += 1;
        if self.unreadable.len() < NAMED {
            self.unreadable.push(format!("{}: {error}", path.display()));
        }
    }
}

/// Bytes for people: `12.3 MB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes, 0);
    let mut rest = 0;
    while value >= 1000 && unit + 1 < UNITS.len() {
        rest = value % 1000 / 100;
        value /= 1000;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{value}.{rest} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_links_count_once_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |n: &str| dir.path().join(n);
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("sub/a"), vec![0; 1000]).unwrap();
        std::fs::hard_link(at("sub/a"), at("b")).unwrap();
        std::os::unix::fs::symlink("/usr", at("c")).unwrap();
        let count = count(dir.path());
        assert_eq!((count.bytes, count.files, count.unreadable_count), (1000, 3, 0));
    }

    #[test]
    fn a_missing_directory_holds_nothing() {
        assert_eq!(count(Path::new("/nonexistent/x")), Count::default());
    }

    #[test]
    fn room_is_that_of_the_nearest_parent() {
        let dir = tempfile::tempdir().unwrap();
        let space = free(&dir.path().join("a/b/c")).unwrap();
        assert_eq!(space.path, dir.path());
        assert!(space.total >= space.free && space.total > 0);
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(human(999), "999 B");
        assert_eq!(human(546_000_000), "546.0 MB");
        assert_eq!(human(1_530_000_000), "1.5 GB");
    }
}
