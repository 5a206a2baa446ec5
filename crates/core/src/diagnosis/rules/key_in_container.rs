//! `key-in-container`: a key was made in the container's own layer: each re-creation makes a new one, and everybody is
//! logged out.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let container = facts.containers.iter().find(|c| !c.key_files.is_empty())?;
    Some(
        Diagnosis::new(format!("{} keeps what looks like a key in its own layer, which an update throws away", container.name))
            .seen_all(container.key_files.iter().cloned())
            .advise("set the key by a variable or a file of your own, or mount a volume there; copy the present one out first (`docker cp`)"),
    )
}
