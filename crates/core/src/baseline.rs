//! What is normal for a service: only what got worse counts against a new version.
//!
//! Invariant: figures come from the version that ran before, never from the one that is judged. [`Baseline`] is known when
//! the plan is made; [`Measured`] is taken by the step `take-baseline`, as late as possible before the
//! cutover. It measures nothing itself and judges nothing: see [`crate::watch`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::functional::Page;

mod table;

pub use table::{Row, table};

/// So many kinds of errors are remembered of a service; the rest counts in the sum alone.
const KINDS: usize = 40;

/// What was normal before the run, as the plan knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Errors a minute in the unit's logs.
    pub errors_per_minute: f64,
    /// What earlier runs saw of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Box<Sample>>,
}

/// What was normal just before the cutover.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What data checks counted: the same figures are taken again of the new version, and after a rollback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// Checks that were good when the plan was made and bad by now: they decide nothing any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<String>,
    /// What pages complained of in a browser: only what is new counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<Page>,
    /// What was seen of answers, logs and resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Box<Sample>>,
}

/// A figure that tells whether the data is there: rows, keys, queues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The functional check that takes it.
    pub check: String,
    /// What it was.
    pub value: f64,
}

/// What was seen of a unit for a while: its answers, logs and resources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Errors a minute in the logs.
    #[serde(default)]
    pub errors_per_minute: f64,
    /// The same by what they say, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorKind>,
    /// How fast it answered, by where it was asked from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, Latency>,
    /// What its containers used, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<String, BTreeMap<Resource, Amount>>,
}

/// Errors that say the same but for numbers, ids and times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorKind {
    /// What they say ([`crate::redflags::template`]), without secrets.
    pub template: String,
    /// How often.
    pub per_minute: f64,
}

/// How fast a service answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Good answers that were measured.
    pub count: usize,
    /// Half of them came within so many milliseconds.
    pub p50_ms: u64,
    /// 95 of 100 did.
    pub p95_ms: u64,
}

/// What a container uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Bytes, caches that can be given back not counted.
    Memory,
    /// Thousandths of the processor time that it may have.
    Cpu,
    /// Processes and threads.
    Pids,
    /// File descriptors of its first process.
    Files,
}

impl Resource {
    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "processor time",
            Self::Pids => "processes and threads",
            Self::Files => "file descriptors",
        }
    }
}

/// How much of a resource was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Half of the time it was no more.
    pub typical: u64,
    /// It was never more.
    pub highest: u64,
    /// How much there is; 0 where that is not known.
    pub limit: u64,
}

impl Baseline {
    /// Everything that is known from before: what was measured just before the cutover, and what earlier runs saw.
    #[must_use]
    pub fn before(&self, measured: Option<&Measured>) -> Sample {
        let mut before = measured.and_then(|m| m.sample.as_deref()).cloned().unwrap_or_default();
        if let Some(earlier) = &self.earlier {
            before = before.worst(earlier);
        }
        before.errors_per_minute = before.errors_per_minute.max(self.errors_per_minute);
        before
    }
}

impl Sample {
    /// What was seen at its worst, in this and another sample of the same service: what happened before can't
    /// condemn.
    #[must_use]
    pub fn worst(mut self, other: &Self) -> Self {
        self.errors_per_minute = self.errors_per_minute.max(other.errors_per_minute);
        for kind in &other.errors {
            match self.errors.iter_mut().find(|own| own.template == kind.template) {
                Some(own) => own.per_minute = own.per_minute.max(kind.per_minute),
                None => self.errors.push(kind.clone()),
            }
        }
        self.errors.sort_by(|a, b| b.per_minute.total_cmp(&a.per_minute));
        self.errors.truncate(KINDS);
        for (place, latency) in &other.answers {
            let own = self.answers.entry(place.clone()).or_insert(*latency);
            if latency.p95_ms > own.p95_ms {
                *own = *latency;
            }
        }
        for (name, amounts) in &other.containers {
            let own = self.containers.entry(name.clone()).or_default();
            for (resource, amount) in amounts {
                let known = own.entry(*resource).or_insert(*amount);
                known.typical = known.typical.max(amount.typical);
                known.highest = known.highest.max(amount.highest);
            }
        }
        self
    }

    /// How often errors that say this came.
    #[must_use]
    pub fn errors_like(&self, template: &str) -> Option<f64> {
        self.errors.iter().find(|kind| kind.template == template).map(|kind| kind.per_minute)
    }

    /// How much a container used of a resource.
    #[must_use]
    pub fn amount(&self, container: &str, resource: Resource) -> Option<Amount> {
        self.containers.get(container)?.get(&resource).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(errors: &[(&str, f64)], p95_ms: u64, memory: u64) -> Sample {
        let kind = |(template, per_minute): &(&str, f64)| ErrorKind {
            template: (*template).to_owned(),
            per_minute: *per_minute,
        };
        let amount = Amount { typical: memory, highest: memory, limit: 100 };
        Sample {
            errors_per_minute: errors.iter().map(|(_, rate)| rate).sum(),
            errors: errors.iter().map(kind).collect(),
            answers: [("from inside".to_owned(), Latency { count: 9, p50_ms: 1, p95_ms })].into(),
            containers: [("app".to_owned(), [(Resource::Memory, amount)].into())].into(),
        }
    }

    #[test]
    fn the_worst_of_both_counts() {
        let worst = sample(&[("a", 1.0)], 10, 7).worst(&sample(&[("a", 3.0), ("b", 2.0)], 5, 9));
        assert_eq!(worst.errors_like("a"), Some(3.0));
        assert_eq!(worst.errors_like("b"), Some(2.0));
        assert_eq!(worst.errors_like("c"), None);
        assert_eq!(worst.answers["from inside"].p95_ms, 10);
        assert_eq!(worst.amount("app", Resource::Memory).map(|a| a.highest), Some(9));
        assert_eq!(worst.errors_per_minute, 5.0);
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let baseline: Baseline = serde_json::from_str(r#"{"errors_per_minute":0.5}"#).unwrap();
        assert_eq!(baseline, Baseline { errors_per_minute: 0.5, earlier: None });
        assert_eq!(baseline.before(None).errors_per_minute, 0.5);
        assert_eq!(serde_json::from_str::<Measured>("{}").unwrap(), Measured::default());
        let all = sample(&[("a", 1.0)], 10, 7);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), all, "{text}");
    }
}
