//! What is forgotten is gone in time, and nothing else is.

use std::fs;
use std::time::Duration;

use mainstay_vault::{
    Backup, Kind, Monitor, Pass, Progress, PruneOptions, Pruned, SnapshotId, Unwatched, Vault, VaultError,
};

use crate::common::{Place, describe, files_below, tags};
use crate::restic::restic;

const AT_ONCE: PruneOptions = PruneOptions { keep_delete: Duration::ZERO };

fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut noise);
    noise
}

fn back_up(place: &Place, run: &str) -> Backup {
    let data = place.data("data", "always the same");
    fs::write(data.join("noise"), noise(run, 3_000_000)).unwrap();
    place.vault.backup(&data, &tags(run, Kind::Manual), Pass::Still, &Unwatched).unwrap()
}

fn prune(place: &Place, forget: &[&Backup], options: PruneOptions) -> Pruned {
    let forget: Vec<SnapshotId> = forget.iter().map(|backup| backup.id.clone()).collect();
    place.vault.forget_and_prune(&forget, &options, &Unwatched).unwrap()
}

fn stored_bytes(place: &Place) -> u64 {
    let packs = files_below(&place.vault.path().join("data"));
    packs.iter().map(|pack| fs::metadata(pack).unwrap().len()).sum()
}

#[test]
fn what_is_forgotten_is_removed_in_a_later_prune() {
    let place = Place::new();
    let old = back_up(&place, "old");
    let new = back_up(&place, "new");
    let before = describe(&place.path("data"));
    let full = stored_bytes(&place);
    assert!(full > 6_000_000);

    let pruned = prune(&place, &[&old], PruneOptions::default());
    assert_eq!(pruned.forgotten, std::slice::from_ref(&old.id));
    assert_eq!((pruned.manifests, pruned.packs, pruned.freed_bytes), (1, 0, 0), "{pruned:?}");
    assert!(pruned.marked_bytes > 2_900_000, "{pruned:?}");
    assert!(stored_bytes(&place) >= full, "marked only");
    assert!(place.vault.last_prune().is_some());
    let again = prune(&place, &[&old], PruneOptions::default());
    assert_eq!((again.forgotten.len(), again.packs), (0, 0), "younger than 23 hours: {again:?}");
    assert!(stored_bytes(&place) >= full);

    let pruned = prune(&place, &[], AT_ONCE);
    assert!(pruned.packs > 0 && pruned.freed_bytes > 2_900_000, "{pruned:?}");
    assert!(stored_bytes(&place) < full - 2_900_000);
    let listed = place.vault.snapshots().unwrap();
    assert_eq!(listed.iter().map(|snapshot| &snapshot.id).collect::<Vec<_>>(), [&new.id]);
    place.vault.verify(&new.id, &Unwatched).unwrap();
    place.vault.restore_to(&new.id, &place.path("restored"), &Unwatched).unwrap();
    assert_eq!(describe(&place.path("restored")), before);
    assert!(restic(&place, &["check", "--read-data"]).contains("no errors were found"));
}

#[test]
fn what_comes_back_after_it_was_marked_is_stored() {
    let place = Place::new();
    let first = back_up(&place, "first");
    let other = back_up(&place, "other");
    prune(&place, &[&first], PruneOptions::default());
    let again = back_up(&place, "first");
    prune(&place, &[&other], AT_ONCE);
    prune(&place, &[], AT_ONCE);
    place.vault.verify(&again.id, &Unwatched).unwrap();
    assert!(restic(&place, &["check", "--read-data"]).contains("no errors were found"));
}

#[test]
fn the_last_backup_of_a_mount_stays_whatever_is_asked_for() {
    let place = Place::new();
    let (old, new) = (back_up(&place, "old"), back_up(&place, "new"));
    let pruned = prune(&place, &[&old, &new], AT_ONCE);
    assert_eq!(pruned.forgotten, [old.id]);
    place.vault.verify(&new.id, &Unwatched).unwrap();
}

#[test]
fn what_interrupted_operations_left_is_removed_and_nothing_else() {
    let place = Place::new();
    let backup = back_up(&place, "run");
    let (state, id) = (place.state(), "0123456789abcdef".repeat(4));
    restic(&place, &["backup", "--tag", "mainstay-unfinished", place.path("data").to_str().unwrap()]);
    restic(&place, &["backup", "--tag", "by hand", place.path("data").to_str().unwrap()]);
    let leftovers = [
        state.join("manifests/ab.zst.4711.tmp"),
        state.join("manifests/without a snapshot.zst"),
        state.join("repository.password.4711.tmp"),
        state.join(format!("repository/index/{id}-tmp-")),
        state.join(format!("repository/data/01/{id}-tmp-")),
        state.join(format!("repository/snapshots/{id}-tmp-123")),
        state.join("repository.new/config"),
    ];
    let others = [state.join("journal.db"), state.join("notes.tmp"), state.join("repository/README")];
    fs::create_dir(state.join("repository.new")).unwrap();
    for path in leftovers.iter().chain(&others) {
        fs::write(path, "half").unwrap();
    }
    assert_eq!(
        place.vault.tidy().unwrap(),
        6,
        "half-written files, and the repository that was not finished"
    );
    assert!(leftovers[1].exists(), "it may belong to a snapshot");
    let pruned = prune(&place, &[], PruneOptions::default());
    assert_eq!((pruned.manifests, pruned.leftovers, pruned.forgotten.len()), (1, 1, 0), "{pruned:?}");
    assert!(leftovers.iter().all(|path| !path.exists()) && others.iter().all(|path| path.exists()));
    assert!(!state.join("repository.new").exists());
    let tags = restic(&place, &["snapshots", "--json"]);
    assert!(tags.contains("by hand") && !tags.contains("mainstay-unfinished"), "{tags}");
    place.vault.verify(&backup.id, &Unwatched).unwrap();
}

/// It is marked by one prune, and stays for a day; the index is written anew by the next ones.
#[test]
fn a_pack_that_a_killed_backup_left_is_no_fault_until_it_goes() {
    let place = Place::new();
    let kept = back_up(&place, "kept");
    let left = place.state().join(format!("repository/data/01/{}", "0123456789abcdef".repeat(4)));
    fs::write(&left, noise("left", 5_000)).unwrap();
    for run in ["one", "two", "three"] {
        fs::write(place.path("data/changing"), noise(run, 50_000)).unwrap();
        let old = back_up(&place, run);
        fs::write(place.path("data/changing"), noise("kept", 50_000)).unwrap();
        back_up(&place, &format!("after {run}"));
        prune(&place, &[&old], PruneOptions::default());
    }
    assert!(left.exists(), "it is not yet old enough");
    prune(&place, &[], AT_ONCE);
    assert!(!left.exists());
    place.vault.verify(&kept.id, &Unwatched).unwrap();
}

/// Tries what isn't possible while somebody else is at work.
struct Meanwhile<'a>(&'a Vault, &'a (dyn Fn(&Vault) + Sync));

impl Monitor for Meanwhile<'_> {
    fn progress(&self, _: Progress) {
        (self.1)(self.0);
    }

    fn cancelled(&self) -> bool {
        false
    }
}

#[test]
fn a_prune_is_alone() {
    let place = Place::new();
    let backup = back_up(&place, "run");
    let mut other = Vault::open(&place.state()).unwrap().unwrap();
    other.set_patience(Duration::from_millis(50));
    let data = place.path("data");
    let no_prune = |vault: &Vault| {
        let refused = vault.forget_and_prune(&[], &AT_ONCE, &Unwatched);
        assert!(matches!(refused, Err(VaultError::Locked { .. })), "{refused:?}");
    };
    let no_backup = |vault: &Vault| {
        let refused = vault.backup(&data, &tags("other", Kind::Live), Pass::Live, &Unwatched);
        assert!(matches!(refused, Err(VaultError::Locked { .. })), "{refused:?}");
    };
    place.vault.verify(&backup.id, &Meanwhile(&other, &no_prune)).unwrap();
    let live = tags("next", Kind::Live);
    place.vault.backup(&data, &live, Pass::Live, &Meanwhile(&other, &no_prune)).unwrap();
    place.vault.forget_and_prune(&[], &AT_ONCE, &Meanwhile(&other, &no_prune)).unwrap();
    place.vault.forget_and_prune(&[], &AT_ONCE, &Meanwhile(&other, &no_backup)).unwrap();
}

#[test]
fn a_cancelled_prune_forgets_and_is_finished_by_the_next() {
    struct Impatient;
    impl Monitor for Impatient {
        fn progress(&self, _: Progress) {}
        fn cancelled(&self) -> bool {
            true
        }
    }
    let place = Place::new();
    let (old, new) = (back_up(&place, "old"), back_up(&place, "new"));
    let refused = place.vault.forget_and_prune(std::slice::from_ref(&old.id), &AT_ONCE, &Impatient);
    assert!(matches!(refused, Err(VaultError::Cancelled)), "{refused:?}");
    prune(&place, &[&old], AT_ONCE);
    place.vault.verify(&new.id, &Unwatched).unwrap();
}
