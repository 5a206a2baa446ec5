//! A disk of its own for a project, whose power can be cut.
//!
//! It is a file behind a loop device, with ext4 on it. A cut is the shutdown of that file system without a flush of its
//! journal (`EXT4_IOC_SHUTDOWN`, as xfstests uses it): at once nothing can be written any more, and what is mounted again
//! afterwards is what had reached the disk, and nothing else.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

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
        let image = File::create(disk.image()).unwrap();
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

/// A small filesystem of its own where the state directory is; needs root.
pub struct Small(PathBuf);

impl Small {
    pub fn mount(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]).arg(at);
        bounded(mount).success("mount");
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        unmount.arg("-l").arg(&self.0);
        bounded(unmount);
    }
}

/// Somebody who takes all room that there is on a disk, and whatever room there is later; gives it back when dropped.
pub struct Filler {
    file: PathBuf,
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Filler {
    /// Returns when the disk is full for the first time.
    pub fn begin(file: PathBuf) -> Self {
        let mut open = File::create(&file).unwrap();
        take(&mut open, &file);
        let enough = Arc::new(AtomicBool::new(false));
        let (told, path) = (Arc::clone(&enough), file.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                take(&mut open, &path);
            }
        });
        Self { file, enough, thread: Some(thread) }
    }
}

/// Big pieces as long as they fit, then smaller ones.
fn take(open: &mut File, file: &Path) {
    let room = rustix::fs::statvfs(file).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    let end = open.metadata().map_or(0, |found| found.len());
    if room > 1 << 20 {
        let none = rustix::fs::FallocateFlags::empty();
        let _ = rustix::fs::fallocate(&*open, none, end, room);
    }
    let end = open.metadata().map_or(0, |found| found.len());
    let _ = std::io::Seek::seek(open, std::io::SeekFrom::Start(end));
    let zeroes = [0; 4096];
    let mut size = zeroes.len();
    while size > 0 {
        match open.write(&zeroes[..size]) {
            Err(error) if error.kind() != ErrorKind::Interrupted => size /= 2,
            _ => {}
        }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.file);
    }
}
