//! Points in time and durations as plain numbers, so that the core needs no clock.
//!
//! Wall time is recorded for people and for deadlines that must survive a restart; it never decides the
//! order of events, which is their sequence number.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds from `earlier` to `self`; zero when the clock went backwards.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// The moment `millis` earlier.
    #[must_use]
    pub fn minus(self, millis: u64) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(millis).unwrap_or(i64::MAX)))
    }

    /// The moment `millis` later.
    #[must_use]
    pub fn plus(self, millis: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}
