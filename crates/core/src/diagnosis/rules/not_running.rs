//! `not-running`: it was stopped, never started, or has no container.

use super::{Container, Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    if facts.containers.is_empty() && facts.listed {
        return Some(
            Diagnosis::new(format!("{} has no container", facts.service))
                .seen("the engine lists none, in whatever state")
                .advise(format!("make it: `docker compose up -d {}`", facts.service)),
        );
    }
    // Of several containers one may be a job, which has done what it should when it has ended well.
    let done = |c: &Container| facts.containers.len() > 1 && c.status == "exited" && c.exit_code == 0;
    let container = facts.containers.iter().find(|c| !c.running && !done(c) && !c.status.is_empty())?;
    let what = format!("{} does not run: it is {}", container.name, container.status);
    Some(
        Diagnosis::new(what)
            .seen(format!("exit code {}", container.exit_code))
            .advise(format!("start it: `docker start {}`", container.name)),
    )
}
