//! Data is put in the place of other data in one step, never without a way back, and again after any
//! interruption.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Mount, Place, describe, populate};
use mainstay_vault::{SnapshotId, Unwatched, VaultError};

/// A target that holds new data, with a backup of its old and one of its new data.
struct Scene {
    place: Place,
    target: PathBuf,
    old: SnapshotId,
    safety: SnapshotId,
    /// What the target held when `old` was made.
    wanted: std::collections::BTreeMap<PathBuf, String>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let target = place.path("data");
        populate(&target);
        Self::of(place, target)
    }

    fn of(place: Place, target: PathBuf) -> Self {
        let wanted = describe(&target);
        let old = place.backup(&target).id;
        change(&target);
        let safety = place.backup(&target).id;
        Self { place, target, old, safety, wanted }
    }

    fn replace(&self) -> Result<(), VaultError> {
        let vault = &self.place.vault;
        vault.replace(&self.old, &self.target, &self.safety, "run-7", &Unwatched).map(|_| ())
    }

    fn stage(&self) -> PathBuf {
        self.place.path(".data.mainstay-run-7")
    }

    fn inner(&self) -> PathBuf {
        self.target.join(".mainstay-replace-run-7")
    }

    fn restore(&self, id: &SnapshotId, to: &Path) {
        self.place.vault.restore_to(id, to, &Unwatched).unwrap();
    }

    #[track_caller]
    fn assert_done(&self) {
        assert_eq!(describe(&self.target), self.wanted);
        assert!(!self.stage().exists() && !self.inner().exists(), "nothing is left");
    }
}

fn change(target: &Path) {
    fs::write(target.join("deep/er/file"), "migrated").unwrap();
    fs::write(target.join("new file"), "of the new version").unwrap();
    fs::remove_file(target.join("deep.er")).unwrap();
    fs::remove_file(target.join("link")).unwrap();
    fs::create_dir(target.join("link")).unwrap();
}

#[test]
fn the_old_data_comes_back() {
    let scene = Scene::new();
    scene.replace().unwrap();
    scene.assert_done();
    scene.replace().unwrap();
    scene.assert_done();
}

#[test]
fn what_isnt_in_the_safety_backup_is_never_replaced() {
    let scene = Scene::new();
    fs::write(scene.target.join("later"), "the only copy").unwrap();
    let before = describe(&scene.target);
    match scene.replace() {
        Err(VaultError::SafetyOutdated { difference, .. }) => assert!(difference.contains("later")),
        other => panic!("{other:?}"),
    }
    assert_eq!(describe(&scene.target), before);
    assert!(!scene.stage().exists());
}

#[test]
fn content_changed_behind_the_times_is_noticed() {
    let scene = Scene::new();
    let file = scene.target.join("new file");
    let meta = fs::metadata(&file).unwrap();
    fs::write(&file, "of THE new version").unwrap();
    use std::os::unix::fs::MetadataExt;
    crate::common::set_mtime(&file, meta.mtime(), meta.mtime_nsec());
    assert!(matches!(scene.replace(), Err(VaultError::SafetyOutdated { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "of THE new version");
}

#[test]
fn half_restored_is_begun_anew() {
    let scene = Scene::new();
    scene.restore(&scene.old, &scene.stage());
    fs::remove_file(scene.stage().join("large")).unwrap();
    fs::write(scene.stage().join("small"), "half").unwrap();
    scene.replace().unwrap();
    scene.assert_done();
}

#[test]
fn exchanged_but_not_cleaned_up_is_finished() {
    let scene = Scene::new();
    fs::rename(&scene.target, scene.stage()).unwrap();
    scene.restore(&scene.old, &scene.target);
    fs::remove_file(scene.stage().join("small")).unwrap();
    scene.replace().unwrap();
    scene.assert_done();
}

#[test]
fn a_damaged_backup_replaces_nothing() {
    let scene = Scene::new();
    let before = describe(&scene.target);
    let packs = crate::common::files_below(&scene.place.vault.path().join("data"));
    let largest = packs.iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let mut content = fs::read(largest).unwrap();
    for byte in content.iter_mut().step_by(1000) {
        *byte ^= 1;
    }
    fs::write(largest, content).unwrap();
    assert!(matches!(scene.replace(), Err(VaultError::Damaged { .. })));
    assert_eq!(describe(&scene.target), before);
}

#[test]
fn a_single_file_is_replaced() {
    let place = Place::new();
    let data = place.data("dir", "old");
    let target = data.join("one");
    let wanted = describe(&target);
    let old = place.backup(&target).id;
    fs::write(&target, "new and longer").unwrap();
    let outdated = place.vault.replace(&old, &target, &old, "run", &Unwatched);
    assert!(matches!(outdated, Err(VaultError::SafetyOutdated { .. })));
    let safety = place.backup(&target).id;
    for _ in 0..2 {
        place.vault.replace(&old, &target, &safety, "run", &Unwatched).unwrap();
        assert_eq!(describe(&target), wanted);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 2, "nothing is left");
    }
}

#[test]
fn a_run_that_isnt_a_name_is_refused() {
    let scene = Scene::new();
    for run in ["", "../x", "a b"] {
        let refused = scene.place.vault.replace(&scene.old, &scene.target, &scene.safety, run, &Unwatched);
        assert!(matches!(refused, Err(VaultError::BadName { what: "run", .. })));
    }
}

/// A mount point as target, for which the exchange is impossible. In this order, because the last is dropped first.
fn at_mount_point() -> (Scene, Mount) {
    let place = Place::new();
    let mount = Mount::new(place.path("data"), "size=64m");
    let target = mount.0.clone();
    for name in ["same", "changed", "only old"] {
        fs::write(target.join(name), format!("{name} as it was")).unwrap();
    }
    fs::create_dir_all(target.join("deep/er")).unwrap();
    fs::write(target.join("deep/er/file"), "original").unwrap();
    fs::write(target.join("deep.er"), "between").unwrap();
    fs::write(target.join("link"), "a file first").unwrap();
    crate::common::set_mtime(&target, 1_400_000_000, 5);
    (Scene::of(place, target), mount)
}

#[test]
fn a_mount_point_is_replaced_entry_by_entry() {
    let (scene, _mount) = at_mount_point();
    scene.replace().unwrap();
    scene.assert_done();
    scene.replace().unwrap();
    scene.assert_done();
}

/// Brings the target to the state that an interruption would leave, at a given step.
fn interrupted(scene: &Scene, step: usize) {
    let stage = scene.inner();
    fs::create_dir(&stage).unwrap();
    if step == 0 {
        return;
    }
    fs::create_dir(stage.join("old")).unwrap();
    scene.restore(&scene.old, &stage.join("new"));
    if step == 1 {
        fs::remove_file(stage.join("new/same")).unwrap();
        return;
    }
    fs::write(stage.join("ready"), "").unwrap();
    if step == 2 {
        return;
    }
    fs::rename(scene.target.join("deep"), stage.join("old/deep")).unwrap();
    if step == 3 {
        return;
    }
    for name in ["same", "changed", "only old", "link", "new file"] {
        fs::rename(scene.target.join(name), stage.join("old").join(name)).unwrap();
    }
    if step == 4 {
        return;
    }
    fs::write(stage.join("emptied"), "").unwrap();
    if step == 5 {
        return;
    }
    fs::rename(stage.join("new/deep"), scene.target.join("deep")).unwrap();
    if step == 6 {
        return;
    }
    for name in ["same", "changed", "only old", "link", "deep.er"] {
        fs::rename(stage.join("new").join(name), scene.target.join(name)).unwrap();
    }
    if step == 7 {
        return;
    }
    fs::remove_dir_all(stage.join("old/deep")).unwrap();
    if step == 8 {
        return;
    }
    // Cleaning up, whose order is not ours.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&scene.target, fs::metadata(stage.join("new")).unwrap().permissions()).unwrap();
    assert!(fs::metadata(&scene.target).unwrap().permissions().mode() > 0);
    fs::remove_dir_all(stage.join("old")).unwrap();
    fs::remove_file(stage.join(if step == 9 { "ready" } else { "emptied" })).unwrap();
}

#[test]
fn an_interruption_at_any_step_is_finished() {
    for step in 0..=10 {
        let (scene, _mount) = at_mount_point();
        interrupted(&scene, step);
        scene.replace().unwrap_or_else(|error| panic!("step {step}: {error}"));
        scene.assert_done();
    }
}

#[test]
fn nothing_foreign_is_moved_away() {
    let (scene, _mount) = at_mount_point();
    interrupted(&scene, 3);
    fs::write(scene.target.join("later"), "the only copy").unwrap();
    assert!(matches!(scene.replace(), Err(VaultError::Foreign { .. })));
    assert_eq!(fs::read_to_string(scene.target.join("later")).unwrap(), "the only copy");
    assert_eq!(fs::read_to_string(scene.inner().join("old/deep/er/file")).unwrap(), "migrated");
}

#[test]
fn a_full_disk_is_noticed_before() {
    let place = Place::new();
    let mount = Mount::new(place.path("data"), "size=4m");
    let target = mount.0.clone();
    fs::write(target.join("large"), vec![1; 3 << 20]).unwrap();
    let old = place.backup(&target).id;
    fs::write(target.join("large"), vec![2; 3 << 20]).unwrap();
    let safety = place.backup(&target).id;
    let before = describe(&target);
    let refused = place.vault.replace(&old, &target, &safety, "run", &Unwatched);
    assert!(matches!(refused, Err(VaultError::NoSpace { .. })), "{refused:?}");
    assert_eq!(describe(&target), before);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}

/// Blocks are free, which is checked before; inodes run out in the middle.
fn without_inodes(options: &str, at_mount_point: bool, much: bool) {
    let place = Place::new();
    let mount = Mount::new(place.path("disk"), options);
    let target = if at_mount_point { mount.0.clone() } else { mount.0.join("data") };
    fs::create_dir_all(&target).unwrap();
    for number in 0..40 {
        fs::write(target.join(format!("file {number}")), vec![b'x'; 9000]).unwrap();
    }
    fs::write(target.join("large"), vec![1; 3 << 20]).unwrap();
    let old = place.backup(&target).id;
    for number in if much { 0..40 } else { 0..15 } {
        fs::remove_file(target.join(format!("file {number}"))).unwrap();
    }
    fs::write(target.join("large"), vec![if much { 2 } else { 1 }; 3 << 20]).unwrap();
    crate::common::set_mtime(&target, 1_400_000_000, 5);
    let used: usize = describe(&target).len();
    let status = Command::new("mount")
        .args(["-o", &format!("remount,{options},nr_inodes={}", used + 12)])
        .arg(&mount.0)
        .status()
        .unwrap();
    assert!(status.success());
    let safety = place.backup(&target).id;
    let names =
        || -> Vec<_> { fs::read_dir(&mount.0).unwrap().map(|item| item.unwrap().file_name()).collect() };
    let before = (describe(&target), names());
    match place.vault.replace(&old, &target, &safety, "run", &Unwatched) {
        Err(VaultError::Io { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::StorageFull),
        other => panic!("{other:?}"),
    }
    assert!((describe(&target), names()) == before, "the target is as it was, and nothing is left beside it");
}

#[test]
fn a_disk_that_fills_up_meanwhile_leaves_the_target_as_it_was() {
    for at_mount_point in [false, true] {
        for much in [false, true] {
            without_inodes("size=64m", at_mount_point, much);
        }
    }
}

#[test]
fn a_mount_below_the_target_is_not_emptied() {
    let place = Place::new();
    let target = place.data("data", "old");
    let mount = Mount::new(target.join("mounted"), "size=4m");
    fs::write(mount.0.join("inside"), "of somebody else").unwrap();
    let scene = {
        let old = place.backup(&target).id;
        fs::write(target.join("one"), "new").unwrap();
        let safety = place.backup(&target).id;
        Scene { wanted: describe(&target), place, target, old, safety }
    };
    assert!(matches!(scene.replace(), Err(VaultError::Foreign { .. })));
    scene.assert_done();
    drop(mount);
}

#[test]
fn a_bind_mount_of_the_same_filesystem_is_replaced() {
    let place = Place::new();
    let data = place.data("data", "old");
    let target = place.path("bound");
    let mount = Mount::bind(&data, target.clone());
    let wanted = describe(&target);
    let old = place.backup(&target).id;
    fs::write(target.join("one"), "new").unwrap();
    let safety = place.backup(&target).id;
    place.vault.replace(&old, &target, &safety, "run-7", &Unwatched).unwrap();
    assert_eq!(describe(&target), wanted);
    drop(mount);
    assert_eq!(describe(&data), wanted, "what was bound has it");
}
