//! `bad-gateway`, `no-backend`, `gateway-timeout`: the proxy answers for a service that it doesn't reach, though others do.

use super::{Diagnosis, Facts};
use crate::diagnosis::Outside;

/// The outside answer, if it has one of these statuses while the service itself is well, as far as is known.
fn apart<'a>(facts: &'a Facts, statuses: &[u16]) -> Option<&'a Outside> {
    let outside =
        facts.outside.as_ref().filter(|o| !o.ok && o.status.is_some_and(|s| statuses.contains(&s)))?;
    facts.inside.as_ref().is_none_or(|inside| inside.ok).then_some(outside)
}

fn begin(facts: &Facts, outside: &Outside, what: String) -> Diagnosis {
    let inside = facts.inside.as_ref().map(|i| format!("asked inside, at port {}: {}", i.port, i.detail));
    let listeners = facts.asked().and_then(|c| c.listeners.as_ref()).into_iter().flatten();
    let listens = listeners.map(|l| format!("listens on {}", std::net::SocketAddr::new(l.address, l.port)));
    Diagnosis::new(what)
        .seen(format!("{}: {}", outside.url, outside.detail))
        .seen_all(inside)
        .seen_all(listens)
}

fn proxy(facts: &Facts) -> &str {
    facts.proxy.as_ref().map_or("the proxy", |proxy| proxy.name.as_str())
}

pub(super) fn bad_gateway(facts: &Facts) -> Option<Diagnosis> {
    let outside = apart(facts, &[502])?;
    let (name, port) = (proxy(facts), facts.inside.as_ref().map(|i| i.port));
    let what = format!("{name} can't connect to {}, which answers others", facts.service);
    let diagnosis = begin(facts, outside, what);
    Some(
        match port {
            Some(port) => {
                diagnosis.advise(format!("see which host and port {name} connects to: port {port} answers"))
            }
            None => diagnosis.advise(format!("see which host and port {name} connects to")),
        }
        .advise("a proxy that looked the address up only once has the old container's: restart or reload it"),
    )
}

pub(super) fn no_backend(facts: &Facts) -> Option<Diagnosis> {
    let outside = apart(facts, &[503, 404])?;
    let name = proxy(facts);
    let what = format!("{name} knows no service for this URL, while {} answers others", facts.service);
    Some(
        begin(facts, outside, what)
            .advise("see that the names agree: `VIRTUAL_HOST`, or the rule in the labels, and the URL")
            .advise(format!("see that {name} has noticed the new container: its log, or a restart of it")),
    )
}

pub(super) fn timeout(facts: &Facts) -> Option<Diagnosis> {
    let outside = apart(facts, &[504])?;
    let name = proxy(facts);
    let what = format!("{name} waits in vain for {}, which answers others", facts.service);
    Some(
        begin(facts, outside, what)
            .advise(format!("see which address {name} connects to; one that is gone swallows packets instead of refusing them"))
            .advise("service and proxy in several common networks: name the one to use (for Traefik, the label `traefik.docker.network`)"),
    )
}
