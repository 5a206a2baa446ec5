//! What a page complained of, before and after: only what is new counts.
//!
//! Two complaints are the same if they differ in numbers, hashes and query strings alone: scripts are named after their
//! content, and versions stand in file names.

use std::sync::LazyLock;

use regex::Regex;

use crate::pattern::pattern;
use serde::{Deserialize, Serialize};

/// A page of the old version, as a browser saw it just before the cutover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The functional check that loads it.
    pub check: String,
    /// Errors on its console, exceptions, requests that failed; without secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<String>,
}

/// The complaints that are not among those from before, each once.
#[must_use]
pub fn new_errors(before: &[String], now: &[String]) -> Vec<String> {
    let known: Vec<String> = before.iter().map(|line| alike(line)).collect();
    let mut seen: Vec<String> = Vec::new();
    let mut new = Vec::new();
    for line in now {
        let alike = alike(line);
        if !known.contains(&alike) && !seen.contains(&alike) {
            seen.push(alike);
            new.push(line.clone());
        }
    }
    new
}

static QUERY: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\?[^\s"')]*"#));
static CHANGING: LazyLock<Regex> = LazyLock::new(|| pattern(r"[0-9a-fA-F]*[0-9][0-9a-fA-F]*"));

fn alike(line: &str) -> String {
    // A status tells one failure from another.
    let (status, rest) = match line.split_once(": ") {
        Some((head, rest)) if head.starts_with("HTTP ") => (head, rest),
        _ => ("", line),
    };
    let plain = QUERY.replace_all(rest, "");
    format!("{status} {}", CHANGING.replace_all(&plain, "#"))
}
