//! What others take for the same data. Each gives seconds.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The runbook's backup. It writes one compressed file, and checks nothing.
pub fn runbook(volume: &Path, archive: &Path) -> f64 {
    run(Command::new("busybox").args(["tar", "czf"]).arg(archive).arg("-C").arg(volume).arg("."))
}

/// The runbook's way back.
pub fn runbook_restore(archive: &Path, volume: &Path) -> f64 {
    let script = r#"find "$1" -mindepth 1 -delete && busybox tar xzf "$2" -C "$1""#;
    run(Command::new("sh").args(["-c", script, "sh"]).args([volume, archive]))
}

/// On all processors.
pub fn tar_zstd(volume: &Path, archive: &Path) -> f64 {
    run(Command::new("tar")
        .args(["--xattrs", "--acls", "--numeric-owner", "--use-compress-program", "zstd -T0", "-cf"])
        .arg(archive)
        .arg("-C")
        .arg(volume)
        .arg("."))
}

/// Into a new repository.
pub fn restic_first(restic: &Path, repository: &Path, volume: &Path) -> f64 {
    restic_run(restic, repository, &["init".as_ref()]) + restic_backup(restic, repository, volume)
}

/// Into a repository that has a first backup.
pub fn restic_backup(restic: &Path, repository: &Path, volume: &Path) -> f64 {
    restic_run(restic, repository, &["backup".as_ref(), volume.as_os_str()])
}

fn restic_run(restic: &Path, repository: &Path, arguments: &[&OsStr]) -> f64 {
    run(Command::new(restic)
        .args(["--quiet", "--no-cache", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", "measured"))
}

fn run(command: &mut Command) -> f64 {
    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?} failed");
    begun.elapsed().as_secs_f64()
}
