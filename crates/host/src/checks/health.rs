//! `health`: what the containers' own health checks say. Looks at running containers only: of a stopped one
//! the engine goes on saying `unhealthy`, whatever it was.

use mainstay_core::finding::{Finding, Severity};

use super::Input;
use crate::survey::HealthFacts;

pub(super) const ID: &str = "health";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let running = input.survey.containers().filter(|(_, c)| c.status == "running");
    running.filter_map(|(_, c)| of_container(&c.name, c.health.as_ref()?)).collect()
}

fn of_container(name: &str, health: &HealthFacts) -> Option<Finding> {
    match health.status.as_str() {
        "unhealthy" => {
            let finding = Finding::new(ID, Severity::Required, format!("{name} is unhealthy"))
                .evidence(format!("its health check failed {} times in a row", health.streak));
            Some(last_probe(finding, health).advice(format!(
                "see what its check says, and why: `docker inspect --format '{{{{json .State.Health}}}}' \
                 {name}`, `docker logs --tail 50 {name}`; update when it is healthy"
            )))
        }
        "starting" => {
            let finding = Finding::new(
                ID,
                Severity::Warning,
                format!("{name} is still starting: no health check passed yet"),
            );
            Some(last_probe(finding, health).advice("wait until it is healthy: `docker ps` shows it"))
        }
        _ => None,
    }
}

fn last_probe(finding: Finding, health: &HealthFacts) -> Finding {
    match health.last.last() {
        Some((code, output)) if output.is_empty() => {
            finding.evidence(format!("last probe: exit code {code}"))
        }
        Some((code, output)) => finding.evidence(format!("last probe: exit code {code}, {output}")),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container};
    use super::*;
    use crate::survey::ContainerFacts;

    fn found(status: &str, health: &str) -> Vec<Finding> {
        let last = vec![(0, "fine".to_owned()), (7, "no route".to_owned())];
        let health = HealthFacts { status: health.into(), streak: 3, last };
        let container = ContainerFacts { status: status.into(), health: Some(health), ..container("web-1") };
        Case::of(vec![container]).check(run)
    }

    #[test]
    fn unhealthy_refuses_and_starting_warns() {
        let unhealthy = found("running", "unhealthy");
        assert_eq!(unhealthy[0].severity, Severity::Required);
        assert_eq!(
            unhealthy[0].evidence,
            ["its health check failed 3 times in a row", "last probe: exit code 7, no route"]
        );
        assert_eq!(found("running", "starting")[0].severity, Severity::Warning);
        assert_eq!(found("running", "healthy"), []);
        assert_eq!(found("exited", "unhealthy"), [], "that is for `state` to say");
    }
}
