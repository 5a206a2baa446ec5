//! Regular expressions that stand in this crate's own text.

use regex::Regex;

/// The expression; each is compiled once, by a test at the latest.
pub(crate) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant that the tests compile")
}
