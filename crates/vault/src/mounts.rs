//! Where filesystems are mounted.
//!
//! Invariant: bind mounts are seen too, which device numbers wouldn't show. Sees what this process sees:
//! mounts inside containers are none of ours.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Result, VaultError};

const TABLE: &str = "/proc/self/mountinfo";

/// Every mount point at `path` or below it.
pub(crate) fn at_or_below(path: &Path) -> Result<Vec<PathBuf>> {
    let table = std::fs::read(TABLE).map_err(|error| VaultError::io("read", TABLE, error))?;
    Ok(mount_points(&table).filter(|point| point.starts_with(path)).collect())
}

/// The fifth field of each line.
fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = table.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescaped)
}

/// Blanks and the like are written as a backslash and three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), field);
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 8).ok());
        match code {
            Some(code) if *first == b'\\' => {
                bytes.push(code);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped() {
        let table =
            b"36 35 98:0 / /mnt/a\\040b\\134c rw - ext4 /dev/x rw\n37 35 0:5 / /proc rw - proc proc rw\n";
        let points: Vec<_> = mount_points(table).collect();
        assert_eq!(points, [Path::new("/mnt/a b\\c"), Path::new("/proc")]);
    }

    #[test]
    fn proc_is_mounted() {
        assert!(at_or_below(Path::new("/proc")).unwrap().contains(&PathBuf::from("/proc")));
    }
}
