//! What the engine says about the containers: events wake it up, an inspection says what is.
//!
//! Counting exits from the engine's own restart count means that a lost event stream loses none of them.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    BollardDate, ContainerInspectResponse, EventMessage, Health, HealthStatusEnum, RestartPolicyNameEnum,
};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use mainstay_core::problem::Problem;
use mainstay_core::redact;
use mainstay_core::time::Timestamp;
use mainstay_core::watch::{Expected, Mode, Restart, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::{Setup, Subject};
use crate::clock::{now, on_the_wall};
use crate::engine::{Engine, is_not_found, wants_an_end};

/// Without any event, the containers are looked at this often all the same.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// An engine that went away is asked again after this long.
const RECONNECT: Duration = Duration::from_millis(500);

/// What the container is configured for.
pub(super) async fn expected(engine: &Engine, subject: &Subject) -> Result<Expected, Problem> {
    Ok(expected_of(subject, inspect(engine, &subject.container.id).await?))
}

/// The same of what the engine said.
pub(super) fn expected_of(subject: &Subject, answer: ContainerInspectResponse) -> Expected {
    let policy = answer.host_config.and_then(|h| h.restart_policy).unwrap_or_default();
    let test = answer.config.and_then(|c| c.healthcheck).and_then(|h| h.test).unwrap_or_default();
    Expected {
        name: subject.container.name.clone(),
        health_check: test.first().is_some_and(|word| word != "NONE"),
        restart: match policy.name {
            Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED) => Restart::Always,
            Some(RestartPolicyNameEnum::ON_FAILURE) => Restart::OnFailure,
            _ => Restart::Never,
        },
    }
}

/// Starts following the containers.
pub(super) fn spawn(
    sources: &mut JoinSet<()>,
    setup: &Setup<'_>,
    dependents: &[Subject],
    sender: &Sender<Signal>,
) {
    let all = setup.subjects.iter().chain(dependents);
    let trackers = all.map(|s| Tracker::new(s, setup.mode)).collect();
    let since = (setup.mode == Mode::Start).then_some(setup.since);
    sources.spawn(follow(setup.engine.clone(), trackers, since, sender.clone()));
}

/// Follows the events, and looks at the containers after each. `since` is when they were started: the code of an exit
/// that came before this could listen is only in the event.
async fn follow(
    engine: Engine,
    mut trackers: Vec<Tracker>,
    since: Option<Timestamp>,
    sender: Sender<Signal>,
) {
    let ids: Vec<String> = trackers.iter().map(|t| t.subject.container.id.clone()).collect();
    let events = ["oom", "die", "start", "health_status", "kill", "destroy"].map(str::to_owned).to_vec();
    loop {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("container".to_owned(), ids.clone()),
            ("event".to_owned(), events.clone()),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(since) = since {
            options = options.since(&(on_the_wall(since).0 / 1000).to_string());
        }
        let listening = now();
        let mut stream = std::pin::pin!(engine.docker().events(Some(options.build())));
        loop {
            // The stream is polled first, so that it listens before the containers are looked at.
            let event = tokio::time::timeout(Duration::from_millis(1), stream.next()).await;
            let event = match event {
                Ok(event) => Ok(event),
                Err(_) => {
                    if look(&engine, &mut trackers, &sender).await.is_err() {
                        return;
                    }
                    tokio::time::timeout(SECOND_LOOK, stream.next()).await
                }
            };
            match event {
                Ok(Some(Ok(event))) => {
                    // As the clock now is: it may have been set since.
                    let began = on_the_wall(listening).0;
                    let old = event.time_nano.is_some_and(|at| at / 1_000_000 < began);
                    for signal in trackers.iter_mut().filter_map(|t| t.event(&event, old)) {
                        if sender.send(signal).await.is_err() {
                            return;
                        }
                    }
                    if look(&engine, &mut trackers, &sender).await.is_err() {
                        return;
                    }
                }
                Ok(Some(Err(_)) | None) => break, // the engine went away
                Err(_) => {}                      // nothing happened
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Nobody listens any more.
struct Deaf;

async fn look(engine: &Engine, trackers: &mut [Tracker], sender: &Sender<Signal>) -> Result<(), Deaf> {
    for tracker in trackers {
        let signals = match inspect(engine, &tracker.subject.container.id).await {
            Ok(answer) => tracker.update(answer),
            Err(problem) if is_not_found(&problem) => vec![Signal::Gone { container: tracker.name() }],
            // An engine that does not answer says nothing about the service.
            Err(_) => Vec::new(),
        };
        for signal in signals {
            sender.send(signal).await.map_err(|_| Deaf)?;
        }
    }
    Ok(())
}

async fn inspect(engine: &Engine, id: &str) -> Result<ContainerInspectResponse, Problem> {
    engine.call("inspect a container", engine.docker().inspect_container(id, None)).await
}

/// What was known of a container at the last look.
struct Tracker {
    subject: Subject,
    /// Restarts and the end, as far as told; `None` before the first look.
    exits: Option<i64>,
    watching: bool,
    last_code: Option<i64>,
    /// By which signal it is stopped, where it says so.
    stop_signal: Option<String>,
    oom_told: bool,
    /// What the engine said about the health at the last look, and when the last check began.
    health_told: Option<(HealthStatusEnum, Option<BollardDate>)>,
    health_output: String,
}

impl Tracker {
    fn new(subject: &Subject, mode: Mode) -> Self {
        Self {
            subject: subject.clone(),
            exits: None,
            watching: mode == Mode::Watch,
            last_code: None,
            stop_signal: None,
            oom_told: false,
            health_told: None,
            health_output: String::new(),
        }
    }

    fn name(&self) -> String {
        self.subject.container.name.clone()
    }

    /// A signal that was sent before anybody listened belongs to an end of before: it excuses no exit of now.
    fn event(&mut self, event: &EventMessage, old: bool) -> Option<Signal> {
        let actor = event.actor.as_ref()?;
        if actor.id.as_deref() != Some(&self.subject.container.id) {
            return None;
        }
        match event.action.as_deref()? {
            "kill" if old || !wants_an_end(actor.attributes.as_ref(), self.stop_signal.as_deref()) => None,
            "oom" => {
                self.oom_told = true;
                Some(Signal::OutOfMemory { container: self.name() })
            }
            "kill" => Some(Signal::Killed { container: self.name() }),
            "die" => {
                let code = actor.attributes.as_ref().and_then(|a| a.get("exitCode")?.parse().ok());
                self.last_code = code.or(self.last_code);
                None
            }
            _ => None,
        }
    }

    fn update(&mut self, answer: ContainerInspectResponse) -> Vec<Signal> {
        self.stop_signal = answer.config.and_then(|config| config.stop_signal);
        let state = answer.state.unwrap_or_default();
        let status = state.status.map(|s| s.to_string()).unwrap_or_default();
        let down = matches!(status.as_str(), "exited" | "dead");
        let mut signals = Vec::new();
        let restarts = answer.restart_count.unwrap_or(0);
        let total = restarts + i64::from(down);
        let first = self.exits.is_none();
        // While watching, what was before is no news; a container that is down is.
        let known = self.exits.unwrap_or(if self.watching { restarts } else { 0 });
        let code = self.last_code.or(state.exit_code).unwrap_or(0);
        for _ in known..total {
            signals.push(Signal::Exited { container: self.name(), code });
        }
        self.exits = Some(total);
        let error = state.error.filter(|e| !e.is_empty() && status == "created");
        if let Some(error) = error {
            signals.push(Signal::StartFailed { container: self.name(), error: redact::line(&error) });
        }
        // While watching, what was before is no news: an engine may say so after a restart, too.
        let old_news = first && self.watching;
        if state.oom_killed == Some(true) && !std::mem::replace(&mut self.oom_told, true) && !old_news {
            signals.push(Signal::OutOfMemory { container: self.name() });
        }
        if status == "running" {
            signals.push(Signal::Running { container: self.name() });
            signals.extend(self.health(state.health.unwrap_or_default()));
        }
        signals
    }

    /// News of the health alone: what the engine said before must not overrule what our own run of the command said
    /// since.
    fn health(&mut self, health: Health) -> Vec<Signal> {
        let log = health.log.unwrap_or_default();
        let last = log.last().and_then(|check| check.start.clone());
        let Some(status) = health.status else { return Vec::new() };
        let told = self.health_told.replace((status, last.clone()));
        if told.as_ref() == Some(&(status, last)) {
            return Vec::new();
        }
        let known = told.and_then(|(_, start)| start);
        let after = log.iter().position(|check| check.start == known).map_or(0, |at| at + 1);
        let mut signals = Vec::new();
        for check in log.into_iter().skip(after) {
            self.health_output = shortened(&check.output.unwrap_or_default());
            let code = check.exit_code.unwrap_or_default();
            signals.push(checked(self.name(), code, &self.health_output));
        }
        let healthy = match status {
            HealthStatusEnum::HEALTHY => true,
            HealthStatusEnum::UNHEALTHY => false,
            _ => return signals,
        };
        signals.push(Signal::Health { container: self.name(), healthy, output: self.health_output.clone() });
        signals
    }
}

/// One run of a health check, for the evidence.
pub(super) fn checked(container: String, code: i64, output: &str) -> Signal {
    let outcome = if output.is_empty() { format!("exit {code}") } else { format!("exit {code}: {output}") };
    Signal::Checked { container, outcome }
}

/// The output of a health check, fit for one line of a report.
pub(super) fn shortened(output: &str) -> String {
    redact::line(&output.trim().chars().take(200).collect::<String>()).replace('\n', " | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(mode: Mode) -> Tracker {
        let container = mainstay_core::plan::ContainerRef { id: "id".to_owned(), name: "app".to_owned() };
        Tracker::new(&Subject { service: "app".to_owned(), container }, mode)
    }

    fn state(status: &str, restarts: i64, code: i64) -> ContainerInspectResponse {
        serde_json::from_value(serde_json::json!({
            "RestartCount": restarts,
            "State": {"Status": status, "ExitCode": code, "OOMKilled": false, "Error": ""}
        }))
        .unwrap()
    }

    fn exits(signals: &[Signal]) -> usize {
        signals.iter().filter(|s| matches!(s, Signal::Exited { .. })).count()
    }

    #[test]
    fn exits_are_counted_from_the_engines_count_also_when_events_were_lost() {
        let mut tracker = tracker(Mode::Start);
        assert_eq!(exits(&tracker.update(state("running", 0, 0))), 0);
        assert_eq!(exits(&tracker.update(state("restarting", 2, 1))), 2);
        assert_eq!(exits(&tracker.update(state("restarting", 2, 1))), 0);
        assert_eq!(exits(&tracker.update(state("exited", 2, 1))), 1);
    }

    #[test]
    fn while_watching_only_what_is_new_counts() {
        let mut watch = tracker(Mode::Watch);
        assert_eq!(exits(&watch.update(state("running", 1, 0))), 0);
        assert_eq!(exits(&watch.update(state("restarting", 2, 1))), 1);
        assert_eq!(exits(&tracker(Mode::Watch).update(state("exited", 1, 1))), 1, "it is down");
    }

    fn health(status: &str, checks: &[(u32, i64)]) -> ContainerInspectResponse {
        let check = |(second, code): &(u32, i64)| serde_json::json!({"Start": format!("2026-01-01T00:00:{second:02}Z"), "ExitCode": code, "Output": "said"});
        let log: Vec<_> = checks.iter().map(check).collect();
        let health = serde_json::json!({"Status": status, "FailingStreak": 0, "Log": log});
        let mut answer = state("running", 0, 0);
        answer.state.as_mut().unwrap().health = serde_json::from_value(health).unwrap();
        answer
    }

    #[test]
    fn of_the_health_only_news_are_told() {
        let mut tracker = tracker(Mode::Watch);
        let told = |signals: Vec<Signal>| {
            let runs = signals.iter().filter(|s| matches!(s, Signal::Checked { .. })).count();
            let healthy = signals.iter().find_map(|s| match s {
                Signal::Health { healthy, .. } => Some(*healthy),
                _ => None,
            });
            (runs, healthy)
        };
        assert_eq!(told(tracker.update(health("starting", &[]))), (0, None));
        assert_eq!(told(tracker.update(health("healthy", &[(1, 0), (2, 0)]))), (2, Some(true)));
        assert_eq!(told(tracker.update(health("healthy", &[(1, 0), (2, 0)]))), (0, None));
        assert_eq!(told(tracker.update(health("healthy", &[(2, 0), (3, 1), (4, 1)]))), (2, Some(true)));
        assert_eq!(told(tracker.update(health("unhealthy", &[(3, 1), (4, 1), (5, 1)]))), (1, Some(false)));
    }

    #[test]
    fn an_oom_kill_from_before_the_watch_is_no_news() {
        let killed = |restarts| {
            let mut answer = state("running", restarts, 0);
            answer.state.as_mut().unwrap().oom_killed = Some(true);
            answer
        };
        let told = |signals: &[Signal]| signals.iter().any(|s| matches!(s, Signal::OutOfMemory { .. }));
        let mut before = tracker(Mode::Watch);
        assert!(!told(&before.update(killed(1))) && !told(&before.update(killed(1))));
        let mut meanwhile = tracker(Mode::Watch);
        assert!(!told(&meanwhile.update(state("running", 0, 0))));
        assert!(told(&meanwhile.update(killed(1))) && !told(&meanwhile.update(killed(1))));
    }

    #[test]
    fn a_message_excuses_no_exit() {
        let mut tracker = tracker(Mode::Watch);
        tracker.update(state("running", 0, 0));
        let mut kill = |signal: &str, old| {
            let event = serde_json::json!({
                "Action": "kill", "Actor": {"ID": "id", "Attributes": {"signal": signal}}
            });
            tracker.event(&serde_json::from_value(event).unwrap(), old).is_some()
        };
        assert!(kill("15", false) && kill("9", false));
        assert!(!kill("1", false), "HUP has it read its files again");
        assert!(!kill("15", true), "it was before");
    }

    #[test]
    fn a_container_that_the_engine_could_not_start_says_why() {
        let mut answer = state("created", 0, 127);
        answer.state.as_mut().unwrap().error = Some("no such file".to_owned());
        let signals = tracker(Mode::Start).update(answer);
        assert!(matches!(&signals[0], Signal::StartFailed { error, .. } if error == "no such file"));
    }
}
