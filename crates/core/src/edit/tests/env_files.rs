//! Tags in env files, and new variables.

use super::*;

#[track_caller]
fn tag(image: &str, text: &str, resolved: &str, wanted: &str, old: &str, new: &str, place: &str) {
    let files =
        [compose("/srv/c.yml", &format!("services:\n  app:\n    image: {image}\n")), env("/srv/.env", text)];
    edits(&files, resolved, wanted, old, new, place);
}

#[test]
fn values_in_every_style() {
    for (text, old) in [
        ("A=1\nTAG=1.0\nB=2\n", "TAG=1.0"),
        ("A=1\nTAG = 1.0 # the tag, 1.0 #2\nB=1.0\n", "TAG = 1.0"),
        ("\nexport TAG='1.0' # x\n", "'1.0'"),
        ("#\n  TAG=\"1.0\"\nB=\"1.0\n1.0\"\n", "TAG=\"1.0\""),
        ("\u{feff}A=1\r\nTAG=1.0\r\nB=2\r\n", "TAG=1.0"),
        ("A='#'\nTAG: 1.0", "TAG: 1.0"),
        ("TAG=0.9\nTAG=1.0\n", "1.0"),
        ("#TAG=2\nTAG=1.0 \t\n# TAG=3\n", "TAG=1.0"),
    ] {
        for image in ["x:${TAG}", "x:$TAG", "\"x:${TAG:?not set}\"", "x:${TAG:-7}", "${NO:-x}:${TAG-7}"] {
            let new = old.replace("1.0", "1.1");
            tag(image, text, "x:1.0", "1.1", old, &new, "TAG in line 2 of /srv/.env");
        }
    }
    tag("x:$TAG", "A='1\n2'\nTAG=1.0\n", "x:1.0", "1.1", "1.0", "1.1", "TAG in line 3 of /srv/.env");
}

#[test]
fn a_variable_may_hold_the_whole_reference() {
    for text in ["IMAGE=r:5000/x:1.0\n", "IMAGE='r:5000/x:1.0'\n", "IMAGE=\"r:5000/x:1.0\" # 1\n"] {
        tag("${IMAGE}", text, "r:5000/x:1.0", "1.1", "x:1.0", "x:1.1", "IMAGE in line 1 of /srv/.env");
    }
    tag(
        "$IMAGE-alpine",
        "IMAGE=x:1-alpine\n".replace("-alpine", "").as_str(),
        "x:1-alpine",
        "2-alpine",
        "x:1",
        "x:2",
        "IMAGE in line 1 of /srv/.env",
    );
}

#[test]
fn values_may_be_interpolated_themselves() {
    let text = "TAG=1.0\nIMAGE=x:${TAG}\n";
    tag("$IMAGE", text, "x:1.0", "1.1", "1.0", "1.1", "TAG in line 1 of /srv/.env");
    // A value sees what stands above it.
    let text = "T=1.0\nTAG=$T\nT=2.0\n";
    tag("x:$TAG", text, "x:1.0", "1.1", "1.0", "1.1", "T in line 1 of /srv/.env");
    let text = "IMAGE=\"x:${NO:-1.0}\"\n";
    tag("$IMAGE", text, "x:1.0", "1.1", "1.0", "1.1", "the default of NO in line 1 of /srv/.env");
}

#[test]
fn the_last_file_wins() {
    let files = [
        compose("/srv/c.yml", "services: {app: {image: 'x:$TAG'}}"),
        env("/srv/a.env", "TAG=0.9\n"),
        env("/srv/b.env", "TAG=1.0\n"),
        env("/srv/c.env", "OTHER=1.0\n"),
    ];
    edits(&files, "x:1.0", "1.1", "1.0", "1.1", "TAG in line 1 of /srv/b.env");
}

#[test]
fn tags_of_several_parts_are_changed_in_the_one_that_fits() {
    tag("x:v${TAG}", "TAG=1.1\n", "x:v1.1", "v1.2", "1.1", "1.2", "TAG in line 1 of /srv/.env");
    tag(
        "x:${TAG}-alpine",
        "TAG=1.2\n",
        "x:1.2-alpine",
        "1.3-alpine",
        "1.2",
        "1.3",
        "TAG in line 1 of /srv/.env",
    );
    tag("x:v${T}-alpine", "T=1\n", "x:v1-alpine", "v2-alpine", "1", "2", "T in line 1 of /srv/.env");
    let text = "MAJOR=1\nMINOR=2\n";
    tag("x:${MAJOR}.${MINOR}", text, "x:1.2", "1.3", "MINOR=2", "MINOR=3", "MINOR in line 2 of /srv/.env");
    tag("x:${MAJOR}.${MINOR}", text, "x:1.2", "2.2", "MAJOR=1", "MAJOR=2", "MAJOR in line 1 of /srv/.env");
    let text = "TAG=1.0\nFLAVOUR=-alpine\n";
    tag("x:${TAG}${FLAVOUR}", text, "x:1.0-alpine", "1.1-alpine", "1.0", "1.1", "TAG in line 1 of /srv/.env");
    let text = "TAG=1.0\nFLAVOUR=\n";
    tag("x:${TAG}${FLAVOUR}", text, "x:1.0", "1.0.1", "1.0", "1.0.1", "TAG in line 1 of /srv/.env");
    let files =
        [compose("/srv/c.yml", "services: {app: {image: 'x:${TAG}-alpine'}}"), env("/srv/.env", "TAG=1\n")];
    edits(&files, "x:1-alpine", "1-slim", "-alpine", "-slim", "line 1 of /srv/c.yml");
}

#[test]
fn variables_are_read_as_compose_reads_them() {
    let text = concat!(
        "\u{feff}# c\r\nA=1\r\n export B = two words # c\nC='a \\'b\\' $X \\n'\nD=\"a\\n\\\"b\\\" \\$X\"\n",
        "E=a#b\nF=\nG\nH: yaml\nI='x\ny' # c\nA=2\n1X=no\nnot a name=1\nK= # c\n=1\nJ=\"open\nL=1\n",
    );
    let expected = [
        ("A", "1"),
        ("B", "two words"),
        ("C", "a 'b' $X \\n"),
        ("D", "a\n\"b\" $X"),
        ("E", "a#b"),
        ("F", ""),
        ("G", ""),
        ("H", "yaml"),
        ("I", "x\ny"),
        ("A", "2"),
        ("K", "# c"),
    ];
    let found = variables(text.as_bytes());
    assert_eq!(found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    assert_eq!(variables(b"A=\xff\nB=1"), [("A".into(), "\u{fffd}".into()), ("B".into(), "1".into())]);
    assert_eq!(variables(b""), []);
    assert_eq!(variables(b"export"), [("export".into(), String::new())]);
}

#[track_caller]
fn adds(before: &str, value: &str, after: &str) {
    let bytes = add_variable(before.as_bytes(), Path::new("/srv/.env"), "NEW", value).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), after);
}

#[test]
fn a_variable_is_added_on_a_line_of_its_own() {
    adds("", "1", "NEW=1\n");
    adds("A=1\n", "1", "A=1\nNEW=1\n");
    adds("A=1", "1", "A=1\nNEW=1\n");
    adds("A=1\r\n", "1", "A=1\r\nNEW=1\r\n");
    adds("A=1\r\nB=2", "1", "A=1\r\nB=2\r\nNEW=1\r\n");
    adds("\u{feff}", "1", "\u{feff}NEW=1\n");
    adds("# NEW=1\nOLDNEW=1\n", "1", "# NEW=1\nOLDNEW=1\nNEW=1\n");
}

#[test]
fn a_value_is_quoted_where_it_needs_it() {
    for (value, written) in [
        ("", ""),
        ("aB0_./:,@%+=-", "aB0_./:,@%+=-"),
        ("two words", "'two words'"),
        ("pa$word", "'pa$word'"),
        ("a #b", "'a #b'"),
        (" a", "' a'"),
        ("say \"hi\"", "'say \"hi\"'"),
        ("it's", "\"it's\""),
        ("it's $5 \\ \"x\"", "\"it's \\$5 \\\\ \\\"x\\\"\""),
        ("a\nb", "\"a\\nb\""),
        ("back\\", "\"back\\\\\""),
        ("#x", "'#x'"),
    ] {
        adds("", value, &format!("NEW={written}\n"));
    }
}

#[test]
fn what_is_there_is_not_added_again() {
    let code = |bytes: &[u8], name: &str, value: &str| {
        add_variable(bytes, Path::new("/srv/.env"), name, value).unwrap_err().code
    };
    for text in ["NEW=1\n", "NEW\n", "NEW", "export NEW=1\n", "A=1\r\n NEW : x\r\n", "NEW='a\nb'"] {
        assert_eq!(code(text.as_bytes(), "NEW", "2"), "variable-exists", "{text}");
    }
    for name in ["", "1A", "A B", "A=B", "A-B", "Ä", "A.B", "A\n"] {
        assert_eq!(code(b"", name, "1"), "variable-name", "{name}");
    }
    assert_eq!(code(b"", "NEW", "a\0b"), "variable-value");
    assert_eq!(code(b"A=\"open\n", "NEW", "1"), "edit-unproven");
    let secret = add_variable(b"NEW=hunter2\n", Path::new("/e"), "NEW", "hunter3").unwrap_err();
    assert!(!format!("{secret:?}").contains("hunter"));
}
