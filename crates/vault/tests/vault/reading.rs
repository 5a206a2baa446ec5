//! What happens when the source can't be read as it is: nothing is ever left out silently.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::common::{Impatient, Place, files_below, tags};
use mainstay_vault::{Backup, Kind, Pass, Unwatched, VaultError};

/// Backs up while another thread keeps changing a file that takes a while to read.
fn while_changing(place: &Place, data: &Path, pass: Pass) -> Result<Backup, VaultError> {
    let busy = data.join("busy");
    let file = File::create(&busy).unwrap();
    file.set_len(256 << 20).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = &file;
            while !done.load(SeqCst) {
                file.write_all(b"x").unwrap();
                std::thread::yield_now();
            }
        });
        let result = place.vault.backup(data, &tags("run", Kind::Live), pass, &Unwatched);
        done.store(true, SeqCst);
        result
    })
}

#[test]
fn a_change_is_an_error_if_nothing_should_run() {
    let place = Place::new();
    let data = place.data("data", "still");
    match while_changing(&place, &data, Pass::Still) {
        Err(VaultError::Changed { paths }) => assert_eq!(paths, [data.join("busy")]),
        other => panic!("{other:?}"),
    }
    assert!(place.vault.snapshots().unwrap().is_empty());
    assert_eq!(files_below(&place.vault.path().join("snapshots")).len(), 0);
}

#[test]
fn a_change_is_counted_if_the_service_runs() {
    let place = Place::new();
    let data = place.data("data", "live");
    let backup = while_changing(&place, &data, Pass::Live).unwrap();
    assert_eq!(backup.changed_while_reading, 1);
    place.vault.verify(&backup.id, &Unwatched).unwrap();
    let second = place.vault.backup(&data, &tags("run", Kind::Cutover), Pass::Still, &Unwatched).unwrap();
    let target = place.path("restored");
    place.vault.restore_to(&second.id, &target, &Unwatched).unwrap();
    let hash = |path: &Path| blake3::hash(&fs::read(path).unwrap());
    assert_eq!(hash(&target.join("busy")), hash(&data.join("busy")), "the second pass has the last state");
}

#[test]
fn files_that_come_and_go_are_counted_if_the_service_runs() {
    let place = Place::new();
    let data = place.path("data");
    fs::create_dir(&data).unwrap();
    for number in 0..2000 {
        fs::write(data.join(format!("{number:04}")), "soon gone").unwrap();
    }
    let backup = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in (0..2000).rev() {
                let _ = fs::remove_file(data.join(format!("{number:04}")));
            }
        });
        place.vault.backup(&data, &tags("run", Kind::Live), Pass::Live, &Unwatched).unwrap()
    });
    // How many are caught depends on the scheduler; that the rest is complete doesn't.
    let verified = place.vault.verify(&backup.id, &Unwatched).unwrap();
    assert_eq!(verified.files, backup.files);
    assert!(backup.files + backup.changed_while_reading <= 2000);
}

#[test]
fn what_cant_be_read_is_an_error() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let data = place.data("data", "x");
    xattr::set(data.join("sub/two"), OsStr::from_bytes(b"user.\xff"), b"v").unwrap();
    for pass in [Pass::Live, Pass::Still] {
        match place.vault.backup(&data, &tags("run", Kind::Manual), pass, &Unwatched) {
            Err(VaultError::Unreadable { path, .. }) => assert_eq!(path, data.join("sub/two")),
            other => panic!("{other:?}"),
        }
    }
    assert!(place.vault.snapshots().unwrap().is_empty());
    assert_eq!(files_below(&place.vault.path().join("snapshots")).len(), 0);
}

#[test]
fn a_source_that_isnt_there_is_an_error() {
    let place = Place::new();
    let missing = place.path("missing");
    let refused = place.vault.backup(&missing, &tags("run", Kind::Live), Pass::Live, &Unwatched);
    assert!(matches!(refused, Err(VaultError::Io { .. })));
}

#[test]
fn a_tag_that_restic_cant_hold_is_refused() {
    let place = Place::new();
    let data = place.data("data", "x");
    let refused = place.vault.backup(&data, &tags("a,b", Kind::Live), Pass::Live, &Unwatched);
    assert!(matches!(refused, Err(VaultError::BadName { what: "run", .. })));
}

#[test]
fn a_cancelled_backup_leaves_no_snapshot() {
    let place = Place::new();
    let data = place.data("data", "x");
    File::create(data.join("endless")).unwrap().set_len(1 << 40).unwrap();
    let cancelled = place.vault.backup(&data, &tags("run", Kind::Live), Pass::Live, &Impatient::default());
    assert!(matches!(cancelled, Err(VaultError::Cancelled)), "{cancelled:?}");
    assert!(place.vault.snapshots().unwrap().is_empty());
    assert_eq!(files_below(&place.vault.path().join("snapshots")).len(), 0);
    fs::remove_file(data.join("endless")).unwrap();
    let backup = place.backup(&data);
    assert_eq!(backup.files, 2, "what it left doesn't disturb the next one");
}
