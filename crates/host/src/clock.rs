//! Milliseconds of a clock that never jumps, which is what everything is told in.

use std::time::{Duration, Instant};

/// A duration in milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since then.
pub(crate) fn elapsed_ms(since: Instant) -> u64 {
    millis(since.elapsed())
}
