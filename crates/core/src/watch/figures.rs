//! Collects figures from signals: of a version that is watched, and of the old one for comparison.
//!
//! Invariant: both are collected by the same code from the same signals, so that they can be compared. What it does
//! not do: judge ([`super::logs`], [`super::resources`], [`super::latency`]).

use std::collections::BTreeMap;

use super::latency::Answers;
use super::logs::{Logs, Patterns, Telling};
use super::resources::Series;
use super::{Millis, Place, Signal, probe};
use crate::baseline::{Resource, Sample};

/// What was seen so far.
#[derive(Clone, Debug)]
pub struct Figures {
    pub(super) logs: Logs,
    pub(super) answers: BTreeMap<Place, Answers>,
    pub(super) resources: BTreeMap<(String, Resource), Series>,
    pub(super) rooms: BTreeMap<String, Series>,
}

impl Figures {
    /// Nothing seen yet. `known` are errors that can't count any more.
    #[must_use]
    pub fn new(patterns: Patterns, known: Sample) -> Self {
        Self {
            logs: Logs::new(patterns, known),
            answers: BTreeMap::new(),
            resources: BTreeMap::new(),
            rooms: BTreeMap::new(),
        }
    }

    /// Takes a signal in; what a log line tells, if it tells something.
    pub fn see(&mut self, at: Millis, signal: &Signal) -> Option<Telling> {
        match signal {
            Signal::Log { container, line } => return self.logs.read(at, container, line),
            Signal::Probe { place, ok: true, millis, .. } => {
                self.answered(at, *place, *millis);
            }
            Signal::Usage { container, readings } => {
                for reading in readings {
                    let key = (container.clone(), reading.resource);
                    self.resources.entry(key).or_default().see(at, reading.used, reading.limit);
                }
            }
            Signal::Room { mount, used, total } => {
                self.rooms.entry(mount.clone()).or_default().see(at, *used, *total);
            }
            _ => {}
        }
        None
    }

    /// Takes in how long a good answer took.
    pub fn answered(&mut self, at: Millis, place: Place, millis: Millis) {
        self.answers.entry(place).or_default().see(at, millis);
    }

    /// Good answers so far at the place where there are the fewest.
    #[must_use]
    pub fn fewest_answers(&self) -> usize {
        self.answers.values().map(Answers::count).min().unwrap_or(0)
    }

    /// All of it, summed up. `over` is the time that the log was read for.
    #[must_use]
    pub fn sample(&self, over: Millis) -> Sample {
        let mut containers: BTreeMap<String, BTreeMap<Resource, _>> = BTreeMap::new();
        for ((name, resource), series) in &self.resources {
            containers.entry(name.clone()).or_default().insert(*resource, series.amount());
        }
        let answers =
            self.answers.iter().map(|(p, a)| (probe::describe(*p).to_owned(), a.latency())).collect();
        Sample {
            errors_per_minute: self.logs.per_minute(over),
            errors: self.logs.kinds(over),
            answers,
            containers,
        }
    }
}
