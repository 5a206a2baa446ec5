//! The vault against real repositories in temporary directories. Needs root, for owners, devices and
//! mounts, and stock restic.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod common;
mod damage;
mod elsewhere;
mod reading;
#[cfg(feature = "remote")]
mod remote;
mod replace;
mod restic;
mod round_trip;
#[cfg(feature = "remote")]
mod s3;
