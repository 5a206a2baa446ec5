//! `not-running`: it was stopped, never started, or has no container.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    if facts.containers.is_empty() && facts.listed {
        return Some(
            Diagnosis::new(format!("{} has no container", facts.service))
                .advise(format!("make it: `docker compose up -d {}`", facts.service)),
        );
    }
    // A job that has ended well has done what it should.
    let stopped = |c: &&super::Container| {
        !c.running
            && !c.status.is_empty()
            && !(c.status == "exited" && c.exit_code == 0 && facts.containers.len() > 1)
    };
    let container = facts.containers.iter().find(stopped)?;
    let what = format!("{} does not run: it is {}", container.name, container.status);
    Some(
        Diagnosis::new(what)
            .seen(format!("exit code {}", container.exit_code))
            .advise(format!("start it: `docker start {}`", container.name)),
    )
}
