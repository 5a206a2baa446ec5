//! What the engine says about the containers: events wake it up, an inspection says what is.
//!
//! Counting exits from the engine's own restart count means that a lost event stream loses none of them.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, EventMessage, RestartPolicyNameEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use mainstay_core::problem::Problem;
use mainstay_core::redact;
use mainstay_core::watch::{Expected, Mode, Restart, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::{Setup, Subject};
use crate::engine::{Engine, is_not_found};

/// Without any event, the containers are looked at this often all the same.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// An engine that went away is asked again after this long.
const RECONNECT: Duration = Duration::from_millis(500);

/// What the container is configured for.
pub(super) async fn expected(engine: &Engine, subject: &Subject) -> Result<Expected, Problem> {
    let answer = inspect(engine, &subject.container.id).await?;
    let policy = answer.host_config.and_then(|h| h.restart_policy).unwrap_or_default();
    let test = answer.config.and_then(|c| c.healthcheck).and_then(|h| h.test).unwrap_or_default();
    Ok(Expected {
        name: subject.container.name.clone(),
        health_check: test.first().is_some_and(|word| word != "NONE"),
        restart: match policy.name {
            Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED) => Restart::Always,
            Some(RestartPolicyNameEnum::ON_FAILURE) => Restart::OnFailure,
            _ => Restart::Never,
        },
    })
}

/// Starts following the containers.
pub(super) fn spawn(sources: &mut JoinSet<()>, setup: &Setup<'_>, sender: &Sender<Signal>) {
    let trackers = setup.subjects.iter().map(|s| Tracker::new(s, setup.mode)).collect();
    sources.spawn(follow(setup.engine.clone(), trackers, sender.clone()));
}

async fn follow(engine: Engine, mut trackers: Vec<Tracker>, sender: Sender<Signal>) {
    let ids: Vec<String> = trackers.iter().map(|t| t.subject.container.id.clone()).collect();
    let events = ["oom", "die", "start", "health_status", "kill", "destroy"].map(str::to_owned).to_vec();
    loop {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("container".to_owned(), ids.clone()),
            ("event".to_owned(), events.clone()),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let mut stream = std::pin::pin!(engine.docker().events(Some(options)));
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
                    for signal in trackers.iter_mut().filter_map(|t| t.event(&event)) {
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
    down: bool,
    oom_told: bool,
    health_output: String,
}

impl Tracker {
    fn new(subject: &Subject, mode: Mode) -> Self {
        Self {
            subject: subject.clone(),
            exits: None,
            watching: mode == Mode::Watch,
            last_code: None,
            down: false,
            oom_told: false,
            health_output: String::new(),
        }
    }

    fn name(&self) -> String {
        self.subject.container.name.clone()
    }

    fn event(&mut self, event: &EventMessage) -> Option<Signal> {
        let actor = event.actor.as_ref()?;
        if actor.id.as_deref() != Some(&self.subject.container.id) {
            return None;
        }
        match event.action.as_deref()? {
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
        let state = answer.state.unwrap_or_default();
        let status = state.status.map(|s| s.to_string()).unwrap_or_default();
        let down = matches!(status.as_str(), "exited" | "dead");
        let mut signals = Vec::new();
        let restarts = answer.restart_count.unwrap_or(0);
        let total = restarts + i64::from(down);
        // While watching, what was before is no news; a container that is down is.
        let known = self.exits.unwrap_or(if self.watching { restarts } else { 0 });
        let code = self.last_code.or(state.exit_code).unwrap_or(0);
        for _ in known..total {
            signals.push(Signal::Exited { container: self.name(), code });
        }
        self.exits = Some(total);
        self.down = down;
        let error = state.error.filter(|e| !e.is_empty() && status == "created");
        if let Some(error) = error {
            signals.push(Signal::StartFailed { container: self.name(), error: redact::line(&error) });
        }
        if state.oom_killed == Some(true) && !self.oom_told && !self.watching {
            self.oom_told = true;
            signals.push(Signal::OutOfMemory { container: self.name() });
        }
        if status == "running" {
            signals.push(Signal::Running { container: self.name() });
            signals.extend(self.health(state.health.unwrap_or_default()));
        }
        signals
    }

    fn health(&mut self, health: bollard::models::Health) -> Option<Signal> {
        let last = health.log.unwrap_or_default().pop().and_then(|probe| probe.output);
        if let Some(output) = last {
            self.health_output = shortened(&output);
        }
        let healthy = match health.status?.to_string().as_str() {
            "healthy" => true,
            "unhealthy" => false,
            _ => return None,
        };
        Some(Signal::Health { container: self.name(), healthy, output: self.health_output.clone() })
    }
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

    #[test]
    fn a_container_that_the_engine_could_not_start_says_why() {
        let mut answer = state("created", 0, 127);
        answer.state.as_mut().unwrap().error = Some("no such file".to_owned());
        let signals = tracker(Mode::Start).update(answer);
        assert!(matches!(&signals[0], Signal::StartFailed { error, .. } if error == "no such file"));
    }
}
