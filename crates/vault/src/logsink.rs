//! Counts what the repository library only logs.
//!
//! The library skips entries with a warning and calls that success. Invariant: while a [`Watch`] is
//! held, every warning or error it logs, from any of its threads, is collected, and only one watch
//! exists at a time, so that a warning belongs to one operation. Prints nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::error::{Result, VaultError};

struct Sink;

static SINK: Sink = Sink;
static INSTALL: Once = Once::new();
static TURN: Mutex<()> = Mutex::new(());
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static PROBES: AtomicU64 = AtomicU64::new(0);

const PROBE: &str = "mainstay_vault::probe";
const KEPT: usize = 20;

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() == PROBE {
            PROBES.fetch_add(1, Ordering::SeqCst);
        } else if self.enabled(record.metadata()) && record.target().starts_with("rustic") {
            let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < KEPT {
                lines.push(record.args().to_string());
            }
        }
    }

    fn flush(&self) {}
}

/// Installs the sink once, and proves that it is the one in place.
pub(crate) fn install() -> Result<()> {
    INSTALL.call_once(|| {
        if log::set_logger(&SINK).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
    });
    let before = PROBES.load(Ordering::SeqCst);
    log::warn!(target: PROBE, "is anybody there");
    if PROBES.load(Ordering::SeqCst) > before { Ok(()) } else { Err(VaultError::LoggerTaken) }
}

/// The exclusive right to attribute warnings to one operation.
pub(crate) struct Watch {
    _turn: MutexGuard<'static, ()>,
}

impl Watch {
    /// Waits for other operations of this process and starts with an empty list.
    pub(crate) fn start() -> Result<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        install()?;
        LINES.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(Self { _turn: turn })
    }

    /// What was logged since the start.
    pub(crate) fn finish(self) -> Vec<String> {
        std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
