//! The state machine: what a journal says, and what to do next.
//!
//! [`RunState::apply`] folds one entry into the state and refuses whatever cannot follow; [`RunState::next`]
//! decides. Both are pure and total. A fresh run is the recovery of a journal with one line: there is no
//! second code path for resuming.
//!
//! Where a run stands and what that decides is in `standing`, the lists of steps are in `courses`; here is what
//! surrounds them: the journal's order, and what came of the steps.

use crate::baseline::{Measured, Sample};
use crate::event::{BackupRecord, Entry, Event, Fact, Outcome};
use crate::plan::{Kind, Plan};
use crate::step::Step;
use crate::time::Timestamp;
use crate::verdict::{Conclusion, Failure, Tier};

mod courses;
mod cut_off;
mod standing;

pub use cut_off::OnResume;
use standing::Course;
pub use standing::Standing;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Journal the intent, then perform this step.
    Do(Step),
    /// Journal this end.
    Close(Conclusion),
    /// The run is over; there is nothing to do.
    Nothing,
}

/// An entry that cannot follow what the journal holds: the journal is damaged, or two processes wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal entry {seq} ({what}) cannot follow the {before} entries before it")]
pub struct IllegalEntry {
    /// Its sequence number.
    pub seq: u64,
    /// What it says.
    pub what: String,
    /// How many entries precede it.
    pub before: u64,
}

/// What the journal of one run says, folded.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    seq: u64,
    standing: Standing,
    facts: Vec<(Step, Fact)>,
    began_at: Option<Timestamp>,
    timings: Vec<(Step, u64)>,
}

impl RunState {
    /// The state after [`Event::RunStarted`].
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self { seq: 1, standing: Standing::new(plan), facts: Vec::new(), began_at: None, timings: Vec::new() }
    }

    /// Folds a whole journal, whose first entry must be [`Event::RunStarted`].
    ///
    /// # Errors
    /// [`IllegalEntry`] where an entry cannot follow the ones before it.
    pub fn replay(entries: &[Entry]) -> Result<(Plan, Self), IllegalEntry> {
        let Some((Entry { seq: 1, event: Event::RunStarted { plan }, .. }, rest)) = entries.split_first()
        else {
            return Err(IllegalEntry { seq: 1, what: "no run-started".into(), before: 0 });
        };
        let mut state = Self::new(plan);
        for entry in rest {
            state.apply(plan, entry)?;
        }
        Ok(((**plan).clone(), state))
    }

    /// Folds one more entry. Every legal transition is a line of the match below.
    ///
    /// # Errors
    /// [`IllegalEntry`] for everything else; the state is unchanged then.
    pub fn apply(&mut self, plan: &Plan, entry: &Entry) -> Result<(), IllegalEntry> {
        if entry.seq != self.seq + 1 {
            return Err(self.illegal(entry));
        }
        match (&entry.event, self.running()) {
            (_, _) if self.ended().is_some() => return Err(self.illegal(entry)),
            (Event::StepStarted { step }, None) if self.next(plan) == Next::Do(*step) => {
                self.standing.begin(*step);
                self.began_at = Some(entry.at);
            }
            // Begun again after a crash: the same step, and no other.
            (Event::StepStarted { step }, Some(running)) if *step == running => {}
            (Event::StepEnded { step, outcome }, Some(running)) if *step == running => {
                let took = entry.at.since(self.began_at.unwrap_or(entry.at));
                self.timings.push((*step, took));
                self.standing.end(plan, *step, outcome);
                if let Outcome::Done { fact } = outcome {
                    self.facts.push((*step, fact.clone()));
                }
            }
            (Event::Observed { finding }, _) => {
                self.standing.warnings |= finding.severity > crate::finding::Severity::Note;
            }
            (Event::Interrupted { .. }, _) => self.standing.interrupt(plan),
            (Event::Resumed | Event::Unknown, _) => {}
            (Event::RunEnded { conclusion }, None) if self.next(plan) == Next::Close(conclusion.clone()) => {
                self.standing.course = Course::Ended(conclusion.clone());
            }
            _ => return Err(self.illegal(entry)),
        }
        self.seq = entry.seq;
        Ok(())
    }

    /// What to do next. Total: every state has an answer.
    #[must_use]
    pub fn next(&self, plan: &Plan) -> Next {
        self.standing.next(plan)
    }

    /// All that decides what comes next.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The steps of the present course, in order.
    #[must_use]
    pub fn steps(&self, plan: &Plan) -> Vec<Step> {
        self.standing.steps(plan).collect()
    }

    /// The backups to which the data can be put back: those of the cutover, or the ones that the plan names.
    #[must_use]
    pub fn way_back<'a>(&'a self, plan: &'a Plan) -> &'a [BackupRecord] {
        match &plan.kind {
            Kind::Rollback { backups, .. } | Kind::Restore { backups } => backups,
            Kind::Update | Kind::Backup => self.backups(Step::BackUpCutover),
        }
    }

    /// What was normal just before the cutover, if that was taken.
    #[must_use]
    pub fn measured(&self) -> Option<&Measured> {
        match self.fact(Step::TakeBaseline) {
            Some(Fact::Measured { measured }) => Some(measured),
            _ => None,
        }
    }

    /// What the run saw of the version that runs since: of the new one while it was watched, if it was kept; else of the
    /// old one before the cutover.
    #[must_use]
    pub fn seen(&self) -> Option<&Sample> {
        match self.fact(Step::Watch) {
            Some(Fact::Watched { during, .. }) if matches!(self.ended(), Some(Conclusion::Kept { .. })) => {
                during.as_deref()
            }
            _ => self.measured()?.sample.as_deref(),
        }
    }

    /// The backups that a step took last.
    #[must_use]
    pub fn backups(&self, step: Step) -> &[BackupRecord] {
        match self.fact(step) {
            Some(Fact::BackedUp { backups, .. }) => backups,
            _ => &[],
        }
    }

    /// What came of a step when it was last done.
    #[must_use]
    pub fn fact(&self, step: Step) -> Option<&Fact> {
        self.facts.iter().rev().find(|(s, _)| *s == step).map(|(_, fact)| fact)
    }

    /// The steps that ended, in order, each with the milliseconds from its first beginning to its end.
    #[must_use]
    pub fn timings(&self) -> &[(Step, u64)] {
        &self.timings
    }

    /// Whether the operator asked to stop.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.standing.interrupted
    }

    /// Whether a step was ever begun.
    #[must_use]
    pub fn begun(&self, step: Step) -> bool {
        self.standing.has_begun(step)
    }

    /// The step whose effect was begun and has not ended: in doubt, if this state was read after a crash.
    #[must_use]
    pub fn running(&self) -> Option<Step> {
        self.standing.running
    }

    /// The way back that the run is on, and why.
    #[must_use]
    pub fn turned_back(&self) -> Option<(Tier, &Failure)> {
        match &self.standing.course {
            Course::Back { tier, failure } => Some((*tier, failure)),
            _ => None,
        }
    }

    /// How the run ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<&Conclusion> {
        match &self.standing.course {
            Course::Ended(conclusion) => Some(conclusion),
            _ => None,
        }
    }

    /// The sequence number of the last entry.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    fn illegal(&self, entry: &Entry) -> IllegalEntry {
        let what = match &entry.event {
            Event::RunStarted { .. } => "run-started".to_owned(),
            Event::StepStarted { step } => format!("{step} started"),
            Event::StepEnded { step, .. } => format!("{step} ended"),
            Event::Observed { .. } => "observed".to_owned(),
            Event::Interrupted { .. } => "interrupted".to_owned(),
            Event::Resumed => "resumed".to_owned(),
            Event::RunEnded { .. } => "run-ended".to_owned(),
            Event::Unknown => "unknown".to_owned(),
        };
        IllegalEntry { seq: entry.seq, what, before: self.seq }
    }
}

#[cfg(test)]
mod tests;
