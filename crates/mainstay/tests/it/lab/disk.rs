//! A disk of its own for a project, whose power can be cut.
//!
//! It is a file behind a loop device, with ext4 on it. A cut is the shutdown of that file system without a flush of its
//! journal (`EXT4_IOC_SHUTDOWN`, as xfstests uses it): at once nothing can be written any more, and what is mounted again
//! afterwards is what had reached the disk, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::eventually;
use super::process::bounded;

/// A disk that is mounted somewhere.
pub struct Disk {
    at: PathBuf,
    image: TempDir,
}

impl Disk {
    /// Mounts an empty one of 1 GiB at a directory.
    pub fn mount(at: &Path) -> Self {
        Self::of(at, 1 << 30)
    }

    /// Mounts an empty one of so many bytes at a directory.
    pub fn of(at: &Path, size: u64) -> Self {
        let disk = Self { at: at.to_owned(), image: tempfile::tempdir().unwrap() };
        let image = std::fs::File::create(disk.image()).unwrap();
        image.set_len(size).unwrap();
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-I", "256"]).arg(disk.image());
        bounded(make).success("mkfs.ext4");
        disk.attach();
        disk
    }

    fn image(&self) -> PathBuf {
        self.image.path().join("disk")
    }

    fn attach(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(self.image()).arg(&self.at);
        bounded(mount).success("mount");
    }

    fn detach(&self) -> bool {
        let mut unmount = Command::new("umount");
        unmount.arg(&self.at);
        bounded(unmount).code == Some(0)
    }

    /// Everything that was written so far is on the disk.
    pub fn sync(&self) {
        let mut sync = Command::new("sync");
        sync.arg("-f").arg(&self.at);
        bounded(sync).success("sync");
    }

    /// From now on nothing gets onto it, whatever was written before and not synced.
    pub fn cut(&self) {
        let mut shut = Command::new("xfs_io");
        shut.args(["-x", "-c", "shutdown"]).arg(&self.at);
        bounded(shut).success("xfs_io is installed by script/bootstrap --test");
    }

    /// The power is back. Nobody may have anything open on it.
    pub fn back(&self) {
        eventually("nobody uses the disk", || self.detach().then_some(()));
        // A container that is just going away has a mount of its own: until then it is still the old file system.
        eventually("the disk is let go", || {
            let mut loops = Command::new("losetup");
            loops.arg("-j").arg(self.image());
            bounded(loops).stdout.is_empty().then_some(())
        });
        self.attach();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        unmount.arg("-l").arg(&self.at);
        let _ = bounded(unmount);
    }
}
