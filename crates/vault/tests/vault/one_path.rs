//! One file or directory of a backup comes back by itself.

use std::fs;
use std::path::Path;

use crate::common::{Place, describe, populate};
use mainstay_vault::{Unwatched, VaultError};

#[test]
fn a_file_or_directory_comes_back_by_itself() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let id = place.backup(&data).id;
    for path in ["small", "deep", "deep/er", "deep/er/file", "fifo", "link", "empty dir", "sparse"] {
        let to = place.path("to");
        let wanted = describe(&data.join(path));
        let restored = place.vault.restore_path(&id, Path::new(path), &to, &Unwatched).unwrap();
        let name = Path::new(path).file_name().unwrap();
        assert_eq!(describe(&to.join(name)), wanted, "{path}");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "{path}");
        assert_eq!(restored.files, wanted.values().filter(|text| text.contains(" first ")).count() as u64);
        fs::remove_dir_all(to).unwrap();
    }
}

#[test]
fn an_empty_path_is_the_whole_backup() {
    let place = Place::new();
    let data = place.data("data", "x");
    let id = place.backup(&data).id;
    place.vault.restore_path(&id, Path::new(""), &place.path("to"), &Unwatched).unwrap();
    assert_eq!(describe(&place.path("to")), describe(&data));
}

#[test]
fn what_isnt_there_is_an_error_and_nothing_is_overwritten() {
    let place = Place::new();
    let data = place.data("data", "x");
    let id = place.backup(&data).id;
    for path in ["tw", "sub/tw", "sub/two/more", "/one"] {
        let to = place.path("to");
        let refused = place.vault.restore_path(&id, Path::new(path), &to, &Unwatched);
        assert!(matches!(refused, Err(VaultError::UnknownPath { .. })), "{path}: {refused:?}");
        assert!(!to.exists());
    }
    let refused = place.vault.restore_path(&id, Path::new("one"), &data, &Unwatched);
    assert!(matches!(refused, Err(VaultError::NotEmpty { .. })));
}
