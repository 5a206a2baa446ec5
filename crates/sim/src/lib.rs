//! Pretends: a world that fails and crashes on command, and checks the laws at every effect.
//!
//! [`SimWorld`] models one service as mainstay sees it: what the file says, which container exists, whether it
//! runs, what its data is, and what the repository holds. A [`Schedule`] says at which effects it fails or
//! dies. Breaking a law is a panic with the law's number in it, so that an exploration finds it where it
//! happens and not only at the end.

mod plan;
mod world;

pub use plan::{backup, restore, rollback, still_backup, update, with_hooks};
pub use world::{Crash, Data, Fault, Schedule, SimWorld, Version};
