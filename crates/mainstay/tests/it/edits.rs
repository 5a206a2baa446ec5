//! Every style in which a tag can stand in the operator's files: changed there and nowhere else, or refused.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use crate::lab::Lab;
use crate::lab::process::Run;

/// A service with this `image:` line, or whatever stands for it.
fn compose(image: &str) -> String {
    format!(
        "# The shop's application\nservices:\n  app:\n    {image}\n    ports: [\"127.0.0.1:PORT:8080\"]   # loopback\n    \
         volumes:\n    - data:/data\n    mem_limit: 64m\n\nvolumes:\n  data:\n"
    )
}

/// Updates `app` of this project, and looks that in `file` the one piece of text has become the other, that it
/// keeps its owner and mode, and that nothing else changed.
fn edited(lab: Lab, file: &str, old: &str, new: &str) {
    chown(lab.path(file), Some(1234), Some(2345)).unwrap();
    std::fs::set_permissions(lab.path(file), std::fs::Permissions::from_mode(0o604)).unwrap();
    let lab = lab.up();
    let (mut before, text) = (lab.now(), lab.read(file));
    assert_eq!(text.matches(old).count(), 1, "{text}");

    lab.update("app", "1.1.0", &[]).expect_kept();
    assert_eq!(lab.version(), "1.1.0");
    assert_eq!(lab.read(file), text.replace(old, new));
    let mut now = lab.now();
    let key = Path::new("./").join(file);
    let [was, is] = [&mut before, &mut now].map(|all| all.files.0.remove(&key).unwrap());
    let attributes = |entry: &str| entry.split(' ').take(3).collect::<Vec<_>>().join(" ");
    assert_eq!(attributes(&is), attributes(&was), "owner and mode");
    assert!(is.contains("100604 1234:2345"), "{is}");
    assert_eq!(now.files, before.files, "other files");
    assert_eq!(now.data, before.data);
    lab.compose_changes_nothing();
}

/// The same, for a change of the tag alone in the Compose file.
fn edited_tag(text: &str) {
    edited(Lab::of(&[("compose.yaml", text)]), "compose.yaml", "fixture:1.0.0", "fixture:1.1.0");
}

#[test]
fn a_literal_with_a_comment() {
    edited_tag(&compose("image:   IMAGE:1.0.0 # not 1.2.0"));
}

#[test]
fn in_quotes() {
    edited_tag(&compose("\"image\": 'IMAGE:1.0.0'"));
}

#[test]
fn in_a_flow_mapping() {
    let text = "services: {app: {image: \"IMAGE:1.0.0\", ports: [\"127.0.0.1:PORT:8080\"], volumes: [\"data:/data\"]}}\nvolumes: {data: {}}\n";
    edited_tag(text);
}

#[test]
fn behind_an_anchor() {
    edited_tag(&format!("x-image: &image IMAGE:1.0.0\n{}", compose("image: *image")));
}

#[test]
fn behind_a_merge_key() {
    let base = "x-app: &app\n  image: IMAGE:1.0.0\n  restart: \"no\"\n";
    edited_tag(&format!("{base}{}", compose("<<: *app")));
}

#[test]
fn in_the_default_of_a_variable() {
    let lab = Lab::of(&[("compose.yaml", &compose("image: IMAGE:${APP_VERSION:-1.0.0}"))]);
    edited(lab, "compose.yaml", ":-1.0.0}", ":-1.1.0}");
}

#[test]
fn in_a_quoted_line_of_the_env_file() {
    let env = "# pinned\nOTHER=1.0.1\nexport APP_VERSION=\"1.0.0\" # why not 1.2.0?\nSECRET='a b'\n";
    let lab = Lab::of(&[("compose.yaml", &compose("image: IMAGE:${APP_VERSION:?}")), (".env", env)]);
    edited(lab, ".env", "\"1.0.0\"", "\"1.1.0\"");
}

#[test]
fn in_the_last_line_of_an_env_file_that_does_not_end() {
    let compose = compose("image: IMAGE:${VERSION}");
    let lab = Lab::of(&[("compose.yaml", &compose), (".env", "A=1\r\nVERSION=1.0.0")]);
    edited(lab, ".env", "VERSION=1.0.0", "VERSION=1.1.0");
}

#[test]
fn with_the_whole_image_in_a_variable() {
    let lab = Lab::of(&[("compose.yaml", &compose("image: ${WHOLE}")), (".env", "WHOLE=IMAGE:1.0.0\n")]);
    edited(lab, ".env", "fixture:1.0.0", "fixture:1.1.0");
}

#[test]
fn with_dos_line_ends() {
    edited_tag(&compose("image: IMAGE:1.0.0").replace('\n', "\r\n"));
}

#[test]
fn in_the_last_line_of_a_file_that_does_not_end() {
    let text = "volumes: {data: {}}\nservices:\n  app:\n    ports: [\"127.0.0.1:PORT:8080\"]\n    volumes: [\"data:/data\"]\n    image: IMAGE:1.0.0";
    edited_tag(text);
}

#[test]
fn in_an_override_file() {
    let base = compose("image: IMAGE:1.2.0");
    let production = "# What production has\nservices:\n  app:\n    image: IMAGE:1.0.0\n";
    let lab = Lab::of(&[("base.yaml", &base), ("production.yaml", production)]);
    edited(lab.files(&["base.yaml", "production.yaml"]), "production.yaml", "fixture:1.0.0", "fixture:1.1.0");
}

#[test]
fn a_literal_of_the_older_compose() {
    let text = compose("image: IMAGE:1.0.0");
    let text = format!("version: \"2.4\"\n{text}");
    edited(
        Lab::of(&[("docker-compose.yml", &text)]).v1(),
        "docker-compose.yml",
        "fixture:1.0.0",
        "fixture:1.1.0",
    );
}

#[test]
fn a_line_of_the_env_file_of_the_older_compose() {
    let text = compose("image: IMAGE:${TAG}").replace("# The shop's application\n", "version: \"2.4\"\n");
    let lab = Lab::of(&[("docker-compose.yml", &text), (".env", "# which\nTAG=1.0.0\n")]).v1();
    edited(lab, ".env", "TAG=1.0.0", "TAG=1.1.0");
}

/// Refused, with this code, and nothing was touched.
fn refused(lab: Lab, code: &str) -> (Lab, Run) {
    let lab = lab.up();
    let before = lab.now();
    let run = lab.update("app", "1.1.0", &[]).expect(6);
    assert_eq!(run.code_of_problem(), code, "{run}");
    assert_eq!(run.ended()["verdict"], "refused");
    assert_eq!(run.ended()["service"], "untouched");
    let _has_advice = run.words();
    lab.assert_untouched(&before);
    (lab, run)
}

#[test]
fn a_variable_of_the_shell_is_refused() {
    let lab =
        Lab::of(&[("compose.yaml", &compose("image: IMAGE:${FIXTURE_TAG}"))]).shell("FIXTURE_TAG", "1.0.0");
    let (_lab, run) = refused(lab, "tag-in-shell");
    assert!(run.words().contains("FIXTURE_TAG"), "{run}");
}

/// The shell that made the container had the variable, the one that updates has not.
#[test]
fn a_variable_that_only_another_shell_had_is_refused() {
    let lab =
        Lab::of(&[("compose.yaml", &compose("image: IMAGE:${FIXTURE_TAG}"))]).shell("FIXTURE_TAG", "1.0.0");
    let lab = lab.up();
    let before = lab.now();
    let id = lab.id("app");
    let mut command = lab.command(&["update", &id, "--to", "1.1.0", "--yes"]);
    command.env_remove("FIXTURE_TAG");
    let run = crate::lab::process::Running::begin(command).finish().expect(6);
    assert!(run.words().contains("FIXTURE_TAG"), "it says which variable is missing: {run}");
    lab.assert_untouched(&before);
}

/// The service's own mention of its version follows; nothing else does.
#[test]
fn a_variable_that_the_service_itself_uses_too() {
    let text = compose("image: IMAGE:${VERSION}\n    environment: {SHOWN_VERSION: \"${VERSION}\"}");
    let lab = Lab::of(&[("compose.yaml", &text), (".env", "VERSION=1.0.0\n")]);
    edited(lab, ".env", "VERSION=1.0.0", "VERSION=1.1.0");
}

#[test]
fn a_variable_that_another_service_uses_is_refused() {
    let other =
        "volumes: []\n  other:\n    image: IMAGE:1.0.0\n    environment: {SHOWN_VERSION: \"${VERSION}\"}\n";
    let text =
        compose("image: IMAGE:${VERSION}").replace("volumes:\n    - data:/data\n    mem_limit: 64m\n", other);
    let lab = Lab::of(&[("compose.yaml", &text), (".env", "VERSION=1.0.0\n")]);
    let (_lab, run) = refused(lab, "edit-reaches-further");
    assert!(run.words().contains("other.environment.SHOWN_VERSION"), "it says what else would change: {run}");
}

#[test]
fn an_image_by_its_digest_is_refused() {
    let digest = crate::lab::net::digest("1.0.0");
    let lab = Lab::of(&[("compose.yaml", &compose(&format!("image: IMAGE@{digest}")))]);
    refused(lab, "image-pinned");
}
