//! The second pass of a run, while the service stands still, goes on from the first one: what that must not lose.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::common::{Impatient, Mount, Place, describe, files_below, populate, tags};
use crate::restic::restic;
use mainstay_vault::{Backup, Kind, Pass, Result, Unwatched, Vault, VaultError};

fn first(vault: &Vault, data: &Path) -> Backup {
    vault.backup(data, &tags("run", Kind::Live), Pass::Live, &Unwatched).unwrap()
}

fn second(vault: &Vault, data: &Path) -> Result<Backup> {
    vault.backup(data, &tags("run", Kind::Cutover), Pass::Still, &Unwatched)
}

fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut noise);
    noise
}

#[test]
fn restic_checks_and_restores_it() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    // What restic 0.14 itself can't restore.
    fs::remove_file(data.join("socket")).unwrap();
    fs::remove_file(data.join("raw link")).unwrap();
    xattr::remove(data.join("link"), "trusted.of.a.link").unwrap();
    first(&place.vault, &data);
    // As a service does when it stops: something goes, something is written, something is new.
    fs::remove_file(data.join("deep/er/file")).unwrap();
    File::options().write(true).open(data.join("large")).unwrap().write_all_at(b"changed", 3 << 20).unwrap();
    fs::write(data.join("deep/new"), noise(20 << 20)).unwrap();
    fs::rename(data.join("empty dir"), data.join("renamed")).unwrap();
    let before = describe(&data);
    let second = second(&place.vault, &data).unwrap();
    assert!((20 << 20..23 << 20).contains(&second.added_bytes), "{}", second.added_bytes);

    let check = restic(&place, &["check", "--read-data"]);
    assert!(check.contains("no errors were found"), "{check}");
    let target = place.path("by restic");
    restic(&place, &["restore", second.id.as_str(), "--target", target.to_str().unwrap()]);
    assert_eq!(describe(&target.join(data.strip_prefix("/").unwrap())), before);
    let target = place.path("by ourselves");
    place.vault.restore_to(&second.id, &target, &Unwatched).unwrap();
    assert_eq!(describe(&target), before);
}

/// Only the first pass is there, and it is whole.
fn first_alone(vault: &Vault, first: &Backup) {
    let listed: Vec<_> = vault.snapshots().unwrap().into_iter().map(|listed| listed.id).collect();
    assert_eq!(listed, std::slice::from_ref(&first.id));
    assert_eq!(files_below(&vault.path().join("snapshots")).len(), 1);
    vault.verify(&first.id, &Unwatched).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let place = Place::new();
    let data = place.data("data", "still");
    let first = first(&place.vault, &data);
    let busy = data.join("busy");
    let file = File::create(&busy).unwrap();
    file.set_len(400 << 20).unwrap();
    let done = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                file.write_all_at(b"x", 5).unwrap();
                std::thread::yield_now();
            }
        });
        let refused = second(&place.vault, &data);
        done.store(true, SeqCst);
        refused
    });
    match refused {
        Err(VaultError::Changed { paths }) => assert_eq!(paths, [busy]),
        other => panic!("{other:?}"),
    }
    first_alone(&place.vault, &first);
}

#[test]
fn what_cant_be_read_is_an_error() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let data = place.data("data", "x");
    let first = first(&place.vault, &data);
    xattr::set(data.join("sub/two"), OsStr::from_bytes(b"user.\xff"), b"v").unwrap();
    match second(&place.vault, &data) {
        Err(VaultError::Unreadable { path, .. }) => assert_eq!(path, data.join("sub/two")),
        other => panic!("{other:?}"),
    }
    first_alone(&place.vault, &first);
}

#[test]
fn a_cancelled_one_leaves_the_first_alone() {
    let place = Place::new();
    let data = place.data("data", "x");
    let first = first(&place.vault, &data);
    File::create(data.join("endless")).unwrap().set_len(1 << 40).unwrap();
    let tags = tags("run", Kind::Cutover);
    let cancelled = place.vault.backup(&data, &tags, Pass::Still, &Impatient::default());
    assert!(matches!(cancelled, Err(VaultError::Cancelled)), "{cancelled:?}");
    first_alone(&place.vault, &first);
    fs::remove_file(data.join("endless")).unwrap();
    assert_eq!(second(&place.vault, &data).unwrap().files, 2, "what it left doesn't disturb the next one");
}

#[test]
fn a_disk_that_fills_up_leaves_the_first_alone() {
    let place = Place::new();
    let small = Mount::new(place.path("small"), "size=40m");
    let vault = Vault::open_or_create(&small.0.join("state")).unwrap();
    let data = place.data("data", "x");
    let first = first(&vault, &data);
    fs::write(data.join("too much"), noise(60 << 20)).unwrap();
    let full = second(&vault, &data);
    assert!(matches!(full, Err(VaultError::Library { .. })), "{full:?}");
    assert!(full.unwrap_err().to_string().contains("No space left"));
    first_alone(&vault, &first);
    fs::remove_file(data.join("too much")).unwrap();
    fs::write(data.join("less"), noise(5000)).unwrap();
    // Packs without an index are still there, and the room that they take.
    assert_eq!(second(&vault, &data).unwrap().files, 3);
}
