//! Observes a unit and lets [`mainstay_core::watch`] judge it: while it starts, and while it is watched.
//!
//! Invariant: every source of signals ends with the observation, however that ends. Engine events wake it up;
//! nothing is slept through. It changes nothing and decides nothing.

mod containers;
mod health;
mod logs;
pub mod meter;
mod probing;

use std::time::{Duration, Instant};

use mainstay_core::plan::{ContainerRef, Plan};
use mainstay_core::problem::Problem;
use mainstay_core::redact;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::Failure;
use mainstay_core::watch::{Expectation, Judge, Judgement, Mode, Signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::engine::Engine;

pub(crate) use logs::read as read_log;
pub use logs::{errors_per_minute, tail};

/// Signals that wait to be judged; sources wait when it is full.
const QUEUE: usize = 1024;
/// How long nothing may happen before the clock is looked at again.
const GLANCE: Duration = Duration::from_millis(100);
/// After the decision, log lines of the same moment are still on their way.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// Log lines that are kept as evidence.
const TAIL_LINES: usize = 6;

/// A container of the unit, and its service.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Compose's service name.
    pub service: String,
    /// The container.
    pub container: ContainerRef,
}

/// What to observe, and how.
pub struct Setup<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The plan: probes, limits, baseline.
    pub plan: &'a Plan,
    /// The containers.
    pub subjects: &'a [Subject],
    /// Coming up, or going on.
    pub mode: Mode,
    /// How long; for [`Mode::Start`] what is left of the startup limit.
    pub limit: Duration,
    /// Log lines from here on count.
    pub since: Timestamp,
}

/// How an observation ended.
#[derive(Debug)]
pub enum End {
    /// It came up, or the window is over and nothing decided against it. With remarks for the report.
    Good(Vec<String>),
    /// It is bad.
    Bad(Box<Failure>),
    /// The caller wanted to stop. With remarks so far.
    Interrupted(Vec<String>),
}

/// Observes until it is decided, the time is up, or the caller wants to stop.
///
/// # Errors
///
/// Those of the engine when the containers are first looked at.
pub async fn observe(
    setup: &Setup<'_>,
    tell: &mut dyn FnMut(Duration, &[String]),
    interrupted: &dyn Fn() -> bool,
) -> Result<End, Problem> {
    let mut expected = expectation(setup);
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let mut sources = JoinSet::new();
    for subject in setup.subjects {
        expected.containers.push(containers::expected(setup.engine, subject).await?);
    }
    containers::spawn(&mut sources, setup, &sender);
    health::spawn(&mut sources, setup, &sender);
    logs::spawn(&mut sources, setup, &sender);
    probing::spawn(&mut sources, setup, &sender);
    drop(sender);
    let mut judge = Judge::new(expected);
    let end = follow(setup, &mut judge, &mut receiver, tell, interrupted).await;
    sources.shutdown().await;
    Ok(match end {
        End::Bad(failure) => End::Bad(Box::new(with_last_lines(setup, *failure).await)),
        end => end,
    })
}

fn expectation(setup: &Setup<'_>) -> Expectation {
    let (plan, watching) = (setup.plan, setup.mode == Mode::Watch);
    let millis = u64::try_from(setup.limit.as_millis()).unwrap_or(u64::MAX);
    Expectation {
        mode: setup.mode,
        containers: Vec::new(),
        inside: plan.probes.inside.is_some(),
        outside: plan.probes.outside.is_some(),
        startup_ms: if watching { plan.limits.startup_ms } else { millis },
        grace_ms: plan.limits.probe_grace_ms,
        baseline_errors_per_minute: plan.baseline.errors_per_minute,
    }
}

async fn follow(
    setup: &Setup<'_>,
    judge: &mut Judge,
    receiver: &mut mpsc::Receiver<Signal>,
    tell: &mut dyn FnMut(Duration, &[String]),
    interrupted: &dyn Fn() -> bool,
) -> End {
    let began = Instant::now();
    let now = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut told = began;
    loop {
        match judge.judge(now()) {
            Judgement::Bad(failure) => {
                listen(judge, receiver, now(), LAST_WORDS).await;
                // Judged again, so that what came last is part of the evidence.
                return End::Bad(judge.explain(failure));
            }
            Judgement::Good if setup.mode == Mode::Start => return End::Good(judge.remarks(now())),
            Judgement::Good | Judgement::Undecided => {}
        }
        if setup.mode == Mode::Watch && began.elapsed() >= setup.limit {
            let failure = judge.at_the_end(now());
            return failure.map_or_else(|| End::Good(judge.remarks(now())), |f| End::Bad(Box::new(f)));
        }
        if interrupted() {
            return End::Interrupted(judge.remarks(now()));
        }
        if told.elapsed() >= Duration::from_millis(250) {
            told = Instant::now();
            tell(began.elapsed(), &judge.missing(now()));
        }
        let left = setup.limit.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        listen(judge, receiver, now(), GLANCE.min(left)).await;
    }
}

/// Takes in what is there, or waits up to `limit` for something.
async fn listen(judge: &mut Judge, receiver: &mut mpsc::Receiver<Signal>, now: u64, limit: Duration) {
    if let Ok(Some(signal)) = tokio::time::timeout(limit, receiver.recv()).await {
        judge.see(now, signal);
        while let Ok(signal) = receiver.try_recv() {
            judge.see(now, signal);
        }
    }
}

/// The last lines of the log say more than any rule about it.
async fn with_last_lines(setup: &Setup<'_>, mut failure: Failure) -> Failure {
    for subject in setup.subjects {
        let lines = tail(setup.engine, &subject.container.id, TAIL_LINES).await;
        for line in lines.iter().map(|line| redact::line(line)) {
            if !failure.evidence.iter().any(|known| known.ends_with(&line)) {
                failure.evidence.push(format!("{}: {line}", subject.container.name));
            }
        }
    }
    failure
}
