//! The other services of the project, and which of them the Compose files say are needed.
//!
//! The files are read as they stand: asking Compose would take longer than a diagnosis may.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use mainstay_core::diagnosis::Neighbour;
use serde_json::Value;

use super::{Gatherer, Patient};
use crate::discover::service_of;
use crate::survey;

/// Every container of the engine; `None` where it did not say in time.
pub(super) async fn listed(gatherer: &Gatherer) -> Option<Vec<ContainerSummary>> {
    let options = ListContainersOptionsBuilder::default().all(true).build();
    gatherer.within(async { gatherer.engine.docker().list_containers(Some(options)).await.ok() }).await
}

pub(super) fn of(patient: &Patient, all: &[ContainerSummary]) -> Vec<Neighbour> {
    let configs: Vec<Value> = patient.files.iter().filter_map(|file| read(file)).collect();
    let needed: BTreeSet<String> = configs.iter().flat_map(|c| survey::needed_by(c, &patient.unit)).collect();
    let mut others: BTreeMap<String, Vec<&ContainerSummary>> =
        needed.iter().map(|name| (name.clone(), Vec::new())).collect();
    for container in all {
        match service_of(container) {
            Some((project, service)) if project == patient.project && !patient.unit.contains(&service) => {
                others.entry(service).or_default().push(container);
            }
            _ => {}
        }
    }
    let neighbour = |(service, own): (String, Vec<&ContainerSummary>)| {
        let text = |c: &ContainerSummary| (state(c), c.status.clone().unwrap_or_default());
        // Of several containers the worst speaks.
        let bad = |c: &(String, String)| (c.0 == "running", !c.1.contains("(unhealthy)"));
        let (state, status) = own.into_iter().map(text).min_by_key(bad).unwrap_or_default();
        Neighbour {
            needed: needed.contains(&service),
            job: configs.iter().all(|c| ends(c, &service)),
            service,
            state,
            status,
        }
    };
    // An engine that did not answer says nothing about anybody.
    if all.is_empty() { Vec::new() } else { others.into_iter().map(neighbour).collect() }
}

fn state(container: &ContainerSummary) -> String {
    container.state.map(|state| state.to_string()).unwrap_or_default()
}

/// Whether a service has no restart policy, so that it may end when its work is done.
fn ends(config: &Value, service: &str) -> bool {
    let policy = &config["services"][service]["restart"];
    policy.is_null() || *policy == Value::Bool(false) || policy == "no"
}

fn read(file: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut yaml = yaml_serde::from_str::<yaml_serde::Value>(&text).ok()?;
    let _unmerged = yaml.apply_merge();
    serde_json::to_value(&yaml).ok()
}
