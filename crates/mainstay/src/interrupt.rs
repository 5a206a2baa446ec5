//! Signals: the first one asks the run to stop in order, and is answered by phase (see `core/state.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mainstay_core::problem::Problem;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Remembers which signal asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    /// Where the system refuses to.
    pub fn install() -> Result<Self, Problem> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&interrupt.0), number).map_err(|error| {
                Problem::new("signals-refused", "the signals that end a run can't be taken over")
                    .because(error)
            })?;
        }
        Ok(interrupt)
    }

    /// The number behind the flag, for whoever looks at it while waiting.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// Whether one came.
    #[must_use]
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}
