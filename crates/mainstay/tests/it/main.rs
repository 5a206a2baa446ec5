//! The promises of `mainstay`, kept or broken on a real engine, a real registry and real Compose.
//!
//! Every test has a copy of a project of its own: name, port, state directory and lock, so that all of them run
//! beside each other; at its end it looks whether anything of the project is left on the engine. Needs root and
//! what `script/bootstrap` brings. What these tests do not do: time anything; cover every combination (the
//! state machine is explored by the simulator, the judge by its own tests).

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod backups;
mod copies;
mod diagnosed;
mod edits;
mod engine_away;
mod faults;
mod functional;
mod functional_around;
mod functional_browser;
mod interrupted;
mod kept;
mod kept_image;
mod killed;
mod lab;
mod meddled;
mod places;
mod power;
mod probed;
mod profiles;
mod profiles_real;
mod quiesce;
mod reach;
mod refused;
mod retention;
mod rolled_back;
mod room;
#[cfg(feature = "remote")]
#[path = "../../../vault/tests/vault/s3.rs"]
mod s3;
mod verdicts;
mod verified;
mod watched;
