//! Persists: the journal, the lock, and the one loop that performs steps.
//!
//! The loop in [`run`] is all there is: a fresh run and a resumed one are the same call. An effect needs a
//! [`Permit`], and a permit comes from the journal alone, after the intent is on disk: acting before
//! journaling does not compile.

pub mod journal;
pub mod lock;
pub mod run;
pub mod world;

pub use journal::{Journal, JournalError, Permit, RunId, RunSummary};
pub use lock::{Held, Lock, LockError};
pub use run::{Observer, RunError, drive, resume};
pub use world::{Context, World};
