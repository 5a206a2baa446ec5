//! Where little differs, only that is put back, and everything else isn't even read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::common::{Place, describe, populate, set_mtime};
use mainstay_vault::{SnapshotId, Unwatched, VaultError};

/// Data of which little changes: it has a lot that stays.
pub struct Scene {
    pub place: Place,
    pub target: PathBuf,
    pub old: SnapshotId,
    pub safety: SnapshotId,
    pub wanted: BTreeMap<PathBuf, String>,
}

impl Scene {
    fn new(change: impl FnOnce(&Path)) -> Self {
        let place = Place::new();
        let target = place.path("data");
        populate(&target);
        Self::of(place, target, change)
    }

    pub fn of(place: Place, target: PathBuf, change: impl FnOnce(&Path)) -> Self {
        for number in 0..60 {
            fs::write(target.join(format!("stays {number}")), format!("{number}")).unwrap();
        }
        set_mtime(&target, 1_500_000_000, 987_654_321);
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
        self.place.path(".data.mainstay-run-7+files")
    }

    #[track_caller]
    fn assert_done(&self) {
        assert_eq!(describe(&self.target), self.wanted);
        let names: Vec<_> =
            fs::read_dir(self.place.dir.path()).unwrap().map(|n| n.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains("mainstay-run")), "{names:?}");
    }
}

/// Everything that can happen to an entry.
fn change_all(target: &Path) {
    let at = |name: &str| target.join(name);
    fs::write(at("deep/er/file"), "migrated").unwrap();
    fs::write(at("new file"), "of the new version").unwrap();
    fs::remove_file(at("deep.er")).unwrap();
    fs::remove_file(at("link")).unwrap();
    fs::create_dir_all(at("link/with/more")).unwrap();
    fs::write(at("link/with/more/file"), "additional").unwrap();
    fs::remove_dir(at("empty dir")).unwrap();
    symlink("elsewhere", at("empty dir")).unwrap();
    fs::remove_file(at("raw link")).ok();
    fs::remove_dir_all(at("deep/er/still")).unwrap();
    fs::remove_file(at("zz hard link")).unwrap();
    fs::write(at("zz hard link"), "by itself now").unwrap();
    fs::hard_link(at("stays 7"), at("another name of 7")).unwrap();
    fs::set_permissions(at("stays 8"), PermissionsExt::from_mode(0o4711)).unwrap();
    chown(at("stays 9"), Some(5), Some(6)).unwrap();
    xattr::set(at("stays 10"), "user.added", b"1").unwrap();
    xattr::remove(at("deep"), "user.of a directory").unwrap();
    set_mtime(&at("stays 11"), 5, 5);
    set_mtime(&at("dangling"), 6, 6);
    fs::remove_file(at("fifo")).unwrap();
    fs::remove_file(at("socket")).unwrap();
    xattr::set(target, "user.root", b"changed").unwrap();
    chown(target, Some(1), Some(1)).unwrap();
}

fn inodes(target: &Path) -> BTreeMap<PathBuf, u64> {
    describe(target)
        .into_keys()
        .map(|path| {
            let full = if path.as_os_str().is_empty() { target.to_owned() } else { target.join(&path) };
            let ino = fs::symlink_metadata(full).unwrap().ino();
            (path, ino)
        })
        .collect()
}

#[test]
fn every_kind_of_change_is_undone_and_the_rest_stays() {
    let scene = Scene::new(change_all);
    let before = inodes(&scene.target);
    scene.replace().unwrap();
    scene.assert_done();
    let after = inodes(&scene.target);
    for same in ["", "large", "sparse", "stays 1", "stays 8", "stays 9", "deep", "not there"] {
        assert_eq!(after.get(Path::new(same)), before.get(Path::new(same)), "{same}");
    }
    assert_ne!(after[Path::new("deep/er/file")], before[Path::new("deep/er/file")]);
    scene.replace().unwrap();
    scene.assert_done();
}

#[test]
fn a_name_outside_keeps_its_attributes() {
    let place = Place::new();
    let target = place.path("data");
    populate(&target);
    let outside = place.path("outside");
    fs::hard_link(target.join("program"), &outside).unwrap();
    let scene = Scene::of(place, target, |target| {
        fs::set_permissions(target.join("program"), PermissionsExt::from_mode(0o600)).unwrap();
    });
    scene.replace().unwrap();
    scene.assert_done();
    assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_large_file_is_made_of_what_is_there() {
    let place = Place::new();
    let target = place.path("data");
    populate(&target);
    let mut noise = vec![0; (12 << 20) + 77];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    // A hole at the start, in the middle, at the end.
    let file = File::create(target.join("database")).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(&noise, 2 << 20).unwrap();
    file.write_all_at(&noise, 30 << 20).unwrap();
    let blocks = fs::metadata(target.join("database")).unwrap().blocks();
    let scene = Scene::of(place, target, |target| {
        let file = OpenOptions::new().write(true).open(target.join("database")).unwrap();
        file.write_all_at(b"changed", 5 << 20).unwrap();
        file.write_all_at(b"was a hole", 50 << 20).unwrap();
        file.set_len((64 << 20) - 100).unwrap();
    });
    // Only blocks that changed are read: damage all others.
    scene.replace().unwrap();
    scene.assert_done();
    let now = fs::metadata(scene.target.join("database")).unwrap().blocks();
    assert!(now <= blocks + 256, "{now} blocks instead of {blocks}");
}

#[test]
fn what_isnt_in_the_safety_backup_is_never_replaced() {
    let scene = Scene::new(change_all);
    fs::write(scene.target.join("later"), "the only copy").unwrap();
    let before = describe(&scene.target);
    assert!(matches!(scene.replace(), Err(VaultError::SafetyOutdated { .. })));
    assert_eq!(describe(&scene.target), before);
    assert!(!scene.stage().exists());
}
