//! Which lines of a log matter: the root of a trace before its frames, the last start before older ones.
//!
//! Pure. A trace of Python ends with its exception, one of Java names the root after its last `Caused by:`, Go
//! and Rust begin with the panic: the lines that say something are picked, frames never are.

use std::sync::LazyLock;

use regex::Regex;

use crate::pattern::pattern;

use crate::redflags::{self, Flag};

/// A frame, or a heading of frames: says where, not what.
static FRAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"^\s+at \S|^\s+File ".*", line \d+|^\s*\.\.\. \d+ more|^goroutine \d+ |^\s+\S+\.go:\d+"#,
        r"|^Traceback \(most recent call last\)|^stack backtrace:|^\s*\d+: (?:0x)?[0-9a-z_:<]+|^note: run with",
        r"|^\s+\^+\s*$|^\s*$|^Node\.js v\d|^\S+\(.*\)$|^\s+raise |^\s*}\s*$",
    ))
});
/// `ValueError: …`, `java.lang.IllegalStateException: …`, `Error: …`.
static EXCEPTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:Caused by: |Uncaught )?(?:[\w$]+[.:])*[A-Z][\w$]*(?:Error|Exception|Exit|Warning)\b(?::|$)")
});
static PANIC: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\S+ )?panic: |panicked at|^fatal error: "));
static CAUSE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*Caused by: "));
static FATAL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(?:fatal|critical|emerg|alert|panic)\b|^error\b|\berror:"));

/// How much a line tells about the end of a process.
fn weight(line: &str) -> u8 {
    if FRAME.is_match(line) && !CAUSE.is_match(line) {
        return 0;
    }
    if CAUSE.is_match(line) {
        return 6;
    }
    if PANIC.is_match(line) || EXCEPTION.is_match(line) {
        return 5;
    }
    match redflags::flag(line) {
        Some(flag) if flag.decides() => 4,
        Some(Flag::StackTrace) => 0,
        Some(_) if FATAL.is_match(line) => 3,
        Some(_) => 2,
        None if FATAL.is_match(line) => 1,
        None => 0,
    }
}

/// The lines that matter most, at most `count`, root first; the last line where none tells anything.
#[must_use]
pub fn telling_lines(log: &[String], count: usize) -> Vec<String> {
    let weighed: Vec<(u8, usize)> = log.iter().enumerate().map(|(at, line)| (weight(line), at)).collect();
    let mut best: Vec<(u8, usize)> = weighed.into_iter().filter(|(weight, _)| *weight > 0).collect();
    // Of equal ones the last: it belongs to the last start.
    best.sort_by(|a, b| b.cmp(a));
    let mut lines: Vec<String> = Vec::new();
    for (_, at) in best {
        let line = with_message(log, at);
        if !lines.contains(&line) && lines.len() < count {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        lines.extend(log.iter().rev().find(|l| !l.trim().is_empty()).map(|l| l.trim().to_owned()));
    }
    lines
}

/// Rust writes where it panicked in one line, and why in the next.
fn with_message(log: &[String], at: usize) -> String {
    let line = log[at].trim();
    match log.get(at + 1) {
        Some(next) if line.contains("panicked at") && line.ends_with(':') => {
            format!("{line} {}", next.trim())
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::telling_lines;

    fn root(log: &str) -> String {
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        telling_lines(&lines, 1).remove(0)
    }

    #[test]
    fn the_root_of_a_trace_is_picked_in_every_language() {
        let python = "INFO starting\nTraceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n    \
                      connect()\nValueError: WEBUI_SECRET_KEY is empty\nINFO bye";
        assert_eq!(root(python), "ValueError: WEBUI_SECRET_KEY is empty");
        let java = "org.springframework.BeanCreationException: could not create bean\n\tat org.x.Y.z(Y.java:10)\n\
                    Caused by: java.sql.SQLException: no route\n\tat a.b(C.java:1)\n\
                    Caused by: java.net.ConnectException: Connection refused\n\t... 12 more";
        assert_eq!(root(java), "Caused by: java.net.ConnectException: Connection refused");
        let go = "panic: open /data/config.yml: no such file or directory\n\ngoroutine 1 [running]:\nmain.main()\n\
                  \t/src/main.go:12 +0x1b";
        assert_eq!(root(go), "panic: open /data/config.yml: no such file or directory");
        let rust = "thread 'main' panicked at src/main.rs:3:5:\nthe store is locked\nnote: run with `RUST_BACKTRACE=1`";
        assert_eq!(root(rust), "thread 'main' panicked at src/main.rs:3:5: the store is locked");
        let node = "/app/index.js:5\n  throw new Error('x')\n  ^\n\nError: missing SESSION_SECRET\n    at Object.<anonymous> \
                    (/app/index.js:5:9)\n\nNode.js v20.1.0";
        assert_eq!(root(node), "Error: missing SESSION_SECRET");
    }

    #[test]
    fn without_a_telling_line_the_last_one_is_told() {
        assert_eq!(root("one\ntwo\n\n"), "two");
        assert!(telling_lines(&[], 3).is_empty());
    }
}
