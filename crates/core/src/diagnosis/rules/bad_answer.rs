//! `bad-answer`: the service itself answers, and badly: no proxy is to blame.

use super::{Diagnosis, Facts};
use crate::diagnosis::telling_lines;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let inside = facts.inside.as_ref().filter(|inside| !inside.ok)?;
    let (status, container) = (inside.status?, facts.asked()?);
    let lines = telling_lines(&container.log, 3);
    Some(
        Diagnosis::new(format!("{} itself answers HTTP {status}", container.name))
            .seen(format!("asked inside, at port {}: {}", inside.port, inside.detail))
            .seen_all(facts.outside.as_ref().map(|o| format!("{}: {}", o.url, o.detail)))
            .seen_all(lines.into_iter().map(|line| format!("{}: {line}", container.name)))
            .advise(match status {
                401 | 403 => "it wants a login now: ask for a path that doesn't (`--path`), or see what changed in its settings",
                404 => "the path is gone: ask for another one (`--path`), or see whether the service moved below a prefix",
                _ => "the reason is in its log, just before the answer: `docker logs --tail 100`",
            }),
    )
}
