//! Every kind of entry, every odd name and every attribute comes back, whichever way the data does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Mount, Place, describe, files_below, populate, set_mtime};
use mainstay_vault::{Format, Part, Unwatched, VaultError};
use rustix::fs::{CWD, Mode, OFlags};

/// An access list as the kernel stores it: two users, a group and a mask besides the mode.
fn access_list() -> Vec<u8> {
    let none = u32::MAX;
    let entries = [
        (1, 7, none),
        (2, 5, 1234),
        (2, 6, 4_000_000_001),
        (4, 5, none),
        (8, 4, 77),
        (16, 7, none),
        (32, 0, none),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::to_le_bytes(permissions));
        bytes.extend(u32::to_le_bytes(id));
    }
    bytes
}

/// What a program that copies files is likely to get wrong. Needs root.
fn torture(root: &Path) {
    populate(root);
    let at = |name: &str| root.join(name);
    odd_names(root);
    fs::write(at("with a list"), "x").unwrap();
    xattr::set(at("with a list"), "system.posix_acl_access", &access_list()).unwrap();
    fs::create_dir(at("inherits")).unwrap();
    xattr::set(at("inherits"), "system.posix_acl_default", &access_list()).unwrap();
    xattr::set(at("inherits"), "user.long", &[9; 3000]).unwrap();
    xattr::set(at("inherits"), "user.a=b%3D", b"=\n=").unwrap();
    fs::write(at("inherits/made below"), "has a list by inheritance").unwrap();
    fs::write(at("inherits/without"), "has none").unwrap();
    xattr::remove(at("inherits/without"), "system.posix_acl_access").unwrap();
    for (name, seconds, nanoseconds) in
        [("old", -86_400 * 365 * 20, 1), ("late", 4_000_000_000, 999_999_999), ("zero", 0, 0)]
    {
        fs::write(at(name), name).unwrap();
        set_mtime(&at(name), seconds, nanoseconds);
    }
    for (name, mode) in [("s", 0o4000), ("g", 0o2111), ("t", 0o1222), ("all", 0o7777)] {
        fs::write(at(name), name).unwrap();
        chown(at(name), Some(3_000_000_000), Some(u32::MAX - 1)).unwrap();
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir(at("closed")).unwrap();
    fs::write(at("closed/inside"), "nobody may look").unwrap();
    symlink("loop b", at("loop a")).unwrap();
    symlink("loop a", at("loop b")).unwrap();
    symlink("itself", at("itself")).unwrap();
    symlink("../../../../etc/passwd", at("deep/outside")).unwrap();
    fs::hard_link(at("loop a"), at("deep/link to a link")).unwrap();
    fs::hard_link(at("deep/er/file"), at("across")).unwrap();
    for (name, length, data) in [
        ("hole first", 3 << 20, Some((3 << 20) - 5)),
        ("hole last", 5 << 20, Some(0)),
        ("hole between", 9 << 20, Some(4_500_000)),
        ("nothing but a hole", 7 << 20, None),
    ] {
        let file = File::create(at(name)).unwrap();
        file.set_len(length).unwrap();
        if let Some(offset) = data {
            file.write_all_at(b"12345", offset).unwrap();
        }
    }
    fs::write(at("two blocks"), vec![3; 2 << 20]).unwrap();
    fs::write(at("a byte more"), vec![4; (1 << 20) + 1]).unwrap();
    fs::set_permissions(at("closed"), Permissions::from_mode(0o000)).unwrap();
    set_mtime(&at("closed"), 77, 7);
    set_mtime(root, 1_500_000_000, 987_654_321);
}

fn odd_names(root: &Path) {
    let names: [&[u8]; 14] = [
        b"-rf",
        b"--help",
        b"line\nbreak",
        b"trailing space ",
        b" leading space",
        b"back\\slash\\040",
        b"*?[a-z]{x,y}",
        b"$HOME `x` \"quoted\" 'too'",
        b"\x01\x7f control",
        b".mainstay-other",
        b".data.mainstay-run-7",
        b"new",
        b"moves",
        b"\xf0\x28\x8c\x28",
    ];
    for name in names {
        fs::write(root.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let long = "n".repeat(255);
    fs::write(root.join(&long), "as long as it gets").unwrap();
    symlink("t".repeat(3000), root.join("to a long target")).unwrap();
    let mut deep = root.join("deep/er");
    while deep.as_os_str().len() + 256 < 3500 {
        deep.push(&long);
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("bottom"), "far down").unwrap();
    fs::hard_link(deep.join("bottom"), deep.join("zz another name of it, which is a little longer")).unwrap();
    fs::create_dir(root.join("deep/.mainstay-replace-look-alike")).unwrap();
    fs::write(root.join("deep/.mainstay-replace-look-alike/file"), "is data").unwrap();
}

/// Paths that differ, since the whole would be unreadable.
#[track_caller]
fn assert_same(now: &BTreeMap<PathBuf, String>, wanted: &BTreeMap<PathBuf, String>) {
    let paths = now.keys().chain(wanted.keys());
    let different: Vec<_> = paths
        .filter(|path| now.get(*path) != wanted.get(*path))
        .map(|path| (path, now.get(path), wanted.get(path)))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

fn empty(target: &Path) {
    for item in fs::read_dir(target).unwrap() {
        let path = item.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    fs::write(target.join("only this"), "is left").unwrap();
}

fn put_back(place: &Place, target: &Path, change: impl FnOnce(&Path)) {
    let wanted = describe(target);
    let old = place.backup(target).id;
    change(target);
    let safety = place.backup(target).id;
    place.vault.replace(&old, target, &safety, "run-7", &Unwatched).unwrap();
    assert_same(&describe(target), &wanted);
}

#[test]
fn restored_elsewhere() {
    let place = Place::new();
    let data = place.path("data");
    torture(&data);
    let id = place.backup(&data).id;
    place.vault.restore_to(&id, &place.path("to"), &Unwatched).unwrap();
    assert_same(&describe(&place.path("to")), &describe(&data));
}

#[test]
fn put_back_by_exchange() {
    let place = Place::new();
    torture(&place.path("data"));
    let before = fs::metadata(place.path("data")).unwrap();
    put_back(&place, &place.path("data"), empty);
    use std::os::unix::fs::MetadataExt;
    assert_ne!(fs::metadata(place.path("data")).unwrap().ino(), before.ino(), "it was exchanged");
}

#[test]
fn put_back_entry_by_entry_at_a_mount_point() {
    let place = Place::new();
    torture(&place.path("data"));
    let mount = Mount::bind(&place.path("data"), place.path("mounted"));
    put_back(&place, &mount.0, empty);
}

/// One of everything goes, and something else comes.
fn change_some(target: &Path) {
    for (number, name) in fs::read_dir(target).unwrap().map(|item| item.unwrap().file_name()).enumerate() {
        let path = target.join(&name);
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() || meta.len() > 1 << 20 {
            continue;
        }
        match number % 4 {
            0 => fs::remove_file(path).unwrap(),
            1 => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            2 => std::os::unix::fs::lchown(path, Some(7), Some(7)).unwrap(),
            _ => {}
        }
    }
    fs::remove_dir_all(target.join("deep/er")).unwrap();
    fs::remove_dir_all(target.join("closed")).unwrap();
    xattr::remove(target.join("inherits"), "user.long").unwrap();
    xattr::remove(target.join("inherits"), "system.posix_acl_default").unwrap();
}

#[test]
fn put_back_file_by_file() {
    let place = Place::new();
    torture(&place.path("data"));
    put_back(&place, &place.path("data"), change_some);
}

#[test]
fn put_back_file_by_file_at_a_mount_point() {
    let place = Place::new();
    torture(&place.path("data"));
    let mount = Mount::bind(&place.path("data"), place.path("mounted"));
    put_back(&place, &mount.0, change_some);
}

fn run(command: &mut Command) -> String {
    let output = command.env("LC_ALL", "C").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

#[test]
fn exported_and_unpacked_by_tar() {
    let place = Place::new();
    let data = place.path("data");
    torture(&data);
    let small = place.data("more", "of another mount");
    let ids = [place.backup(&data).id, place.backup(&small).id];
    let parts =
        [("data", &ids[0]), ("an/other", &ids[1])].map(|(top, id)| Part { id: id.clone(), top: top.into() });
    let file = place.path("out.tar.zst");
    let exported = place.vault.export_file(&parts, Format::TarZst, &file, false, &Unwatched).unwrap();
    assert_eq!(exported.sockets, 1);
    assert_eq!(exported.entries + 1, (describe(&data).len() + describe(&small).len()) as u64);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let plain = place.path("out.tar");
    run(Command::new("zstd").args(["-q", "-d"]).arg(&file).arg("-o").arg(&plain));
    fs::create_dir(place.path("unpacked")).unwrap();
    let said = run(Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(&plain)
        .arg("-C")
        .arg(place.path("unpacked")));
    let complaints: Vec<_> = said.lines().filter(|line| !line.contains("time stamp")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let mut wanted = describe(&data);
    wanted.remove(Path::new("socket")).unwrap();
    assert_same(&describe(&place.path("unpacked/data")), &wanted);
    assert_same(&describe(&place.path("unpacked/an/other")), &describe(&small));
}

#[test]
fn an_export_is_a_whole_file_or_none() {
    let place = Place::new();
    let data = place.data("data", "content that is kept");
    let mut noise = vec![0; 3 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(data.join("noise"), noise).unwrap();
    let parts = [Part { id: place.backup(&data).id, top: "data".into() }];
    let file = place.path("out.tar");
    let export = |overwrite| place.vault.export_file(&parts, Format::Tar, &file, overwrite, &Unwatched);
    fs::write(&file, "somebody's").unwrap();
    assert!(matches!(export(false), Err(VaultError::Exists { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
    export(true).unwrap();
    let good = fs::read(&file).unwrap();

    let packs = files_below(&place.vault.path().join("data"));
    let largest = packs.iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let mut bad = fs::read(largest).unwrap();
    for byte in bad.iter_mut().step_by(1000) {
        *byte ^= 1;
    }
    fs::write(largest, bad).unwrap();
    assert!(matches!(export(true), Err(VaultError::Damaged { .. })));
    assert_eq!(fs::read(&file).unwrap(), good, "what was there is left");
    fs::remove_file(&file).unwrap();
    assert!(export(false).is_err());
    let left: Vec<_> =
        fs::read_dir(place.dir.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("out")), "{left:?}");
}

/// Directories until no path reaches the bottom.
fn too_deep(root: &Path) {
    fs::create_dir(root).unwrap();
    let (flags, mode) = (OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty());
    let mut at = rustix::fs::openat(CWD, root, flags, mode).unwrap();
    for _ in 0..20 {
        let name = "d".repeat(250);
        rustix::fs::mkdirat(&at, &*name, Mode::from_raw_mode(0o755)).unwrap();
        at = rustix::fs::openat(&at, &*name, flags, mode).unwrap();
    }
    rustix::fs::openat(&at, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644)).unwrap();
}

#[test]
fn a_path_that_is_too_long_is_an_error_and_never_left_out() {
    let place = Place::new();
    too_deep(&place.path("data"));
    let tags = crate::common::tags("run", mainstay_vault::Kind::Manual);
    let refused = place.vault.backup(&place.path("data"), &tags, mainstay_vault::Pass::Still, &Unwatched);
    assert!(matches!(refused, Err(VaultError::Unreadable { .. })), "{refused:?}");
    assert!(place.vault.snapshots().unwrap().is_empty());
}

#[test]
fn a_place_whose_path_gets_too_long_is_an_error_and_nothing_changes() {
    let place = Place::new();
    let target = place.path("data");
    let mut deep = target.clone();
    fs::create_dir(&deep).unwrap();
    while deep.as_os_str().len() + 256 < 4080 {
        deep.push("d".repeat(250));
        fs::create_dir(&deep).unwrap();
    }
    let name = "f".repeat(4085 - deep.as_os_str().len());
    fs::write(deep.join(name), "its path is as long as it may be").unwrap();
    let old = place.backup(&target).id;
    empty(&target);
    let safety = place.backup(&target).id;
    let before = describe(&target);
    let refused = place.vault.replace(&old, &target, &safety, "run-7", &Unwatched);
    assert!(matches!(refused, Err(VaultError::Io { .. })), "{refused:?}");
    assert_eq!(describe(&target), before);
}
