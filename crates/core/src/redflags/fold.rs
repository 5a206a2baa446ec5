//! Folds what belongs together: a stack trace, or a message of several lines, is one event with its head.
//!
//! Invariant: a line is taken in as it comes and nothing is held back, so that the head of an event is known at
//! once. Lines of one container only: those of two would be taken for each other's. What it does not do: say what
//! a line means ([`super::flag`]).
//!
//! Known are the shapes of Java and other JVM languages, Python, Node, Go, Rust, Ruby, PHP and .NET, and whatever is
//! indented below an event.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::ESCAPES;
use crate::pattern::pattern;

/// What a line is to the event before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Something of its own.
    Head,
    /// A part of the event before it.
    Body,
    /// A part of the event before it, which says what the event is about: the message below a traceback.
    Core,
}

/// What may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Open {
    /// Nothing in particular: indented lines belong to what was before.
    #[default]
    Plain,
    /// A Python traceback, whose message comes below its frames.
    Python,
    /// Another traceback that belongs to the same event.
    Chained,
    /// It was said what the event is about: a traceback is another event.
    Told,
    /// A Rust panic, whose message is the next line.
    Rust,
    /// A Go panic or dump, whose frames are not indented.
    Go,
}

static PYTHON: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):"));
static RUST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\bthread '.*' (?:\([0-9]+\) )?panicked at .*:[0-9]+:$"));
static GO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:panic: |fatal error: |goroutine [0-9]+ |unexpected fault address |SIGQUIT: )")
});
static GO_BODY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:goroutine [0-9]+ .*:|created by \S.*|\[signal .*\]|exit status [0-9]+|[\w./*()·{}$\[\]-]+\(.*\)|\.\.\.additional frames elided\.\.\.)$",
    )
});
static CHAINED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:During handling of the above exception|The above exception was the direct cause)")
});
/// What is never the beginning of an event, whatever came before.
static NEVER_A_HEAD: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new([
        // JVM, and .NET of all ages
        r"^\s*(?:Caused by|Suppressed|Wrapped by): ",
        r"^\s*\.\.\. [0-9]+ (?:more|common frames omitted)",
        r"^\s*---+> \S",
        r"^\s*--- End of .*stack trace.* ---",
        // frames of the JVM, Node, .NET, Ruby, PHP, Rust
        r"^\s+at \S",
        r"^\s+from \S+:[0-9]+:in ",
        r"^\S+\.rb:[0-9]+:in [`'][^']*'$",
        r"^#[0-9]+ (?:\{main\}|\S+\([0-9]+\): |\[internal function\])",
        r"(?i)^\[?stack ?trace\]?:?$",
        r"^  thrown in \S+ on line [0-9]+",
        r"^\s+[0-9]+: (?:0x[0-9a-f]+ - )?[\w<]",
        r"^note: (?:run with `RUST_BACKTRACE|Some details are omitted)",
        r"^stack backtrace:$",
        r"^\s+\^+\s*$",
        r"^Node\.js v[0-9]",
        r#"^\s+File ".*", line [0-9]+"#,
    ])
    .expect("the patterns are constants that the tests compile")
});

/// Follows the log of one container.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folder {
    open: Open,
    /// A blank line ends what is only held together by being indented.
    blank: bool,
    any: bool,
}

impl Folder {
    /// What the next line is.
    pub fn take(&mut self, line: &str) -> Part {
        let line = ESCAPES.replace_all(line, "");
        let line = line.trim_end();
        if line.is_empty() {
            self.blank = true;
            return Part::Body;
        }
        let part = if self.any { self.part(line) } else { Part::Head };
        let opened = if CHAINED.is_match(line) {
            Some(Open::Chained)
        } else if PYTHON.is_match(line) {
            Some(Open::Python)
        } else if RUST.is_match(line) {
            Some(Open::Rust)
        } else if GO.is_match(line) {
            Some(Open::Go)
        } else {
            None
        };
        self.open = match (opened, part) {
            (Some(open), _) => open,
            (None, Part::Body) => self.open,
            (None, Part::Head) => Open::Plain,
            (None, Part::Core) => Open::Told,
        };
        (self.any, self.blank) = (true, false);
        part
    }

    fn part(&self, line: &str) -> Part {
        if NEVER_A_HEAD.is_match(line)
            || CHAINED.is_match(line)
            || (GO.is_match(line) && self.open == Open::Go)
        {
            return Part::Body;
        }
        let indented = line.starts_with([' ', '\t']);
        match self.open {
            Open::Python | Open::Chained if PYTHON.is_match(line) => Part::Body,
            Open::Python if indented => Part::Body,
            Open::Python | Open::Rust => Part::Core,
            Open::Go if indented || GO_BODY.is_match(line) => Part::Body,
            // A traceback below the message that was logged with it.
            Open::Plain if !self.blank && PYTHON.is_match(line) => Part::Body,
            Open::Plain | Open::Told | Open::Chained if indented && !self.blank => Part::Body,
            Open::Plain | Open::Told | Open::Chained | Open::Go => Part::Head,
        }
    }
}

#[cfg(test)]
mod tests;
