//! Measures downtime as users see it: the longest time between two good answers.
//!
//! It asks from outside, or from inside where there is no URL, all the time from before the stop. A request
//! that a proxy holds until the new version answers counts as the gap that it is.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mainstay_core::plan::Plan;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::probing::PATIENCE;
use crate::discover;
use crate::engine::Engine;
use crate::probes::{self, Answer, Outside};

/// Between two questions around a cutover: what the figure is exact to.
const CLOSE: Duration = Duration::from_millis(40);
/// Between two questions while watching.
const LOOSE: Duration = Duration::from_secs(1);

/// How often it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Not at all: while the engine starts containers. A question that reaches the bridge before the container
    /// does costs a second, because the kernel repeats an unanswered ARP request only then.
    Silent,
    /// Around a cutover.
    Close,
    /// While watching.
    Loose,
}

#[derive(Debug, Default)]
struct Gaps {
    last_good: Option<Instant>,
    longest: Option<Duration>,
}

/// A running measurement; ends when it is dropped.
#[derive(Debug)]
pub struct Meter {
    gaps: Arc<Mutex<Gaps>>,
    pace: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl Meter {
    /// Starts measuring, or doesn't where there is nothing to ask.
    #[must_use]
    pub fn start(runtime: &Handle, engine: &Engine, plan: &Plan) -> Option<Self> {
        if plan.probes.inside.is_none() && plan.probes.outside.is_none() {
            return None;
        }
        let gaps = Arc::new(Mutex::new(Gaps::default()));
        let pace = Arc::new(AtomicU8::new(Pace::Close as u8));
        let task = runtime.spawn(measure(engine.clone(), plan.clone(), Arc::clone(&gaps), Arc::clone(&pace)));
        Some(Self { gaps, pace, task })
    }

    /// Changes how often it asks.
    pub fn pace(&self, pace: Pace) {
        self.pace.store(pace as u8, Relaxed);
    }

    /// Waits for a good answer that comes after this call, so that a gap has a beginning, or an end.
    pub async fn next_good(&self, limit: Duration) {
        let began = Instant::now();
        while self.lock().last_good.is_none_or(|last| last < began) && began.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The longest gap so far, in milliseconds; the next one is measured anew.
    pub fn take(&self) -> Option<u64> {
        let mut gaps = self.lock();
        let longest = gaps.longest.take()?;
        u64::try_from(longest.as_millis()).ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Gaps> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn measure(engine: Engine, plan: Plan, gaps: Arc<Mutex<Gaps>>, pace: Arc<AtomicU8>) {
    let outside = plan.probes.outside.as_ref().map(Outside::new);
    loop {
        let now = pace.load(Relaxed);
        let good = now != Pace::Silent as u8
            && ask(&engine, &plan, outside.as_ref()).await.is_some_and(|answer| answer.ok);
        if good {
            let mut gaps = gaps.lock().unwrap_or_else(PoisonError::into_inner);
            let answered = Instant::now();
            if let Some(last) = gaps.last_good.replace(answered) {
                let gap = answered - last;
                gaps.longest = Some(gaps.longest.map_or(gap, |longest| longest.max(gap)));
            }
        }
        tokio::time::sleep(if now == Pace::Loose as u8 { LOOSE } else { CLOSE }).await;
    }
}

async fn ask(engine: &Engine, plan: &Plan, outside: Option<&Outside>) -> Option<Answer> {
    if let Some(outside) = outside {
        return Some(outside.ask(PATIENCE).await);
    }
    let probe = plan.probes.inside.as_ref()?;
    // The container is another one after each cutover.
    let listed = discover::containers_of(engine, &plan.unit.project.name, &probe.service).await.ok()?;
    let running = listed.into_iter().find(|c| c.state == "running")?;
    Some(probes::inside(engine, &running.container.id, probe, PATIENCE).await)
}
