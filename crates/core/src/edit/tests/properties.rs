//! Whatever stands around the tag stays, byte for byte.

use proptest::prelude::*;

use super::*;

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "plain",
        "'single'",
        "\"double \\n\"",
        "[1, {a: b}]",
        "{x: y}",
        "|\n      block: 1\n      image: x:1.0\n",
        ">-\n      folded\n      text\n",
        "'1.0'",
        "x:1.0",
        "${A:-1.0}",
        "&anchor z",
        "# only a comment",
        "ä ö 漢字",
    ])
    .prop_map(str::to_owned)
}

prop_compose! {
    fn document()(
        before in prop::collection::vec(value(), 0..4),
        after in prop::collection::vec(value(), 0..4),
        quote in prop::sample::select(vec!["", "'", "\""]),
        comment in prop::sample::select(vec!["", " # image: x:1.0", "   #"]),
        crlf: bool,
        bom: bool,
        cut: bool,
    ) -> (String, String) {
        let mut text = String::from("# top\nservices:\n  other: {image: 'x:1.0'}\n  app:\n");
        for (index, value) in before.iter().enumerate() {
            text += &format!("    x-before{index}: {}\n", value.replace('&', &format!("&b{index}")));
        }
        text += &format!("    image: {quote}x:<TAG>{quote}{comment}\n");
        for (index, value) in after.iter().enumerate() {
            text += &format!("    x-after{index}: {}\n", value.replace('&', &format!("&a{index}")));
        }
        if cut {
            text.truncate(text.trim_end().len());
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        if bom {
            text.insert(0, '\u{feff}');
        }
        (text.replace("<TAG>", "1.0"), text.replace("<TAG>", "2.0-rc.1"))
    }
}

proptest! {
    #[test]
    fn of_a_compose_file((before, after) in document()) {
        let files = [compose("/srv/compose.yml", &before)];
        let retag = retag(&files, "app", "x:1.0", "2.0-rc.1", &no_shell)
            .map_err(|problem| TestCaseError::fail(format!("{problem} in {before:?}")))?;
        prop_assert_eq!(String::from_utf8_lossy(&retag.edits[0].after), after);
    }

    #[test]
    fn of_an_env_file(
        lines in prop::collection::vec("[A-Z]{1,3}=([a-z0-9 .#]{0,6}|'[^'\\\\]{0,4}'|\"[a-z ]{0,4}\")|#.{0,9}|", 0..6),
        at in 0..6_usize,
        crlf: bool,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut lines: Vec<String> = lines.into_iter().filter(|l| !l.starts_with("TAG")).collect();
        lines.insert(at.min(lines.len()), "TAG=<TAG>".to_owned());
        let text = lines.join(end);
        let files = [
            compose("/srv/compose.yml", "services: {app: {image: 'x:${TAG}'}}"),
            env("/srv/.env", &text.replace("<TAG>", "1.0")),
        ];
        let retag = retag(&files, "app", "x:1.0", "2.0", &no_shell)
            .map_err(|problem| TestCaseError::fail(format!("{problem} in {text:?}")))?;
        prop_assert_eq!(String::from_utf8_lossy(&retag.edits[0].after), text.replace("<TAG>", "2.0"));
    }

    #[test]
    fn an_added_variable_is_read_back(text in "([A-M]=[a-z']{0,3}\r?\n){0,3}", value in "[^\0]{0,12}") {
        if let Ok(after) = add_variable(text.as_bytes(), Path::new("/e"), "NEW", &value) {
            prop_assert!(after.starts_with(text.as_bytes()));
            prop_assert_eq!(variables(&after).pop(), Some(("NEW".to_owned(), value)));
        }
    }

    #[test]
    fn nothing_panics(yaml in "[ a-z:{}\\[\\]&*<$'\"\n-]{0,60}", dotenv in "[ a-z=:'\"\\\\$#\n{}]{0,60}") {
        let yaml = format!("services:\n  app:\n    image: {yaml}");
        let files = [compose("/c", &yaml), env("/e", &dotenv)];
        let _ = retag(&files, "app", "x:1.0", "2.0", &no_shell);
        let _ = diff(Path::new("/c"), yaml.as_bytes(), dotenv.as_bytes());
    }
}
