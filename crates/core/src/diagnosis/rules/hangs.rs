//! `hangs`: the service takes connections and never answers.

use super::{Diagnosis, Facts};
use crate::diagnosis::telling_lines;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let inside = facts.inside.as_ref().filter(|i| !i.ok && i.connects && i.status.is_none())?;
    let silent = inside.detail.starts_with("no answer") && !facts.slow;
    let container = facts.asked().filter(|_| silent)?;
    let lines = telling_lines(&container.log, 2);
    Some(
        Diagnosis::new(format!(
            "{} takes connections on port {} and does not answer",
            container.name, inside.port
        ))
        .seen(inside.detail.clone())
        .seen_all(facts.outside.as_ref().map(|o| format!("{}: {}", o.url, o.detail)))
        .seen_all(lines.into_iter().map(|line| format!("{}: {line}", container.name)))
        .advise(
            "it waits for something itself: a lock, a database, a name server; or all its workers are busy",
        )
        .advise(format!(
            "see what its processes do: `docker top {0}`, `docker stats --no-stream {0}`",
            container.name
        )),
    )
}
