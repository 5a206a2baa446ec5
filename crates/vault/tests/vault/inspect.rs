//! The deeper look finds a flipped byte in any file, and what is missing.

use std::fs;
use std::path::Path;

use crate::common::{Place, files_below, tags};
use mainstay_vault::{Inspection, Kind, Pass, Unwatched, Vault, VaultError};

/// By a process that remembers nothing. A repository that doesn't open any more is damage found, too.
fn look(state: &Path) -> Result<Inspection, VaultError> {
    // The remembered key would open it without a look at the key file.
    let _ = fs::remove_file(state.join("repository.key"));
    Vault::open(state)?.expect("there is a repository").inspect(&Unwatched)
}

fn two_backups() -> Place {
    let place = Place::new();
    let data = place.data("data", "content that is kept");
    place.backup(&data);
    fs::write(data.join("more"), "content of the second").unwrap();
    place.vault.backup(&data, &tags("run-2", Kind::Manual), Pass::Still, &Unwatched).unwrap();
    place
}

#[test]
fn a_good_repository_is_good_and_that_is_remembered() {
    let place = two_backups();
    assert!(place.vault.last_inspection().is_none());
    let found = look(&place.state()).unwrap();
    assert!(found.is_good(), "{found:?}");
    assert_eq!((found.backups.len(), found.damage.len()), (2, 0));
    assert!(found.files >= 7, "a key, two indexes, two snapshots, packs: {}", found.files);
    assert!(place.vault.last_inspection().is_some());
}

#[test]
fn a_flipped_byte_in_any_file_is_found_and_named() {
    let place = two_backups();
    let files = files_below(place.vault.path());
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let good = fs::read(&file).unwrap();
        // The first, one in the middle, the last, and two between.
        for at in (0..5).map(|n| (good.len() - 1) * n / 4) {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            fs::write(&file, &bad).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            match look(&place.state()) {
                // Without its configuration or its key it can't be looked at.
                Err(error) => assert!(
                    ["config", "keys"].iter().any(|part| file.to_string_lossy().contains(part)),
                    "{name} at {at}: {error}"
                ),
                Ok(found) => {
                    assert!(!found.is_good(), "{name} at {at}");
                    assert!(found.damage.iter().any(|what| what.contains(name)), "{name} at {at}: {found:?}");
                }
            }
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(look(&place.state()).unwrap().is_good());
}

#[test]
fn a_missing_or_truncated_file_is_found() {
    let place = two_backups();
    for file in files_below(place.vault.path()) {
        // Nobody knows how many backups and keys there should be.
        if ["snapshots", "keys"].iter().any(|part| file.parent().unwrap().ends_with(part)) {
            continue;
        }
        let good = fs::read(&file).unwrap();
        fs::write(&file, &good[..good.len() / 2]).unwrap();
        assert!(
            look(&place.state()).is_ok_and(|found| !found.is_good()) || file.ends_with("config"),
            "{file:?}"
        );
        fs::remove_file(&file).unwrap();
        let found = look_without(&place.state());
        assert!(found.is_none_or(|found| !found.is_good()), "{file:?}");
        fs::write(&file, &good).unwrap();
    }
    assert!(look(&place.state()).unwrap().is_good());
}

fn look_without(state: &Path) -> Option<Inspection> {
    Vault::open(state).ok()??.inspect(&Unwatched).ok()
}

#[test]
fn an_altered_manifest_is_a_backup_that_cant_be_relied_on() {
    let place = two_backups();
    let manifest = files_below(&place.path("state/manifests")).remove(0);
    fs::write(&manifest, "something else").unwrap();
    let found = look(&place.state()).unwrap();
    let bad: Vec<_> = found.backups.iter().filter(|(_, verdict)| verdict.is_err()).collect();
    assert!(matches!(bad[..], [(_, Err(VaultError::Manifest { .. }))]), "{found:?}");
    assert!(place.vault.last_inspection().is_none());
}
