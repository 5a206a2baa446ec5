//! What is refused, and that it is refused for the right reason.

use super::*;

const FILE: &str = "/srv/compose.yml";

#[track_caller]
fn refused(files: &[SourceFile], resolved: &str, wanted: &str, code: &str) -> Problem {
    let shell = |name: &str| (name == "SHELL_TAG").then(|| "1.0".to_owned());
    let problem = retag(files, "app", resolved, wanted, &shell).unwrap_err();
    assert_eq!(problem.code, code, "{problem}");
    assert!(!problem.advice.is_empty(), "every refusal says what to do: {problem}");
    problem
}

fn image(text: &str) -> SourceFile {
    compose(FILE, &format!("services:\n  app:\n    image: {text}\n"))
}

#[test]
fn references_that_a_tag_does_not_decide() {
    let digest = "x:1.0@sha256:0123";
    refused(&[image(digest)], digest, "1.1", "image-pinned");
    refused(&[image("x@sha256:0123")], "x@sha256:0123", "1.1", "image-pinned");
    refused(&[image("x:1.0")], "x:1.0", "no tag", "tag-invalid");
}

#[test]
fn services_without_an_image() {
    refused(&[compose(FILE, "services:\n  app:\n    build: .\n")], "app", "1.1", "image-not-set");
    refused(&[compose(FILE, "services:\n  app:\n    build: .\n    image:\n")], "app", "1.1", "image-not-set");
    refused(&[compose(FILE, "services: {app: {image: !reset null}}")], "app", "1.1", "image-not-set");
    refused(&[compose(FILE, "services: {other: {image: x}}")], "x:1", "1.1", "service-not-in-files");
    refused(&[compose(FILE, "include: [a.yml]\n")], "x:1", "1.1", "service-not-in-files");
    refused(&[], "x:1", "1.1", "service-not-in-files");
    for text in [
        "services: {app: {extends: {file: ../other.yml, service: base}}}",
        "services: {app: {extends: app}}",
        "services: {app: {extends: {file: other.yml}}}",
    ] {
        refused(&[compose(FILE, text)], "x:1.0", "1.1", "image-extended");
    }
}

#[test]
fn tags_from_elsewhere() {
    let problem = refused(&[image("x:${SHELL_TAG:-2}")], "x:1.0", "1.1", "tag-in-shell");
    assert!(problem.what.contains("SHELL_TAG"));
    let files = [image("x:$SHELL_TAG"), env("/e", "SHELL_TAG=0.9\n")];
    refused(&files, "x:1.0", "1.1", "tag-in-shell");
    let files = [image("x:$TAG"), env("/e", "TAG=$SHELL_TAG\n")];
    refused(&files, "x:1.0", "1.1", "tag-in-shell");
    let problem = refused(&[image("x:${NOWHERE}")], "x:1.0", "1.1", "tag-unknown");
    assert!(problem.to_string().contains("NOWHERE is set neither"), "{problem}");
    // A bare name takes the environment's value, and there is none.
    refused(&[image("x:$TAG"), env("/e", "TAG\n")], "x:1.0", "1.1", "tag-unknown");
    // The files say something else than Compose.
    refused(&[image("x:2.0")], "x:1.0", "1.1", "tag-unknown");
    refused(&[image("y:1.0")], "x:1.0", "1.1", "tag-unknown");
    // Cycles end.
    refused(&[image("x:$A"), env("/e", "A=$B\nB=$A\n")], "x:1.0", "1.1", "tag-unknown");
}

#[test]
fn tags_that_no_single_change_makes() {
    let both = [image("x:${MAJOR}.${MINOR}"), env("/e", "MAJOR=1\nMINOR=2\n")];
    refused(&both, "x:1.2", "2.0", "tag-composed");
    refused(&[image("x:v${T}"), env("/e", "T=1\n")], "x:v1", "2", "tag-composed");
    refused(&[image("x:${T}-alpine"), env("/e", "T=1\n")], "x:1-alpine", "2", "tag-composed");
    // Either of two variables would do.
    let either = [image("x:${A}-${B}"), env("/e", "A=1\nB=alpine\n")];
    refused(&either, "x:1-alpine", "1-rc-alpine", "tag-composed");
    // Escapes are no text that can be cut into.
    refused(&[image("$I"), env("/e", "I=\"x:1\\$\"\n")], "x:1$", "2", "tag-composed");
}

#[test]
fn edits_that_would_change_the_repository_too() {
    let files = [image("x/${T}:${T}"), env("/e", "T=1\n")];
    refused(&files, "x/1:1", "2", "tag-composed");
    refused(&[image("x:${T}.${T}"), env("/e", "T=1\n")], "x:1.1", "1.2", "tag-composed");
}

#[test]
fn files_that_compose_would_not_read() {
    let bad = |bytes: &[u8]| SourceFile { bytes: bytes.to_vec(), ..compose(FILE, "") };
    let problem = refused(&[bad(b"a: 1\nb: \xff\n")], "x:1", "2", "compose-file-invalid");
    assert!(problem.what.contains("line 2 of /srv/compose.yml"), "{problem}");
    let problem = refused(&[bad(b"services:\n  app: [\n")], "x:1", "2", "compose-file-invalid");
    assert!(problem.what.contains("line 3 of /srv/compose.yml"), "{problem}");
    for text in ["a: 1\na: 2\n", "services:\n\tapp: {}\n", "a: *nowhere\n", "a: 1\n---\nb: 1\n"] {
        refused(&[bad(text.as_bytes())], "x:1", "2", "compose-file-invalid");
    }
    let password = "services:\n  app:\n    environment: {PASSWORD: \"hunter2\n";
    let problem = refused(&[compose(FILE, password)], "x:1", "2", "compose-file-invalid");
    assert!(!format!("{problem:?}").contains("hunter2"));
    refused(&[image("\"x:\\x31\"")], "x:1", "2", "edit-unproven");
}
