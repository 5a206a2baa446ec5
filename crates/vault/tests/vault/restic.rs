//! You can leave: stock restic checks and restores what this crate stores.

use std::path::Path;
use std::process::Command;

use crate::common::{Place, describe, populate};

fn restic(place: &Place, arguments: &[&str]) -> String {
    let output = Command::new("restic")
        .arg("--no-cache")
        .arg("-r")
        .arg(place.vault.path())
        .arg("--password-file")
        .arg(place.vault.password_file())
        .args(arguments)
        .output()
        .expect("this test needs restic: apt-get install restic");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "restic {arguments:?}: {text}");
    text.into_owned()
}

#[test]
fn restic_checks_and_restores() {
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    // restic 0.14 neither stores nor restores the attributes of links, and no sockets.
    std::fs::remove_file(data.join("socket")).unwrap();
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
