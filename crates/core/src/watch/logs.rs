//! What the logs say: errors by kind, against what was there before.
//!
//! Invariant: one message is one kind, however often and with whatever numbers it comes; a kind that was there before
//! at a like rate never counts. What it does not do: wait. What a line means is known when it comes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::Millis;
use crate::baseline::{ErrorKind, Sample};
use crate::problem::Problem;
use crate::redact;
use crate::redflags::{self, Flag, Folder, Part};
use crate::verdict::DataDoubt;

/// Errors in the log count against a version above this rate.
const ERRORS_A_MINUTE: f64 = 1.0;
/// A kind of errors, or all of them, that come no more often than so many times the rate from before are nothing new.
const LIKE: f64 = 2.0;
const LIKE_IN_SUM: f64 = 1.5;
/// So many in the last third of the time, or it is over.
const LATELY: u64 = 3;
/// A log can say any number of different things; beyond this many they are one.
const MOST_KINDS: usize = 500;
const OTHERS: &str = "(other errors)";
/// How many kinds are named in a report.
const NAMED: usize = 3;

/// What the configuration says about log lines: regular expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRules {
    /// No good version prints these: the first one decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fatal: Vec<String>,
    /// Reported, and counted as errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert: Vec<String>,
    /// Nothing of these means anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}

impl LogRules {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// [`LogRules`], ready to be used.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    fatal: RegexSet,
    alert: RegexSet,
    ignore: RegexSet,
}

impl Patterns {
    /// Compiles the rules.
    ///
    /// # Errors
    ///
    /// `log-pattern` where one is no regular expression.
    pub fn compile(rules: &LogRules) -> Result<Self, Problem> {
        let set = |key: &str, patterns: &[String]| {
            let set = RegexSetBuilder::new(patterns).size_limit(8 << 20).build();
            set.map_err(|error| {
                Problem::new("log-pattern", format!("`{key}` holds something that can't be searched for"))
                    .because(error)
                    .advise(
                        "write regular expressions as https://docs.rs/regex describes them, in single quotes",
                    )
            })
        };
        Ok(Self {
            fatal: set("log_fatal", &rules.fatal)?,
            alert: set("log_alert", &rules.alert)?,
            ignore: set("log_ignore", &rules.ignore)?,
        })
    }

    fn flag(&self, line: &str) -> Option<Flag> {
        if self.ignore.is_match(line) {
            None
        } else if self.fatal.is_match(line) {
            Some(Flag::Fatal)
        } else if self.alert.is_match(line) {
            Some(Flag::Alert)
        } else {
            redflags::flag(line)
        }
    }
}

/// A line that tells something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// What it means.
    pub flag: Flag,
    /// The line, without secrets.
    pub line: String,
}

/// How often errors of one kind came.
#[derive(Clone, Debug, Default)]
struct Kind {
    count: u64,
    /// By the second, so that a storm takes no room.
    seconds: BTreeMap<u64, u64>,
}

/// What a container's log was saying when it ended.
#[derive(Clone, Debug, Default)]
struct Reading {
    folder: Folder,
    /// The kind and second of the event that goes on, if it counted.
    event: Option<(String, u64)>,
}

/// The logs of a unit.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    patterns: Patterns,
    known: Sample,
    kinds: BTreeMap<String, Kind>,
    readings: BTreeMap<String, Reading>,
    /// Lines that the operator wants to hear of, whatever else they belong to.
    alerts: BTreeMap<String, u64>,
}

impl Logs {
    pub fn new(patterns: Patterns, known: Sample) -> Self {
        Self { patterns, known, kinds: BTreeMap::new(), readings: BTreeMap::new(), alerts: BTreeMap::new() }
    }

    /// Takes a line in. It tells something where it means something bad and nothing like it was there before.
    pub fn read(&mut self, at: Millis, container: &str, line: &str) -> Option<Telling> {
        let reading = self.readings.entry(container.to_owned()).or_default();
        let part = reading.folder.take(line);
        let flag = self.patterns.flag(line);
        if part == Part::Head {
            reading.event = None;
        }
        // Frames say nothing of their own; a cause among them may.
        let frame = part == Part::Body && matches!(flag, Some(Flag::StackTrace | Flag::Error));
        let template = match (part, flag) {
            (Part::Core, _) if reading.event.is_some() => Some(redflags::template(&redact::line(line))),
            (_, Some(_)) if !frame => Some(redflags::template(&redact::line(line))),
            _ => None,
        }?;
        let known = self.known.errors_like(&template).is_some();
        if flag == Some(Flag::Alert) {
            *self.alerts.entry(name_in(&self.alerts, template.clone())).or_default() += 1;
        }
        self.count(at, container, part, template);
        let flag = flag.filter(|_| !known)?;
        Some(Telling { flag, line: redact::line(line.trim()) })
    }

    /// An event is counted once: by its head, or by its core if that says better what it is about.
    fn count(&mut self, at: Millis, container: &str, part: Part, template: String) {
        let second = at / 1_000;
        let Some(reading) = self.readings.get_mut(container) else { return };
        match (part, &reading.event) {
            (Part::Body, Some(_)) => return,
            (Part::Core, Some((before, second))) => {
                if let Some(kind) = self.kinds.get_mut(before) {
                    kind.take_back(*second);
                }
                self.kinds.retain(|_, kind| kind.count > 0);
            }
            _ => {}
        }
        let name = name_in(&self.kinds, template);
        let kind = self.kinds.entry(name.clone()).or_default();
        kind.count += 1;
        *kind.seconds.entry(second).or_default() += 1;
        reading.event = Some((name, second));
    }

    fn total(&self) -> u64 {
        self.kinds.values().map(|kind| kind.count).sum()
    }

    pub fn per_minute(&self, over: Millis) -> f64 {
        rate(self.total(), over)
    }

    /// By kind, the most frequent first.
    pub fn kinds(&self, over: Millis) -> Vec<ErrorKind> {
        let mut kinds: Vec<ErrorKind> = self
            .kinds
            .iter()
            .map(|(template, kind)| ErrorKind {
                template: template.clone(),
                per_minute: rate(kind.count, over),
            })
            .collect();
        kinds.sort_by(|a, b| b.per_minute.total_cmp(&a.per_minute));
        kinds.truncate(40);
        kinds
    }

    /// Kinds that were not there before, or come much more often now: the new ones first, then by how often.
    fn risen(&self, now: Millis) -> Vec<(&str, &Kind, bool)> {
        let mut risen: Vec<(&str, &Kind, bool)> = self
            .kinds
            .iter()
            .filter_map(|(template, kind)| match self.known.errors_like(template) {
                None => Some((template.as_str(), kind, true)),
                Some(before) if rate(kind.count, now.max(60_000)) > LIKE * before + ERRORS_A_MINUTE => {
                    Some((template.as_str(), kind, false))
                }
                Some(_) => None,
            })
            .collect();
        risen.sort_by_key(|(_, kind, new)| (!new, std::cmp::Reverse(kind.count)));
        risen
    }

    /// Errors that are new or come much more often, all in all above the rate from before, and to the end.
    pub fn last(&self, now: Millis) -> Option<(Problem, DataDoubt)> {
        // A rate of a few seconds is none; of before it may be, because that forgives.
        let over = now.max(60_000);
        let risen = self.risen(now);
        let count: u64 = risen.iter().map(|(_, kind, _)| kind.count).sum();
        let lately: u64 = risen.iter().map(|(_, kind, _)| kind.since(now - now / 3)).sum();
        let before = self.known.errors_per_minute;
        let sum = self.per_minute(over);
        let allowed = ERRORS_A_MINUTE.max(LIKE_IN_SUM * before);
        if rate(count, over) <= ERRORS_A_MINUTE || sum <= allowed || lately < LATELY {
            return None;
        }
        let what = format!("the log shows {sum:.1} errors a minute, to the end of the window");
        let problem = Problem::new("version-errors", what);
        let problem = risen.iter().take(NAMED).fold(problem, |p, of| p.because(described(*of)));
        let before = format!("before the update: {before:.1} a minute");
        Some((
            problem
                .because(before)
                .advise("if they mean nothing, say so in mainstay.toml: `log_ignore = ['…']`"),
            DataDoubt::Possible,
        ))
    }

    /// What is new or comes more often, for the report.
    pub fn remarks(&self, now: Millis) -> Vec<String> {
        let risen = self.risen(now);
        let mut remarks: Vec<String> = risen.iter().take(NAMED).map(|of| described(*of)).collect();
        if risen.len() > NAMED {
            remarks.push(format!("and {} more kinds of errors", risen.len() - NAMED));
        }
        remarks
    }

    /// Kinds that the operator wants to hear of.
    pub fn alerts(&self) -> Vec<String> {
        self.alerts.iter().map(|(template, count)| format!("{count} × {template}")).collect()
    }
}

/// Where a kind is counted: by its template, as long as there is room for another one.
fn name_in<T>(kinds: &BTreeMap<String, T>, template: String) -> String {
    let full = kinds.len() >= MOST_KINDS && !kinds.contains_key(&template);
    if full { OTHERS.to_owned() } else { template }
}

impl Kind {
    fn take_back(&mut self, second: u64) {
        self.count = self.count.saturating_sub(1);
        if let Some(count) = self.seconds.get_mut(&second) {
            *count = count.saturating_sub(1);
        }
    }

    fn since(&self, at: Millis) -> u64 {
        self.seconds.range(at / 1_000..).map(|(_, count)| count).sum()
    }
}

fn described((template, kind, new): (&str, &Kind, bool)) -> String {
    let mut text = format!("{} error(s) in the log", kind.count);
    let _ = write!(
        text,
        "{}: {template}",
        if new { " that were not there before" } else { ", many more than before" }
    );
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines and seconds are small")]
fn rate(count: u64, over: Millis) -> f64 {
    count as f64 * 60_000.0 / over.max(1_000) as f64
}

#[cfg(test)]
mod tests;
