//! You can leave: stock restic checks and restores what this crate stores.

use std::path::Path;
use std::process::Command;

use crate::common::{Place, describe, populate};

/// Stock restic on the repository of `place`.
pub fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new("restic");
    command.arg("--no-cache").arg("-r").arg(place.vault.path());
    command.arg("--password-file").arg(place.vault.password_file()).args(arguments);
    command
}

pub fn restic(place: &Place, arguments: &[&str]) -> String {
    let output = command(place, arguments).output().expect("this test needs restic: apt-get install restic");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "restic {arguments:?}: {text}");
    text.into_owned()
}

#[test]
fn restic_checks_and_restores() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    // What restic 0.14 itself can't restore: sockets, targets of links that aren't UTF-8, and extended
    // attributes of links.
    std::fs::remove_file(data.join("socket")).unwrap();
    std::fs::remove_file(data.join("raw link")).unwrap();
    xattr::remove(data.join("link"), "trusted.of.a.link").unwrap();
    crate::common::set_mtime(&data, 1_500_000_000, 987_654_321);
    let before = describe(&data);
    let first = place.backup(&data);
    std::fs::write(data.join("additional"), "in the second").unwrap();
    let second = place.backup(&data);

    let check = restic(&place, &["check", "--read-data"]);
    assert!(check.contains("no errors were found"), "{check}");
    let listed = restic(&place, &["snapshots", "--json"]);
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.len(), 2, "nothing but the backups");
    assert!(listed.iter().all(|snapshot| snapshot["hostname"] == "mainstay"));

    let target = place.path("by restic");
    restic(&place, &["restore", first.id.as_str(), "--target", target.to_str().unwrap()]);
    let restored = target.join(data.strip_prefix("/").unwrap());
    assert_eq!(describe(&restored), before);
    restic(
        &place,
        &["restore", second.id.short(), "--target", target.to_str().unwrap(), "--include", "additional"],
    );
    assert!(Path::new(&restored).join("additional").exists());
}

#[test]
fn what_an_interrupted_backup_leaves_is_removed_and_nothing_else() {
    let place = Place::new();
    let data = place.data("data", "x");
    let path = data.to_str().unwrap();
    restic(&place, &["backup", "--tag", "mainstay-unfinished", path]);
    restic(&place, &["backup", "--tag", "by hand", path]);
    assert!(place.vault.snapshots().unwrap().is_empty(), "neither is a backup of ours");
    let backup = place.backup(&data);
    assert_eq!(place.vault.snapshots().unwrap().len(), 1);
    let listed = restic(&place, &["snapshots", "--json"]);
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let tags: Vec<_> = listed.iter().map(|snapshot| snapshot["tags"].to_string()).collect();
    assert_eq!(listed.len(), 2, "{tags:?}");
    assert!(tags.iter().any(|tags| tags.contains("by hand")), "{tags:?}");
    assert!(listed.iter().any(|snapshot| snapshot["id"] == backup.id.as_str()));
}
