//! What a version is expected to do, and how patient a judge is with it. Decides nothing.

use serde::{Deserialize, Serialize};

use super::check::ExpectedCheck;
use super::logs::Patterns;
use crate::baseline::Sample;

/// What is being judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It was just started and has to come up.
    Start,
    /// It works and has to go on working.
    Watch,
}

/// What the service is expected to do, and how patient to be.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// What is being judged.
    pub mode: Mode,
    /// The containers of the unit.
    pub containers: Vec<Expected>,
    /// Whether somebody asks from inside the network.
    pub inside: bool,
    /// Whether somebody asks as users do.
    pub outside: bool,
    /// Until when the certificate is valid that was shown before, in milliseconds since 1970.
    pub certificate_ms: Option<i64>,
    /// What else is asked.
    pub checks: Vec<ExpectedCheck>,
    /// Whether somebody asks from the place of another container.
    pub neighbour: bool,
    /// Containers that need the unit and have to go on working.
    pub dependents: Vec<Expected>,
    /// How long a version may take to come up, in milliseconds.
    pub startup_ms: u64,
    /// How long a probe or the health may be bad before that decides, in milliseconds.
    pub grace_ms: u64,
    /// How long it is watched, in milliseconds.
    pub watch_ms: u64,
    /// An answer that takes longer is reported.
    pub answer_ms: u64,
    /// What was normal before the update.
    pub before: Sample,
    /// What the configuration says about log lines.
    pub patterns: Patterns,
}

/// One container of the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// Whether it has a health check.
    pub health_check: bool,
    /// What the engine does when it exits.
    pub restart: Restart,
}

/// The engine's restart policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays down.
    Never,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It is started again.
    Always,
}
