//! The services that a unit needs, and whether Compose would leave them alone.
//!
//! Plain `up SERVICE` also brings the dependencies to what the files say, so the plan has to know beforehand
//! that there is nothing to bring. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_core::plan::ContainerRef;
use mainstay_core::problem::Problem;
use serde_json::Value;

use super::containers;
use super::facts::{DependencyContainer, DependencyFacts, Resolved};
use crate::discover::CONFIG_HASH;
use crate::engine::Engine;

/// Facts about everything that the unit depends on, directly or not.
pub(super) async fn survey(
    engine: &Engine,
    resolved: &Resolved,
    unit: &[String],
    services: &BTreeMap<String, Vec<ContainerRef>>,
) -> Result<Vec<DependencyFacts>, Problem> {
    let mut facts = Vec::new();
    for name in closure(&resolved.config.0, unit) {
        let image_ref = resolved.image(&name).map(str::to_owned);
        let tagged_id = match &image_ref {
            Some(reference) => containers::image(engine, reference).await?.map(|i| i.id),
            None => None,
        };
        let mut own = Vec::new();
        for container in services.get(&name).into_iter().flatten() {
            own.push(dependency(engine, container).await?);
        }
        facts.push(DependencyFacts {
            expected_hash: resolved.hashes.get(&name).cloned(),
            image_ref,
            tagged_id,
            containers: own,
            name,
        });
    }
    Ok(facts)
}

async fn dependency(engine: &Engine, container: &ContainerRef) -> Result<DependencyContainer, Problem> {
    let what = format!("inspect the container {}", container.name);
    let answer = engine.call(&what, engine.docker().inspect_container(&container.id, None)).await?;
    let labels = answer.config.and_then(|c| c.labels).unwrap_or_default();
    Ok(DependencyContainer {
        name: container.name.clone(),
        status: answer.state.and_then(|s| s.status).map(|s| s.to_string()).unwrap_or_default(),
        hash: labels.get(CONFIG_HASH).cloned(),
        image_id: answer.image.unwrap_or_default(),
    })
}

/// Every service that the unit needs, without the unit itself.
pub(crate) fn closure(config: &Value, unit: &[String]) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut todo: Vec<String> = unit.to_vec();
    while let Some(name) = todo.pop() {
        for needed in needs(&config["services"][&name]) {
            if !unit.contains(&needed) && found.insert(needed.clone()) {
                todo.push(needed);
            }
        }
    }
    found
}

/// What one service needs: `depends_on` of both forms, links, and what it shares with other services.
pub(crate) fn needs(service: &Value) -> Vec<String> {
    let list = |key: &str| -> Vec<String> {
        match &service[key] {
            Value::Array(items) => items.iter().filter_map(|i| i.as_str().map(str::to_owned)).collect(),
            Value::Object(map) => map.keys().cloned().collect(),
            _ => Vec::new(),
        }
    };
    let first = |text: String| text.split(':').next().unwrap_or_default().to_owned();
    let shared = ["network_mode", "ipc", "pid"]
        .into_iter()
        .filter_map(|key| service[key].as_str().and_then(|v| v.strip_prefix("service:")).map(str::to_owned));
    let volumes = list("volumes_from").into_iter().filter(|v| !v.starts_with("container:")).map(first);
    list("depends_on")
        .into_iter()
        .chain(list("links").into_iter().map(first))
        .chain(volumes)
        .chain(shared)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_needed_is_found_once_and_cycles_end() {
        let config = serde_json::json!({"services": {
            "app": {"depends_on": {"db": {"condition": "service_healthy"}}, "links": ["mail:smtp"]},
            "worker": {"depends_on": ["app", "queue"]},
            "db": {"volumes_from": ["store:ro"], "network_mode": "service:net"},
            "queue": {"depends_on": ["app"]}, "other": {}, "mail": {}, "store": {}, "net": {}
        }});
        let unit = ["app".to_owned(), "worker".to_owned()];
        let found: Vec<String> = closure(&config, &unit).into_iter().collect();
        assert_eq!(found, ["db", "mail", "net", "queue", "store"]);
    }
}
