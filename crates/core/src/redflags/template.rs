//! What a message says apart from what differs each time: one message a thousand times is one thing.
//!
//! Invariant: two lines that differ in numbers, ids and times alone have the same template, and the template of a
//! template is itself. It does not look at words: `user bob` and `user eve` are two templates.

use super::{ESCAPES, level};

/// Longer ones are cut: what tells messages apart stands at their beginning.
const LONGEST: usize = 160;
/// So many hexadecimal digits in a row are an id, also where none of them is a figure.
const HEX_ID: usize = 8;
/// Parts of times that hold no figure.
const TIME_WORDS: &[&str] = &[
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
    "Sep", "Oct", "Nov", "Dec", "UTC", "GMT", "CET", "CEST", "AM", "PM",
];

/// The template of a line. Of JSON it is that of all its strings, in their order.
#[must_use]
pub fn template(line: &str) -> String {
    let line = ESCAPES.replace_all(line, "");
    let entry = level::read(line.trim());
    let mut template = String::new();
    let mut rest = entry.text.as_ref();
    while let Some(first) = rest.chars().next() {
        let inside = is_word(first);
        let end = rest.find(|c| is_word(c) != inside).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        if inside {
            word(&mut template, piece);
        } else {
            between(&mut template, piece);
        }
        if template.len() >= LONGEST {
            break;
        }
    }
    let cut = (0..=LONGEST.min(template.len())).rev().find(|at| template.is_char_boundary(*at)).unwrap_or(0);
    template.truncate(cut);
    template.truncate(template.trim_end().len());
    template
}

/// What may be part of a number, an id, a time or a version.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | ':' | '_' | '-' | '+' | '#')
}

/// A number, an id or a time becomes `#`, and several of them in a row one.
fn word(template: &mut String, word: &str) {
    let name = word.trim_end_matches(['.', ':', '-']);
    let tail = &word[name.len()..];
    let hex = name.len() >= HEX_ID && name.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let varies = name.contains('#') || name.chars().any(|c| c.is_ascii_digit()) || hex;
    if !varies && !TIME_WORDS.contains(&name) {
        template.push_str(word);
        return;
    }
    let before = template.trim_end();
    if before.ends_with('#') {
        template.truncate(before.len());
    } else {
        template.push('#');
    }
    template.push_str(tail);
}

fn between(template: &mut String, piece: &str) {
    let mut blank = template.is_empty() || template.ends_with(' ');
    for c in piece.chars() {
        let space = c.is_whitespace() || c.is_control();
        if !(space && blank) {
            template.push(if space { ' ' } else { c });
        }
        blank = space;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::template;

    #[test]
    fn numbers_ids_and_times_make_no_difference() {
        for (one, other) in [
            (
                "2026-01-05T10:11:12.345Z ERROR cannot reach the cache (attempt 12)",
                "2026-01-06T00:00:00.001Z ERROR cannot reach the cache (attempt 9)",
            ),
            (
                "2026/01/05 10:11:12 [error] 7#7: *1 upstream timed out, client: 10.0.0.3",
                "2026/01/05 22:11:12 [error] 31#31: *4711 upstream timed out, client: 192.168.17.30",
            ),
            (
                r#"{"level":"error","time":"2026-01-05T10:11:12Z","id":"5f1c","msg":"boom","ms":12}"#,
                r#"{"level":"error","time":"2026-02-05T10:11:12Z","id":"77ab","msg":"boom","ms":7}"#,
            ),
            (
                "Mon Jan  5 10:11:12 2026 job 550e8400-e29b-41d4-a716-446655440000 failed",
                "Fri Feb 13 10:11:12 2026 job deadbeef-dead-beef-dead-beefdeadbeef failed",
            ),
            ("\u{1b}[31mERROR\u{1b}[0m request req-ab12 took 5ms", "ERROR request req-99 took 1200ms"),
        ] {
            assert_eq!(template(one), template(other));
        }
        let cache = "2026-01-05T10:11:12.345Z ERROR cannot reach the cache (attempt 12)";
        assert_eq!(template(cache), "# ERROR cannot reach the cache (attempt #)");
    }

    #[test]
    fn words_make_a_difference() {
        for (one, other) in [
            ("ERROR cannot reach the cache", "ERROR cannot reach the database"),
            (r#"relation "users" does not exist"#, r#"relation "orders" does not exist"#),
            ("", "ERROR"),
        ] {
            assert_ne!(template(one), template(other));
        }
    }

    proptest! {
        #[test]
        fn the_template_of_a_template_is_itself(line in "\\PC{0,300}") {
            let once = template(&line);
            // What looks like JSON is read as such, and its template is not JSON any more.
            prop_assume!(!line.trim_start().starts_with('{'));
            prop_assert_eq!(template(&once), once);
        }

        #[test]
        fn any_number_is_like_any_other(text in "[a-z ]{0,20}", one: u64, other: u64) {
            prop_assert_eq!(template(&format!("{text} {one}")), template(&format!("{text} {other}")));
        }
    }
}
