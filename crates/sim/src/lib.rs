//! Pretends: a world that fails and crashes on command, and checks the laws at every effect.
//!
//! [`World`] models one service as mainstay and its operator see it: what the file says, which containers exist, what
//! their data is, and what the repository holds. A [`Fate`] says what becomes of a step, a [`Deed`] what others do.
//! [`explore`] takes every course that a budget of them allows, and has each end judged; [`SimWorld`] is the same
//! world behind the real loop and the real journal. What neither can show is how the real steps do what is modelled
//! here: that is tested on a real engine.

mod deeds;
mod fate;
mod judge;
mod plan;
mod scenario;
mod search;
mod simulated;
mod steps;
mod twist;
mod world;

pub use deeds::Deed;
pub use fate::{Broken, Fate, Performed};
pub use judge::{Suffered, judge};
pub use plan::{backup, restore, rollback, still_backup, update, update_of_a_moved_tag, with_hooks};
pub use scenario::{Scenario, scenarios};
pub use search::{Budget, Counterexample, Explored, Happening, explore};
pub use simulated::{Chances, Crash, SimWorld, live};
pub use twist::{MISTAKES, Mistake, Twist};
pub use world::{Care, Container, Content, Data, File, Repository, Service, Snapshot, Version, World};
