//! A repository at another place, with another password; copies; manifests that travel; the remembered key.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mainstay_vault::{
    Access, Backup, Kind, Location, Manifest, Pass, Password, Tags, Unwatched, Vault, VaultError,
};

use crate::common::{Place, describe, populate, tags};

fn access(place: &Place, directory: &str) -> Access {
    Access::default_of(&place.state()).at(Location::Local(place.path(directory)))
}

fn backup(vault: &Vault, source: &Path, run: &str) -> Backup {
    vault.backup(source, &tags(run, Kind::Manual), Pass::Still, &Unwatched).unwrap()
}

fn manifest_files(state: &Path) -> Vec<std::path::PathBuf> {
    crate::common::files_below(&state.join("manifests"))
}

#[test]
fn a_manifest_is_found_where_only_the_repository_is() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let before = describe(&data);
    let id = place.backup(&data).id;
    let manifest: Manifest = place.vault.manifest(&id).unwrap();
    let settled = place.vault.settle(&Unwatched).unwrap();
    assert_eq!((settled.stored, settled.forgotten, settled.without.len()), (1, 0, 0));
    assert_eq!(place.vault.settle(&Unwatched).unwrap().stored, 0, "once is enough");
    fs::remove_dir_all(place.state().join("manifests")).unwrap();
    assert_eq!(place.vault.manifest(&id).unwrap(), manifest);
    assert_eq!(manifest_files(&place.state()).len(), 1, "it needn't be fetched again");
    fs::remove_dir_all(place.state().join("manifests")).unwrap();
    place.vault.verify(&id, &Unwatched).unwrap();
    let target = place.path("target");
    place.vault.restore_to(&id, &target, &Unwatched).unwrap();
    assert_eq!(describe(&target), before);
    assert_eq!(place.vault.snapshots().unwrap().len(), 1, "a manifest is no backup");
}

#[test]
fn an_altered_manifest_is_replaced_by_the_stored_one() {
    let place = Place::new();
    let id = place.backup(&place.data("data", "x")).id;
    place.vault.settle(&Unwatched).unwrap();
    let file = &manifest_files(&place.state())[0];
    fs::write(file, "not what it was").unwrap();
    place.vault.verify(&id, &Unwatched).unwrap();
}

#[test]
fn a_lost_manifest_is_counted_and_a_manifest_without_a_backup_is_removed() {
    let place = Place::new();
    let first = place.backup(&place.data("one", "x")).id;
    let second = place.backup(&place.data("two", "y")).id;
    let lost = place.vault.snapshots().unwrap().into_iter().find(|s| s.id == first).unwrap().manifest;
    fs::remove_file(place.state().join(format!("manifests/{lost}.zst"))).unwrap();
    let settled = place.vault.settle(&Unwatched).unwrap();
    assert_eq!((settled.stored, settled.without), (1, vec![first]));
    // Whoever removes the backup may leave the manifest.
    let snapshots = place.vault.path().join("snapshots");
    fs::remove_file(snapshots.join(second.as_str())).unwrap();
    assert_eq!(place.vault.settle(&Unwatched).unwrap().forgotten, 1);
    assert_eq!(fs::read_dir(snapshots).unwrap().count(), 1, "the other backup is still there");
}

#[test]
fn a_copy_holds_the_same_backups_and_is_enough_by_itself() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let first = describe(&data);
    backup(&place.vault, &data, "run-1");
    fs::write(data.join("later"), "added").unwrap();
    let second = describe(&data);
    backup(&place.vault, &data, "run-2");
    let target = access(&place, "disk");
    let copy = Vault::open_or_create_at(&target).unwrap();
    let copied = place.vault.copy_to(&copy, |_| true, &Unwatched).unwrap();
    assert_eq!((copied.snapshots, copied.present, copied.without_manifest), (2, 0, 0));
    assert!(copied.packs >= 3, "{copied:?}");
    let content = |vault: &Vault| -> Vec<(Tags, i64, String)> {
        vault.snapshots().unwrap().into_iter().map(|s| (s.tags, s.time, s.manifest)).collect()
    };
    assert_eq!(content(&copy), content(&place.vault));
    let again = place.vault.copy_to(&copy, |_| true, &Unwatched).unwrap();
    assert_eq!((again.snapshots, again.present, again.packs), (0, 2, 0));

    let password = fs::read_to_string(place.vault.password_file()).unwrap();
    fs::remove_dir_all(place.state()).unwrap();
    let access = Access { password: Password::Given(password.trim().to_owned()), ..target };
    let copy = Vault::open_at(&access).unwrap().unwrap();
    let listed = copy.snapshots().unwrap();
    for (backup, expected) in listed.iter().rev().zip([first, second]) {
        copy.verify(&backup.id, &Unwatched).unwrap();
        let target = place.path(&format!("restored {}", backup.tags.run));
        copy.restore_to(&backup.id, &target, &Unwatched).unwrap();
        assert_eq!(describe(&target), expected);
    }
}

#[test]
fn only_what_is_wanted_is_copied_and_never_into_itself() {
    let place = Place::new();
    let data = place.data("data", "x");
    backup(&place.vault, &data, "run-1");
    backup(&place.vault, &data, "run-2");
    let copy = Vault::open_or_create_at(&access(&place, "disk")).unwrap();
    let copied = place.vault.copy_to(&copy, |b| b.tags.run == "run-2", &Unwatched).unwrap();
    assert_eq!((copied.snapshots, copied.present), (1, 0));
    let error = place.vault.copy_to(&place.vault, |_| true, &Unwatched).unwrap_err();
    assert!(error.to_string().contains("it is the repository itself"), "{error}");
}

#[test]
fn a_damaged_original_is_not_copied() {
    let place = Place::new();
    let data = place.data("data", "x");
    fs::write(data.join("noise"), blake3::hash(b"seed").as_bytes().repeat(3000)).unwrap();
    place.backup(&data);
    let copy = Vault::open_or_create_at(&access(&place, "disk")).unwrap();
    for pack in crate::common::files_below(&place.vault.path().join("data")) {
        let good = fs::read(&pack).unwrap();
        let mut bad = good.clone();
        bad[10] ^= 1;
        fs::write(&pack, bad).unwrap();
        place.vault.copy_to(&copy, |_| true, &Unwatched).unwrap_err();
        assert!(copy.snapshots().unwrap().is_empty());
        fs::write(&pack, good).unwrap();
    }
    assert_eq!(place.vault.copy_to(&copy, |_| true, &Unwatched).unwrap().snapshots, 1);
    let left = fs::read_dir(copy.path().join("snapshots")).unwrap().count();
    assert_eq!(left, 2, "the backup and its manifest, no unfinished one");
}

#[test]
fn the_key_is_remembered_and_a_wrong_password_is_noticed_all_the_same() {
    let place = Place::new();
    let key = place.state().join("repository.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let remembered = fs::read(&key).unwrap();
    Vault::open(&place.state()).unwrap().unwrap();
    assert_eq!(fs::read(&key).unwrap(), remembered, "not made again");
    // One that doesn't fit is made again.
    let text = String::from_utf8(remembered).unwrap();
    let other = Place::new();
    for bad in [
        "",
        "{}",
        &text[..text.len() / 2],
        &fs::read_to_string(other.state().join("repository.key")).unwrap(),
    ] {
        fs::write(&key, bad).unwrap();
        Vault::open(&place.state()).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&key).unwrap(), text);
    }
    let password = place.vault.password_file();
    let good = fs::read_to_string(password).unwrap();
    fs::write(password, "another one\n").unwrap();
    let error = Vault::open(&place.state()).unwrap_err();
    assert!(matches!(error, VaultError::Password { .. }), "{error}");
    fs::write(password, good).unwrap();
    // What stock restic needs has to be whole, too.
    let key_file = &crate::common::files_below(&place.vault.path().join("keys"))[0];
    fs::write(key_file, "{}").unwrap();
    Vault::open(&place.state()).unwrap_err();
}

#[test]
fn a_given_password_is_not_written_anywhere() {
    let place = Place::new();
    let state = place.path("other state");
    let given = Access { password: Password::Given("s3cr3t".into()), ..Access::default_of(&state) };
    let vault = Vault::open_or_create_at(&given).unwrap();
    assert!(!vault.created_password());
    backup(&vault, &place.data("data", "x"), "run-1");
    for file in crate::common::files_below(&state) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(!["repository.password", "repository.key"].contains(&&*name), "{name}");
        let content = fs::read(&file).unwrap();
        assert!(!content.windows(6).any(|part| part == b"s3cr3t"), "{name}");
    }
    let wrong = Access { password: Password::Given("s3cr3t!".into()), ..given.clone() };
    let error = Vault::open_at(&wrong).unwrap_err();
    assert!(matches!(error, VaultError::GivenPassword { .. }) && !error.to_string().contains("s3cr3t"));
    let file = place.path("password");
    fs::write(&file, "s3cr3t\n").unwrap();
    Vault::open_at(&Access { password: Password::File(file), ..given }).unwrap().unwrap();
}

#[test]
fn a_disk_that_isnt_mounted_gets_no_second_repository() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    let target = access(&place, "disk/mainstay");
    Vault::open_or_create_at(&target).unwrap();
    // As if it were unmounted: the mount point is there, and empty.
    fs::rename(place.path("disk/mainstay"), place.path("unmounted")).unwrap();
    let error = Vault::open_or_create_at(&target).unwrap_err();
    assert!(matches!(error, VaultError::Vanished { .. }), "{error}");
    assert_eq!(fs::read_dir(place.path("disk")).unwrap().count(), 0, "nothing was made");
    fs::rename(place.path("unmounted"), place.path("disk/mainstay")).unwrap();
    Vault::open_or_create_at(&target).unwrap();
    let error = Vault::open_or_create_at(&access(&place, "no/such/mount")).unwrap_err();
    assert!(matches!(error, VaultError::Io { .. }) && !place.path("no").exists(), "{error}");
}

#[test]
fn an_empty_disk_becomes_a_repository_and_one_with_other_files_doesnt() {
    let place = Place::new();
    fs::create_dir_all(place.path("disk/lost+found")).unwrap();
    let vault = Vault::open_or_create_at(&access(&place, "disk")).unwrap();
    let id = backup(&vault, &place.data("data", "x"), "run-1").id;
    vault.verify(&id, &Unwatched).unwrap();
    fs::create_dir_all(place.path("home/someone")).unwrap();
    let error = Vault::open_or_create_at(&access(&place, "home")).unwrap_err();
    assert!(matches!(error, VaultError::NotEmpty { .. }), "{error}");
}

#[cfg(not(feature = "remote"))]
#[test]
fn a_build_without_remote_support_says_so() {
    let place = Place::new();
    let location = Location::parse("s3:https://127.0.0.1:1/bucket", Path::new("/")).unwrap();
    let error = Vault::open_at(&Access::default_of(&place.state()).at(location)).unwrap_err();
    assert!(matches!(error, VaultError::NoRemoteSupport { .. }), "{error}");
    assert!(error.advice().contains("--features remote"), "{}", error.advice());
}
