//! `outside-unreachable`: nobody answers at the URL.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let outside = facts.outside.as_ref().filter(|outside| !outside.ok && outside.status.is_none())?;
    let well = facts.inside.as_ref().filter(|inside| inside.ok);
    let what = match well {
        Some(_) => format!("{} gets no answer, while the service answers inside", outside.url),
        None => format!("{} gets no answer", outside.url),
    };
    Some(
        Diagnosis::new(what)
            .seen(outside.detail.clone())
            .seen_all(well.map(|inside| format!("asked inside, at port {}: {}", inside.port, inside.detail)))
            .advise("see whether the proxy runs and publishes the port, and what a firewall lets through"),
    )
}
