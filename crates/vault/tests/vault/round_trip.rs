//! What goes in comes out, and the second time little is added.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use crate::common::{Place, describe, populate, tags};
use mainstay_vault::{Kind, Pass, Unwatched, Vault, VaultError};

#[test]
fn every_kind_of_entry_comes_back() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let before = describe(&data);

    let backup = place.backup(&data);
    assert_eq!(describe(&data), before, "a backup changes nothing");
    let manifest = place.vault.manifest(&backup.id).unwrap();
    assert_eq!(manifest.entries.len(), before.len());
    assert_eq!(backup.changed_while_reading, 0);

    let verified = place.vault.verify(&backup.id, &Unwatched).unwrap();
    assert_eq!((verified.files, verified.bytes), (backup.files, backup.bytes));
    assert!(verified.packs > 0);

    let target = place.path("restored");
    let restored = place.vault.restore_to(&backup.id, &target, &Unwatched).unwrap();
    assert_eq!(restored.files, backup.files);
    assert_eq!(describe(&target), before);
    let sparse = fs::metadata(target.join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < sparse.len() / 10, "holes come back as holes");
}

#[test]
fn a_single_file_comes_back() {
    let place = Place::new();
    let data = place.data("data", "of one file");
    let file = data.join("one");
    let before = describe(&file);
    let backup = place.backup(&file);
    assert_eq!(backup.files, 1);
    let target = place.path("restored");
    place.vault.restore_to(&backup.id, &target, &Unwatched).unwrap();
    assert_eq!(describe(&target.join("one")), before);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}

#[test]
fn the_second_backup_finds_the_first() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let first = place.backup(&data);
    fs::write(data.join("additional"), "a few bytes").unwrap();
    let tags = tags("run-1", Kind::Cutover);
    let second = place.vault.backup(&data, &tags, Pass::Still, &Unwatched).unwrap();
    assert!(first.added_bytes > 3_000_000, "{}", first.added_bytes);
    assert!(second.added_bytes < 20_000, "{}", second.added_bytes);
    assert_eq!(second.files, first.files + 1);
    place.vault.verify(&second.id, &Unwatched).unwrap();

    let listed = place.vault.snapshots().unwrap();
    assert_eq!(listed.iter().map(|l| &l.id).collect::<Vec<_>>(), [&second.id, &first.id]);
    assert_eq!((&listed[0].tags, listed[0].bytes), (&tags, second.bytes));
    assert_eq!(listed[0].source, data);
    let one = place.vault.manifest(&first.id).unwrap();
    let two = place.vault.manifest(&second.id).unwrap();
    assert!(one.first_difference(&two).unwrap().contains("additional"));
    fs::remove_file(data.join("additional")).unwrap();
    let third = place.backup(&data);
    assert!(one.same_content(&place.vault.manifest(&third.id).unwrap()));
}

#[test]
fn content_of_the_same_size_and_time_is_read_again() {
    let place = Place::new();
    let data = place.data("data", "before");
    crate::common::set_mtime(&data.join("one"), 1_000_000_000, 0);
    place.backup(&data);
    fs::write(data.join("one"), "behind").unwrap();
    crate::common::set_mtime(&data.join("one"), 1_000_000_000, 0);
    let second = place.backup(&data);
    let target = place.path("restored");
    place.vault.restore_to(&second.id, &target, &Unwatched).unwrap();
    assert_eq!(fs::read_to_string(target.join("one")).unwrap(), "behind");
}

#[test]
fn a_repository_is_made_once_and_its_password_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    assert!(Vault::open(&state).unwrap().is_none());
    assert!(!state.exists(), "opening makes nothing");
    let vault = Vault::open_or_create(&state).unwrap();
    let password = fs::read(vault.password_file()).unwrap();
    assert_eq!(fs::metadata(vault.password_file()).unwrap().permissions().mode() & 0o777, 0o600);
    let config = fs::read(vault.path().join("config")).unwrap();
    let vault = Vault::open_or_create(&state).unwrap();
    assert_eq!(fs::read(vault.password_file()).unwrap(), password);
    assert_eq!(fs::read(vault.path().join("config")).unwrap(), config);

    fs::write(vault.password_file(), "another one\n").unwrap();
    assert!(matches!(Vault::open(&state), Err(VaultError::Password { .. })));
    fs::remove_file(vault.password_file()).unwrap();
    assert!(matches!(Vault::open_or_create(&state), Err(VaultError::Password { .. })));
}

#[test]
fn a_repository_whose_making_was_interrupted_is_made_anew() {
    let place = Place::new();
    let (repository, unfinished) = (place.path("state/repository"), place.path("state/repository.new"));
    fs::rename(&repository, &unfinished).unwrap();
    fs::remove_file(unfinished.join("config")).unwrap();
    let vault = Vault::open_or_create(&place.state()).unwrap();
    assert!(!unfinished.exists());
    assert_eq!(crate::common::files_below(&vault.path().join("keys")).len(), 1);
}

#[test]
fn a_backup_is_found_by_its_beginning() {
    let place = Place::new();
    let data = place.data("data", "x");
    let ids = [place.backup(&data).id, place.backup(&data).id];
    assert_eq!(place.vault.find(ids[0].as_str()).unwrap().id, ids[0]);
    assert_eq!(place.vault.find(&ids[1].as_str()[..20]).unwrap().id, ids[1]);
    assert!(matches!(place.vault.find(""), Err(VaultError::AmbiguousSnapshot { count: 2, .. })));
    assert!(matches!(place.vault.find("no hex"), Err(VaultError::UnknownSnapshot { .. })));
}

#[test]
fn only_an_empty_directory_is_restored_into() {
    let place = Place::new();
    let data = place.data("data", "x");
    let backup = place.backup(&data);
    let before = describe(&data);
    let refused = place.vault.restore_to(&backup.id, &data, &Unwatched);
    assert!(matches!(refused, Err(VaultError::NotEmpty { .. })));
    assert_eq!(describe(&data), before);
}

#[test]
fn the_room_that_a_restore_needs_is_known() {
    let place = Place::new();
    let data = place.data("data", "x");
    fs::write(data.join("ten"), vec![1; 10 << 20]).unwrap();
    let backup = place.backup(&data);
    let room = place.vault.room_for_restore(&backup.id, &data).unwrap();
    assert!((10 << 20..11 << 20).contains(&room.needed), "{room:?}");
    assert!(room.available > 0);
}

#[test]
fn a_repository_that_somebody_has_alone_is_locked() {
    let mut place = Place::new();
    let data = place.data("data", "x");
    place.vault.set_patience(Duration::from_millis(100));
    let lock = fs::File::open(place.path("state/repository.lock")).unwrap();
    lock.lock().unwrap();
    let refused = place.vault.backup(&data, &tags("run", Kind::Live), Pass::Live, &Unwatched);
    assert!(matches!(refused, Err(VaultError::Locked { .. })));
    assert!(matches!(place.vault.snapshots(), Err(VaultError::Locked { .. })));
    lock.unlock().unwrap();
    place.backup(&data);
}
