//! What is normal for a service: only what got worse counts against a new version.
//!
//! Invariant: figures come from the version that ran before, never from the one that is judged. [`Baseline`] is known when
//! the plan is made; [`Measured`] is taken by the step `take-baseline`, as late as possible before the
//! cutover. It measures nothing itself and judges nothing: see [`crate::watch`].

use serde::{Deserialize, Serialize};

use crate::functional::Page;

/// What was normal before the run, as the plan knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Errors a minute in the unit's logs.
    pub errors_per_minute: f64,
}

/// What was normal just before the cutover.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What data checks counted: the same figures are taken again of the new version, and after a rollback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// What pages complained of in a browser: only what is new counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<Page>,
}

/// A figure that tells whether the data is there: rows, keys, queues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The functional check that takes it.
    pub check: String,
    /// What it was.
    pub value: f64,
}
