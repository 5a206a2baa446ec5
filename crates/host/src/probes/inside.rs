//! The question from inside the network: at the container's own address, without a tool in any image.
//!
//! Invariant: a published port is never asked: the engine accepts connections to it while nothing listens
//! behind. The container is looked up anew for every question, because its address changes when it is
//! re-created. Works where this machine is the engine's host; elsewhere containers have no address here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ContainerState};
use mainstay_core::plan::{InsideProbe, Protocol};
use url::{Position, Url};

use super::wire::{self, Deadline, Reply};
use super::{Answer, Figures, elapsed_ms};
use crate::engine::Engine;

/// Containers that share another one's network may do so in a row; a longer one is a mistake.
const HOPS: usize = 4;

/// Asks a container, and has an answer within `limit`. For [`Protocol::Tcp`] a connection counts that stays
/// open for 150 ms.
pub async fn inside(engine: &Engine, container_id: &str, probe: &InsideProbe, limit: Duration) -> Answer {
    let began = Instant::now();
    let deadline = Deadline::after(limit);
    let looking = addresses(engine, container_id);
    let addresses = match deadline.within("asking the engine for the container's address", looking).await {
        Ok(addresses) => addresses,
        Err(reason) => return Answer::failed(reason, elapsed_ms(began), None),
    };
    let addresses: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, probe.port)).collect();
    let mut answer = at(&addresses, probe, &deadline).await;
    if answer.status.is_none() && !answer.ok && !engine.endpoint().is_unix() {
        answer.detail.push_str("; the engine runs elsewhere, where containers can't be reached from here");
    }
    answer
}

/// Asks at given addresses.
pub(super) async fn at(addresses: &[SocketAddr], probe: &InsideProbe, deadline: &Deadline) -> Answer {
    let began = Instant::now();
    let mut stream = match wire::connect(addresses, deadline).await {
        Ok(stream) => stream,
        Err(reason) => return Answer::failed(reason, elapsed_ms(began), None),
    };
    let connect_ms = Some(elapsed_ms(began));
    let result: Result<Option<Reply>, String> = match probe.protocol {
        Protocol::Tcp => deadline.within("listening", wire::stays_open(&mut stream)).await.map(|()| None),
        Protocol::Http => {
            let request = wire::get(&target(&probe.path), &format!("{}:{}", probe.service, probe.port), None);
            let asking = wire::ask(&mut stream, &request);
            match deadline.within("waiting for the answer", asking).await {
                Ok((reply, rest)) => {
                    let took_ms = elapsed_ms(began);
                    let figures = Figures {
                        connect_ms,
                        first_byte_ms: connect_ms.map(|connected| took_ms.saturating_sub(connected)),
                        http: Some(reply.version.clone()),
                        body_bytes: wire::drain(&mut stream, rest, deadline).await,
                        total_ms: Some(elapsed_ms(began)),
                        ..Figures::default()
                    };
                    return Answer::replied(&reply, probe.baseline_status, took_ms, figures);
                }
                Err(reason) => Err(reason),
            }
        }
    };
    let took_ms = elapsed_ms(began);
    match result {
        Ok(_) => Answer {
            ok: true,
            status: None,
            took_ms,
            detail: format!("port {} accepts connections and keeps them open", probe.port),
            certificate: None,
            figures: Figures { connect_ms, ..Figures::default() },
            remarks: Vec::new(),
        },
        Err(reason) => Answer::failed(reason, took_ms, None),
    }
}

/// Path and query as a request line may have them.
fn target(path: &str) -> String {
    let absolute = format!("/{}", path.trim_start_matches('/'));
    match Url::parse("http://inside").and_then(|base| base.join(&absolute)) {
        Ok(url) => url[Position::BeforePath..Position::AfterQuery].to_owned(),
        Err(_) => "/".to_owned(),
    }
}

/// Where a container is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// At its own addresses.
    Own(Vec<IpAddr>),
    /// On the host's network.
    Host,
    /// In another container's network.
    With(String),
}

pub(crate) async fn addresses(engine: &Engine, container_id: &str) -> Result<Vec<IpAddr>, String> {
    let mut id = container_id.to_owned();
    for _ in 0..HOPS {
        let call = engine.docker().inspect_container(&id, None);
        let answer = engine.call("inspect the container", call).await.map_err(|p| p.to_string())?;
        match place(&answer)? {
            Place::Own(addresses) => return Ok(addresses),
            Place::Host if engine.endpoint().is_unix() => return Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            Place::Host => {
                return Err("the container is on the network of the engine's host, not of this one".into());
            }
            Place::With(other) => id = other,
        }
    }
    Err("the containers share each other's networks in a circle".to_owned())
}

fn place(answer: &ContainerInspectResponse) -> Result<Place, String> {
    runs(answer.state.as_ref())?;
    let mode = answer.host_config.as_ref().and_then(|h| h.network_mode.as_deref()).unwrap_or_default();
    if mode == "host" {
        return Ok(Place::Host);
    }
    if let Some(other) = mode.strip_prefix("container:") {
        return Ok(Place::With(other.to_owned()));
    }
    let networks = answer.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    let addresses: Vec<IpAddr> = networks
        .into_iter()
        .flatten()
        .flat_map(|(_, end)| [end.ip_address.as_ref(), end.global_ipv6_address.as_ref()])
        .filter_map(|address| address?.parse().ok())
        .collect();
    if addresses.is_empty() {
        Err("the container has no address in any network".into())
    } else {
        Ok(Place::Own(addresses))
    }
}

/// A paused process doesn't accept connections, but its kernel does: the state has to be asked for.
fn runs(state: Option<&ContainerState>) -> Result<(), String> {
    let state = state.cloned().unwrap_or_default();
    let word = state.status.map(|s| s.to_string()).unwrap_or_default();
    let running = state.running.unwrap_or(false);
    let idle = state.paused.unwrap_or(false) || state.restarting.unwrap_or(false);
    match (running, idle) {
        (true, false) => Ok(()),
        (true, true) => Err(format!("the container is {word}")),
        (false, _) => {
            Err(format!("the container does not run ({word}, exit code {})", state.exit_code.unwrap_or(0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(state: &str, mode: &str, networks: &str) -> ContainerInspectResponse {
        let text = format!(
            r#"{{"State":{state},"HostConfig":{{"NetworkMode":"{mode}"}},"NetworkSettings":{{"Networks":{networks}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const RUNNING: &str = r#"{"Status":"running","Running":true}"#;

    #[test]
    fn addresses_are_those_of_the_network_that_the_container_is_in() {
        let two = r#"{"a":{"IPAddress":"172.18.0.2","GlobalIPv6Address":""},"b":{"IPAddress":"","GlobalIPv6Address":"fd00::2"}}"#;
        let Place::Own(mut found) = place(&container(RUNNING, "p_default", two)).unwrap() else { panic!() };
        found.sort();
        assert_eq!(found, ["172.18.0.2".parse::<IpAddr>().unwrap(), "fd00::2".parse().unwrap()]);
        let host = container(RUNNING, "host", r#"{"host":{"IPAddress":""}}"#);
        assert_eq!(place(&host), Ok(Place::Host));
        assert_eq!(place(&container(RUNNING, "container:abc", "{}")), Ok(Place::With("abc".into())));
        assert!(place(&container(RUNNING, "none", r#"{"none":{"IPAddress":""}}"#)).is_err());
    }

    #[test]
    fn what_does_not_run_is_not_asked() {
        let stopped = container(r#"{"Status":"exited","Running":false,"ExitCode":3}"#, "host", "{}");
        assert!(place(&stopped).unwrap_err().contains("exit code 3"));
        let paused = container(r#"{"Status":"paused","Running":true,"Paused":true}"#, "host", "{}");
        assert!(place(&paused).unwrap_err().contains("paused"));
    }

    #[test]
    fn paths_cannot_break_out_of_the_request_line() {
        assert_eq!(target("/a b?q=1"), "/a%20b?q=1");
        assert_eq!(target("/x\r\nEvil: 1"), "/xEvil:%201");
        assert_eq!(target("health"), "/health");
        assert_eq!(target("//evil.test/x"), "/evil.test/x");
    }
}
