//! The question from where another container is: in its network, by name, through Docker's own DNS. What its proxy
//! gets is what users get; no tool in any image is needed.
//!
//! Invariant: only a thread of its own, which ends with the question, enters the other container's network; nothing
//! else of this process does. Whether it can be asked at all says nothing about the service: that is an error here,
//! not a bad answer. Needs root, on the engine's host.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use bollard::models::ContainerInspectResponse;
use mainstay_core::plan::NeighbourProbe;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::wire::Deadline;
use super::{Answer, dns, elapsed_ms, inside};
use crate::engine::{Engine, is_not_found};
use crate::process;

/// Where Docker answers DNS in the networks that were made by somebody. In its default one it doesn't.
const DOCKERS_DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 53);

/// Asks from the place of a container, and has an answer within `limit`. `asked` is the container of the service, which
/// is asked at its address where its name can't be.
///
/// # Errors
///
/// Why it could not be asked, for people: the neighbour does not run, or its network can't be entered.
pub async fn neighbour(
    engine: &Engine,
    asked: &str,
    probe: &NeighbourProbe,
    limit: Duration,
) -> Result<Answer, String> {
    let began = Instant::now();
    let (place, named) = place(engine, &probe.container).await?;
    let fallback = if named { Ok(Vec::new()) } else { inside::addresses(engine, asked).await };
    let (probe, left) = (probe.clone(), limit.saturating_sub(began.elapsed()));
    let (tell, told) = tokio::sync::oneshot::channel();
    let work = move || {
        let _nobody_waits = tell.send(from_within(&place, &probe, fallback, left));
    };
    let thread = std::thread::Builder::new().name("neighbour".to_owned()).spawn(work);
    thread.map_err(|error| format!("no thread can be started: {error}"))?;
    told.await.map_err(|_| "the question was broken off".to_owned())?
}

/// Whether a container's network can be entered from here, or why not.
#[must_use]
pub fn obstacle(engine: &Engine) -> Option<&'static str> {
    if !engine.endpoint().is_unix() {
        Some("the engine runs on another machine")
    } else if !rustix::process::geteuid().is_root() {
        Some("only root may enter a container's network")
    } else {
        None
    }
}

/// The network of a container that runs, and whether names can be asked for there.
async fn place(engine: &Engine, name: &str) -> Result<(File, bool), String> {
    let call = engine.docker().inspect_container(name, None);
    let answer = engine.call("inspect the container", call).await.map_err(|problem| {
        if is_not_found(&problem) { format!("there is no container {name}") } else { problem.to_string() }
    })?;
    let state = answer.state.clone().unwrap_or_default();
    let pid = state.pid.filter(|pid| *pid > 0 && state.running == Some(true));
    let pid = pid.ok_or_else(|| format!("{name} does not run"))?;
    let id = answer.id.as_deref().unwrap_or_default();
    let file = process::network(pid, id)
        .map_err(|error| format!("the network of {name} can't be entered: {error}"))?;
    Ok((file, has_dns(&answer)))
}

/// Docker answers DNS in every network but its default one and the host's.
fn has_dns(answer: &ContainerInspectResponse) -> bool {
    let networks = answer.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    networks.is_some_and(|n| n.keys().any(|name| !matches!(name.as_str(), "bridge" | "host" | "none")))
}

/// On a thread of its own. The runtime has no other threads, so every socket belongs to the network entered.
fn from_within(
    place: &File,
    probe: &NeighbourProbe,
    fallback: Result<Vec<IpAddr>, String>,
    limit: Duration,
) -> Result<Answer, String> {
    let name = &probe.container;
    move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| format!("the network of {name} can't be entered: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("nothing can be asked from {name}: {error}"))?;
    runtime.block_on(async {
        let (began, deadline) = (Instant::now(), Deadline::after(limit));
        let found = async {
            match fallback? {
                known if known.is_empty() => dns::lookup(DOCKERS_DNS, &probe.host).await,
                known => Ok(known),
            }
        };
        let doing = format!("asking Docker's DNS for {}", probe.host);
        let mut answer = match deadline.within(&doing, found).await {
            Ok(addresses) => {
                let dns_ms = Some(elapsed_ms(began));
                let port = probe.probe.port;
                let at: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
                let mut answer = inside::at(&at, &probe.probe, &deadline).await;
                answer.figures.dns_ms = dns_ms;
                answer
            }
            Err(reason) => Answer::failed(reason, elapsed_ms(began), None),
        };
        answer.detail = format!("from {name}: {}", answer.detail);
        Ok(answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_dns_is_where_somebody_made_a_network() {
        let of = |name: &str| {
            let settings = serde_json::json!({"NetworkSettings": {"Networks": {name: {}}}});
            has_dns(&serde_json::from_value(settings).unwrap())
        };
        assert!(of("shop_default") && !of("bridge") && !of("host"));
    }
}
