use std::path::Path;

use super::*;

mod env_files;
mod places;
mod proofs;
mod properties;
mod reaching;
mod refusals;

pub fn compose(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.into(), role: Role::Compose, bytes: text.as_bytes().to_vec() }
}

pub fn env(path: &str, text: &str) -> SourceFile {
    SourceFile { role: Role::Env, ..compose(path, text) }
}

pub fn no_shell(_: &str) -> Option<String> {
    None
}

/// Edits, and expects the only edited file to differ in one place: `old` there becomes `new`.
#[track_caller]
pub fn edits(files: &[SourceFile], resolved: &str, wanted: &str, old: &str, new: &str, place: &str) {
    let retag =
        retag(files, "app", resolved, wanted, &no_shell).unwrap_or_else(|p| panic!("{}: {p}", p.code));
    let [edited] = &retag.edits[..] else { panic!("one edit, not {:?}", retag.edits) };
    let before = String::from_utf8(edited.before.clone()).unwrap();
    assert_eq!(before.matches(old).count(), 1, "the test names a text that stands there once");
    assert_eq!(String::from_utf8(edited.after.clone()).unwrap(), before.replace(old, new));
    assert_eq!(retag.place.to_string(), place);
    let file = files.iter().find(|f| f.path == edited.path).unwrap();
    assert_eq!(file.bytes, edited.before);
}

#[test]
fn nothing_shows_the_bytes_of_a_file() {
    let file = env("/srv/.env", "PASSWORD=hunter2\n");
    let edited = Edited { path: "/srv/.env".into(), before: file.bytes.clone(), after: file.bytes.clone() };
    assert_eq!(format!("{file:?}"), "SourceFile(/srv/.env, Env, 17 bytes)");
    assert_eq!(format!("{edited:?}"), "Edited(/srv/.env, 17 bytes to 17)");
}

#[test]
fn a_diff_shows_the_change_and_no_secret() {
    let before = "PASSWORD=hunter2\nTAG=1.0\n";
    let text = diff(Path::new("/srv/.env"), before.as_bytes(), b"PASSWORD=hunter2\nTAG=1.1\n");
    assert_eq!(
        text,
        "--- /srv/.env\n+++ /srv/.env\n@@ -1,2 +1,2 @@\n PASSWORD=[hidden]\n-TAG=1.0\n+TAG=1.1\n"
    );
    let text = diff(Path::new("/srv/.env"), before.as_bytes(), b"PASSWORD=hunter3\nTAG=1.0\n");
    assert!(text.contains("only hidden values differ") && !text.contains("hunter"), "{text}");
    assert_eq!(diff(Path::new("/srv/.env"), b"A=1\n", b"A=1\n"), "");
}

#[test]
fn references_are_split_at_their_tag() {
    for (reference, repository, tag) in [
        ("postgres", "postgres", ""),
        ("postgres:15", "postgres", "15"),
        ("127.0.0.1:5000/lab/fixture", "127.0.0.1:5000/lab/fixture", ""),
        ("127.0.0.1:5000/lab/fixture:1.0", "127.0.0.1:5000/lab/fixture", "1.0"),
        ("localhost:5000/x:5000", "localhost:5000/x", "5000"),
    ] {
        assert_eq!(reference::split(reference), Some((repository, tag)));
    }
    assert_eq!(reference::split("x:1@sha256:00"), None);
    for tag in ["1", "v1.0-alpine_3", "_x", "A"] {
        assert!(reference::is_tag(tag), "{tag}");
    }
    for tag in ["", ".1", "-1", "1 ", "a/b", "ä", "$X", "a:b", "1\n", &"x".repeat(129)] {
        assert!(!reference::is_tag(tag), "{tag}");
    }
}
