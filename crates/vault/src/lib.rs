//! Keeps: backups in a restic repository, their proof and their restoration.
//!
//! Invariant: a snapshot that [`Vault::snapshots`] lists was read without an error, was read back, and
//! agreed with the [`Manifest`] that was taken while reading; a restore has been compared with that
//! manifest before anything is replaced. The crate neither prints nor decides when to back up, starts
//! no containers, and removes no finished snapshot.

mod archive;
mod backup;
mod blocks;
mod by_file;
mod compare;
mod content;
mod delta;
mod durable;
mod entry;
mod error;
mod export;
mod guard;
mod ids;
mod in_place;
mod lock;
mod logsink;
mod manifest;
mod mounts;
mod moves;
mod nodes;
mod parallel;
mod progress;
mod replace;
mod restore;
mod source;
mod staged;

mod vault;
mod walk;

pub use backup::{Backup, Pass};
pub use content::Verified;
pub use entry::{Entry, Stamp, What, Xattr};
pub use error::{Result, VaultError};
pub use export::{Exported, Format, Part};
pub use ids::{Kind, SnapshotId, Tags};
pub use manifest::Manifest;
pub use progress::{Monitor, Phase, Progress, Unwatched};
pub use restore::{Restored, Room};
pub use vault::{Listed, Vault};
