//! Hides what looks like a secret before it is shown, logged or journaled.
//!
//! Invariant: redacting twice changes nothing more, and text without anything suspicious stays as it is, byte
//! for byte. It errs on the side of hiding. What it does not do: it can't know a secret that looks like a
//! common word and stands beside no telling name; callers that know a value to be secret must not pass it on
//! at all.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::pattern::pattern;

mod name;

pub use name::is_secret_name;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[hidden]";

/// The text (one line or many) with the values hidden that look like secrets.
#[must_use]
pub fn line(text: &str) -> String {
    let text = PEM.replace_all(text, HIDDEN);
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive('\n') {
        let body = piece.trim_end_matches(['\n', '\r']);
        out.push_str(&one_line(body));
        out.push_str(&piece[body.len()..]);
    }
    out
}

/// The value of a variable or setting as it may be shown: hidden where its name says so, else [`line()`].
#[must_use]
pub fn value_for_display(name: &str, value: &str) -> String {
    if is_secret_name(name) && !harmless(name, value) { HIDDEN.to_owned() } else { line(value) }
}

static PEM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)"));
static URL_LOGIN: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(://[^\s/@:"']*:)([^\s"'<>]+)@"#));
static URL_TOKEN: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(://)[^\s/@:"'\[]{16,}@"#));
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{8,})"));
static KNOWN_SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\b(?:AKIA|ASIA|AROA|AIDA|AGPA)[A-Z0-9]{16}\b",
        r"|\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?",
        r"|\b(?:gh[pousr]_|github_pat_|glpat-|dckr_pat_|npm_|xox[abprs]-|sk-|[sr]k_live_)[A-Za-z0-9_-]{16,}",
    ))
});
/// A line of nothing but base64: the middle of a key that is shown line by line.
static BARE_BASE64: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([\s+-]*)([A-Za-z0-9+/]{60,}={0,2})\s*$"));
static ASSIGNMENT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"([A-Za-z0-9_.\-]+)(?:\\*["'])?[ \t]*(=>|:=|=|:)[ \t]*"#));
static FLAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"(--?([A-Za-z][A-Za-z0-9_-]*)[ \t]+)([^\s-]\S*)"));
static LINE_START: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^([ \t+-]*)(?:export[ \t]+)?["']?$"#));

fn one_line(text: &str) -> String {
    let text = KNOWN_SHAPE.replace_all(text, HIDDEN);
    let text = URL_LOGIN.replace_all(&text, hide_login);
    let text = URL_TOKEN.replace_all(&text, format!("${{1}}{HIDDEN}@"));
    let text = SCHEME.replace_all(&text, hide_scheme);
    let text = FLAG.replace_all(&text, hide_flag);
    let text = BARE_BASE64.replace(&text, hide_base64);
    hide_assignments(&text)
}

fn hide_login(found: &Captures<'_>) -> String {
    let rest = found[2].trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() < found[2].len() && rest.starts_with('/') {
        return found[0].to_owned(); // a port and a path, not a password
    }
    format!("{}{HIDDEN}@", &found[1])
}

fn hide_scheme(found: &Captures<'_>) -> String {
    let token = &found[3];
    let inner_capital = token.chars().skip(1).any(|c| c.is_ascii_uppercase());
    if inner_capital || token.contains(|c: char| c.is_ascii_digit() || c == '=') {
        format!("{}{}{HIDDEN}", &found[1], &found[2])
    } else {
        found[0].to_owned() // "basic authentication"
    }
}

fn hide_flag(found: &Captures<'_>) -> String {
    if is_secret_name(&found[2]) && !harmless(&found[2], &found[3]) && !starts_assignment(&found[3]) {
        format!("{}{HIDDEN}", &found[1])
    } else {
        found[0].to_owned()
    }
}

fn starts_assignment(word: &str) -> bool {
    word.starts_with(['=', ':'])
}

fn hide_base64(found: &Captures<'_>) -> String {
    let digest = found[2].chars().all(|c| c.is_ascii_hexdigit());
    if digest { found[0].to_owned() } else { format!("{}{HIDDEN}", &found[1]) }
}

/// `NAME=VALUE`, `NAME: VALUE`, `"name":"value"` and their escaped forms.
fn hide_assignments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut from = 0;
    while let Some(found) = ASSIGNMENT.captures_at(text, from) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { break };
        from = whole.end();
        if !is_secret_name(name.as_str())
            || is_something_else(&text[..name.start()], whole.as_str(), &text[whole.end()..])
        {
            continue;
        }
        let to_the_end = takes_the_line(&text[..name.start()], name.as_str());
        let value = value(&text[whole.end()..], to_the_end);
        if value.text.is_empty() || harmless(name.as_str(), value.text) {
            continue;
        }
        out.push_str(&text[done..whole.end() + value.start]);
        out.push_str(HIDDEN);
        done = whole.end() + value.start + value.text.len();
        from = done;
    }
    out.push_str(&text[done..]);
    out
}

/// `key://…` is a scheme, `${KEY:?text}` a demand: no value stands there.
fn is_something_else(before: &str, assignment: &str, rest: &str) -> bool {
    let demand = before.ends_with("${") && rest.starts_with('?');
    assignment.ends_with(':') && (rest.starts_with("//") || demand)
}

/// Whether an unquoted value reaches to the end of the line, spaces included, as in an env file, a Compose
/// file or a header; in prose it ends at the first space.
fn takes_the_line(before: &str, name: &str) -> bool {
    let header = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
    if header.iter().any(|h| name.eq_ignore_ascii_case(h)) {
        return true;
    }
    let upper = name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase());
    LINE_START.captures(before).is_some_and(|start| upper || !start[1].is_empty())
}

struct Value<'a> {
    start: usize,
    text: &'a str,
}

fn value(rest: &str, to_the_end: bool) -> Value<'_> {
    let quote_at = rest.find(|c| c != '\\').unwrap_or(0);
    let quote = rest[quote_at..].chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote {
        let opening = &rest[..=quote_at];
        let start = opening.len();
        let end = closing(&rest[start..], opening, quote).unwrap_or(rest.len() - start);
        return Value { start, text: &rest[start..start + end] };
    }
    let text = if to_the_end { rest.trim_end() } else { rest.split([' ', '\t']).next().unwrap_or_default() };
    Value { start: 0, text }
}

/// Where the value ends that was opened by `opening`: a quote, behind backslashes where the text is nested.
fn closing(text: &str, opening: &str, quote: char) -> Option<usize> {
    let depth = opening.len() - 1;
    let mut backslashes = 0;
    for (at, c) in text.char_indices() {
        match c {
            '\\' => backslashes += 1,
            c if c == quote && (backslashes == depth || quote == '\'') => return Some(at - backslashes),
            _ => backslashes = 0,
        }
    }
    None
}

/// Values that give nothing away: nothing, switches, references to variables, what is hidden already, counts.
fn harmless(name: &str, value: &str) -> bool {
    let value = value.trim_end_matches([',', ';', '}', ']', ')']);
    let switch = ["", "true", "false", "yes", "no", "on", "off", "null", "none", "nil", "[hidden"];
    switch.iter().any(|s| value.eq_ignore_ascii_case(s))
        || is_reference(value)
        || (name.to_ascii_lowercase().ends_with("tokens") && value.chars().all(|c| c.is_ascii_digit()))
}

/// `$NAME`, `${NAME`, `${NAME:?text` (the closing brace is trimmed already), without a default.
fn is_reference(value: &str) -> bool {
    let Some(inner) = value.strip_prefix('$').map(|v| v.strip_prefix('{').unwrap_or(v)) else { return false };
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let tail = &inner[end..];
    end > 0 && (tail.is_empty() || tail.starts_with(":?") || tail.starts_with('?'))
}

#[cfg(test)]
mod tests;
