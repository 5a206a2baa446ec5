//! Observes a unit and lets [`mainstay_core::watch`] judge it: while it starts, and while it is watched.
//!
//! Invariant: every source of signals ends with the observation, however that ends. Engine events wake it up;
//! nothing is slept through. It changes nothing and decides nothing.

mod checks;
mod containers;
mod health;
mod logs;
pub mod meter;
mod probing;
mod resources;
pub mod sampling;

use std::time::{Duration, Instant};

use mainstay_core::baseline::{Measured, Sample, table};
use mainstay_core::finding::Finding;
use mainstay_core::plan::{ContainerRef, Plan};
use mainstay_core::problem::Problem;
use mainstay_core::redact;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::Failure;
use mainstay_core::watch::{
    Expectation, Expected, ExpectedCheck, Judge, Judgement, Mode, Patterns, Signal, Stage,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::{elapsed_ms, millis};
use crate::engine::Engine;
use crate::functional::Asking;

pub(crate) use logs::read as read_log;
pub use logs::{errors_per_minute, tail};

/// Signals that wait to be judged; sources wait when it is full.
const QUEUE: usize = 1024;
/// How long nothing may happen before the clock is looked at again.
const GLANCE: Duration = Duration::from_millis(100);
/// After the decision, log lines of the same moment are still on their way, and an OOM kill is told after the exit
/// that it led to: they may come this late.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// Nothing more comes once it has been silent for this long.
const SILENCE: Duration = Duration::from_millis(60);
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
    /// The functional checks, each as it is expected to be answered.
    pub(crate) checks: &'a [(ExpectedCheck, Asking)],
    /// What was normal just before the cutover.
    pub measured: Option<&'a Measured>,
    /// Coming up, or going on.
    pub mode: Mode,
    /// How long; for [`Mode::Start`] what is left of the startup limit.
    pub limit: Duration,
    /// Log lines from here on count.
    pub since: Timestamp,
    /// What was normal before.
    pub before: Sample,
}

/// What was seen of a version that is good so far.
#[derive(Debug)]
pub struct Seen {
    /// For the report.
    pub remarks: Vec<String>,
    /// Worth a warning.
    pub warnings: Vec<Finding>,
    /// Figures, to be compared with those from before.
    pub sample: Sample,
    /// Whether the window ended before its time, as configured.
    pub early: bool,
}

impl Seen {
    fn by(judge: &Judge, now: u64) -> Self {
        let (remarks, warnings) = (judge.remarks(now), judge.warnings(now));
        Self { remarks, warnings, sample: judge.sample(now), early: false }
    }
}

/// How an observation ended.
#[derive(Debug)]
pub enum End {
    /// It came up, or the window is over and nothing decided against it.
    Good(Box<Seen>),
    /// It is bad.
    Bad(Box<Failure>),
    /// The caller wanted to stop.
    Interrupted(Box<Seen>),
}

/// Observes until it is decided, the time is up, or the caller wants to stop.
///
/// # Errors
///
/// Those of the engine when the containers are first looked at; `log-pattern` where the plan's can't be used.
pub async fn observe(
    setup: &Setup<'_>,
    tell: &mut dyn FnMut(Duration, &[String]),
    interrupted: &dyn Fn() -> bool,
) -> Result<End, Problem> {
    let mut expected = expectation(setup, Patterns::compile(&setup.plan.logs)?);
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let (tell_stage, stage) = watch::channel(Stage::Starting);
    let mut sources = JoinSet::new();
    for subject in setup.subjects {
        expected.containers.push(containers::expected(setup.engine, subject).await?);
    }
    let (dependents, as_expected): (Vec<_>, Vec<_>) = dependents(setup).await.into_iter().unzip();
    expected.dependents = as_expected;
    containers::spawn(&mut sources, setup, &dependents, &sender);
    health::spawn(&mut sources, setup, &sender);
    logs::spawn(&mut sources, setup, &sender);
    probing::spawn(&mut sources, setup, &sender);
    checks::spawn(&mut sources, setup, &sender, &stage);
    resources::spawn(&mut sources, setup, &sender);
    drop(sender);
    let mut judge = Judge::new(expected);
    let began = Instant::now();
    let end = follow(setup, &mut judge, &mut receiver, &tell_stage, tell, interrupted).await;
    sources.shutdown().await;
    Ok(match end {
        End::Bad(mut failure) => {
            failure.evidence.extend(compared(setup, &judge, began));
            End::Bad(Box::new(with_last_lines(setup, *failure).await))
        }
        end => end,
    })
}

/// The containers that need the unit, as they are now; only while watching, since they may need its answers to come
/// back. One that is gone was removed by somebody.
async fn dependents(setup: &Setup<'_>) -> Vec<(Subject, Expected)> {
    let mut found = Vec::new();
    for known in setup.plan.probes.dependents.iter().filter(|_| setup.mode == Mode::Watch) {
        let call = setup.engine.docker().inspect_container(&known.container, None);
        let answer = setup.engine.call("inspect a container", call).await;
        if let Some((id, answer)) = answer.ok().and_then(|answer| Some((answer.id.clone()?, answer))) {
            let container = ContainerRef { id, name: known.container.clone() };
            let subject = Subject { service: known.service.clone(), container };
            let expected = containers::expected_of(&subject, answer);
            found.push((subject, expected));
        }
    }
    found
}

fn expectation(setup: &Setup<'_>, patterns: Patterns) -> Expectation {
    let (plan, watching) = (setup.plan, setup.mode == Mode::Watch);
    let millis = millis(setup.limit);
    Expectation {
        mode: setup.mode,
        containers: Vec::new(),
        inside: plan.probes.inside.is_some(),
        outside: plan.probes.outside.is_some(),
        certificate_ms: plan.probes.outside.as_ref().and_then(|probe| probe.baseline_certificate_ms),
        neighbour: plan.probes.neighbour.is_some(),
        dependents: Vec::new(),
        checks: setup.checks.iter().map(|(expected, _)| expected.clone()).collect(),
        startup_ms: if watching { plan.limits.startup_ms } else { millis },
        grace_ms: plan.limits.probe_grace_ms,
        watch_ms: millis,
        answer_ms: plan.limits.answer_ms,
        before: setup.before.clone(),
        patterns,
    }
}

async fn follow(
    setup: &Setup<'_>,
    judge: &mut Judge,
    receiver: &mut mpsc::Receiver<Signal>,
    tell_stage: &watch::Sender<Stage>,
    tell: &mut dyn FnMut(Duration, &[String]),
    interrupted: &dyn Fn() -> bool,
) -> End {
    let began = Instant::now();
    let now = || elapsed_ms(began);
    let mut told = began;
    loop {
        match judge.judge(now()) {
            Judgement::Bad(failure) => {
                last_words(judge, receiver, now()).await;
                // Judged again, so that what came last is part of the evidence.
                return End::Bad(judge.explain(now(), failure));
            }
            Judgement::Good if setup.mode == Mode::Start => {
                return End::Good(Box::new(Seen::by(judge, now())));
            }
            Judgement::Good | Judgement::Undecided => {}
        }
        if setup.mode == Mode::Watch && began.elapsed() >= setup.limit {
            let failure = judge.at_the_end(now());
            let good = || End::Good(Box::new(Seen::by(judge, now())));
            return failure.map_or_else(good, |f| End::Bad(Box::new(f)));
        }
        if may_end_early(setup, began.elapsed()) && judge.calm(now()) {
            return End::Good(Box::new(Seen { early: true, ..Seen::by(judge, now()) }));
        }
        let stage = judge.stage(now());
        tell_stage.send_if_modified(|known| std::mem::replace(known, stage) != stage);
        if interrupted() {
            return End::Interrupted(Box::new(Seen::by(judge, now())));
        }
        if told.elapsed() >= Duration::from_millis(250) {
            told = Instant::now();
            let mut missing = judge.missing(now());
            missing.extend(judge.worry(now()));
            tell(began.elapsed(), &missing);
        }
        let left = setup.limit.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        listen(judge, receiver, now(), GLANCE.min(left)).await;
    }
}

fn may_end_early(setup: &Setup<'_>, elapsed: Duration) -> bool {
    let early = setup.plan.limits.early_keep_ms.filter(|_| setup.mode == Mode::Watch);
    early.is_some_and(|early| elapsed >= Duration::from_millis(early))
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

/// The figures of the time that it was watched, beside those from before.
fn compared(setup: &Setup<'_>, judge: &Judge, began: Instant) -> Vec<String> {
    if setup.mode == Mode::Start {
        return Vec::new();
    }
    table(&setup.before, &judge.sample(elapsed_ms(began))).iter().map(ToString::to_string).collect()
}

/// Takes in what is still on its way.
async fn last_words(judge: &mut Judge, receiver: &mut mpsc::Receiver<Signal>, now: u64) {
    let began = Instant::now();
    while let Some(left) = LAST_WORDS.checked_sub(began.elapsed()) {
        let Ok(Some(signal)) = tokio::time::timeout(SILENCE.min(left), receiver.recv()).await else { return };
        judge.see(now, signal);
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
