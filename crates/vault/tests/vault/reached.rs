//! Data that is only to be had as an archive: copied, backed up, and put back from the other end.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::common::{Place, populate, set_mtime, tags};
use mainstay_vault::{
    Backup, Elsewhere, Kind, Manifest, Mirror, Pass, Restored, Result, Unwatched, VaultError, apply,
};

/// As an engine gives it: no sockets, and of extended attributes capabilities alone.
fn archive(data: &Path) -> Vec<u8> {
    let mut tar = Command::new("tar");
    tar.args(["--format=pax", "--numeric-owner", "--sort=name", "--warning=none"]);
    tar.args(["--xattrs", "--xattrs-include=security.capability", "-cf", "-", "-C"]);
    tar.arg(data.parent().unwrap()).arg(data.file_name().unwrap());
    let output = tar.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn fill(place: &Place, data: &Path) -> Mirror {
    Mirror::fill(&place.path("mirror"), Cursor::new(archive(data)), (i64::MAX, None), &Unwatched).unwrap()
}

fn back_up(place: &Place, data: &Path, kind: Kind) -> Backup {
    let pass = if kind == Kind::Live { Pass::Live } else { Pass::Still };
    let mirror = fill(place, data);
    place.vault.backup_mirror((data, &mirror), &tags("run-1", kind), pass, &Unwatched).unwrap()
}

fn manifest(place: &Place, backup: &Backup) -> Manifest {
    place.vault.manifest(&backup.id).unwrap()
}

/// What is there, as an archive shows it.
fn shown(place: &Place, data: &Path) -> Manifest {
    manifest(place, &place.backup(data)).as_reached()
}

#[track_caller]
fn assert_same(one: &Manifest, other: &Manifest) {
    assert_eq!(one.first_difference(other), None);
    let times = |manifest: &Manifest| -> Vec<_> { manifest.entries.iter().map(|e| e.mtime).collect() };
    assert_eq!(times(one), times(other));
}

#[test]
fn a_backup_by_archive_holds_what_the_archive_holds() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let backup = back_up(&place, &data, Kind::Manual);
    let direct = place.backup(&data);
    let (reached, seen) = (manifest(&place, &backup), manifest(&place, &direct));
    assert_same(&reached.as_reached(), &seen.as_reached());
    assert!(reached.entries.iter().any(|entry| entry.uid == 1234 && entry.mode == 0o6751));
    place.vault.verify(&backup.id, &Unwatched).unwrap();
    let back = place.path("back");
    place.vault.restore_to(&backup.id, &back, &Unwatched).unwrap();
    assert_same(&shown(&place, &back), &seen.as_reached());
    let file = place.path("file");
    fs::write(&file, "alone").unwrap();
    let alone = back_up(&place, &file, Kind::Manual);
    assert_eq!((alone.files, alone.bytes), (1, 5));
}

#[test]
fn what_did_not_change_is_known_by_the_next_backup() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let inode = |name: &str| fs::symlink_metadata(place.path("mirror/data").join(name)).unwrap().ino();
    let first = back_up(&place, &data, Kind::Live);
    let (large, small) = (inode("large"), inode("small"));
    let again = back_up(&place, &data, Kind::Live);
    assert_eq!(inode("large"), large);
    assert!(again.added_bytes < 100_000, "{}", again.added_bytes);
    assert!(manifest(&place, &first).same_content(&manifest(&place, &again)));

    let time = fs::metadata(data.join("deep.er")).unwrap().mtime();
    fs::write(data.join("deep.er"), "DOT").unwrap();
    set_mtime(&data.join("deep.er"), time, 0);
    fs::remove_file(data.join("deep-er")).unwrap();
    let changed = back_up(&place, &data, Kind::Cutover);
    assert_same(&manifest(&place, &changed).as_reached(), &shown(&place, &data));
    assert_eq!((inode("large"), inode("small")), (large, small));
    assert!(changed.added_bytes < 100_000, "{}", changed.added_bytes);
}

#[test]
fn a_copy_follows_every_change_of_kind_and_of_links() {
    let place = Place::new();
    let data = place.data("data", "content");
    let at = |name: &str| data.join(name);
    for name in ["a", "b", "c"] {
        fs::write(at(name), "same").unwrap();
    }
    back_up(&place, &data, Kind::Live);
    let changes: [&dyn Fn(); 8] = [
        &|| {
            fs::remove_file(at("b")).unwrap();
            fs::hard_link(at("a"), at("b")).unwrap();
        },
        &|| {
            fs::remove_file(at("b")).unwrap();
            fs::write(at("b"), "same").unwrap();
            fs::remove_file(at("c")).unwrap();
            fs::hard_link(at("b"), at("c")).unwrap();
        },
        &|| fs::write(at("c"), "both change").unwrap(),
        &|| {
            fs::remove_file(at("a")).unwrap();
            fs::create_dir(at("a")).unwrap();
            fs::write(at("a/below"), "x").unwrap();
        },
        &|| {
            fs::remove_dir_all(at("a")).unwrap();
            symlink("sub", at("a")).unwrap();
        },
        &|| {
            fs::remove_file(at("a")).unwrap();
            symlink("one", at("a")).unwrap();
            fs::set_permissions(at("one"), Permissions::from_mode(0o4600)).unwrap();
        },
        &|| {
            fs::remove_dir_all(at("sub")).unwrap();
            fs::write(at("sub"), "a file").unwrap();
        },
        &|| fs::remove_file(at("b")).unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        let backup = back_up(&place, &data, Kind::Live);
        let (reached, seen) = (manifest(&place, &backup).as_reached(), shown(&place, &data));
        assert_eq!(reached.first_difference(&seen), None, "change {number}");
    }
}

#[test]
fn what_changed_meanwhile_is_counted_and_refused_where_nothing_may() {
    let place = Place::new();
    let data = place.data("data", "content");
    let now = fs::metadata(data.join("one")).unwrap().mtime();
    set_mtime(&data.join("sub/two"), now + 100_000, 0);
    let mirror = |began| {
        Mirror::fill(&place.path("mirror"), Cursor::new(archive(&data)), (began, None), &Unwatched).unwrap()
    };
    let backup = |mirror: &Mirror, pass| {
        place.vault.backup_mirror((&data, mirror), &tags("run-1", Kind::Live), pass, &Unwatched)
    };
    assert_eq!(backup(&mirror(now), Pass::Still).unwrap().changed_while_reading, 0);
    assert_eq!(backup(&mirror(now - 1), Pass::Live).unwrap().changed_while_reading, 1);
    match backup(&mirror(now - 1), Pass::Still) {
        Err(VaultError::Changed { paths }) => assert_eq!(paths, [data.join("one")]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn half_an_archive_is_no_copy() {
    let place = Place::new();
    let data = place.data("data", "content");
    let whole = archive(&data);
    let half = Cursor::new(whole[..2048].to_vec());
    assert!(Mirror::fill(&place.path("mirror"), half, (0, None), &Unwatched).is_err());
    fill(&place, &data);
}

/// A directory that only gives and takes archives.
struct Far {
    data: PathBuf,
    /// Of an archive that is sent, so many bytes arrive.
    arrive: AtomicUsize,
    begun: Cell<bool>,
}

impl Elsewhere for Far {
    fn read(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(archive(&self.data))))
    }

    fn begin(&self) -> io::Result<()> {
        self.begun.set(true);
        Ok(())
    }

    fn change(
        &self,
        remove: &[PathBuf],
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        assert!(self.begun.get());
        let mut sent = Vec::new();
        write(&mut sent)?;
        sent.truncate(self.arrive.load(Relaxed));
        apply(&self.data, remove, &*sent).map_err(io::Error::other)
    }
}

/// Two states that differ in every way, each of which is backed up, and a place that holds the second one.
struct Scene {
    place: Place,
    far: Far,
    wanted: Backup,
    safety: Backup,
}

impl Scene {
    fn new() -> Self {
        let place = Place::in_memory();
        let data = place.path("data");
        populate(&data);
        // Two names of one link, which an archive tells as such and a directory doesn't.
        symlink("nowhere", data.join("one link")).unwrap();
        fs::hard_link(data.join("one link"), data.join("the same link")).unwrap();
        let wanted = back_up(&place, &data, Kind::Cutover);
        for (number, name) in ["small", "deep.er", "large"].into_iter().enumerate() {
            fs::write(data.join(name), format!("changed {number}")).unwrap();
        }
        fs::remove_dir_all(data.join("deep")).unwrap();
        fs::write(data.join("deep"), "now a file").unwrap();
        fs::remove_file(data.join("dangling")).unwrap();
        fs::create_dir_all(data.join("dangling/more")).unwrap();
        fs::write(data.join("dangling/more/file"), "more").unwrap();
        drop(UnixListener::bind(data.join("dangling/more/socket")).unwrap());
        fs::remove_file(data.join("fifo")).unwrap();
        fs::set_permissions(data.join("empty dir"), Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o711)).unwrap();
        let safety = back_up(&place, &data, Kind::Safety);
        let far = Far { data, arrive: AtomicUsize::new(usize::MAX), begun: Cell::new(false) };
        Self { place, far, wanted, safety }
    }

    fn replace(&self) -> Result<Restored> {
        let ids = (&self.wanted.id, &self.safety.id);
        self.place.vault.replace_through(ids, self.far.begun.get(), &self.far, &Unwatched)
    }

    #[track_caller]
    fn assert_replaced(&self) {
        let now = shown(&self.place, &self.far.data);
        let wanted = manifest(&self.place, &self.wanted).as_reached();
        assert_eq!(now.first_difference(&wanted), None);
        let mut pairs = now.entries.iter().zip(&wanted.entries).skip(1);
        assert_eq!(pairs.find(|(now, then)| now.mtime != then.mtime), None);
        let left = fs::read_dir(&self.far.data).unwrap().map(|item| item.unwrap().file_name());
        assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(".mainstay")));
    }
}

#[test]
fn everything_is_put_back_and_what_is_surplus_goes() {
    let scene = Scene::new();
    let restored = scene.replace().unwrap();
    assert_eq!(restored.files, scene.wanted.files);
    scene.assert_replaced();
    // What is right already is not even begun.
    scene.far.begun.set(false);
    scene.replace().unwrap();
    assert!(!scene.far.begun.get());
}

#[test]
fn what_was_cut_off_anywhere_is_finished_by_the_same_call() {
    let scene = Scene::new();
    for arrive in [0, 700, 3_000, 5_000, 100_000, 900_000, 1_100_000, 3_000_000, 5_000_000] {
        scene.far.arrive.store(arrive, Relaxed);
        assert!(scene.replace().is_err(), "{arrive}");
    }
    scene.far.arrive.store(usize::MAX, Relaxed);
    scene.replace().unwrap();
    scene.assert_replaced();
}

#[test]
fn what_no_backup_holds_is_not_overwritten() {
    let scene = Scene::new();
    let foreign = scene.far.data.join("foreign");
    fs::write(&foreign, "new").unwrap();
    assert!(matches!(scene.replace(), Err(VaultError::SafetyOutdated { .. })));
    fs::remove_file(&foreign).unwrap();
    scene.far.arrive.store(4_000, Relaxed);
    scene.replace().unwrap_err();
    scene.far.arrive.store(usize::MAX, Relaxed);
    for name in ["foreign", "sparse"] {
        let path = scene.far.data.join(name);
        let before = fs::read(&path).ok();
        fs::write(&path, "somebody's").unwrap();
        assert!(matches!(scene.replace(), Err(VaultError::Foreign { .. })), "{name}");
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
        match before {
            Some(before) => {
                fs::write(&path, before).unwrap();
                set_mtime(&path, -5, 0);
            }
            None => fs::remove_file(&path).unwrap(),
        }
    }
    scene.replace().unwrap();
    scene.assert_replaced();
}

#[test]
fn a_single_file_is_overwritten_where_it_is() {
    let place = Place::new();
    let data = place.path("data");
    fs::write(&data, "as it was").unwrap();
    let wanted = back_up(&place, &data, Kind::Cutover);
    fs::write(&data, "changed").unwrap();
    let inode = fs::metadata(&data).unwrap().ino();
    let safety = back_up(&place, &data, Kind::Safety);
    let far = Far { data: data.clone(), arrive: AtomicUsize::new(usize::MAX), begun: Cell::new(false) };
    place.vault.replace_through((&wanted.id, &safety.id), false, &far, &Unwatched).unwrap();
    assert_eq!(fs::read(&data).unwrap(), b"as it was");
    assert_eq!(fs::metadata(&data).unwrap().ino(), inode);
}

#[test]
fn what_an_archive_can_not_show_stays_in_what_stays() {
    let place = Place::new();
    let data = place.data("data", "content");
    xattr::set(data.join("sub"), "user.mark", b"1").unwrap();
    xattr::set(data.join("one"), "user.mark", b"2").unwrap();
    let wanted = back_up(&place, &data, Kind::Cutover);
    fs::write(data.join("sub/two"), "changed").unwrap();
    let safety = back_up(&place, &data, Kind::Safety);
    let far = Far { data: data.clone(), arrive: AtomicUsize::new(usize::MAX), begun: Cell::new(false) };
    place.vault.replace_through((&wanted.id, &safety.id), false, &far, &Unwatched).unwrap();
    assert_eq!(fs::read(data.join("sub/two")).unwrap(), b"contentcontent");
    for name in ["sub", "one"] {
        assert!(xattr::get(data.join(name), "user.mark").unwrap().is_some(), "{name}");
    }
}
