//! `restarts`: whether the engine keeps restarting a container. Its count covers the time since the container
//! was last started by hand, so it is weighed by when the last start was. A container that is being restarted
//! right now is `state`'s to report.

use jiff::Timestamp;
use mainstay_core::finding::{Finding, Severity};

use super::Input;
use crate::survey::ContainerFacts;

pub(super) const ID: &str = "restarts";

/// So many restarts, the last one within [`LOOP_MINUTES`], are a loop.
const LOOP_COUNT: u64 = 3;
const LOOP_MINUTES: i64 = 10;
const RECENT_MINUTES: i64 = 24 * 60;

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let running = input.survey.containers().filter(|(_, c)| c.status == "running" && c.restarts > 0);
    running.map(|(_, container)| of_container(container, input.now)).collect()
}

fn of_container(container: &ContainerFacts, now: Timestamp) -> Finding {
    let (name, count) = (&container.name, container.restarts);
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let minutes = minutes_since(&container.started_at, now);
    let (severity, message) = match minutes {
        Some(m) if m < LOOP_MINUTES && count >= LOOP_COUNT => {
            (Severity::Required, format!("{name} restarts again and again: {times} so far"))
        }
        Some(m) if m >= RECENT_MINUTES => {
            (Severity::Note, format!("{name} was restarted {times}, not within the last day"))
        }
        _ => (Severity::Warning, format!("{name} was restarted {times} by the engine")),
    };
    let since = minutes.map_or_else(|| "unknown".to_owned(), |m| format!("{m} minutes ago"));
    Finding::new(ID, severity, message)
        .evidence(format!(
            "restart count {count}, last start {} ({since}), last exit code {}",
            container.started_at, container.exit_code
        ))
        .advice(format!(
            "see why it ended: `docker logs --tail 100 {name}`; once the cause is gone, `docker restart \
             {name}` sets the count back to 0"
        ))
}

/// `None` where the engine's time can't be read.
pub(super) fn minutes_since(time: &str, now: Timestamp) -> Option<i64> {
    let then: Timestamp = time.parse().ok()?;
    Some(now.duration_since(then).as_secs() / 60)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, NOW, container};
    use super::*;

    fn severity(restarts: u64, minutes_ago: i64) -> Option<Severity> {
        let now: Timestamp = NOW.parse().unwrap();
        let started_at = (now - jiff::SignedDuration::from_mins(minutes_ago)).to_string();
        let container = ContainerFacts { restarts, started_at, ..container("web-1") };
        Case::of(vec![container]).check(run).first().map(|f| f.severity)
    }

    #[test]
    fn restarts_weigh_by_number_and_age() {
        assert_eq!(severity(0, 1), None);
        assert_eq!(severity(1, 1), Some(Severity::Warning));
        assert_eq!(severity(3, 9), Some(Severity::Required));
        assert_eq!(severity(3, 10), Some(Severity::Warning));
        assert_eq!(severity(30, 24 * 60 - 1), Some(Severity::Warning));
        assert_eq!(severity(30, 24 * 60), Some(Severity::Note));
    }

    #[test]
    fn a_restart_of_unknown_age_is_taken_for_a_recent_one() {
        let container = ContainerFacts { restarts: 9, started_at: String::new(), ..container("web-1") };
        assert_eq!(Case::of(vec![container]).check(run)[0].severity, Severity::Warning);
    }
}
