//! How severe a line says it is: JSON, logfmt, klog, brackets, or a word where a level stands.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::pattern::pattern;

/// What the level of a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing is wrong: debug, info, notice; or it repeats what a client said.
    Quiet,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
}

/// A line, read.
pub struct Entry<'a> {
    /// Its level, where it has one.
    pub level: Option<Level>,
    /// Its text: of a JSON line all strings in it, one after the other.
    pub text: Cow<'a, str>,
}

/// Reads a line.
pub fn read(line: &str) -> Entry<'_> {
    if let Some(entry) = json(line) {
        return entry;
    }
    let level = logfmt(line).or_else(|| klog(line)).or_else(|| redis(line)).or_else(|| word(line));
    Entry { level, text: Cow::Borrowed(line) }
}

const LEVEL_KEYS: &[&str] =
    &["level", "severity", "lvl", "loglevel", "log_level", "log.level", "levelname", "@level", "s"];

fn json(line: &str) -> Option<Entry<'_>> {
    let start = line.find('{').filter(|at| line[..*at].trim().is_empty())?;
    let value: Value = serde_json::from_str(&line[start..]).ok()?;
    let level = LEVEL_KEYS.iter().find_map(|key| value.get(key)).or_else(|| value.get("log")?.get("level"));
    let level = level.and_then(|level| match level {
        Value::String(text) => named(text),
        Value::Number(number) => number.as_u64().map(numbered),
        _ => None,
    });
    let mut texts = Vec::new();
    strings(&value, &mut texts);
    Some(Entry { level, text: Cow::Owned(texts.join(" · ")) })
}

fn strings<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, texts)),
        Value::Object(map) => map.values().for_each(|item| strings(item, texts)),
        _ => {}
    }
}

/// Small numbers are syslog's, big ones those of the Node and Python libraries.
fn numbered(number: u64) -> Level {
    match number {
        0..=3 | 50.. => Level::Error,
        4 | 40..50 => Level::Warning,
        _ => Level::Quiet,
    }
}

fn named(text: &str) -> Option<Level> {
    Some(match text.to_ascii_lowercase().as_str() {
        "trace" | "debug" | "dbug" | "dbg" | "verbose" | "info" | "information" | "informational"
        | "note" | "notice" | "i" | "d1" | "d2" | "statement" | "log" => Level::Quiet,
        "warn" | "warning" | "w" => Level::Warning,
        "error" | "err" | "eror" | "fail" | "fatal" | "critical" | "crit" | "severe" | "panic" | "dpanic"
        | "emerg" | "emergency" | "alert" | "e" | "f" => Level::Error,
        _ => return None,
    })
}

static LOGFMT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?i)(?:^|\s)(?:level|lvl|severity|loglevel)=["']?([a-z]+)"#));
static KLOG: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([IWEF])[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}"));
/// Redis and its relatives: `1:M 01 Jan 2024 00:00:00.000 # text`.
static REDIS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[0-9]+:[XCSM] [0-9]{2} \w{3} [0-9]{4} [0-9:.]+ ([.*#-]) "));

fn logfmt(line: &str) -> Option<Level> {
    named(LOGFMT.captures(line)?.get(1)?.as_str())
}

fn klog(line: &str) -> Option<Level> {
    named(KLOG.captures(line)?.get(1)?.as_str())
}

fn redis(line: &str) -> Option<Level> {
    let mark = REDIS.captures(line)?.get(1)?.as_str();
    Some(if mark == "#" { Level::Warning } else { Level::Quiet })
}

const CALENDAR: &[&str] = &[
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
    "Sep", "Oct", "Nov", "Dec", "UTC", "GMT", "CET", "CEST",
];

/// How many plain words may stand before a level: a host and a program, or the name of a logger.
const PLAIN_WORDS: usize = 2;

/// The first word that is a level and stands where a level does: in capitals, in brackets or before a colon,
/// with nothing before it but times, numbers, names and brackets.
fn word(line: &str) -> Option<Level> {
    let mut plain = 0;
    let mut before = "";
    let mut tokens = line.split([' ', '\t', '|']).filter(|token| !token.is_empty()).peekable();
    while let Some(token) = tokens.next() {
        let head = token.split("]").next().unwrap_or(token).trim_matches(['[', '(', '<', '"', '*', '-']);
        let name = head.split([':', '/', ')', '>', ',', '!']).next().unwrap_or(head);
        let capitals = name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase());
        let marked = token.starts_with(['[', '<', '(']) || token.contains(':') || token.ends_with(']');
        let next = tokens.peek().copied().unwrap_or_default().trim_end_matches([',', ';', '.']);
        let negated = ["no", "0", "without"].iter().any(|no| before.eq_ignore_ascii_case(no))
            || (token.ends_with(':') && ["none", "null", "nil", "0"].contains(&next));
        // PostgreSQL's own, always in capitals and with a colon.
        let odd = ["LOG", "STATEMENT"].iter().any(|own| name.eq_ignore_ascii_case(own))
            && !(capitals && token.ends_with(':'));
        if let Some(level) =
            named(name).filter(|_| name.len() > 2 && (capitals || marked) && !negated && !odd)
        {
            return Some(level);
        }
        if plain == 0 && is_exception(token) {
            return Some(Level::Error);
        }
        if token.chars().all(char::is_alphabetic) && !CALENDAR.contains(&token) {
            plain += 1;
        }
        if plain > PLAIN_WORDS {
            return None;
        }
        before = token;
    }
    None
}

/// `TypeError:`, `java.lang.IllegalStateException:`.
fn is_exception(token: &str) -> bool {
    let name = token.strip_suffix(':').unwrap_or("");
    let last = name.rsplit(['.', ':']).next().unwrap_or(name);
    ["Error", "Exception"].iter().any(|end| last.len() > end.len() && last.ends_with(end))
}
