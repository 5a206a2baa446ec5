//! The loop: ask what is next, journal the intent, perform, journal the outcome.

use mainstay_core::event::{Entry, Event, Progress};
use mainstay_core::finding::Finding;
use mainstay_core::plan::Plan;
use mainstay_core::state::{IllegalEntry, Next, OnResume, RunState};
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::Conclusion;

use crate::journal::{Journal, JournalError};
use crate::world::{Context, World};

/// Who shows what happens: the terminal, `--json`, a log.
pub trait Observer {
    /// A line of the journal, after it is on disk.
    fn entry(&mut self, entry: &Entry);
    /// Lossy news from the middle of a step.
    fn progress(&mut self, progress: &Progress);
    /// Something was seen in the middle of a step; it comes again as an entry when the step has ended.
    fn observed(&mut self, finding: &Finding);
}

/// Why a run could not go on. The journal says how far it got.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal could not be read or written; nothing was begun after that.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What was about to be journaled can't follow what is there: a fault of mainstay.
    #[error("a step out of order was stopped")]
    Order(#[from] IllegalEntry),
}

/// Performs a run until it ends: a fresh one, or one that another process left and that goes on as it would have.
///
/// # Errors
/// [`RunError`] where the journal fails. The run can be resumed then.
pub fn drive(
    journal: &mut Journal,
    run: &str,
    world: &mut dyn World,
    observer: &mut dyn Observer,
) -> Result<Conclusion, RunError> {
    resume(journal, run, world, observer, OnResume::Continue)
}

/// As [`drive`], for a run that another process left: `on_resume` says whether it may go on forward.
///
/// # Errors
/// [`RunError`] where the journal fails. The run can be resumed then.
pub fn resume(
    journal: &mut Journal,
    run: &str,
    world: &mut dyn World,
    observer: &mut dyn Observer,
    on_resume: OnResume,
) -> Result<Conclusion, RunError> {
    let entries = journal.entries(run)?;
    let (plan, state) = RunState::replay(&entries)?;
    let mut loop_ = Loop { journal, run, plan, state, world, observer, begun_at: begun_at(&entries) };
    // A run that has only begun looks like a fresh one, which goes on in any case.
    if entries.len() > 1 || on_resume == OnResume::Safe {
        loop_.append(Event::Resumed)?;
        let turn = loop_.state.cut_off(&loop_.plan);
        if let (OnResume::Safe, Some(event)) = (on_resume, turn) {
            loop_.append(event)?;
        }
    }
    loop_.finish_run()
}

struct Loop<'a> {
    journal: &'a mut Journal,
    run: &'a str,
    plan: Plan,
    state: RunState,
    world: &'a mut dyn World,
    observer: &'a mut dyn Observer,
    /// When the step in doubt was first begun.
    begun_at: Option<(Step, Timestamp)>,
}

impl Loop<'_> {
    fn finish_run(&mut self) -> Result<Conclusion, RunError> {
        loop {
            if let (Some(signal), false) = (self.world.interruption(), self.state.interrupted()) {
                self.append(Event::Interrupted { signal })?;
            }
            match self.state.next(&self.plan) {
                Next::Do(step) => self.perform(step)?,
                Next::Close(conclusion) => {
                    self.append(Event::RunEnded { conclusion: conclusion.clone() })?;
                    return Ok(conclusion);
                }
                Next::Nothing => {
                    let ended = self.state.ended().cloned();
                    return ended.ok_or_else(|| JournalError::NoRun(self.run.to_owned()).into());
                }
            }
        }
    }

    fn perform(&mut self, step: Step) -> Result<(), RunError> {
        let now = self.world.now();
        let (permit, entry) = self.journal.begin(self.run, &self.state, step, now)?;
        self.fold(&entry)?;
        let begun_at = match self.begun_at.take() {
            Some((begun, at)) if begun == step => at,
            _ => now,
        };
        let observer = std::cell::RefCell::new(&mut *self.observer);
        let mut context = Context {
            plan: &self.plan,
            state: &self.state,
            begun_at,
            progress: &mut |progress| observer.borrow_mut().progress(progress),
            observed: Vec::new(),
            observe: &mut |finding| observer.borrow_mut().observed(finding),
        };
        let outcome = self.world.perform(&permit, &mut context);
        let observed = std::mem::take(&mut context.observed);
        for finding in observed {
            self.append(Event::Observed { finding })?;
        }
        let entry = self.journal.finish(permit, &self.state, outcome, self.world.now())?;
        self.fold(&entry)
    }

    fn append(&mut self, event: Event) -> Result<(), RunError> {
        let entry = self.journal.append(self.run, &self.state, event, self.world.now())?;
        self.fold(&entry)
    }

    fn fold(&mut self, entry: &Entry) -> Result<(), RunError> {
        self.state.apply(&self.plan, entry)?;
        self.observer.entry(entry);
        Ok(())
    }
}

/// When the step that is in doubt was first begun.
fn begun_at(entries: &[Entry]) -> Option<(Step, Timestamp)> {
    let mut begun = None;
    for entry in entries {
        match &entry.event {
            Event::StepStarted { step } if begun.is_none_or(|(s, _)| s != *step) => {
                begun = Some((*step, entry.at));
            }
            Event::StepEnded { .. } => begun = None,
            _ => {}
        }
    }
    begun
}
