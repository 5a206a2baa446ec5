//! Every way in which a tag may stand in Compose files.

use super::*;

const FILE: &str = "/srv/app/compose.yml";

/// One Compose file; `old` becomes `new` in it.
#[track_caller]
fn one(text: &str, old: &str, new: &str, place: &str) {
    edits(&[compose(FILE, text)], "127.0.0.1:5000/lab/x:1.0.0", "1.1.0", old, new, place);
}

#[test]
fn literal_scalars_in_every_style() {
    let line = |text: &str| format!("# top\nservices:\n  app: # the app\n    {text}\n    restart: always\n");
    let place = "line 4 of /srv/app/compose.yml";
    for image in [
        "image: 127.0.0.1:5000/lab/x:1.0.0",
        "image: '127.0.0.1:5000/lab/x:1.0.0'",
        "image: \"127.0.0.1:5000/lab/x:1.0.0\"",
        "image: 127.0.0.1:5000/lab/x:1.0.0   # was 1.0.0-rc, then",
        "image:    127.0.0.1:5000/lab/x:1.0.0",
        "\"image\": 127.0.0.1:5000/lab/x:1.0.0",
        "'image' : \"127.0.0.1:5000/lab/x:1.0.0\"",
        "image: !!str 127.0.0.1:5000/lab/x:1.0.0",
        "image: !override 127.0.0.1:5000/lab/x:1.0.0",
    ] {
        one(&line(image), "lab/x:1.0.0", "lab/x:1.1.0", place);
    }
    let place = "line 5 of /srv/app/compose.yml";
    one(&line("image: >-\n      127.0.0.1:5000/lab/x:1.0.0"), ":1.0.0", ":1.1.0", place);
    one(&line("image:\n      127.0.0.1:5000/lab/x:1.0.0"), ":1.0.0", ":1.1.0", place);
}

#[test]
fn flow_mappings() {
    let place = "line 1 of /srv/app/compose.yml";
    one("services: {app: {image: \"127.0.0.1:5000/lab/x:1.0.0\", ports: [1]}}", "x:1.0.0", "x:1.1.0", place);
    one("services: {app: {image: 127.0.0.1:5000/lab/x:1.0.0}}\n", "x:1.0.0", "x:1.1.0", place);
    one(r#"{"services":{"app":{"image":"127.0.0.1:5000/lab/x:1.0.0"}}}"#, "x:1.0.0", "x:1.1.0", place);
}

#[test]
fn other_things_that_look_alike_stay() {
    one(
        concat!(
            "# image: 127.0.0.1:5000/lab/x:1.0.0\n",
            "x-note: \"1.0.0\"\n",
            "services:\n",
            "  other:\n    image: 127.0.0.1:5000/lab/x:1.0.0 # other\n",
            "  app:\n",
            "    labels: {image: '127.0.0.1:5000/lab/x:1.0.0'}\n",
            "    image: 127.0.0.1:5000/lab/x:1.0.0 # this\n",
            "    build: {args: {image: 127.0.0.1:5000/lab/x:1.0.0}}\n",
        ),
        "x:1.0.0 # this",
        "x:1.1.0 # this",
        "line 8 of /srv/app/compose.yml",
    );
}

#[test]
fn carriage_returns_a_byte_order_mark_and_a_missing_line_end_survive() {
    let text = "\u{feff}# top\r\nservices:\r\n  app:\r\n    image: 127.0.0.1:5000/lab/x:1.0.0";
    one(text, "x:1.0.0", "x:1.1.0", "line 4 of /srv/app/compose.yml");
    let text = "services:\r\n  app:\r\n    image: \"127.0.0.1:5000/lab/x:1.0.0\" # ä\r\n    tty: true\r\n";
    one(text, "x:1.0.0", "x:1.1.0", "line 3 of /srv/app/compose.yml");
}

#[test]
fn documents_may_have_marks_and_comments_around_them() {
    let body = "services:\n  app:\n    image: 127.0.0.1:5000/lab/x:1.0.0\n";
    for (text, line) in [
        (format!("# x:1.0.0, ä\n# more\n---\n{body}"), 6),
        (format!("%YAML 1.1\n---\n{body}...\n# end\n"), 5),
        (format!("---\n{body}\n\n# end"), 4),
        (format!("\u{feff}# top\r\n---\r\n{}", body.replace('\n', "\r\n")), 5),
        (format!("\n\n   # indented\n{body}"), 6),
    ] {
        one(&text, "/x:1.0.0", "/x:1.1.0", &format!("line {line} of /srv/app/compose.yml"));
    }
}

#[test]
fn a_missing_tag_is_added() {
    let bare = |image: &str| [compose(FILE, &format!("services:\n  app:\n    image: {image}\n"))];
    let place = "line 3 of /srv/app/compose.yml";
    edits(&bare("postgres"), "postgres", "17", "postgres", "postgres:17", place);
    edits(&bare("'reg:5000/x' # y"), "reg:5000/x", "17", "5000/x", "5000/x:17", place);
    edits(&bare("${R:-reg:5000}/x"), "reg:5000/x", "17", "}/x", "}/x:17", place);
    let flow = [compose(FILE, "services: {app: {image: postgres}}")];
    edits(&flow, "postgres", "17", "postgres", "postgres:17", "line 1 of /srv/app/compose.yml");
    let files = [compose(FILE, "services: {app: {image: $I}}"), env("/e", "I=pg # x\n")];
    edits(&files, "pg", "17", "I=pg", "I=pg:17", "I in line 1 of /e");
}

#[test]
fn anchors_are_edited_where_they_stand() {
    let place = "the anchor &img in line 1 of /srv/app/compose.yml";
    one(
        "x-image: &img 127.0.0.1:5000/lab/x:1.0.0\nservices:\n  app:\n    image: *img\n  worker: {image: *img }\n",
        "x:1.0.0",
        "x:1.1.0",
        place,
    );
    one(
        "services:\n  worker:\n    image: &img \"127.0.0.1:5000/lab/x:1.0.0\"\n  app:\n    image: *img\n",
        "x:1.0.0",
        "x:1.1.0",
        "the anchor &img in line 3 of /srv/app/compose.yml",
    );
    one(
        "services:\n  app:\n    image: &img 127.0.0.1:5000/lab/x:1.0.0\n  worker:\n    image: *img\n",
        "x:1.0.0",
        "x:1.1.0",
        "the anchor &img in line 3 of /srv/app/compose.yml",
    );
    one(
        "x-a: &a {image: 127.0.0.1:5000/lab/x:1.0.0}\nservices:\n  app: *a\n",
        "x:1.0.0",
        "x:1.1.0",
        "the anchor &a in line 1 of /srv/app/compose.yml",
    );
    // An anchor that is defined again counts from there on.
    one(
        "x-a: &a 127.0.0.1:5000/lab/x:0.9\nx-b: &a 127.0.0.1:5000/lab/x:1.0.0\nservices: {app: {image: *a }}\n",
        "x:1.0.0",
        "x:1.1.0",
        "the anchor &a in line 2 of /srv/app/compose.yml",
    );
}

#[test]
fn merges_are_followed() {
    let image = "image: 127.0.0.1:5000/lab/x:1.0.0";
    one(
        &format!("x-base: &base\n  {image}\n  tty: true\nservices:\n  app:\n    <<: *base\n    init: true\n"),
        "x:1.0.0",
        "x:1.1.0",
        "the anchor &base in line 2 of /srv/app/compose.yml",
    );
    one(
        &format!(
            "x-a: &a {{tty: true}}\nx-b: &b {{{image}}}\nx-c: &c {{image: other:9}}\n\
             services:\n  app:\n    <<: [*a, *b, *c]\n"
        ),
        "x:1.0.0",
        "x:1.1.0",
        "the anchor &b in line 2 of /srv/app/compose.yml",
    );
    one(
        &format!("x-a: &a {{{image}}}\nx-b: &b\n  <<: *a\nservices:\n  app:\n    <<: *b\n"),
        "x:1.0.0",
        "x:1.1.0",
        "the anchor &a in line 1 of /srv/app/compose.yml",
    );
    // What the service says itself wins.
    one(
        &format!("x-a: &a {{image: other:9}}\nservices:\n  app:\n    <<: *a\n    {image}\n"),
        "x:1.0.0",
        "x:1.1.0",
        "line 5 of /srv/app/compose.yml",
    );
}

#[test]
fn defaults_are_edited_in_the_file() {
    let with = |image: &str| format!("services:\n  app:\n    image: {image}\n");
    for image in [
        "127.0.0.1:5000/lab/x:${TAG:-1.0.0}",
        "127.0.0.1:5000/lab/x:${TAG-1.0.0}",
        "\"${REG:-127.0.0.1:5000}/lab/x:${TAG:-1.0.0}\"",
        "127.0.0.1:5000/lab/x:${OTHER:-${TAG:-1.0.0}}",
        "127.0.0.1:5000/lab/x:${TAG:-1.0.0}${SUFFIX:-}",
    ] {
        let place = "the default of TAG in line 3 of /srv/app/compose.yml";
        one(&with(image), "1.0.0", "1.1.0", place);
    }
    let place = "the default of IMAGE in line 3 of /srv/app/compose.yml";
    one(&with("${IMAGE:-127.0.0.1:5000/lab/x:1.0.0}"), "x:1.0.0", "x:1.1.0", place);
    one(&with("127.0.0.1:5000/lab/x:${A:+}1.0.0"), "1.0.0", "1.1.0", "line 3 of /srv/app/compose.yml");
    // Set to nothing: `:-` takes the default, `-` does not.
    let files = [compose(FILE, &with("x:${TAG:-1.0}")), env("/e", "TAG=\n")];
    edits(&files, "x:1.0", "1.1", "1.0", "1.1", "the default of TAG in line 3 of /srv/app/compose.yml");
}

#[test]
fn the_last_file_that_sets_the_image_is_edited() {
    let base = compose("/srv/a.yml", "services:\n  app:\n    image: x:0.9\n");
    let middle = compose("/srv/b.yml", "services:\n  app:\n    image: x:1.0\n");
    let last = compose("/srv/c.yml", "services:\n  app:\n    tty: true\n  other: {image: 'y:1'}\n");
    edits(&[base, middle, last], "x:1.0", "1.1", "x:1.0", "x:1.1", "line 3 of /srv/b.yml");
}

#[test]
fn extends_is_followed_within_the_files() {
    let here = "services:\n  base:\n    image: x:1.0\n  app:\n    extends: base\n";
    edits(&[compose(FILE, here)], "x:1.0", "1.1", "x:1.0", "x:1.1", "line 3 of /srv/app/compose.yml");
    let here = here.replace("extends: base", "extends: {service: base}");
    edits(&[compose(FILE, &here)], "x:1.0", "1.1", "x:1.0", "x:1.1", "line 3 of /srv/app/compose.yml");
    let files = [
        compose("/srv/app/common.yml", "services:\n  base:\n    image: x:1.0\n"),
        compose(FILE, "services:\n  app:\n    extends:\n      file: ./common.yml\n      service: base\n"),
    ];
    edits(&files, "x:1.0", "1.1", "x:1.0", "x:1.1", "line 3 of /srv/app/common.yml");
}

#[test]
fn the_wanted_tag_may_be_there_already() {
    let files = [compose(FILE, "services: {app: {image: 'x:1.0'}}")];
    let retag = retag(&files, "app", "x:1.0", "1.0", &no_shell).unwrap();
    assert_eq!(retag.edits, []);
    assert_eq!(retag.place, Place::Literal { file: FILE.into(), line: 1 });
}
