//! The other services of the project, and which of them the Compose files say are needed.
//!
//! The files are read as they stand: asking Compose would take longer than a diagnosis may.

use std::collections::BTreeSet;
use std::path::Path;

use mainstay_core::diagnosis::Neighbour;

use super::Patient;
use crate::discover::Listed;
use crate::survey;

pub(super) fn of(patient: &Patient, listed: &[Listed]) -> Vec<Neighbour> {
    let needed: BTreeSet<String> =
        patient.files.iter().flat_map(|file| needed(file, &patient.unit)).collect();
    let others =
        listed.iter().filter(|l| l.project.name == patient.project && !patient.unit.contains(&l.service));
    let mut neighbours: Vec<Neighbour> = others
        .map(|l| {
            // Of several containers the worst speaks.
            let worst =
                l.containers.iter().min_by_key(|c| (c.state == "running", !c.status.contains("(unhealthy)")));
            Neighbour {
                service: l.service.clone(),
                needed: needed.contains(&l.service),
                state: worst.map(|c| c.state.clone()).unwrap_or_default(),
                status: worst.map(|c| c.status.clone()).unwrap_or_default(),
            }
        })
        .collect();
    let there: Vec<String> = neighbours.iter().map(|n| n.service.clone()).collect();
    let gone = needed.into_iter().filter(|name| !there.contains(name));
    neighbours.extend(gone.map(|service| Neighbour { service, needed: true, ..Neighbour::default() }));
    neighbours
}

fn needed(file: &Path, unit: &[String]) -> BTreeSet<String> {
    let read = || {
        let text = std::fs::read_to_string(file).ok()?;
        let mut yaml = yaml_serde::from_str::<yaml_serde::Value>(&text).ok()?;
        let _unmerged = yaml.apply_merge();
        serde_json::to_value(&yaml).ok()
    };
    read().map(|config| survey::needed_by(&config, unit)).unwrap_or_default()
}
