//! `state`: whether every container of the unit runs. An update of what does not run has nothing to be
//! compared with. A container that ended well and is not to be started again is a job, not a failure, unless
//! it is the very service that was named.

use mainstay_core::finding::{Finding, Severity};

use super::{Input, advice};
use crate::survey::ContainerFacts;

pub(super) const ID: &str = "state";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let survey = input.survey;
    let empty = survey.unit.iter().filter(|s| s.containers.is_empty()).map(|service| {
        let start = advice::compose(&survey.project, &format!("up -d {}", service.name));
        Finding::new(ID, Severity::Required, format!("{}: the service has no container", service.name))
            .evidence(format!(
                "no container of {}/{} exists on this engine",
                survey.project.name, service.name
            ))
            .advice(format!("start it and see that it works: `{start}`"))
    });
    empty.chain(survey.containers().filter_map(|(service, c)| of_container(input, service, c))).collect()
}

fn of_container(input: &Input<'_>, service: &str, container: &ContainerFacts) -> Option<Finding> {
    let name = &container.name;
    if container.status == "running" && container.running {
        return None;
    }
    if service != input.survey.service && is_finished_job(container) {
        let message = format!("{name} ran to its end and is not started again, as a job does");
        return Some(Finding::new(ID, Severity::Note, message).evidence("exit code 0, restart policy no"));
    }
    let doing = match container.status.as_str() {
        "restarting" => "keeps being restarted",
        "paused" => "is paused",
        "dead" => "is dead: the engine could not remove it",
        "created" => "was created and never ran",
        _ => "does not run",
    };
    let mut finding = Finding::new(ID, Severity::Required, format!("{name} {doing}"))
        .evidence(format!("state {}, exit code {}", container.status, container.exit_code));
    if container.restarts > 0 {
        finding = finding.evidence(format!("restarted {} times", container.restarts));
    }
    if !container.error.is_empty() {
        finding = finding.evidence(format!("the engine says: {}", container.error));
    }
    Some(finding.advice(what_to_do(&container.status, name)))
}

fn what_to_do(status: &str, name: &str) -> String {
    match status {
        "paused" => format!("let it go on: `docker unpause {name}`"),
        "dead" => format!(
            "save what you need from it (`docker cp {name}:/PATH .`), then `docker rm -f {name}` and start \
             the service anew"
        ),
        "restarting" => format!("see why it ends: `docker logs --tail 50 {name}`; update when it works"),
        _ => format!("start it: `docker start {name}`; see why it ended: `docker logs --tail 50 {name}`"),
    }
}

/// Ended well, and nobody is to start it again.
fn is_finished_job(container: &ContainerFacts) -> bool {
    let policy = container.inspect.0["HostConfig"]["RestartPolicy"]["Name"].as_str().unwrap_or_default();
    container.status == "exited" && container.exit_code == 0 && matches!(policy, "" | "no")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container};
    use super::*;
    use crate::survey::{Hidden, ServiceFacts};

    fn with(status: &str, running: bool) -> ContainerFacts {
        ContainerFacts { status: status.into(), running, exit_code: 3, ..container("web-1") }
    }

    #[test]
    fn what_runs_is_fine_and_everything_else_is_not() {
        assert_eq!(Case::of(vec![with("running", true)]).check(run), []);
        for (status, running, command) in [
            ("exited", false, "docker start web-1"),
            ("created", false, "docker start web-1"),
            ("paused", true, "docker unpause web-1"),
            ("restarting", true, "docker logs"),
            ("dead", false, "docker rm -f web-1"),
        ] {
            let findings = Case::of(vec![with(status, running)]).check(run);
            let [finding] = findings.as_slice() else { panic!("{status}: {findings:?}") };
            assert_eq!(finding.severity, Severity::Required);
            assert!(finding.message.starts_with("web-1 "), "{finding:?}");
            assert!(finding.evidence[0].contains("exit code 3"), "{finding:?}");
            assert!(finding.advice.as_ref().unwrap().contains(command), "{finding:?}");
        }
    }

    #[test]
    fn a_service_without_containers_has_nothing_to_update() {
        let findings = Case::of(vec![]).check(run);
        assert_eq!(findings[0].severity, Severity::Required);
        assert!(findings[0].advice.as_ref().unwrap().contains("up -d web"), "{findings:?}");
    }

    #[test]
    fn a_finished_job_beside_the_service_is_no_failure() {
        let job = |policy: &str| ContainerFacts {
            status: "exited".into(),
            running: false,
            inspect: Hidden(serde_json::json!({"HostConfig": {"RestartPolicy": {"Name": policy}}})),
            ..container("migrate-1")
        };
        let with_job = |policy: &str| {
            let mut case = Case::of(vec![container("web-1")]);
            let containers = vec![job(policy)];
            case.survey.unit.push(ServiceFacts { name: "migrate".into(), containers, ..Default::default() });
            case.check(run)[0].severity
        };
        assert_eq!(with_job("no"), Severity::Note);
        assert_eq!(with_job("always"), Severity::Required);
        assert_eq!(Case::of(vec![job("no")]).check(run)[0].severity, Severity::Required);
    }
}
