//! `quiesce`: whether commands can be run in the containers, and the containers be paused. One that somebody
//! paused is theirs, and would be let go on with ours; one that does not run can't run a command.

use mainstay_core::finding::{Finding, Severity};

use super::Input;

pub(super) const ID: &str = "quiesce";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let (hooks, pause) = (input.wanted.hooks, input.wanted.pause);
    let hindered = input.survey.containers().filter_map(|(_, container)| {
        let name = &container.name;
        if container.status == "paused" && (hooks || pause) {
            let message = format!("{name} is paused, and not by mainstay");
            let advice = format!("let it go on: `docker unpause {name}`");
            return Some(Finding::new(ID, Severity::Required, message).advice(advice));
        }
        if !container.running && hooks {
            let message = format!("{name} does not run, so that nothing can be run in it around the backup");
            let advice = format!(
                "start it: `docker start {name}`; or take before_backup and after_backup out of mainstay.toml"
            );
            return Some(Finding::new(ID, Severity::Required, message).advice(advice));
        }
        None
    });
    let state = |finding: Finding| finding.evidence(evidence(hooks, pause));
    hindered.map(state).collect()
}

fn evidence(hooks: bool, pause: bool) -> String {
    let wanted = [(hooks, "before_backup or after_backup"), (pause, "quiesce = \"pause\"")];
    let names: Vec<&str> = wanted.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    format!("wanted: {}", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container};
    use super::*;
    use crate::survey::ContainerFacts;

    fn found(status: &str, running: bool, hooks: bool, pause: bool) -> Vec<Finding> {
        let mut case =
            Case::of(vec![ContainerFacts { status: status.into(), running, ..container("web-1") }]);
        (case.wanted.hooks, case.wanted.pause) = (hooks, pause);
        case.check(run)
    }

    #[test]
    fn what_runs_is_fine_and_nothing_matters_where_nothing_is_wanted() {
        assert_eq!(found("running", true, true, true), []);
        assert_eq!(found("paused", true, false, false), []);
        assert_eq!(found("exited", false, false, true), [], "it stands still as it is");
    }

    #[test]
    fn a_pause_of_somebody_else_refuses() {
        let findings = found("paused", true, false, true);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(finding.severity, Severity::Required);
        assert!(finding.advice.as_ref().unwrap().contains("docker unpause web-1"), "{finding:?}");
        assert_eq!(found("paused", true, true, false).len(), 1);
    }

    #[test]
    fn a_command_needs_a_container_that_runs() {
        let findings = found("exited", false, true, false);
        assert_eq!(findings[0].evidence, ["wanted: before_backup or after_backup"]);
    }
}
