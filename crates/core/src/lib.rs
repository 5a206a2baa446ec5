//! Decides: what a run is, what it does next, and how it ends.
//!
//! Everything here is a pure function of its arguments. There is no clock, no file, no network and no
//! async runtime in this crate (a test looks at its dependency tree): what the world is like comes in as
//! data (a [`plan::Plan`], the [`event::Entry`]s of a journal, observations), what to do comes out as data
//! (a [`step::Step`], a [`verdict::Conclusion`]).
//!
//! Start reading at [`state`]: the order of steps, and when a run turns back.

pub mod baseline;
pub mod diagnosis;
pub mod edit;
pub mod event;
mod exit_code;
pub mod finding;
pub mod functional;
pub mod image;
mod pattern;
pub mod plan;
pub mod problem;
pub mod profiles;
pub mod reach;
pub mod redact;
pub mod redflags;
pub mod state;
pub mod step;
pub mod time;
pub mod verdict;
pub mod watch;
