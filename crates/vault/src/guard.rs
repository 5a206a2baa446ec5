//! Calls into the repository library, whose panics and warnings become errors.
//!
//! Invariant: inside [`call`] nothing the library only logs goes unnoticed. Calls don't nest.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustic_core::RusticResult;

use crate::error::{Result, VaultError};
use crate::logsink::Watch;

/// Calls `work`; a panic is an error, and so is every logged warning that isn't `harmless`.
pub(crate) fn call<T>(
    action: &'static str,
    harmless: impl Fn(&str) -> bool,
    work: impl FnOnce() -> RusticResult<T>,
) -> Result<T> {
    let watch = Watch::start()?;
    let result = catch_unwind(AssertUnwindSafe(work));
    let warnings: Vec<_> = watch.finish().into_iter().filter(|line| !harmless(line)).collect();
    let value = result
        .map_err(|panic| VaultError::Library { action, message: panic_text(&*panic) })?
        .map_err(|error| with_warnings(VaultError::library(action, &error), &warnings))?;
    if warnings.is_empty() {
        Ok(value)
    } else {
        Err(VaultError::Library { action, message: warnings.join("; ") })
    }
}

/// What was warned of before may be all that says why: the result of a check doesn't.
fn with_warnings(error: VaultError, warnings: &[String]) -> VaultError {
    match error {
        VaultError::Library { action, message } if !warnings.is_empty() => {
            VaultError::Library { action, message: format!("{message}: {}", warnings.join("; ")) }
        }
        error => error,
    }
}

/// Like [`call`], where every warning is an error.
pub(crate) fn strictly<T>(action: &'static str, work: impl FnOnce() -> RusticResult<T>) -> Result<T> {
    call(action, |_| false, work)
}

/// Work of ours that calls the library all along: a panic is an error. What it warns of is found by our
/// own comparison.
pub(crate) fn caught<T>(action: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(VaultError::Library { action, message: panic_text(&*panic) }))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<()>) -> String {
        match result {
            Err(VaultError::Library { action: "try", message }) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(message(strictly("try", || panic!("gone {}", "wrong"))), "gone wrong");
        assert_eq!(message(caught("try", || panic!("gone {}", "wrong"))), "gone wrong");
    }

    #[test]
    fn a_warning_is_an_error_unless_it_is_harmless() {
        let warn = || {
            log::warn!(target: "somebody_else", "not ours");
            let thread = || log::warn!(target: "rustic_core::archiver", "ignoring error: x");
            std::thread::spawn(thread).join().unwrap();
            Ok(())
        };
        assert_eq!(message(strictly("try", warn)), "ignoring error: x");
        call("try", |line| line.starts_with("ignoring"), warn).unwrap();
        strictly("try", || Ok(())).unwrap();
    }
}
