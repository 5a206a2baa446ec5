//! Samples the old version before the cutover: what the new one is compared with.
//!
//! Invariant: it runs beside the steps before the cutover and holds none of them up, but for a moment at its end if
//! too little was seen. Answers are asked for only while none of our own work slows them down. It ends when it is
//! dropped, and judges nothing.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mainstay_core::baseline::Sample;
use mainstay_core::plan::Plan;
use mainstay_core::problem::Problem;
use mainstay_core::time::Timestamp;
use mainstay_core::watch::{Figures, Patterns, Place};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::probing::PATIENCE;
use super::{QUEUE, Subject, logs, resources};
use crate::clock::elapsed_ms;
use crate::engine::Engine;
use crate::probes::{self, Outside};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at what the containers use.
const LOOK: Duration = Duration::from_secs(1);
/// So many answers at every place are enough to compare with,
const ENOUGH: usize = 15;
/// and no longer than this is waited for them.
const LONGEST: Duration = Duration::from_secs(2);

/// A running sample.
#[derive(Debug)]
pub struct Sampling {
    engine: Engine,
    subjects: Vec<Subject>,
    figures: Arc<Mutex<Figures>>,
    quiet: Arc<AtomicBool>,
    asks: bool,
    task: JoinHandle<()>,
}

impl Sampling {
    /// Starts sampling these containers.
    ///
    /// # Errors
    ///
    /// `log-pattern` where the plan's patterns can't be used.
    pub fn start(
        runtime: &Handle,
        engine: &Engine,
        plan: &Plan,
        subjects: Vec<Subject>,
    ) -> Result<Self, Problem> {
        let figures = Figures::new(Patterns::compile(&plan.logs)?, Sample::default());
        let figures = Arc::new(Mutex::new(figures));
        let quiet = Arc::new(AtomicBool::new(false));
        let (probes, began) = (&plan.probes, Instant::now());
        let asker = Asker {
            engine: engine.clone(),
            plan: plan.clone(),
            inside: probes
                .inside
                .as_ref()
                .and_then(|p| subjects.iter().find(|s| s.service == p.service))
                .cloned(),
            figures: Arc::clone(&figures),
            quiet: Arc::clone(&quiet),
            began,
        };
        let asks = asker.inside.is_some() || probes.outside.is_some();
        let looked_at = (engine.clone(), subjects.clone(), Arc::clone(&figures));
        let task = runtime.spawn(async move {
            let (engine, subjects, figures) = looked_at;
            tokio::join!(asker.ask(), look(engine, subjects, figures, began));
        });
        Ok(Self { engine: engine.clone(), subjects, figures, quiet, asks, task })
    }

    /// Whether nothing of ours slows the service down now.
    pub fn quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Relaxed);
    }

    /// What was seen, and what the logs of the last minutes say.
    pub async fn finish(self, now: Timestamp) -> Sample {
        self.quiet(true);
        let began = Instant::now();
        while self.asks && lock(&self.figures).fewest_answers() < ENOUGH && began.elapsed() < LONGEST {
            tokio::time::sleep(PAUSE).await;
        }
        let mut over = 0;
        for subject in &self.subjects {
            let counted = logs::count(&self.engine, subject, now, |signal| {
                lock(&self.figures).see(0, &signal);
            });
            over = over.max(counted.await);
        }
        lock(&self.figures).sample(over)
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(figures: &Mutex<Figures>) -> MutexGuard<'_, Figures> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Asker {
    engine: Engine,
    plan: Plan,
    inside: Option<Subject>,
    figures: Arc<Mutex<Figures>>,
    quiet: Arc<AtomicBool>,
    began: Instant,
}

impl Asker {
    async fn ask(&self) {
        let outside = self.plan.probes.outside.as_ref().map(Outside::new);
        loop {
            if self.quiet.load(Relaxed) {
                tokio::join!(self.inside(), self.outside(outside.as_ref()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn inside(&self) {
        if let (Some(probe), Some(subject)) = (&self.plan.probes.inside, &self.inside) {
            let answer = probes::inside(&self.engine, &subject.container.id, probe, PATIENCE).await;
            self.note(Place::Inside, answer.ok, answer.took_ms);
        }
    }

    async fn outside(&self, outside: Option<&Outside>) {
        if let Some(outside) = outside {
            let answer = outside.ask(PATIENCE).await;
            self.note(Place::Outside, answer.ok, answer.took_ms);
        }
    }

    /// An answer that came while our own work had begun says nothing.
    fn note(&self, place: Place, ok: bool, millis: u64) {
        if ok && self.quiet.load(Relaxed) {
            lock(&self.figures).answered(elapsed_ms(self.began), place, millis);
        }
    }
}

async fn look(engine: Engine, subjects: Vec<Subject>, figures: Arc<Mutex<Figures>>, began: Instant) {
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let mut sources = JoinSet::new();
    resources::look_at(&mut sources, &engine, &subjects, LOOK, &sender);
    drop(sender);
    while let Some(signal) = receiver.recv().await {
        lock(&figures).see(elapsed_ms(began), &signal);
    }
}
