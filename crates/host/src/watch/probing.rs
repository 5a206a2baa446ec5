//! Asks the probes again and again: as often as it may while a version comes up, at intervals while watching.
//!
//! Invariant: between the beginnings of two questions lies no more than the interval, or the time that a question
//! took; and less once an answer was missed, so that a lasting fault is known soon after the grace. It does not judge
//! answers.

use std::time::{Duration, Instant};

use mainstay_core::plan::{InsideProbe, Limits, NeighbourProbe};
use mainstay_core::watch::{Mode, Place, Shown, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::Setup;
use crate::engine::Engine;
use crate::probes::{self, Answer, Certificate, Outside};

/// Between two questions while a version comes up.
const EAGER: Duration = Duration::from_millis(100);
/// A question may take this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Starts asking.
pub(super) fn spawn(sources: &mut JoinSet<()>, setup: &Setup<'_>, sender: &Sender<Signal>) {
    let pace = Pace { mode: setup.mode, limits: setup.plan.limits };
    if let Some(probe) = setup.plan.probes.inside.clone()
        && let Some(subject) = setup.subjects.iter().find(|s| s.service == probe.service)
    {
        let question =
            Question::Inside { engine: setup.engine.clone(), id: subject.container.id.clone(), probe };
        sources.spawn(ask_again(question, pace, sender.clone()));
    }
    if let Some(probe) = setup.plan.probes.neighbour.clone()
        && let Some(subject) = setup.subjects.iter().find(|s| s.service == probe.probe.service)
    {
        let id = subject.container.id.clone();
        let question = Question::Neighbour { engine: setup.engine.clone(), id, probe };
        sources.spawn(ask_again(question, pace, sender.clone()));
    }
    if let Some(probe) = &setup.plan.probes.outside {
        let question = Question::Outside(Box::new(Outside::new(probe)));
        sources.spawn(ask_again(question, pace, sender.clone()));
    }
}

async fn ask_again(question: Question, pace: Pace, sender: Sender<Signal>) {
    loop {
        let asked = Instant::now();
        let place = question.place();
        let (good, signal) = match question.ask().await {
            Ok(Answer { ok, took_ms: millis, detail, remarks, certificate, .. }) => {
                let shown = certificate.as_ref().map(shown).map(Signal::Certificate);
                if let Some(signal) = shown
                    && sender.send(signal).await.is_err()
                {
                    return;
                }
                (ok, Signal::Probe { place, ok, millis, detail, remarks })
            }
            Err(why) => (true, Signal::Unaskable { place, why }),
        };
        let next = pace.after(good);
        if sender.send(signal).await.is_err() {
            return;
        }
        tokio::time::sleep(next.saturating_sub(asked.elapsed()).max(EAGER)).await;
    }
}

fn shown(certificate: &Certificate) -> Shown {
    let Certificate { not_after_ms: until_ms, days_left, .. } = *certificate;
    Shown { until_ms, days_left, described: certificate.to_string() }
}

/// What is asked.
enum Question {
    Inside { engine: Engine, id: String, probe: InsideProbe },
    Outside(Box<Outside>),
    Neighbour { engine: Engine, id: String, probe: NeighbourProbe },
}

impl Question {
    fn place(&self) -> Place {
        match self {
            Self::Inside { .. } => Place::Inside,
            Self::Outside(_) => Place::Outside,
            Self::Neighbour { .. } => Place::Neighbour,
        }
    }

    /// The answer, or why it could not be asked.
    async fn ask(&self) -> Result<Answer, String> {
        match self {
            Self::Inside { engine, id, probe } => Ok(probes::inside(engine, id, probe, PATIENCE).await),
            Self::Outside(outside) => Ok(outside.ask(PATIENCE).await),
            Self::Neighbour { engine, id, probe } => probes::neighbour(engine, id, probe, PATIENCE).await,
        }
    }
}

/// How often to ask.
#[derive(Clone, Copy)]
struct Pace {
    mode: Mode,
    limits: Limits,
}

impl Pace {
    /// From the beginning of a question to that of the next one. Four questions fit into the grace, however long
    /// the interval is.
    fn after(self, good: bool) -> Duration {
        let interval = Duration::from_millis(self.limits.probe_interval_ms);
        match self.mode {
            Mode::Start => EAGER,
            Mode::Watch if good => interval,
            Mode::Watch => interval.min(Duration::from_millis(self.limits.probe_grace_ms / 4)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_answer_is_followed_up_within_the_grace() {
        let of = |mode, interval, grace| Pace {
            mode,
            limits: Limits { probe_interval_ms: interval, probe_grace_ms: grace, ..Limits::default() },
        };
        let usual = of(Mode::Watch, 5_000, 10_000);
        assert_eq!(usual.after(true), Duration::from_secs(5));
        assert_eq!(usual.after(false), Duration::from_millis(2_500));
        assert_eq!(of(Mode::Watch, 60_000, 10_000).after(false), Duration::from_millis(2_500));
        assert_eq!(of(Mode::Watch, 300, 10_000).after(false), Duration::from_millis(300));
        assert_eq!(of(Mode::Start, 5_000, 10_000).after(true), EAGER);
    }
}
