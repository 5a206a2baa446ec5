//! The vault against real repositories in temporary directories. Needs root, for owners, devices and
//! mounts, and stock restic.

mod common;
mod damage;
mod reading;
mod replace;
mod restic;
mod round_trip;
