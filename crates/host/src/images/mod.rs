//! Images: which one a reference means, how it gets here, and what keeps the old one.
//!
//! Invariant: every registry is reached through the engine, so that its mirrors, CAs and insecure registries
//! apply; no tag but our own under [`KEEP_PREFIX`] is ever removed. What it does not do: compare images
//! (`mainstay_core::image` does) or choose a version.

mod archive;
mod copy;
mod credentials;
mod inspect;
mod keep;
mod pull;
mod reference;
mod registry;
mod trouble;

pub use copy::{Copying, load_copy, save_copy};
pub use credentials::{Credentials, DockerConfig, Lookup};
pub use inspect::inspect;
pub use keep::{KEEP_PREFIX, drop_keep, keep, keep_tag, kept_tags, restore_tag};
pub use pull::{LayerProgress, pull};
pub use reference::Reference;
pub use registry::{Remote, resolve};
