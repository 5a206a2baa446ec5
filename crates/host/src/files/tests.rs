use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::fs::{CWD, Mode, XattrFlags};
use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("compose.yaml");
    (place, file)
}

fn names(place: &TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn bytes_are_replaced_exactly_and_attributes_kept() {
    let (place, file) = place();
    fs::write(&file, "a: 1\r\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&file, Some(4321), Some(1234)).unwrap();
    rustix::fs::setxattr(&file, "user.mainstay", b"kept", XattrFlags::empty()).unwrap();
    let inode = fs::metadata(&file).unwrap().ino();

    replace(&file, Some(&hash(b"a: 1\r\n")), b"a: 2\r\n", NewFile::Private).unwrap();

    assert_eq!(read(&file).unwrap(), b"a: 2\r\n");
    let now = fs::metadata(&file).unwrap();
    assert_eq!((now.mode() & 0o7777, now.uid(), now.gid()), (0o640, 4321, 1234));
    assert_ne!(now.ino(), inode);
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&file, "user.mainstay", &mut value).unwrap();
    assert_eq!(&value[..length], b"kept");
    assert_eq!(names(&place), ["compose.yaml"]);
}

#[test]
fn what_is_there_already_is_left_alone() {
    let (_place, file) = place();
    fs::write(&file, "new").unwrap();
    let inode = fs::metadata(&file).unwrap().ino();
    replace(&file, Some(&hash(b"old")), b"new", NewFile::Private).unwrap();
    replace(&file, None, b"new", NewFile::Private).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode);
}

#[test]
fn changes_of_others_are_never_overwritten() {
    let (place, file) = place();
    fs::write(&file, "theirs").unwrap();
    for expected in [Some(hash(b"old")), None] {
        let error = replace(&file, expected.as_deref(), b"new", NewFile::Private).unwrap_err();
        assert!(matches!(error, FileError::Foreign { .. }), "{error}");
        assert_eq!(Problem::from(error).code, "file-changed");
    }
    assert!(matches!(remove(&file, &hash(b"old")).unwrap_err(), FileError::Foreign { .. }));
    assert_eq!(read(&file).unwrap(), b"theirs");
    fs::remove_file(&file).unwrap();
    let gone = replace(&file, Some(&hash(b"old")), b"new", NewFile::Private).unwrap_err();
    assert!(matches!(gone, FileError::Foreign { .. }), "a file that is gone is a change, too");
    assert_eq!(names(&place), Vec::<String>::new());
}

#[test]
fn new_files_are_as_private_as_asked_and_belong_to_the_directory() {
    let (place, file) = place();
    std::os::unix::fs::chown(place.path(), Some(4321), Some(1234)).unwrap();
    replace(&file, None, b"SECRET=x\n", NewFile::Private).unwrap();
    let now = fs::metadata(&file).unwrap();
    assert_eq!((now.mode() & 0o7777, now.uid(), now.gid()), (0o600, 4321, 1234));
    let other = place.path().join("other");
    replace(&other, None, b"x", NewFile::Ordinary).unwrap();
    assert_eq!(fs::metadata(&other).unwrap().mode() & 0o7777, 0o644);
    remove(&file, &hash(b"SECRET=x\n")).unwrap();
    remove(&file, &hash(b"SECRET=x\n")).unwrap();
    assert_eq!(read_if_there(&file).unwrap(), None);
}

#[test]
fn links_stay_and_their_targets_change() {
    let (place, file) = place();
    fs::create_dir(place.path().join("real")).unwrap();
    fs::write(place.path().join("real/file"), "old").unwrap();
    symlink("real/file", place.path().join("middle")).unwrap();
    symlink("middle", &file).unwrap();
    replace(&file, Some(&hash(b"old")), b"new", NewFile::Private).unwrap();
    assert!(file.is_symlink() && place.path().join("middle").is_symlink());
    assert_eq!(fs::read(place.path().join("real/file")).unwrap(), b"new");
    assert!(matches!(remove(&file, &hash(b"new")).unwrap_err(), FileError::Foreign { .. }));

    let dangling = place.path().join("dangling");
    symlink("real/later", &dangling).unwrap();
    replace(&dangling, None, b"new", NewFile::Ordinary).unwrap();
    assert_eq!(fs::read(place.path().join("real/later")).unwrap(), b"new");

    let ring = place.path().join("ring");
    symlink("ring", &ring).unwrap();
    assert!(matches!(
        replace(&ring, None, b"x", NewFile::Ordinary).unwrap_err(),
        FileError::Unreadable { .. }
    ));
}

#[test]
fn what_a_crash_left_is_cleaned_by_the_next_call() {
    let (place, file) = place();
    fs::write(&file, "old").unwrap();
    let left = place.path().join(".compose.yaml.mainstay-tmp");
    fs::write(&left, "half").unwrap();
    replace(&file, Some(&hash(b"old")), b"old", NewFile::Private).unwrap();
    assert_eq!(names(&place), ["compose.yaml"], "also when there is nothing to do");
    symlink("/etc/passwd", &left).unwrap();
    replace(&file, Some(&hash(b"old")), b"new", NewFile::Private).unwrap();
    assert_eq!(names(&place), ["compose.yaml"], "and never followed");
}

#[test]
fn only_regular_files_are_read() {
    let (place, file) = place();
    rustix::fs::mkfifoat(CWD, &file, Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(Problem::from(read(&file).unwrap_err()).code, "file-unreadable");
    let unreadable = replace(place.path(), None, b"x", NewFile::Ordinary).unwrap_err();
    assert!(matches!(unreadable, FileError::Unreadable { .. }), "{unreadable}");
}

#[test]
fn errors_become_problems_with_advice() {
    let missing = replace(Path::new("/nonexistent/x"), None, b"x", NewFile::Ordinary).unwrap_err();
    assert_eq!(Problem::from(missing).code, "file-unwritable");
    let of = |errno: Errno| {
        Problem::from(FileError::writing(Path::new("/srv/x"), "writing", io::Error::from(errno)))
    };
    assert_eq!(of(Errno::NOSPC).code, "disk-full");
    assert_eq!(of(Errno::DQUOT).code, "disk-full");
    assert!(of(Errno::ROFS).advice[0].contains("read-only"));
    assert!(of(Errno::BUSY).advice[0].contains("mount point"));
    assert_eq!(of(Errno::ACCESS).code, "file-unwritable");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let error = FileError::writing(
        Path::new("/dev/full"),
        "writing",
        fs::write("/dev/full", b"x").expect_err("it is always full"),
    );
    assert_eq!(Problem::from(error).code, "disk-full");
}

#[test]
fn the_directory_of_a_run_is_private_and_keeps_what_is_written() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    assert!(RunDir::open(&state, "7").is_err());
    let run = RunDir::create(&state, "7").unwrap();
    run.write("files/0.before", b"one").unwrap();
    run.write("files/0.before", b"two").unwrap();
    let again = RunDir::open(&state, "7").unwrap();
    assert_eq!(again.read("files/0.before").unwrap(), b"two");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(run.path()), 0o700);
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&run.path().join("files")), 0o700);
    assert_eq!(mode(&run.path().join("files/0.before")), 0o600);
    for outside in ["../x", "/etc/passwd", "a/../../x", ""] {
        assert!(run.write(outside, b"x").is_err(), "{outside}");
        assert!(run.read(outside).is_err(), "{outside}");
    }
    assert!(RunDir::create(&state, "../7").is_err());
}

#[test]
fn what_a_killed_process_had_not_finished_writing_goes_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let run = RunDir::create(place.path(), "7").unwrap();
    run.write("configuration/0-notes.tmp", b"an operator's file may be called so").unwrap();
    fs::write(run.path().join(".writing-begun"), "half").unwrap();
    fs::write(run.path().join("configuration/.writing-1-.env"), "half").unwrap();
    run.tidy().unwrap();
    run.tidy().unwrap();
    assert_eq!(fs::read_dir(run.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(run.path().join("configuration")).unwrap().count(), 1);
    run.read("configuration/0-notes.tmp").unwrap();
}

/// The way back from an edit that had not taken effect: nothing is to be put back, and nothing stays.
#[test]
fn what_a_crash_left_can_be_tidied_up_alone() {
    let (place, file) = place();
    fs::write(&file, "old").unwrap();
    fs::write(place.path().join(".compose.yaml.mainstay-tmp"), "half of the n").unwrap();
    tidy(&file).unwrap();
    tidy(&file).unwrap();
    assert_eq!(names(&place), ["compose.yaml"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
}
