//! Measures downtime as users see it: the longest time between two good answers.
//!
//! It asks from outside, or from inside where there is no URL, all the time from before the stop. A request
//! that a proxy holds until the new version answers counts as the gap that it is.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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

#[derive(Debug, Default)]
struct Gaps {
    last_good: Option<Instant>,
    longest: Option<Duration>,
}

/// A running measurement; ends when it is dropped.
#[derive(Debug)]
pub struct Meter {
    gaps: Arc<Mutex<Gaps>>,
    close: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Meter {
    /// Starts measuring, or doesn't where there is nothing to ask.
    #[must_use]
    pub fn start(runtime: &Handle, engine: &Engine, plan: &Plan) -> Option<Self> {
        if plan.probes.inside.is_none() && plan.probes.outside.is_none() {
            return None;
        }
        let (gaps, close) = (Arc::new(Mutex::new(Gaps::default())), Arc::new(AtomicBool::new(true)));
        let task =
            runtime.spawn(measure(engine.clone(), plan.clone(), Arc::clone(&gaps), Arc::clone(&close)));
        Some(Self { gaps, close, task })
    }

    /// Asks closely (around a cutover) or loosely (while watching).
    pub fn closely(&self, close: bool) {
        self.close.store(close, Relaxed);
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

async fn measure(engine: Engine, plan: Plan, gaps: Arc<Mutex<Gaps>>, close: Arc<AtomicBool>) {
    let outside = plan.probes.outside.as_ref().map(Outside::new);
    loop {
        let good = ask(&engine, &plan, outside.as_ref()).await.is_some_and(|answer| answer.ok);
        if good {
            let mut gaps = gaps.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if let Some(last) = gaps.last_good.replace(now) {
                let gap = now - last;
                gaps.longest = Some(gaps.longest.map_or(gap, |longest| longest.max(gap)));
            }
        }
        tokio::time::sleep(if close.load(Relaxed) { CLOSE } else { LOOSE }).await;
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
