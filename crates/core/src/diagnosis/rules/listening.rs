//! `loopback-only`, `wrong-port`, `not-listening`: what the processes listen on, taken from their own network, against
//! what others expect.

use super::{Diagnosis, Facts};
use crate::diagnosis::{Container, Inside, Listener};

/// The unanswered question and the container that should have answered it, where its sockets can be seen.
fn unanswered(facts: &Facts) -> Option<(&Inside, &Container, &[Listener])> {
    let inside = facts.inside.as_ref().filter(|inside| !inside.ok && !inside.connects)?;
    let container = facts.asked()?;
    let listeners = container.listeners.as_deref()?;
    let reachable = |l: &&Listener| l.port == inside.port && !l.address.is_loopback();
    listeners.iter().find(reachable).is_none().then_some((inside, container, listeners))
}

fn expected(inside: &Inside) -> String {
    format!("asked at port {}, which is the one of: {}", inside.port, inside.from)
}

fn shown(listeners: &[Listener]) -> Vec<String> {
    listeners.iter().map(|l| format!("listens on {}", std::net::SocketAddr::new(l.address, l.port))).collect()
}

pub(super) fn loopback_only(facts: &Facts) -> Option<Diagnosis> {
    let (inside, container, listeners) = unanswered(facts)?;
    let here = listeners.iter().find(|l| l.port == inside.port && l.address.is_loopback());
    // Everything at the loopback interface, on other ports: the address is wrong first of all.
    let all = || listeners.first().filter(|_| listeners.iter().all(|l| l.address.is_loopback()));
    let listener = here.or_else(all)?;
    Some(
        Diagnosis::new(format!(
            "{} listens on {}:{} only, where nobody outside of the container reaches it",
            container.name, listener.address, listener.port
        ))
        .seen_all(shown(listeners))
        .seen(expected(inside))
        .seen(inside.detail.clone())
        .advise(
            "let it listen on every address: a setting such as HOST, BIND or `--host` with the value 0.0.0.0",
        ),
    )
}

pub(super) fn wrong_port(facts: &Facts) -> Option<Diagnosis> {
    let (inside, container, listeners) = unanswered(facts)?;
    let other = listeners.iter().find(|l| !l.address.is_loopback()).filter(|_| !container.shares_network)?;
    Some(
        Diagnosis::new(format!(
            "{} listens on port {}, and port {} is expected ({})",
            container.name, other.port, inside.port, inside.from
        ))
        .seen_all(shown(listeners))
        .seen(inside.detail.clone())
        .advise(format!(
            "tell the proxy the new port (VIRTUAL_PORT, the label of the proxy, or the right side of `ports:`): {}; or tell \
             the service to stay at {}",
            other.port, inside.port
        )),
    )
}

pub(super) fn not_listening(facts: &Facts) -> Option<Diagnosis> {
    let (inside, container, listeners) = unanswered(facts)?;
    if !listeners.is_empty() && !container.shares_network {
        return None;
    }
    let last = container.log.last().map(|line| format!("{}: {}", container.name, line.trim()));
    Some(
        Diagnosis::new(format!("{} runs, and listens on no port", container.name))
            .seen(expected(inside))
            .seen(inside.detail.clone())
            .seen_all(last)
            .advise("see in its log what it is waiting for; if it only needs longer to start, say so: `--startup DURATION`"),
    )
}
