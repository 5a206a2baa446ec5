//! Acts: the engine, Compose, the operator's files, checks and probes. The real [`mainstay_runner::World`].
//!
//! Nothing here decides what happens next (that is `mainstay-core`) or prints (that is `mainstay`).

mod cgroup;
pub mod checks;
mod clock;
pub mod compose;
pub mod diagnose;
pub mod discover;
pub mod engine;
mod exec;
pub mod files;
pub mod functional;
pub mod images;
pub mod plan;
pub mod probes;
mod process;
pub mod reach;
pub mod steps;
pub mod survey;
pub mod watch;
