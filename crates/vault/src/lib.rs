//! Keeps: backups in a restic repository, their proof and their restoration.
//!
//! Invariant: a snapshot that [`Vault::snapshots`] lists was read without an error, was read back, and
//! agreed with the [`Manifest`] that was taken while reading; a restore has been compared with that
//! manifest before anything is replaced. The crate neither prints nor decides when to back up, starts
//! no containers, and removes no finished snapshot.

mod access;
mod backup;
mod compare;
mod content;
mod copy;
mod durable;
mod entry;
mod error;
mod guard;
mod ids;
mod in_place;
mod keycache;
mod location;
mod lock;
mod logsink;
mod manifest;
mod mounts;
mod open;
mod parallel;
mod progress;
#[cfg(feature = "remote")]
mod remote;
mod replace;
mod restore;
mod settle;
mod source;
mod vault;
mod walk;

pub use access::{Access, Credentials, Password};
pub use backup::{Backup, Pass};
pub use content::Verified;
pub use copy::Copied;
pub use entry::{Entry, Stamp, What, Xattr};
pub use error::{Result, VaultError};
pub use ids::{Kind, SnapshotId, Tags};
pub use location::{Bucket, Location};
pub use manifest::Manifest;
pub use progress::{Monitor, Phase, Progress, Unwatched};
pub use restore::{Restored, Room};
pub use settle::Settled;
pub use vault::{Listed, Vault};
