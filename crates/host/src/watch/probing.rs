//! Asks the probes again and again: as often as it may while a version comes up, at intervals while watching.

use std::time::Duration;

use mainstay_core::watch::{Mode, Place, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::Setup;
use crate::probes;

/// Between two questions while a version comes up.
const EAGER: Duration = Duration::from_millis(100);
/// A question may take this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Starts asking.
pub(super) fn spawn(sources: &mut JoinSet<()>, setup: &Setup<'_>, sender: &Sender<Signal>) {
    let pause = match setup.mode {
        Mode::Start => EAGER,
        Mode::Watch => Duration::from_millis(setup.plan.limits.probe_interval_ms),
    };
    if let Some(probe) = setup.plan.probes.inside.clone()
        && let Some(subject) = setup.subjects.iter().find(|s| s.service == probe.service)
    {
        let (engine, id, sender) = (setup.engine.clone(), subject.container.id.clone(), sender.clone());
        sources.spawn(async move {
            loop {
                let answer = probes::inside(&engine, &id, &probe, PATIENCE).await;
                let signal = Signal::Probe {
                    place: Place::Inside,
                    ok: answer.ok,
                    detail: answer.detail,
                    millis: answer.took_ms,
                };
                if sender.send(signal).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
    }
    if let Some(probe) = setup.plan.probes.outside.clone() {
        let sender = sender.clone();
        sources.spawn(async move {
            let outside = probes::Outside::new(&probe);
            loop {
                let answer = outside.ask(PATIENCE).await;
                let signal = Signal::Probe {
                    place: Place::Outside,
                    ok: answer.ok,
                    detail: answer.detail,
                    millis: answer.took_ms,
                };
                if sender.send(signal).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
    }
}
