//! The vault against real repositories in temporary directories. Needs root, for owners, devices and
//! mounts, and stock restic.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod by_file;
mod common;
mod damage;
mod elsewhere;
mod fidelity;
mod inspect;
mod killed;
mod killed_backup;
mod killed_restore;
mod locks;
mod one_path;
mod prune;
mod reached;
mod reading;
#[cfg(feature = "remote")]
mod remote;
mod replace;
mod restic;
mod round_trip;
#[cfg(feature = "remote")]
mod s3;
mod second_pass;
mod together;
