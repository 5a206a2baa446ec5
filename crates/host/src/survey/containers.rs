//! Asks the engine about containers and images and keeps what checks and plans need.
//!
//! Reads only. Turning the engine's answers into facts is pure; only the functions that take an [`Engine`] ask.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerMemoryStats, EndpointSettings, Health, ImageInspect, MountPoint,
    PortMap,
};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use mainstay_core::plan::ContainerRef;
use mainstay_core::problem::Problem;
use mainstay_core::redact;

use super::facts::{
    ContainerFacts, ContainerMount, Env, HealthFacts, Hidden, ImageFacts, LayerFile, NetworkFacts,
    PublishedPort,
};
use super::layer;
use crate::discover;
use crate::engine::{Engine, is_not_found};

/// Docker's own, where the service says nothing.
const DEFAULT_GRACE_SECONDS: i64 = 10;

/// One reading of memory; engines take up to two seconds for it.
const STATS_LIMIT: Duration = Duration::from_secs(10);

/// How much of a health probe's output is kept.
const OUTPUT_CHARS: usize = 300;

/// What an inspection tells: everything but memory and the writable layer, which take time.
pub(crate) async fn inspected(engine: &Engine, which: &ContainerRef) -> Result<ContainerFacts, Problem> {
    let what = format!("inspect the container {}", which.name);
    let answer = engine.call(&what, engine.docker().inspect_container(&which.id, None)).await?;
    Ok(from_inspect(answer))
}

/// Everything about one container.
pub(super) async fn container(engine: &Engine, which: &ContainerRef) -> Result<ContainerFacts, Problem> {
    let mut facts = inspected(engine, which).await?;
    if facts.running {
        facts.memory_used = memory(engine, &facts.id).await;
    }
    facts.layer = layer_of(engine, &facts).await?;
    Ok(facts)
}

/// What a container wrote outside its mounts.
pub(crate) async fn layer_of(engine: &Engine, facts: &ContainerFacts) -> Result<Vec<LayerFile>, Problem> {
    let what = format!("list what the container {} wrote", facts.name);
    let changes =
        engine.call_within(Duration::from_secs(120), &what, engine.docker().container_changes(&facts.id));
    Ok(layer::files(changes.await?.unwrap_or_default(), facts))
}

/// The image, or `None` where the engine has it no more.
pub(crate) async fn image(engine: &Engine, reference: &str) -> Result<Option<ImageFacts>, Problem> {
    let what = format!("inspect the image {reference}");
    match engine.call(&what, engine.docker().inspect_image(reference)).await {
        Ok(answer) => Ok(Some(from_image(answer))),
        Err(problem) if is_not_found(&problem) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// A reading that fails is no reading: memory is wanted, not required.
async fn memory(engine: &Engine, id: &str) -> Option<u64> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut stream = std::pin::pin!(engine.docker().stats(id, Some(options)));
    let first = tokio::time::timeout(STATS_LIMIT, stream.next()).await.ok()??.ok()?;
    used(&first.memory_stats?)
}

/// Bytes in use without what the kernel would give back at once, as `docker stats` shows it.
pub(crate) fn used(stats: &ContainerMemoryStats) -> Option<u64> {
    let detail = stats.stats.as_ref();
    let cache = detail.and_then(|d| d.get("total_inactive_file").or_else(|| d.get("inactive_file")));
    Some(stats.usage?.saturating_sub(cache.copied().unwrap_or(0)))
}

/// The engine's answer as facts.
fn from_inspect(answer: ContainerInspectResponse) -> ContainerFacts {
    let inspect = Hidden(serde_json::to_value(&answer).unwrap_or_default());
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let host = answer.host_config.unwrap_or_default();
    let settings = answer.network_settings.unwrap_or_default();
    let grace = u64::try_from(config.stop_timeout.unwrap_or(DEFAULT_GRACE_SECONDS)).unwrap_or(0);
    ContainerFacts {
        id: answer.id.unwrap_or_default(),
        name: discover::name_of(answer.name.as_slice()),
        status: state.status.map(|s| s.to_string()).unwrap_or_default(),
        running: state.running.unwrap_or(false),
        health: state.health.and_then(health),
        restarts: answer.restart_count.and_then(|n| n.try_into().ok()).unwrap_or(0),
        oom_killed: state.oom_killed.unwrap_or(false),
        exit_code: state.exit_code.unwrap_or(0),
        error: state.error.map(|e| redact::line(&e)).unwrap_or_default(),
        started_at: state.started_at.unwrap_or_default(),
        memory_limit: host.memory.and_then(|n| n.try_into().ok()).filter(|n| *n > 0),
        memory_used: None,
        image_id: answer.image.unwrap_or_default(),
        image_ref: config.image.unwrap_or_default(),
        networks: networks(settings.networks.unwrap_or_default()),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        env: Env::from_lines(&config.env.unwrap_or_default()),
        mounts: answer.mounts.unwrap_or_default().into_iter().map(mount).collect(),
        published: published(settings.ports.unwrap_or_default()),
        stop_grace_ms: grace.saturating_mul(1000),
        layer: Vec::new(),
        layer_directory: answer.graph_driver.and_then(|d| d.data.get("UpperDir").map(PathBuf::from)),
        inspect,
    }
}

fn health(health: Health) -> Option<HealthFacts> {
    let status = health.status?.to_string();
    if status.is_empty() || status == "none" {
        return None;
    }
    let last = health.log.unwrap_or_default().into_iter().map(|probe| {
        let output: String = probe.output.unwrap_or_default().trim().chars().take(OUTPUT_CHARS).collect();
        (probe.exit_code.unwrap_or(0), redact::line(&output))
    });
    Some(HealthFacts {
        streak: health.failing_streak.and_then(|n| n.try_into().ok()).unwrap_or(0),
        last: last.collect(),
        status,
    })
}

fn networks(networks: impl IntoIterator<Item = (String, EndpointSettings)>) -> Vec<NetworkFacts> {
    let mut facts: Vec<NetworkFacts> = networks
        .into_iter()
        .map(|(name, endpoint)| NetworkFacts {
            name,
            id: endpoint.network_id.unwrap_or_default(),
            addresses: [endpoint.ip_address, endpoint.global_ipv6_address]
                .into_iter()
                .flatten()
                .filter_map(|a| a.parse().ok())
                .collect(),
            aliases: endpoint.aliases.unwrap_or_default(),
        })
        .collect();
    facts.sort_by(|a, b| a.name.cmp(&b.name));
    facts
}

pub(super) fn mount(point: MountPoint) -> ContainerMount {
    let some = |text: Option<String>| text.filter(|t| !t.is_empty());
    ContainerMount {
        kind: point.typ.unwrap_or_default(),
        volume: some(point.name),
        driver: some(point.driver),
        source: PathBuf::from(point.source.unwrap_or_default()),
        destination: point.destination.unwrap_or_default(),
        writable: point.rw.unwrap_or(true),
    }
}

fn published(ports: PortMap) -> Vec<PublishedPort> {
    let mut result: Vec<PublishedPort> = Vec::new();
    for (inside, bindings) in ports {
        let Some(inside) = inside.strip_suffix("/tcp").and_then(|p| p.parse().ok()) else { continue };
        for binding in bindings.unwrap_or_default() {
            if let Some(port) = binding.host_port.and_then(|p| p.parse().ok()) {
                result.push(PublishedPort { inside, address: binding.host_ip.unwrap_or_default(), port });
            }
        }
    }
    result.sort_by_key(|p| (p.inside, p.port));
    result
}

fn from_image(answer: ImageInspect) -> ImageFacts {
    let config = answer.config.unwrap_or_default();
    ImageFacts {
        id: answer.id.unwrap_or_default(),
        repo_digests: answer.repo_digests.unwrap_or_default(),
        tags: answer.repo_tags.unwrap_or_default(),
        exposed: config.exposed_ports.unwrap_or_default(),
        env: Env::from_lines(&config.env.unwrap_or_default()),
        volumes: config.volumes.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        healthcheck: config
            .healthcheck
            .and_then(|h| h.test)
            .filter(|t| t.first().is_some_and(|w| w != "NONE")),
        labels: config.labels.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
        architecture: answer.architecture.unwrap_or_default(),
        size: answer.size.and_then(|n| n.try_into().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_leaves_the_page_cache_out() {
        let stats = |pairs: &[(&str, u64)]| ContainerMemoryStats {
            usage: Some(100),
            stats: Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()),
            ..ContainerMemoryStats::default()
        };
        assert_eq!(used(&stats(&[("total_inactive_file", 30), ("inactive_file", 10)])), Some(70));
        assert_eq!(used(&stats(&[("inactive_file", 10)])), Some(90));
        assert_eq!(used(&stats(&[])), Some(100));
        assert_eq!(used(&ContainerMemoryStats::default()), None);
    }

    #[test]
    fn an_inspect_answer_becomes_facts_without_values_in_debug() {
        let answer: ContainerInspectResponse = serde_json::from_value(serde_json::json!({
            "Id": "abc", "Name": "/shop-app-1", "RestartCount": 2, "Image": "sha256:1",
            "State": {"Status": "running", "Running": true, "OOMKilled": false, "ExitCode": 0,
                      "Health": {"Status": "unhealthy", "FailingStreak": 3,
                                 "Log": [{"ExitCode": 1, "Output": "password=hunter2 refused\n"}]}},
            "HostConfig": {"Memory": 0},
            "Config": {"Image": "app:1", "Env": ["DB_PASSWORD=hunter2"], "StopTimeout": 30, "Labels": {"a": "b"}},
            "Mounts": [{"Type": "volume", "Name": "shop_data", "Source": "/v/_data", "Destination": "/data",
                        "Driver": "local", "RW": true}],
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": null},
                                "Networks": {"n": {"NetworkID": "n1", "IPAddress": "172.18.0.2", "Aliases": ["app"]}}},
            "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/u"}}
        }))
        .unwrap();
        let facts = from_inspect(answer);
        assert_eq!((facts.name.as_str(), facts.restarts, facts.stop_grace_ms), ("shop-app-1", 2, 30_000));
        assert_eq!(facts.memory_limit, None);
        assert_eq!(facts.published[0].port, 8080);
        assert_eq!(facts.networks[0].addresses[0].to_string(), "172.18.0.2");
        assert_eq!(facts.mounts[0].volume.as_deref(), Some("shop_data"));
        assert!(!format!("{facts:?}").contains("hunter2"), "{facts:?}");
        assert!(facts.inspect.0.to_string().contains("hunter2"), "kept for the backup");
    }
}
