//! The proof refuses what the locator would never do: it must not depend on the locator being right.

use super::*;
use crate::edit::choose::Spot;
use crate::edit::compose::{Found, find_image};
use crate::edit::expand::How;

const TEXT: &str =
    "services:\n  app:\n    image: &i x:1.0\n  db:\n    image: x:1.0\n  worker:\n    image: *i\n";

/// Judges `after` as the result of changing `1.0` of the app's image to `1.1`.
fn proven(after: &str) -> Result<(), Problem> {
    let found: Found = find_image(&[compose("/c", TEXT)], "app").unwrap();
    let start = found.at + 2;
    let spot = Spot { file: 0, range: start..start + 3, text: "1.1".into(), how: How::Scalar };
    let edited = Edited { path: "/c".into(), before: TEXT.into(), after: after.into() };
    proof::file(Role::Compose, &edited, &found, &spot)
}

#[test]
fn a_compose_file_may_change_in_that_value_only() {
    let good = TEXT.replacen("1.0", "1.1", 1);
    assert_eq!(proven(&good), Ok(()));
    let other = |old: &str, new: &str| {
        assert!(good.contains(old));
        good.replace(old, new)
    };
    for bad in [
        TEXT.to_owned(),
        TEXT.replace("db:\n    image: x:1.0", "db:\n    image: x:1.1"),
        TEXT.replacen("1.0", "1.2", 1),
        other("worker", "Worker"),
        other("db:\n    image: x:1.0", "db:\n    image: x:1.2"),
        other("  db:\n    image: x:1.0\n", ""),
        other("x:1.1", "'x:1.1"),
        other("x:1.1", "!t x:1.1"),
        other("*i", "[*i]"),
        format!("{good}x-a: 1\n"),
    ] {
        assert_eq!(proven(&bad).map_err(|p| p.code), Err("edit-unproven".to_owned()), "{bad}");
    }
}

#[test]
fn an_env_file_may_change_in_that_variable_only() {
    let before = "A=1.0\nTAG=1.0\n";
    let found = find_image(&[compose("/c", TEXT)], "app").unwrap();
    let spot = Spot { file: 0, range: 10..13, text: "1.1".into(), how: How::Assignment("TAG".into()) };
    let proven = |after: &str| {
        let edited = Edited { path: "/e".into(), before: before.into(), after: after.into() };
        proof::file(Role::Env, &edited, &found, &spot).is_ok()
    };
    assert!(proven("A=1.0\nTAG=1.1\n"));
    for bad in [
        before,
        "A=1.1\nTAG=1.0\n",
        "A=1.1\nTAG=1.1\n",
        "A=1.0\nTAG=1.2\n",
        "TAG=1.1\n",
        "A=1.0\nTAG=1.1\nB=\n",
    ] {
        assert!(!proven(bad), "{bad}");
    }
}
