//! How far an operation is, and whether it should go on.
//!
//! Invariant: progress is lossy and never decides anything; a cancellation is seen within a tenth of a
//! second. The work counts on a [`Meter`]; one thread beside it talks to the caller's [`Monitor`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::error::{Result, VaultError};

/// What an operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the source into the repository.
    BackingUp,
    /// Reading the repository back.
    ReadingBack,
    /// Writing files out of the repository.
    Restoring,
    /// Reading what was restored.
    Comparing,
    /// Removing what no backup needs.
    Pruning,
    /// Copying into another repository.
    Copying,
}

const PHASES: [Phase; 6] = [
    Phase::BackingUp,
    Phase::ReadingBack,
    Phase::Restoring,
    Phase::Comparing,
    Phase::Pruning,
    Phase::Copying,
];

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes of file content done in this phase.
    pub bytes_done: u64,
    /// Bytes of file content to do, if known; an estimate while the service runs.
    pub bytes_total: Option<u64>,
    /// Files done in this phase.
    pub files_done: u64,
}

/// Who watches an operation.
pub trait Monitor: Sync {
    /// Called about ten times a second.
    fn progress(&self, progress: Progress);
    /// Asked about ten times a second; `true` ends the operation with [`VaultError::Cancelled`].
    fn cancelled(&self) -> bool;
}

/// Watches nothing and never cancels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Monitor for Unwatched {
    fn progress(&self, _progress: Progress) {}

    fn cancelled(&self) -> bool {
        false
    }
}

const UNKNOWN: u64 = u64::MAX;

/// What the work counts on, from any thread.
#[derive(Debug)]
pub(crate) struct Meter {
    phase: AtomicU8,
    bytes: AtomicU64,
    total: AtomicU64,
    files: AtomicU64,
    cancelled: AtomicBool,
}

impl Meter {
    pub(crate) fn new(phase: Phase, total: Option<u64>) -> Arc<Self> {
        let meter = Self {
            phase: AtomicU8::new(0),
            bytes: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
            files: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        };
        meter.enter(phase, total);
        Arc::new(meter)
    }

    pub(crate) fn enter(&self, phase: Phase, total: Option<u64>) {
        self.phase.store(phase as u8, Relaxed);
        self.bytes.store(0, Relaxed);
        self.files.store(0, Relaxed);
        self.total.store(total.unwrap_or(UNKNOWN), Relaxed);
    }

    /// So many more bytes are to come of what is at hand, as far as that is known.
    pub(crate) fn expect(&self, rest: Option<u64>) {
        let total = rest.map(|rest| self.bytes.load(Relaxed) + rest);
        self.total.store(total.unwrap_or(UNKNOWN), Relaxed);
    }

    pub(crate) fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Relaxed);
    }

    pub(crate) fn file(&self) {
        self.files.fetch_add(1, Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(VaultError::Cancelled) } else { Ok(()) }
    }

    fn progress(&self) -> Progress {
        let total = self.total.load(Relaxed);
        Progress {
            phase: PHASES[usize::from(self.phase.load(Relaxed)) % PHASES.len()],
            bytes_done: self.bytes.load(Relaxed),
            bytes_total: (total != UNKNOWN).then_some(total),
            files_done: self.files.load(Relaxed),
        }
    }
}

/// Runs `work` while a second thread reports to the monitor and asks it whether to go on.
pub(crate) fn watched<T>(
    monitor: &dyn Monitor,
    meter: &Meter,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let ask = || {
        monitor.progress(meter.progress());
        if monitor.cancelled() {
            meter.cancelled.store(true, Relaxed);
        }
    };
    ask();
    meter.check()?;
    std::thread::scope(|scope| {
        let (done, ended) = channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                ask();
            }
        });
        let result = work();
        drop(done);
        result
    })
    .inspect(|_| monitor.progress(meter.progress()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_come_is_counted_from_where_the_phase_is() {
        let meter = Meter::new(Phase::ReadingBack, None);
        meter.bytes(10);
        assert_eq!(meter.progress().bytes_total, None);
        meter.expect(Some(5));
        assert_eq!(meter.progress().bytes_total, Some(15));
        meter.expect(None);
        assert_eq!(meter.progress().bytes_total, None, "of a remote repository nobody knows");
    }
}
