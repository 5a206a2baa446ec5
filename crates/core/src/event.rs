//! What is durable: the events of a run, in the order of their sequence numbers.
//!
//! A reader tolerates what it does not know: unknown kinds of events become [`Event::Unknown`]. What is worth
//! showing but not worth keeping is [`Progress`], another type, which never reaches the journal.

use serde::{Deserialize, Serialize};

use crate::baseline::{Measured, Sample};
use crate::finding::Finding;
use crate::plan::{ContainerRef, Plan};
use crate::step::Step;
use crate::time::Timestamp;
use crate::verdict::{Conclusion, Failure};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position within the run, from 1, without gaps: this, not the time, is the order.
    pub seq: u64,
    /// When it was written, for people and for deadlines.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    /// The run begins with this plan.
    #[serde(rename = "run.started")]
    RunStarted {
        /// What it is going to do.
        plan: Box<Plan>,
    },
    /// The intent: this step's effect is about to begin (again, if it was begun before).
    #[serde(rename = "step.started")]
    StepStarted {
        /// Which.
        step: Step,
    },
    /// The effect has ended.
    #[serde(rename = "step.ended")]
    StepEnded {
        /// Which.
        step: Step,
        /// How.
        outcome: Outcome,
    },
    /// Something worth keeping was seen in the middle of a step.
    #[serde(rename = "finding")]
    Observed {
        /// What.
        finding: Finding,
    },
    /// The operator asked to stop.
    #[serde(rename = "run.interrupted")]
    Interrupted {
        /// The signal's name.
        signal: String,
    },
    /// Another process goes on with the run.
    #[serde(rename = "run.resumed")]
    Resumed,
    /// The run is over.
    #[serde(rename = "run.ended")]
    RunEnded {
        /// How.
        conclusion: Conclusion,
    },
    /// An event of a later version of mainstay.
    #[serde(other)]
    Unknown,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It did its work.
    Done {
        /// What came of it.
        fact: Fact,
    },
    /// It did not.
    Failed {
        /// Why.
        failure: Box<Failure>,
    },
}

impl Outcome {
    /// Done, with nothing to tell.
    #[must_use]
    pub fn done() -> Self {
        Self::Done { fact: Fact::Nothing }
    }
}

/// What came of a step that later steps, or a reader, need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fact")]
pub enum Fact {
    /// Nothing to tell.
    Nothing,
    /// Data is in the repository and was read back.
    BackedUp {
        /// One a mount.
        backups: Vec<BackupRecord>,
        /// Whether the data differs from the cutover backup; only a safety backup knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed_since_cutover: Option<bool>,
    },
    /// The new image is here.
    Pulled {
        /// Service and image id, one a service of the unit.
        images: Vec<PulledImage>,
    },
    /// Compose made these containers.
    Created {
        /// Service and container.
        containers: Vec<ContainerRef>,
        /// Whether something may have run since the data was looked at last, on a way back: a container was started,
        /// or is gone, so that nobody can say that it was not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ran_meanwhile: bool,
    },
    /// What was normal just before the cutover.
    Measured {
        /// The figures.
        measured: Box<Measured>,
    },
    /// The way back is open.
    WayBack {
        /// Whether anything of the new version ever ran, as far as its containers tell; they were started by the
        /// run, or by somebody else.
        new_version_ran: bool,
    },
    /// The version that was started works.
    Verified {
        /// From the start of the containers until all checks passed, in milliseconds.
        startup_ms: u64,
        /// From the last answer before the stop to the first one after the start, as seen by the probe that
        /// ran all the time, in milliseconds; `None` where nothing can be asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        downtime_ms: Option<u64>,
        /// What was asked and what came back.
        observations: Vec<String>,
    },
    /// The window is over.
    Watched {
        /// How long it was watched, in milliseconds.
        watched_ms: u64,
        /// Whether the operator ended it before its time.
        cut_short: bool,
        /// Whether it ended before its time because everything had been good for as long as was configured.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        early: bool,
        /// What was seen.
        observations: Vec<String>,
        /// What the version was compared with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<Sample>>,
        /// The same figures of the version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        during: Option<Box<Sample>>,
    },
    /// The data of the backup is in place.
    Restored {
        /// Files that the restored backups hold.
        files: u64,
        /// Bytes that they hold.
        bytes: u64,
    },
    /// A fact of a later version of mainstay.
    #[serde(other)]
    Unknown,
}

/// A backup of one mount that was read back and found equal to what was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// The mount's name in the plan.
    pub mount: String,
    /// The snapshot's id in the repository.
    pub snapshot: String,
    /// Files it holds.
    pub files: u64,
    /// Bytes it holds.
    pub bytes: u64,
    /// Bytes that it added to the repository.
    pub added_bytes: u64,
    /// Files that changed while they were read; none where the service stood still.
    #[serde(default)]
    pub changed_while_reading: u64,
    /// BLAKE3 of the manifest, in hex.
    pub manifest: String,
}

/// An image that was pulled for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledImage {
    /// Compose's service name.
    pub service: String,
    /// The engine's image id.
    pub id: String,
}

/// Lossy news from the middle of a step; never journaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The step it comes from.
    pub step: Step,
    /// What is being worked on: a mount, a layer, a check.
    pub what: String,
    /// How much is done.
    pub done: u64,
    /// Of how much, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Of what.
    pub unit: ProgressUnit,
    /// Files done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// How fast it goes, in bytes a second, over the last few seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How long the rest may take at this rate, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

impl Progress {
    /// How far a step is, without a rate.
    #[must_use]
    pub fn of(step: Step, what: String, done: u64, total: Option<u64>, unit: ProgressUnit) -> Self {
        Self { step, what, done, total, unit, files: None, bytes_per_second: None, seconds_left: None }
    }
}

/// What progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgressUnit {
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Millis,
    /// Nothing countable: `what` says it.
    None,
}
