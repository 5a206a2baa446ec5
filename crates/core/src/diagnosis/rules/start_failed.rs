//! `start-failed`: the engine could not start it, for a reason that no other rule knows: a mount, a device, a network.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let container = facts.containers.iter().find(|c| !c.running && !c.start_error.is_empty())?;
    let diagnosis = Diagnosis::new(format!("the engine could not start {}", container.name))
        .seen(container.start_error.clone());
    Some(if container.start_error.contains("mount") {
        diagnosis.advise(
            "what is mounted is missing, or a directory where a file should be: an engine makes a directory of a bind \
             mount's source that isn't there",
        )
    } else {
        diagnosis.advise(format!("try it by hand: `docker start {}`", container.name))
    })
}
