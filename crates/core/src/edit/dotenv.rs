//! Env files as Compose reads them, with the place of every value.
//!
//! Works on bytes: a file need not be UTF-8, and what is not understood is passed over. What it does not do:
//! interpolate.

use std::ops::Range;
use std::path::Path;

use super::BOM;
use crate::problem::Problem;

/// How a value is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// Not at all.
    None,
    /// `'…'`: taken as it is.
    Single,
    /// `"…"`: with escapes and variables.
    Double,
}

/// One assignment of an env file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Its value without quotes and with escapes undone; `None` for a bare `NAME`, which takes the
    /// environment's.
    pub value: Option<String>,
    /// The text between the quotes, where it is the value byte for byte.
    pub raw: Option<String>,
    /// Where that text begins in the file.
    pub at: usize,
    /// How it is quoted.
    pub quote: Quote,
}

/// Names and values, in order, as they are written: quotes and escapes undone, variables not interpolated. A
/// bare `NAME` has an empty value here.
#[must_use]
pub fn variables(bytes: &[u8]) -> Vec<(String, String)> {
    assignments(bytes).into_iter().map(|a| (a.name, a.value.unwrap_or_default())).collect()
}

/// All assignments, in order.
pub fn assignments(bytes: &[u8]) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut at = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    while at < bytes.len() {
        at = skip(bytes, at, |b| is_space(b) || b == b'\n');
        if at >= bytes.len() {
            break;
        }
        let end = line_end(bytes, at);
        if bytes[at] == b'#' {
            at = end;
            continue;
        }
        let (assignment, next) = statement(bytes, at, end);
        found.extend(assignment);
        at = next;
    }
    found
}

/// One statement that begins at `at`, in a line that ends at `end`; and where the next one may begin.
fn statement(bytes: &[u8], mut at: usize, end: usize) -> (Option<Assignment>, usize) {
    let word = b"export";
    if bytes[at..end].starts_with(word) && bytes.get(at + word.len()).is_some_and(|b| is_space(*b)) {
        at = skip(bytes, at + word.len(), is_space);
    }
    let name_end = (at..end).find(|i| matches!(bytes[*i], b'=' | b':')).unwrap_or(end);
    let name = String::from_utf8_lossy(&bytes[at..name_end]).trim().to_owned();
    if name_end == end {
        let bare = Assignment { name, value: None, raw: None, at: end, quote: Quote::None };
        return (is_name(&bare.name).then_some(bare), end);
    }
    let start = skip(bytes, name_end + 1, is_space).min(end);
    let (value, next) = match bytes.get(start).filter(|_| start < end) {
        Some(b'\'') => quoted(bytes, start, Quote::Single),
        Some(b'"') => quoted(bytes, start, Quote::Double),
        _ => (plain(bytes, start..end), end),
    };
    let known = is_name(&name);
    (value.filter(|_| known).map(|value| Assignment { name, ..value }), next)
}

/// An unquoted value: up to the end of the line or to a comment after a space.
fn plain(bytes: &[u8], line: Range<usize>) -> Option<Assignment> {
    let text = &bytes[line.clone()];
    let comment = text.windows(2).position(|pair| pair == b" #").unwrap_or(text.len());
    let length = text[..comment].iter().rposition(|b| !b.is_ascii_whitespace()).map_or(0, |last| last + 1);
    Some(value(&text[..length], None, line.start, Quote::None))
}

/// A quoted value, which may span lines. Without its closing quote it is none, and the rest of the file isn't
/// either: Compose refuses such a file.
fn quoted(bytes: &[u8], open: usize, quote: Quote) -> (Option<Assignment>, usize) {
    let mark = bytes[open];
    let start = open + 1;
    let mut at = start;
    while at < bytes.len() && bytes[at] != mark {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    if at >= bytes.len() {
        return (None, bytes.len());
    }
    let raw = &bytes[start..at];
    let decoded = unescape(raw, quote);
    (Some(value(raw, Some(decoded), start, quote)), at + 1)
}

fn value(raw: &[u8], decoded: Option<Vec<u8>>, at: usize, quote: Quote) -> Assignment {
    let verbatim = decoded.as_ref().is_none_or(|decoded| decoded == raw);
    let text = String::from_utf8_lossy(decoded.as_deref().unwrap_or(raw)).into_owned();
    let raw = std::str::from_utf8(raw).ok().filter(|_| verbatim).map(str::to_owned);
    Assignment { name: String::new(), value: Some(text), raw, at, quote }
}

/// Undoes escapes: in single quotes only of the quote itself.
fn unescape(raw: &[u8], quote: Quote) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match (quote, bytes.next()) {
            (Quote::Single, Some(b'\'')) => out.push(b'\''),
            (Quote::Double, Some(b'n')) => out.push(b'\n'),
            (Quote::Double, Some(b'r')) => out.push(b'\r'),
            (Quote::Double, Some(b't')) => out.push(b'\t'),
            (Quote::Double, Some(c @ (b'"' | b'\\' | b'$'))) => out.push(c),
            (_, Some(other)) => out.extend([b'\\', other]),
            (_, None) => out.push(b'\\'),
        }
    }
    out
}

/// Adds `NAME=VALUE` to an env file, at its end, on a line of its own, quoted so that Compose reads the value
/// back as it is.
///
/// # Errors
/// `variable-name` for a name that can't be one, `variable-exists` if the file mentions it already,
/// `variable-value` for a value with a NUL byte.
pub fn add_variable(bytes: &[u8], path: &Path, name: &str, value: &str) -> Result<Vec<u8>, Problem> {
    if !is_name(name) || name.contains(['.', '-', '[', ']']) {
        return Err(Problem::new("variable-name", format!("«{name}» can't be the name of a variable"))
            .advise("use letters, digits and `_`, and begin with a letter or `_`"));
    }
    if value.contains('\0') {
        return Err(Problem::new("variable-value", format!("the value of {name} holds a NUL byte")));
    }
    if assignments(bytes).iter().any(|a| a.name == name) {
        return Err(Problem::new("variable-exists", format!("{name} is in {} already", path.display()))
            .advise("edit the file by hand, or leave the variable as it is"));
    }
    let mut after = bytes.to_vec();
    let line_end: &[u8] = if bytes.windows(2).any(|pair| pair == b"\r\n") { b"\r\n" } else { b"\n" };
    if !after.is_empty() && after != BOM && !after.ends_with(b"\n") {
        after.extend(line_end);
    }
    after.extend(format!("{name}={}", quote(value)).bytes());
    after.extend(line_end);
    match assignments(&after).last() {
        Some(last) if last.name == name && last.value.as_deref() == Some(value) => Ok(after),
        _ => Err(Problem::new("edit-unproven", format!("{name} can't be added to {}", path.display()))
            .because("read back, the file does not hold it; an open quote above may swallow it")
            .advise("look at the quotes in the file, then try again")),
    }
}

/// The value as an env file needs it.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_./:,@%+=~^-".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\\', '\n', '\r']) {
        return format!("'{value}'");
    }
    let mut out = String::from('"');
    for c in value.chars() {
        match c {
            '"' | '\\' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-[]".contains(c))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

fn skip(bytes: &[u8], at: usize, skipped: impl Fn(u8) -> bool) -> usize {
    (at..bytes.len()).find(|i| !skipped(bytes[*i])).unwrap_or(bytes.len())
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    (at..bytes.len()).find(|i| bytes[*i] == b'\n').unwrap_or(bytes.len())
}
