//! Keeps: backups in a restic repository, their proof and their restoration.
//!
//! Invariant: a snapshot that [`Vault::snapshots`] lists was read without an error, was read back, and
//! agreed with the [`Manifest`] that was taken while reading; a restore has been compared with that
//! manifest before anything is replaced. The crate neither prints nor decides when to back up, starts no
//! containers, and removes a finished snapshot only when told to.

mod access;
mod ahead;
mod apply;
mod archive;
mod backup;
mod blocks;
mod by_file;
mod compare;
mod content;
mod copy;
mod delta;
mod durable;
mod entry;
mod error;
mod export;
mod guard;
mod hashing;
mod ids;
mod in_place;
mod inspect;
mod keycache;
mod location;
mod lock;
mod logsink;
mod manifest;
mod mirror;
mod mounts;
mod moves;
mod nodes;
mod open;
mod packing;
mod parallel;
mod progress;
mod prune;
mod readback;
#[cfg(feature = "remote")]
mod remote;
mod replace;
mod restic_lock;
mod restore;
mod retention;
mod seal;
mod settle;
mod source;
mod staged;
mod tarred;
mod through;
mod trees;
mod vault;
mod walk;

pub use access::{Access, Credentials, Password};
pub use apply::apply;
pub use backup::{Backup, Pass};
pub use content::Verified;
pub use copy::Copied;
pub use entry::{Entry, Stamp, What, Xattr};
pub use error::{Result, VaultError};
pub use export::{Exported, Format, Part};
pub use ids::{Kind, SnapshotId, Tags};
pub use inspect::Inspection;
pub use location::{Bucket, Location};
pub use manifest::Manifest;
pub use mirror::Mirror;
pub use progress::{Monitor, Phase, Progress, Unwatched};
pub use prune::{PruneOptions, Pruned};
pub use restore::{Restored, Room};
pub use retention::{Judged, Reason, Retention};
pub use settle::Settled;
pub use tarred::sizes;
pub use through::Elsewhere;
pub use vault::{Listed, Vault};
