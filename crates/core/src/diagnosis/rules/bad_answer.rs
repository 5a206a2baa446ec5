//! `bad-answer`: the service itself answers, and badly: no proxy is to blame. Inside, where it is asked first; or, where it is
//! well there, at the URL, with a status that no proxy makes up.

use super::{Diagnosis, Facts};
use crate::diagnosis::telling_lines;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let container = facts.asked()?;
    let inside = facts.inside.as_ref();
    let bad_inside = inside.filter(|inside| !inside.ok).map(|inside| inside.status);
    let (status, what) = match bad_inside {
        Some(status) => (status?, format!("{} itself answers HTTP {}", container.name, status?)),
        None => {
            let outside = facts.outside.as_ref().filter(|outside| !outside.ok)?;
            let status = outside.status.filter(|status| !(502..=504).contains(status))?;
            (status, format!("{} answers HTTP {status}", outside.url))
        }
    };
    let asked = inside.map(|i| format!("asked inside, at port {}: {}", i.port, i.detail));
    let lines = telling_lines(&container.log, 3);
    Some(
        Diagnosis::new(what)
            .seen_all(asked)
            .seen_all(facts.outside.as_ref().map(|o| format!("{}: {}", o.url, o.detail)))
            .seen_all(lines.into_iter().map(|line| format!("{}: {line}", container.name)))
            .advise(match status {
                401 | 403 => "it wants a login now: ask for a path that doesn't (`--path`), or see what changed in its settings",
                404 => "the path is gone: ask for another one (`--path`), or see whether the service moved below a prefix",
                _ => "the reason is in its log, just before the answer: `docker logs --tail 100`",
            }),
    )
}
