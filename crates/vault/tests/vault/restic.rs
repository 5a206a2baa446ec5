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

/// Others may keep their snapshots in the same repository, and remove and prune them with stock restic.
#[test]
fn a_repository_can_be_shared_with_restic() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let first = place.backup(&data);
    let theirs = place.data("theirs", "of somebody else");
    std::fs::write(theirs.join("noise"), blake3::hash(b"noise").as_bytes().repeat(50_000)).unwrap();
    // Also the same data under their own tags: their prune must leave what both use.
    for path in [&theirs, &data] {
        restic(&place, &["backup", "--host", "elsewhere", "--tag", "by hand", path.to_str().unwrap()]);
    }
    let check = |count: usize| {
        let vault = mainstay_vault::Vault::open(&place.state()).unwrap().unwrap();
        let listed = vault.snapshots().unwrap();
        assert_eq!(listed.len(), count, "only ours are listed");
        for snapshot in &listed {
            vault.verify(&snapshot.id, &mainstay_vault::Unwatched).unwrap();
        }
        assert!(vault.find(&first.id.as_str()[..12]).is_ok());
    };
    check(1);
    std::fs::write(data.join("additional"), "in the second").unwrap();
    let second = place.backup(&data);
    assert!(second.added_bytes < 100_000, "the parent is ours, not theirs: {}", second.added_bytes);
    check(2);

    restic(&place, &["tag", "--add", "kept", "--host", "elsewhere"]);
    check(2);
    restic(&place, &["forget", "--host", "elsewhere", "--keep-last", "1", "--group-by", "host", "--prune"]);
    check(2);
    restic(&place, &["forget", "--host", "elsewhere", "--tag", "kept", "--keep-tag", "none"]);
    restic(&place, &["prune", "--max-unused", "0"]);
    let third = place.backup(&data);
    check(3);
    assert!(third.added_bytes < 100_000, "{}", third.added_bytes);
    assert!(restic(&place, &["check", "--read-data"]).contains("no errors were found"));
    let before = describe(&data);
    let to = place.path("to");
    place.vault.restore_to(&third.id, &to, &mainstay_vault::Unwatched).unwrap();
    assert_eq!(describe(&to), before);
}
