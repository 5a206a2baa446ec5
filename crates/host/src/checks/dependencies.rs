//! `dependencies`: whether what the service needs runs, and whether plain `up` would leave it alone. Plain
//! `up` is what stores the right hash, and it brings dependencies to what the files say: one that has
//! drifted would be re-created in the middle of the update, without a backup of its own.

use mainstay_core::finding::{Finding, Severity};
use serde_json::Value;

use super::{Input, advice};
use crate::survey::{DependencyContainer, DependencyFacts, Survey};

pub(super) const ID: &str = "dependencies";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    input.survey.dependencies.iter().flat_map(|d| of_dependency(input, d)).collect()
}

fn of_dependency(input: &Input<'_>, dependency: &DependencyFacts) -> Vec<Finding> {
    let survey = input.survey;
    let (name, service) = (&dependency.name, &survey.service);
    let up = advice::compose(&survey.project, &format!("up -d {name}"));
    if dependency.containers.is_empty() {
        let message = format!("{name}, which {service} depends on, has no container");
        let finding = Finding::new(ID, Severity::Required, message)
            .evidence(format!("no container of {}/{name} exists on this engine", survey.project.name))
            .advice(format!("start it, or take it out of `depends_on`: `{up}`"));
        return vec![finding];
    }
    let job = is_job(survey, name);
    let mut findings = Vec::new();
    for container in &dependency.containers {
        if container.status != "running" && !(job && container.status == "exited") {
            findings.push(stopped(service, container));
        }
        let differences = drift(dependency, container);
        if input.wanted.recreate && !differences.is_empty() {
            let message = format!(
                "{}, which {service} depends on, has drifted: updating {service} would re-create it",
                container.name
            );
            let finding = Finding::new(ID, Severity::Required, message).advice(format!(
                "bring it up to date first, with a backup of its own (`mainstay backup {}/{name}`): \
                 `{up}`; or let the update re-create it: {}",
                survey.project.name,
                advice::force(ID)
            ));
            findings.push(differences.into_iter().fold(finding, Finding::evidence));
        }
    }
    findings
}

fn stopped(service: &str, container: &DependencyContainer) -> Finding {
    let name = &container.name;
    Finding::new(ID, Severity::Required, format!("{name}, which {service} depends on, does not run"))
        .evidence(format!("state {}", container.status))
        .advice(format!("start it: `docker start {name}`; see why it ended: `docker logs --tail 50 {name}`"))
}

/// What would make Compose re-create the container.
fn drift(dependency: &DependencyFacts, container: &DependencyContainer) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(expected) = &dependency.expected_hash
        && container.hash.as_ref() != Some(expected)
    {
        found.push(advice::hashes(container.hash.as_deref(), expected));
    }
    if let Some(tagged) = &dependency.tagged_id
        && *tagged != container.image_id
    {
        let reference = dependency.image_ref.as_deref().unwrap_or("its reference");
        let (runs, means) = (advice::short(&container.image_id), advice::short(tagged));
        found.push(format!("runs image {runs}, {reference} is image {means} now"));
    }
    found
}

/// Whether somebody waits for this service to end well.
fn is_job(survey: &Survey, name: &str) -> bool {
    let Ok(resolved) = &survey.compose else { return false };
    let services = resolved.config.0["services"].as_object().into_iter().flat_map(|s| s.values());
    let waits =
        |s: &Value| s["depends_on"][name]["condition"].as_str() == Some("service_completed_successfully");
    services.into_iter().any(waits)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container};
    use super::*;

    fn db(status: &str, hash: &str, image: &str) -> DependencyFacts {
        DependencyFacts {
            name: "db".into(),
            expected_hash: Some("expected".into()),
            image_ref: Some("postgres:15".into()),
            tagged_id: Some("sha256:tagged".into()),
            containers: vec![DependencyContainer {
                name: "shop-db-1".into(),
                status: status.into(),
                hash: Some(hash.into()),
                image_id: image.into(),
            }],
        }
    }

    fn found(dependency: DependencyFacts, recreate: bool) -> Vec<Finding> {
        let mut case = Case::of(vec![container("web-1")]);
        case.wanted.recreate = recreate;
        case.survey.dependencies = vec![dependency];
        case.check(run)
    }

    #[test]
    fn what_up_would_leave_alone_is_fine() {
        assert_eq!(found(db("running", "expected", "sha256:tagged"), true), []);
    }

    #[test]
    fn drift_refuses_where_containers_are_re_created() {
        let findings = found(db("running", "other", "sha256:running"), true);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(finding.severity, Severity::Required);
        assert_eq!(
            finding.evidence,
            [
                "made from configuration other, the file has expected",
                "runs image running, postgres:15 is image tagged now"
            ]
        );
        assert!(finding.message.starts_with("shop-db-1, which web depends on"));
        assert!(finding.advice.as_ref().unwrap().contains("up -d db`"), "{finding:?}");
        assert_eq!(found(db("running", "other", "sha256:running"), false), []);
    }

    #[test]
    fn what_does_not_run_refuses_always() {
        for recreate in [true, false] {
            let findings = found(db("exited", "expected", "sha256:tagged"), recreate);
            assert_eq!(findings[0].evidence, ["state exited"]);
            let none = DependencyFacts { containers: vec![], ..db("", "", "") };
            assert_eq!(found(none, recreate)[0].severity, Severity::Required);
        }
    }

    #[test]
    fn a_job_that_others_wait_for_may_have_ended() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.dependencies = vec![db("exited", "expected", "sha256:tagged")];
        if let Ok(resolved) = &mut case.survey.compose {
            resolved.config.0["services"]["web"]["depends_on"] =
                serde_json::json!({"db": {"condition": "service_completed_successfully"}});
        }
        assert_eq!(case.check(run), []);
    }
}
