//! The same work on many items, on all processors.
//!
//! Invariant: the first failure ends the work and is the result; a panic is a failure. The order is not
//! defined.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::error::{Result, VaultError};
use crate::guard::panic_text;
use crate::progress::Meter;

const MOST_THREADS: usize = 8;

/// Calls `work` for every item until one fails or the meter is cancelled.
pub(crate) fn for_each<T: Sync>(
    items: &[T],
    meter: &Meter,
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Relaxed)) {
            let outcome = meter.check().and_then(|()| guarded(|| work(item)));
            if let Err(error) = outcome {
                next.store(items.len(), Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn guarded(work: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(VaultError::Library { action: "work on a file", message: panic_text(&*panic) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Phase;

    #[test]
    fn a_panic_in_any_thread_is_the_result() {
        let meter = Meter::new(Phase::Restoring, None);
        let items: Vec<_> = (0..100).collect();
        let result = for_each(&items, &meter, |item| {
            assert!(*item != 60, "the library gave up on {item}");
            Ok(())
        });
        match result {
            Err(VaultError::Library { message, .. }) => assert_eq!(message, "the library gave up on 60"),
            other => panic!("{other:?}"),
        }
    }
}
