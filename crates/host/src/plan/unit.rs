//! The parts of a plan that every kind of run has: the unit, its data, its limits.

use mainstay_core::baseline::Baseline;
use mainstay_core::plan::{FORMAT, Image, Kind, Limits, Plan, Quiesce, ServicePlan, Unit};
use mainstay_core::watch::Patterns;
use serde_json::Value;

use super::{Looked, Wishes};
use crate::discover::Found;
use crate::engine::Engine;
use crate::images;
use crate::steps::now;
use crate::survey::{ContainerFacts, ServiceFacts, Survey};
use crate::watch::{Subject, errors_per_minute};

/// Slow starters read unhealthy and serve later: a start may take this many times the health check's patience.
const PATIENCE_FACTOR: u64 = 4;
/// The longest time to start that is derived from a health check.
const LONGEST_STARTUP_MS: u64 = 15 * 60_000;

/// A plan of this kind without edits, from what was looked at.
pub(super) async fn plan(
    engine: &Engine,
    found: &Found,
    looked: Looked,
    wishes: &Wishes,
    kind: Kind,
) -> Plan {
    let survey = &looked.survey;
    let services = survey.unit.iter().map(|facts| service(survey, facts)).collect();
    let mut errors = 0.0;
    // What can't be used was refused before.
    let patterns = Patterns::compile(&wishes.logs).unwrap_or_default();
    for (service, container) in survey.containers() {
        let subject = Subject { service: service.to_owned(), container: container.reference() };
        errors += errors_per_minute(engine, &subject, patterns.clone(), now()).await;
    }
    let update = kind == Kind::Update;
    Plan {
        format: FORMAT,
        measure: update,
        keep_image_copy: update && wishes.keep_image_copy,
        kind,
        engine: engine.id().to_owned(),
        unit: Unit { service: found.service.clone(), services, project: found.project.clone() },
        edits: Vec::new(),
        data: survey.mounts.iter().filter(|m| m.exists).map(|m| m.mount.clone()).collect(),
        quiesce: Quiesce::Stop,
        still: None,
        room: looked.room,
        limits: limits(survey, wishes),
        baseline: Baseline {
            errors_per_minute: errors,
            earlier: wishes.earlier.clone().filter(|_| update).map(Box::new),
        },
        logs: wishes.logs.clone(),
        probes: looked.probes,
        checks: Vec::new(),
        findings: looked.findings,
        forced: wishes.forced.clone(),
    }
}

fn service(survey: &Survey, facts: &ServiceFacts) -> ServicePlan {
    let first = facts.containers.first();
    let id = first.map(|c| c.image_id.clone()).filter(|id| !id.is_empty());
    let configured = survey.compose.as_ref().ok().and_then(|r| r.image(&facts.name));
    let reference = configured.or(first.map(|c| c.image_ref.as_str())).unwrap_or_default().to_owned();
    let from = Image { digest: digest(&reference, facts), reference, id: id.clone() };
    ServicePlan {
        name: facts.name.clone(),
        containers: facts.containers.iter().map(ContainerFacts::reference).collect(),
        to: from.clone(),
        from,
        keep_tag: images::keep_tag(&survey.project.name, &facts.name, id.as_deref().unwrap_or_default()),
        stop_grace_ms: facts.containers.iter().map(|c| c.stop_grace_ms).max().unwrap_or(10_000),
        hooks: None,
        profile: facts.profile.as_ref().map(|known| known.planned(survey, &facts.name)),
        health_check: facts.containers.iter().any(|c| c.health.is_some()),
    }
}

/// The digest under which the image's own repository has it.
fn digest(reference: &str, facts: &ServiceFacts) -> Option<String> {
    let name = images::Reference::parse(reference).ok()?.familiar_name();
    let digests = facts.image.as_ref().map(|i| i.repo_digests.as_slice()).unwrap_or_default();
    digests.iter().find_map(|d| d.split_once('@').filter(|(n, _)| *n == name).map(|(_, d)| d.to_owned()))
}

fn limits(survey: &Survey, wishes: &Wishes) -> Limits {
    let usual = Limits::default();
    let patience = survey.containers().map(|(_, c)| health_patience_ms(&c.inspect.0)).max().unwrap_or(0);
    let startup = (patience * PATIENCE_FACTOR).clamp(usual.startup_ms, LONGEST_STARTUP_MS);
    Limits {
        startup_ms: wishes.startup_ms.unwrap_or(startup),
        watch_ms: wishes.watch_ms.unwrap_or(usual.watch_ms),
        probe_grace_ms: wishes.probe_grace_ms.unwrap_or(usual.probe_grace_ms),
        probe_interval_ms: wishes.probe_interval_ms.unwrap_or(usual.probe_interval_ms),
        early_keep_ms: wishes.early_keep_ms,
        answer_ms: wishes.answer_ms.unwrap_or(usual.answer_ms),
    }
}

/// How long a container may take by its own health check's settings, in milliseconds; Docker's defaults where
/// a setting is missing (interval and timeout 30 s, 3 retries).
fn health_patience_ms(inspect: &Value) -> u64 {
    let check = &inspect["Config"]["Healthcheck"];
    if check["Test"].as_array().is_none_or(Vec::is_empty) {
        return 0;
    }
    let millis = |key: &str, default: u64| match check[key].as_u64().unwrap_or(0) {
        0 => default,
        nanos => nanos / 1_000_000,
    };
    let retries = check["Retries"].as_u64().filter(|n| *n > 0).unwrap_or(3);
    millis("StartPeriod", 0) + retries * (millis("Interval", 30_000) + millis("Timeout", 30_000))
}

/// The services of a unit, so that each one comes after those of the unit that it depends on.
pub(super) fn start_order(config: &Value, names: &[String]) -> Vec<String> {
    let mut ordered: Vec<String> = Vec::new();
    let needs = |name: &String| -> Vec<String> {
        match &config["services"][name]["depends_on"] {
            Value::Array(list) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            Value::Object(map) => map.keys().cloned().collect(),
            _ => Vec::new(),
        }
    };
    while ordered.len() < names.len() {
        let ready = names.iter().find(|name| {
            !ordered.contains(name)
                && needs(name).iter().all(|need| !names.contains(need) || ordered.contains(need))
        });
        // A circle has no order; Compose refuses it anyway.
        let next = ready.or_else(|| names.iter().find(|name| !ordered.contains(name)));
        ordered.extend(next.cloned());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dependencies_start_first_and_circles_end() {
        let config =
            json!({"services": {"a": {"depends_on": ["b"]}, "b": {"depends_on": {"c": {}}}, "c": {}}});
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(start_order(&config, &names(&["a", "b", "c"])), names(&["c", "b", "a"]));
        let circle = json!({"services": {"a": {"depends_on": ["b"]}, "b": {"depends_on": ["a"]}}});
        assert_eq!(start_order(&circle, &names(&["a", "b"])).len(), 2);
    }

    #[test]
    fn patience_comes_from_the_health_check() {
        let check = json!({"Config": {"Healthcheck": {
            "Test": ["CMD", "x"], "Interval": 1_000_000_000u64, "Timeout": 2_000_000_000u64, "Retries": 10,
            "StartPeriod": 5_000_000_000u64}}});
        assert_eq!(health_patience_ms(&check), 35_000);
        assert_eq!(health_patience_ms(&json!({"Config": {"Healthcheck": {"Test": ["CMD", "x"]}}})), 180_000);
        assert_eq!(health_patience_ms(&json!({"Config": {}})), 0);
    }
}
