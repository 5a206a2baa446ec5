//! A flipped bit anywhere is noticed, and nothing damaged is ever restored as if it were good.

use std::fs;
use std::path::Path;

use crate::common::{Place, describe, files_below, tags};
use mainstay_vault::{Kind, Pass, SnapshotId, Unwatched, Vault, VaultError};

fn verify_anew(state: &Path, id: &SnapshotId) -> Result<(), VaultError> {
    let vault = Vault::open(state)?.expect("there is a repository");
    vault.verify(id, &Unwatched).map(|_| ())
}

/// Flips one bit at every `step`th byte of a file, one after the other, and calls `check` each time.
fn flip(file: &Path, positions: impl Iterator<Item = usize>, check: impl Fn(usize)) {
    let good = fs::read(file).unwrap();
    for at in positions {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(file, bad).unwrap();
        check(at);
    }
    fs::write(file, good).unwrap();
}

#[test]
fn a_flipped_bit_in_any_file_is_found() {
    let place = Place::new();
    let data = place.data("data", "content that is kept");
    fs::write(data.join("noise"), blake3::hash(b"seed").as_bytes().repeat(3000)).unwrap();
    let before = describe(&data);
    let id = place.backup(&data).id;
    let files = files_below(place.vault.path());
    assert!(files.len() >= 6, "config, key, index, snapshot, two packs: {files:?}");
    for file in &files {
        let length = fs::metadata(file).unwrap().len() as usize;
        let positions = (0..6).map(|n| (length - 1) * n / 5);
        flip(file, positions, |at| {
            let found = verify_anew(&place.state(), &id);
            let in_key = file.parent().unwrap().ends_with("keys");
            // Some bytes of a key file are a comment for people.
            assert!(found.is_err() || in_key, "{} at {at}", file.display());
            let target = tempfile::tempdir().unwrap();
            let vault = Vault::open(&place.state());
            if let Ok(Some(vault)) = vault
                && vault.restore_to(&id, target.path(), &Unwatched).is_ok()
            {
                assert_eq!(describe(target.path()), before, "{} at {at}", file.display());
            }
        });
    }
    verify_anew(&place.state(), &id).unwrap();
}

#[test]
fn damage_names_the_pack() {
    let place = Place::new();
    let data = place.data("data", "content that is kept");
    let id = place.backup(&data).id;
    for file in files_below(&place.vault.path().join("data")) {
        flip(&file, [0].into_iter(), |_| match place.vault.verify(&id, &Unwatched) {
            Err(VaultError::Damaged { pack: Some(pack), .. }) => assert_eq!(pack, file),
            // A tree that can't be read is noticed before its pack is.
            Err(VaultError::Damaged { pack: None, what, .. }) => assert!(!what.is_empty()),
            other => panic!("{other:?}"),
        });
        let kept = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(place.vault.verify(&id, &Unwatched).is_err(), "a missing pack");
        fs::write(&file, kept).unwrap();
    }
}

#[test]
fn an_altered_manifest_isnt_used() {
    let place = Place::new();
    let data = place.data("data", "content that is kept");
    let backup = place.backup(&data);
    let manifests = files_below(&place.path("state/manifests"));
    assert_eq!(manifests.len(), 1);
    assert!(manifests[0].to_string_lossy().contains(&backup.manifest_hash));
    let length = fs::metadata(&manifests[0]).unwrap().len() as usize;
    let meaningless = std::cell::Cell::new(0);
    flip(&manifests[0], 0..length, |at| match place.vault.verify(&backup.id, &Unwatched) {
        Err(VaultError::Manifest { snapshot, .. }) => assert_eq!(snapshot, backup.id),
        // Some bits of the compressed form mean nothing: the hash is of what comes out.
        Ok(_) => meaningless.set(meaningless.get() + 1),
        Err(other) => panic!("{other} at {at}"),
    });
    assert!(meaningless.get() < length / 10, "{} of {length}", meaningless.get());
    fs::remove_file(&manifests[0]).unwrap();
    assert!(matches!(place.vault.manifest(&backup.id), Err(VaultError::Manifest { .. })));
    let next = place.backup(&data);
    assert!(next.files == 2, "without the parent's manifest everything is read anew");
}

#[test]
fn the_next_run_reads_old_packs_back() {
    let place = Place::new();
    let data = place.data("data", "content that is kept");
    place.backup(&data);
    let refused = std::cell::Cell::new(0);
    for (number, pack) in files_below(&place.vault.path().join("data")).into_iter().enumerate() {
        flip(&pack, [0].into_iter(), |_| {
            let tags = tags(&format!("run-{}", number + 2), Kind::Manual);
            match place.vault.backup(&data, &tags, Pass::Still, &Unwatched) {
                Err(error) => {
                    assert!(matches!(error, VaultError::Damaged { .. }), "{error}");
                    refused.set(refused.get() + 1);
                }
                // It stored a tree anew instead of using the damaged one.
                Ok(backup) => assert!(place.vault.verify(&backup.id, &Unwatched).is_ok()),
            }
        });
    }
    assert!(refused.get() > 0, "the pack with the files can't be done without");
}

/// A file that hasn't changed for a while: only such a file is taken as known.
#[test]
fn the_second_pass_of_a_run_reads_only_what_is_new() {
    let place = Place::new();
    let settled = Path::new("/usr/bin/restic");
    let first = place.backup(settled);
    let packs = files_below(&place.vault.path().join("data"));
    let largest = packs.into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    flip(&largest, [0].into_iter(), |_| {
        // Had it read the pack, it would have noticed, as the next run does.
        let second = place.backup(settled);
        assert_eq!((second.files, second.added_bytes < 5_000), (1, true));
        let same = place.vault.manifest(&first.id).unwrap();
        assert_eq!(place.vault.manifest(&second.id).unwrap(), same, "with the hash of the first pass");
        let next = place.vault.backup(settled, &tags("run-2", Kind::Manual), Pass::Still, &Unwatched);
        assert!(matches!(next, Err(VaultError::Damaged { .. })), "{next:?}");
    });
}
