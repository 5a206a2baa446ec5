//! `oom` and `memory`: whether a container was killed for want of memory, and how near it is to that. Engines
//! differ in how long they remember a kill, and one may have hit a child process alone: the age of the last
//! start decides how much it weighs.

use mainstay_core::finding::{Finding, Severity};

use super::restarts::minutes_since;
use super::{Input, required_if};
use crate::survey::{ContainerFacts, human};

pub(super) const OOM: &str = "oom";
pub(super) const ID: &str = "memory";

/// Percent of the limit, above which an update is refused, or warned of.
const FULL: u64 = 95;
const TIGHT: u64 = 80;

const DAY_MINUTES: i64 = 24 * 60;

pub(super) fn oom(input: &Input<'_>) -> Vec<Finding> {
    let killed = input.survey.containers().filter(|(_, c)| c.oom_killed);
    let found = killed.map(|(_, container)| {
        let name = &container.name;
        let age = minutes_since(&container.started_at, input.now);
        let long_ago = container.status == "running" && age.is_some_and(|m| m >= DAY_MINUTES);
        let message = if long_ago {
            format!(
                "{name} lost a process for want of memory, and has run for more than a day since it was \
                 started"
            )
        } else {
            format!("{name} was killed for want of memory")
        };
        let exit = format!("exit code {}, started {}", container.exit_code, container.started_at);
        let advice = match container.memory_limit {
            Some(_) => {
                format!("raise its limit in the Compose file (`mem_limit:`), then `docker restart {name}`")
            }
            None => "it has no limit, so the host itself ran out: free memory there (`free -h`, `docker \
                     stats`)"
                .to_owned(),
        };
        Finding::new(OOM, required_if(!long_ago), message)
            .evidence(format!("OOMKilled is set; {exit}"))
            .evidence(usage(container))
            .advice(advice)
    });
    found.collect()
}

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let running = input.survey.containers().filter(|(_, c)| c.running);
    running.filter_map(|(_, container)| of_container(container)).collect()
}

fn of_container(container: &ContainerFacts) -> Option<Finding> {
    let name = &container.name;
    let Some(limit) = container.memory_limit else {
        let message = format!("{name} has no memory limit");
        return Some(Finding::new(ID, Severity::Note, message).evidence(usage(container)).advice(
            "a leak of a new version would hit the whole host: `mem_limit:` in the Compose file bounds it",
        ));
    };
    let used = container.memory_used?;
    let above = |percent: u64| used.saturating_mul(100) > limit.saturating_mul(percent);
    if !above(TIGHT) {
        return None;
    }
    let (full, percent) = (above(FULL), used.saturating_mul(100) / limit.max(1));
    Some(
        Finding::new(ID, required_if(full), format!("{name} uses {percent} % of its memory limit"))
            .evidence(usage(container))
            .advice(format!(
                "raise its limit (`mem_limit:` in the Compose file): a new version may need more; see \
                 `docker stats --no-stream {name}`"
            )),
    )
}

fn usage(container: &ContainerFacts) -> String {
    let used =
        container.memory_used.map_or_else(|| "unknown use".to_owned(), |u| format!("{} in use", human(u)));
    let limit =
        container.memory_limit.map_or_else(|| "no limit".to_owned(), |l| format!("limit {}", human(l)));
    format!("{used}, {limit}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container};
    use super::*;

    fn memory(limit: Option<u64>, used: Option<u64>) -> Option<Severity> {
        let container = ContainerFacts { memory_limit: limit, memory_used: used, ..container("web-1") };
        Case::of(vec![container]).check(run).first().map(|f| f.severity)
    }

    #[test]
    fn use_is_weighed_against_the_limit() {
        assert_eq!(memory(Some(1000), Some(800)), None);
        assert_eq!(memory(Some(1000), Some(801)), Some(Severity::Warning));
        assert_eq!(memory(Some(1000), Some(950)), Some(Severity::Warning));
        assert_eq!(memory(Some(1000), Some(951)), Some(Severity::Required));
        assert_eq!(memory(Some(1000), None), None);
        assert_eq!(memory(None, Some(951)), Some(Severity::Note));
    }

    #[test]
    fn a_kill_refuses_unless_it_is_long_past() {
        let killed = |started_at: &str, status: &str| {
            let container = ContainerFacts {
                oom_killed: true,
                started_at: started_at.into(),
                status: status.into(),
                memory_limit: Some(64_000_000),
                ..container("web-1")
            };
            Case::of(vec![container]).check(oom).remove(0)
        };
        assert_eq!(killed("2026-01-09T23:00:00Z", "running").severity, Severity::Required);
        assert_eq!(killed("2026-01-01T00:00:00Z", "running").severity, Severity::Warning);
        let finding = killed("2026-01-01T00:00:00Z", "exited");
        assert_eq!(finding.severity, Severity::Required);
        assert!(finding.evidence[1].contains("limit 64.0 MB"), "{finding:?}");
        assert_eq!(Case::of(vec![container("web-1")]).check(oom), []);
    }
}
