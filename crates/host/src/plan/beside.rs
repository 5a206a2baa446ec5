//! Who stands beside a service: the proxy that asks it, and what needs it.
//!
//! Invariant: only what worked before the update is handed on; what did not is named in a finding, and judges nothing.
//! Reads only.

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{Dependent, InsideProbe, NeighbourProbe};
use mainstay_core::problem::Problem;
use serde_json::Value;

use super::Wishes;
use super::look::PATIENCE;
use crate::discover::{self, Found};
use crate::engine::Engine;
use crate::probes;
use crate::survey::{self, Survey};

/// The id under which all of this is reported.
const DEPENDENTS: &str = "dependents";
const NEIGHBOUR: &str = "inside";

/// How proxies' images are called, by where the probe was detected.
const PROXIES: &[(&str, &[&str])] =
    &[("VIRTUAL_HOST", &["nginx-proxy", "nginx"]), ("Traefik", &["traefik"]), ("Caddy", &["caddy"])];

/// The probe from a neighbour's place with what it said before the update, and why there is none where one was wished
/// for or would have been expected.
///
/// # Errors
///
/// Those of the engine.
pub(super) async fn neighbour(
    engine: &Engine,
    survey: &Survey,
    wishes: &Wishes,
    inside: Option<&InsideProbe>,
) -> Result<(Option<NeighbourProbe>, Option<Finding>), Problem> {
    let wish = wishes.from.as_deref();
    let Some(probe) = inside.filter(|_| wish != Some("none")) else { return Ok((None, None)) };
    let asked = survey.of(&probe.service).and_then(|s| s.containers.iter().find(|c| c.running));
    let Some(asked) = asked else { return Ok((None, None)) };
    let options = ListContainersOptionsBuilder::default().build();
    let listed = engine.call("list the containers", engine.docker().list_containers(Some(options))).await?;
    let own: Vec<&str> = survey.containers().map(|(_, c)| c.id.as_str()).collect();
    let networks: Vec<&str> = asked.networks.iter().map(|n| n.name.as_str()).collect();
    let chosen = match wish {
        Some(name) => listed.iter().find(|c| is_called(c, name, &survey.project.name)),
        None => proxy(&listed, &networks, &probe.detected_from, &own),
    };
    let told = |why: &str| Some(not_asked(wish, why));
    let Some(chosen) = chosen else {
        return Ok((None, wish.and_then(|name| told(&format!("no container {name} runs")))));
    };
    if let Some(why) = probes::obstacle(engine) {
        return Ok((None, told(why)));
    }
    let same_project =
        discover::service_of(chosen).is_some_and(|(project, _)| project == survey.project.name);
    let probe = NeighbourProbe {
        container: name(chosen),
        // Names of services may be those of other projects, too, where projects share a network.
        host: if same_project { probe.service.clone() } else { asked.name.clone() },
        probe: InsideProbe { baseline_status: None, ..probe.clone() },
    };
    Ok(match probes::neighbour(engine, &asked.id, &probe, PATIENCE).await {
        Ok(answer) if answer.ok => {
            let with_baseline = InsideProbe { baseline_status: answer.status, ..probe.probe };
            (Some(NeighbourProbe { probe: with_baseline, ..probe }), None)
        }
        Ok(answer) => (None, told(&answer.detail)),
        Err(why) => (None, told(&why)),
    })
}

fn not_asked(wish: Option<&str>, why: &str) -> Finding {
    let severity = if wish.is_some() { Severity::Warning } else { Severity::Note };
    let from = wish.unwrap_or("the reverse proxy");
    Finding::new(NEIGHBOUR, severity, format!("the service is not asked from the place of {from}"))
        .evidence(why)
        .advice("name the container that asks it: `from = \"NAME\"` in mainstay.toml, or `from = \"none\"`")
}

fn name(container: &ContainerSummary) -> String {
    discover::name_of(container.names.as_deref().unwrap_or_default())
}

/// By the container's own name, or by that of its service in the project.
fn is_called(container: &ContainerSummary, wanted: &str, project: &str) -> bool {
    let of_service = discover::service_of(container).is_some_and(|(p, s)| p == project && s == wanted);
    name(container) == wanted || of_service
}

/// The proxy that serves the service: it runs such an image, and is in a network with it.
fn proxy<'a>(
    listed: &'a [ContainerSummary],
    networks: &[&str],
    detected_from: &str,
    unit: &[&str],
) -> Option<&'a ContainerSummary> {
    let (_, images) = PROXIES.iter().find(|(from, _)| detected_from.starts_with(from))?;
    let beside = |c: &&ContainerSummary| {
        let own = c.network_settings.as_ref().and_then(|s| s.networks.as_ref());
        let shares = own.is_some_and(|own| own.keys().any(|n| networks.contains(&n.as_str())));
        let of_unit = c.id.as_deref().is_some_and(|id| unit.contains(&id));
        let runs = c.state == Some(ContainerSummaryStateEnum::RUNNING);
        shares && runs && !of_unit
    };
    let runs = |c: &ContainerSummary, image: &str| {
        let path = c.image.as_deref().unwrap_or_default().split('@').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        last.split(':').next() == Some(image)
    };
    images.iter().find_map(|image| listed.iter().filter(beside).find(|c| runs(c, image)))
}

/// What needs the service: whatever names it in `depends_on` or shares its network, or what the operator names.
///
/// # Errors
///
/// Those of the engine.
pub(super) async fn dependents(
    engine: &Engine,
    found: &Found,
    survey: &Survey,
    wishes: &Wishes,
) -> Result<(Vec<Dependent>, Vec<Finding>), Problem> {
    let unit: Vec<&str> = survey.unit.iter().map(|s| s.name.as_str()).collect();
    let names = match (&wishes.dependents, &survey.compose) {
        (Some(named), _) => named.clone(),
        (None, Ok(resolved)) => needing(&resolved.config.0, &unit),
        (None, Err(_)) => Vec::new(),
    };
    let (mut well, mut findings) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|n| !unit.contains(&n.as_str())) {
        let containers = found.services.get(name).map(Vec::as_slice).unwrap_or_default();
        if containers.is_empty() && wishes.dependents.is_some() {
            findings.push(left_out(name, "it has no container"));
        }
        for container in containers {
            let call = engine.docker().inspect_container(&container.id, None);
            let answer = engine.call("inspect a container", call).await?;
            match trouble(&serde_json::to_value(answer.state).unwrap_or_default()) {
                None => well.push(Dependent { service: name.clone(), container: container.name.clone() }),
                Some(why) => findings.push(left_out(&container.name, &why)),
            }
        }
    }
    Ok((well, findings))
}

fn left_out(name: &str, why: &str) -> Finding {
    Finding::new(DEPENDENTS, Severity::Note, format!("{name}, which needs the service, is not watched"))
        .evidence(why)
        .advice("make it work first; what was bad before an update can't be told from what the update broke")
}

/// Why a container is not well, if it isn't.
fn trouble(state: &Value) -> Option<String> {
    let status = state["Status"].as_str().unwrap_or("unknown");
    let health = state["Health"]["Status"].as_str().unwrap_or_default();
    if status != "running" {
        return Some(format!("it is {status}"));
    }
    (!matches!(health, "" | "none" | "healthy")).then(|| format!("its health check says {health}"))
}

/// The services that name one of the unit among what they need.
fn needing(config: &Value, unit: &[&str]) -> Vec<String> {
    let services = config["services"].as_object();
    let of = |service: &Value| survey::needs(service).iter().any(|needed| unit.contains(&needed.as_str()));
    services.into_iter().flatten().filter(|(_, s)| of(s)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_names_the_service_needs_it() {
        let config = json!({"services": {
            "app": {"depends_on": {"db": {}}}, "db": {}, "worker": {"depends_on": ["app"]},
            "proxy": {"links": ["app:web"]}, "side": {"network_mode": "service:app"}, "other": {}
        }});
        let mut found = needing(&config, &["app"]);
        found.sort();
        assert_eq!(found, ["proxy", "side", "worker"]);
        assert_eq!(needing(&config, &["db"]), ["app"]);
    }

    #[test]
    fn only_what_is_well_is_watched() {
        assert_eq!(trouble(&json!({"Status": "running"})), None);
        assert_eq!(trouble(&json!({"Status": "running", "Health": {"Status": "healthy"}})), None);
        let starting = json!({"Status": "running", "Health": {"Status": "starting"}});
        assert_eq!(trouble(&starting).as_deref(), Some("its health check says starting"));
        assert_eq!(trouble(&json!({"Status": "exited"})).as_deref(), Some("it is exited"));
    }

    #[test]
    fn a_proxy_is_known_by_its_image_and_its_network() {
        let container = |name: &str, image: &str, network: &str| -> ContainerSummary {
            serde_json::from_value(json!({
                "Id": name, "Names": [format!("/{name}")], "Image": image, "State": "running",
                "NetworkSettings": {"Networks": {network: {}}}
            }))
            .unwrap()
        };
        let listed = [
            container("elsewhere", "nginxproxy/nginx-proxy:1.6", "other"),
            container("web", "127.0.0.1:5000/lab/nginx:1.22.1", "front"),
            container("proxy", "nginxproxy/nginx-proxy:1.6", "front"),
        ];
        let of = |from: &str| proxy(&listed, &["front"], from, &["app"]).map(name);
        assert_eq!(of("VIRTUAL_HOST").as_deref(), Some("proxy"));
        assert_eq!(of("Traefik labels of router x"), None);
        assert_eq!(of("exposed port 80"), None);
    }
}
