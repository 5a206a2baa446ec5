//! Asks the functional checks: eagerly while a version comes up, as soon as it answers at all; at the probes' interval while
//! watching; and a browser now and then, because a page is work for the service too.

use std::sync::Arc;
use std::time::Duration;

use mainstay_core::baseline::Measured;
use mainstay_core::functional::{self, Kind};
use mainstay_core::watch::{ExpectedCheck, Mode, Signal, Stage};
use tokio::sync::mpsc::Sender;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Setup;
use crate::functional::Asking;

/// Between two questions while a version comes up.
const EAGER: Duration = Duration::from_millis(200);
/// The same for what takes a process or a page.
const LESS_EAGER: Duration = Duration::from_millis(500);
/// Between two looks at a page that was good, where nothing is said.
const PAGE_EVERY: Duration = Duration::from_secs(5 * 60);
/// The last look at a page has to leave time for so many more, should it be bad.
const LOOKS_AT_THE_END: u32 = 4;

struct Source {
    asking: Asking,
    expected: ExpectedCheck,
    measured: Option<Measured>,
    mode: Mode,
    interval: Duration,
    /// The last moment at which a look is of use.
    last_look: Instant,
    stage: watch::Receiver<Stage>,
    /// The operator is asked one question at a time.
    turn: Arc<Mutex<()>>,
    sender: Sender<Signal>,
}

/// Starts asking.
pub(super) fn spawn(
    sources: &mut JoinSet<()>,
    setup: &Setup<'_>,
    sender: &Sender<Signal>,
    stage: &watch::Receiver<Stage>,
) {
    let turn = Arc::new(Mutex::new(()));
    let limits = setup.plan.limits;
    let interval = Duration::from_millis(limits.probe_interval_ms);
    for (expected, asking) in setup.checks {
        let look = Duration::from_millis(asking.check.timeout_ms).min(setup.limit / (2 * LOOKS_AT_THE_END));
        let before_the_end =
            Duration::from_millis(limits.probe_grace_ms) + (look + interval) * LOOKS_AT_THE_END;
        let source = Source {
            asking: asking.clone(),
            expected: expected.clone(),
            measured: setup.measured.cloned(),
            mode: setup.mode,
            interval,
            last_look: Instant::now() + setup.limit.saturating_sub(before_the_end),
            stage: stage.clone(),
            turn: Arc::clone(&turn),
            sender: sender.clone(),
        };
        sources.spawn(source.ask());
    }
}

impl Source {
    async fn ask(mut self) {
        let needed = if self.expected.question { Stage::Checked } else { Stage::Up };
        if self.mode == Mode::Watch && self.asking.check.kind == Kind::Browser {
            // It was looked at when the version was verified.
            tokio::time::sleep(self.pause(true)).await;
        }
        loop {
            if self.mode == Mode::Start && self.stage.wait_for(|stage| *stage >= needed).await.is_err() {
                return;
            }
            let turn = if self.expected.question { Some(self.turn.lock().await) } else { None };
            let answer = self.asking.ask().await;
            drop(turn);
            if answer.void {
                tokio::time::sleep(LESS_EAGER).await;
                continue;
            }
            let judged = functional::judge(&self.asking.check, self.measured.as_ref(), answer);
            let (good, last) = (judged.good, judged.last);
            let signal = Signal::Check { name: self.expected.name.clone(), judged };
            let enough = last || good && (self.mode == Mode::Start || self.is_over());
            if self.sender.send(signal).await.is_err() || enough {
                return;
            }
            tokio::time::sleep(self.pause(good)).await;
        }
    }

    /// Whether the last look at a page was had.
    fn is_over(&self) -> bool {
        self.asking.check.kind == Kind::Browser && Instant::now() >= self.last_look
    }

    fn pause(&self, good: bool) -> Duration {
        let kind = self.asking.check.kind;
        let every = self.asking.check.every_ms.map(Duration::from_millis);
        match self.mode {
            Mode::Start if kind == Kind::Http => EAGER,
            Mode::Start => LESS_EAGER,
            // What is bad is asked again soon, however often it is asked when it is good.
            Mode::Watch if !good => self.interval,
            Mode::Watch if kind == Kind::Browser => {
                let left = self.last_look.saturating_duration_since(Instant::now());
                every.unwrap_or(PAGE_EVERY).min(left)
            }
            Mode::Watch => every.unwrap_or(self.interval),
        }
    }
}
