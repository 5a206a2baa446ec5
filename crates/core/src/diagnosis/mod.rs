//! Says why a service is not well: rules over facts that were gathered while it was still there.
//!
//! Invariant: a rule is a pure function of the [`Facts`] and stays silent where it doesn't know; what it says
//! carries the observation behind it and what to do. Most telling first; what is only a consequence of
//! something that was found is left out. It gathers nothing and decides nothing: a verdict is made without it
//! (see [`crate::watch`]). docs/diagnosis.md lists every rule.

mod facts;
mod rules;
mod telling;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use facts::*;
pub use rules::wanted_port;
pub use telling::telling_lines;

/// Lines of evidence that one diagnosis shows.
const SHOWN: usize = 6;

/// What is the matter, in the order: what, what was seen, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The rule that speaks, for example `out-of-memory`; documented API.
    pub id: String,
    /// One sentence: what is the matter, with what.
    pub what: String,
    /// What was seen. Never a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What the operator can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
}

impl Diagnosis {
    /// A diagnosis without evidence or advice yet; the table of rules gives it its id.
    fn new(what: impl Into<String>) -> Self {
        Self { id: String::new(), what: what.into(), evidence: Vec::new(), advice: Vec::new() }
    }

    /// Adds what was seen, unless it is empty, known, or too much.
    fn seen(mut self, line: impl Into<String>) -> Self {
        let line = line.into();
        if !line.is_empty() && !self.evidence.contains(&line) && self.evidence.len() < SHOWN {
            self.evidence.push(line);
        }
        self
    }

    /// Adds several things that were seen.
    fn seen_all(self, lines: impl IntoIterator<Item = String>) -> Self {
        lines.into_iter().fold(self, Self::seen)
    }

    /// Adds something to do.
    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// The same, where that is so: a run that condemns a version brings the data back by itself.
    fn advise_if(self, holds: bool, advice: &str) -> Self {
        if holds { self.advise(advice) } else { self }
    }
}

/// A rule: its id, what it looks at, what it says, and what is only a consequence of that.
#[derive(Clone, Copy, Debug)]
struct Rule {
    id: &'static str,
    looks_at: &'static str,
    run: fn(&Facts) -> Option<Diagnosis>,
    explains: &'static [&'static [&'static str]],
}

/// Every rule: its id, and what it looks at.
#[must_use]
pub fn all() -> Vec<(&'static str, &'static str)> {
    rules::RULES.iter().map(|rule| (rule.id, rule.looks_at)).collect()
}

/// What is the matter, most telling first; nothing where nothing was found.
#[must_use]
pub fn diagnose(facts: &Facts) -> Vec<Diagnosis> {
    let mut found: Vec<Diagnosis> = Vec::new();
    let mut explained: Vec<&str> = Vec::new();
    for rule in rules::RULES {
        if explained.contains(&rule.id) {
            continue;
        }
        if let Some(diagnosis) = (rule.run)(facts) {
            found.push(Diagnosis { id: rule.id.to_owned(), ..diagnosis });
            explained.extend(rule.explains.concat());
        }
    }
    found
}
