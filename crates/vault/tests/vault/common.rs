//! What the tests share: a tree with every kind of entry, and a description of a tree that uses none of
//! the crate's own code.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use mainstay_vault::{Backup, Kind, Monitor, Pass, Progress, Tags, Unwatched, Vault};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};
use tempfile::TempDir;

/// A state directory and a place for data, both temporary.
pub struct Place {
    pub dir: TempDir,
    pub vault: Vault,
}

impl Place {
    pub fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    /// In memory, where there is such a place: for tests that don't mean the disk, but would wait for it often.
    pub fn in_memory() -> Self {
        Self::on(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn on(dir: TempDir) -> Self {
        let vault = Vault::open_or_create(&dir.path().join("state")).unwrap();
        Self { dir, vault }
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new directory with some files.
    pub fn data(&self, name: &str, content: &str) -> PathBuf {
        let data = self.path(name);
        fs::create_dir_all(data.join("sub")).unwrap();
        fs::write(data.join("one"), content).unwrap();
        fs::write(data.join("sub/two"), format!("{content}{content}")).unwrap();
        data
    }

    pub fn backup(&self, source: &Path) -> Backup {
        self.vault.backup(source, &tags("run-1", Kind::Manual), Pass::Still, &Unwatched).unwrap()
    }
}

pub fn tags(run: &str, kind: Kind) -> Tags {
    Tags { run: run.into(), project: "shop".into(), service: "db".into(), mount: "data".into(), kind }
}

pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn special(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
}

/// Fills a new directory with every kind of entry that a volume can hold. Needs root.
pub fn populate(root: &Path) {
    fs::create_dir(root).unwrap();
    let at = |name: &str| root.join(name);
    fs::write(at("empty"), "").unwrap();
    fs::write(at("small"), "some text\n").unwrap();
    fs::write(at("exactly a block"), vec![7; 1 << 20]).unwrap();
    let mut noise = vec![0; 5_000_003];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(at("large"), noise).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(50 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 20 << 20).unwrap();
    fs::create_dir_all(at("deep/er/still")).unwrap();
    fs::create_dir(at("empty dir")).unwrap();
    fs::write(at("deep/er/file"), "below").unwrap();
    // Names whose order differs between bytes and paths.
    fs::write(at("deep-er"), "dash").unwrap();
    fs::write(at("deep.er"), "dot").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not \xff utf-8 \\ \" \n")), "odd name").unwrap();
    fs::hard_link(at("small"), at("deep/hard link")).unwrap();
    fs::hard_link(at("small"), at("zz hard link")).unwrap();
    symlink("deep/er/file", at("link")).unwrap();
    symlink("/nowhere/at/all", at("dangling")).unwrap();
    symlink(OsStr::from_bytes(b"\xfe raw"), at("raw link")).unwrap();
    symlink("/etc", at("link to a directory outside")).unwrap();
    special(&at("fifo"), FileType::Fifo, 0);
    special(&at("char"), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    special(&at("block"), FileType::BlockDevice, rustix::fs::makedev(7, 200));
    drop(UnixListener::bind(at("socket")).unwrap());
    fs::write(at("program"), "#!/bin/sh\n").unwrap();
    chown(at("program"), Some(1234), Some(4_000_000_000)).unwrap();
    for (name, mode) in [("program", 0o6751), ("empty", 0o000), ("empty dir", 0o1777), ("large", 0o400)] {
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::lchown(at("link"), Some(77), Some(78)).unwrap();
    xattr::set(at("small"), "user.origin", b"\x00binary\xff").unwrap();
    xattr::set(at("deep"), "user.of a directory", b"").unwrap();
    xattr::set(at("link"), "trusted.of.a.link", b"itself").unwrap();
    // cap_net_bind_service, which a change of owner would drop.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    xattr::set(at("deep.er"), "security.capability", &capability).unwrap();
    xattr::set(root, "user.root", b"of the root").unwrap();
    set_mtime(&at("small"), 1_234_567_890, 123_456_789);
    set_mtime(&at("link"), 1_000_000_000, 1);
    set_mtime(&at("sparse"), -5, 999_999_999);
    set_mtime(&at("deep/er"), 1_111_111_111, 222_222_222);
    chown(root, Some(999), Some(998)).unwrap();
    fs::set_permissions(root, Permissions::from_mode(0o2750)).unwrap();
    set_mtime(root, 1_500_000_000, 987_654_321);
}

/// What is mounted, and unmounted in the end. Needs root.
pub struct Mount(pub PathBuf);

impl Mount {
    pub fn new(path: PathBuf, options: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).status().unwrap();
        assert!(status.success(), "these tests mount a tmpfs: run them as root");
        Self(path)
    }

    pub fn bind(from: &Path, to: PathBuf) -> Self {
        fs::create_dir(&to).unwrap();
        let status = Command::new("mount").arg("--bind").arg(from).arg(&to).status().unwrap();
        assert!(status.success(), "these tests mount: run them as root");
        Self(to)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Everything about every entry that a restore has to bring back, by path.
pub fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let (mut all, mut first) = (BTreeMap::new(), HashMap::new());
    describe_below(root, Path::new(""), &mut all, &mut first);
    all
}

fn describe_below(
    root: &Path,
    path: &Path,
    all: &mut BTreeMap<PathBuf, String>,
    first: &mut HashMap<u64, PathBuf>,
) {
    let full = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
    let meta = fs::symlink_metadata(&full).unwrap();
    let kind = meta.file_type();
    let content = if kind.is_symlink() {
        format!("-> {:?}", fs::read_link(&full).unwrap())
    } else if kind.is_file() {
        let first_name = first.entry(meta.ino()).or_insert_with(|| path.to_owned());
        format!("{} bytes {} first {first_name:?}", meta.len(), blake3::hash(&fs::read(&full).unwrap()))
    } else if kind.is_block_device() || kind.is_char_device() {
        format!("device {}", meta.rdev())
    } else {
        String::new()
    };
    let mut xattrs: Vec<_> =
        xattr::list(&full).unwrap().map(|name| (name.clone(), xattr::get(&full, &name).unwrap())).collect();
    xattrs.sort();
    let text = format!(
        "{:o} {}:{} {}.{:09} {content} {xattrs:?}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
    );
    all.insert(path.to_owned(), text);
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&full).unwrap().map(|item| item.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            describe_below(root, &path.join(name), all, first);
        }
    }
}

/// Every regular file below a directory.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Cancels as soon as something was read.
#[derive(Default)]
pub struct Impatient(AtomicBool);

impl Monitor for Impatient {
    fn progress(&self, progress: Progress) {
        self.0.fetch_or(progress.bytes_done > 0, SeqCst);
    }

    fn cancelled(&self) -> bool {
        self.0.load(SeqCst)
    }
}
