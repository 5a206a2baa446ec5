//! The state machine: what a journal says, and what to do next.
//!
//! [`RunState::apply`] folds one entry into the state and refuses whatever cannot follow; [`RunState::next`]
//! decides. Both are pure and total. A fresh run is the recovery of a journal with one line: there is no
//! second code path for resuming.
//!
//! Rollback is a list of its own, not the forward steps undone in reverse: the service stops before data
//! moves, and the old files are back before the old container is created.

mod cut_off;

use serde::{Deserialize, Serialize};

pub use cut_off::OnResume;

use crate::baseline::{Measured, Sample};
use crate::event::{BackupRecord, Entry, Event, Fact, Outcome};
use crate::plan::{Hooks, Kind, Plan, Quiesce};
use crate::problem::Problem;
use crate::step::Step;
use crate::time::Timestamp;
use crate::verdict::{Cause, Conclusion, DataDoubt, Failure, Tier};

// Steps that a plan has no use for are left out: see `applies`.
const UPDATE: &[Step] = &[
    Step::Confirm,
    Step::KeepImage,
    Step::SaveConfiguration,
    Step::RunBeforeBackup,
    Step::BackUpLive,
    Step::RunAfterBackup,
    Step::PullImage,
    Step::EditFiles,
    Step::RunBeforeCutover,
    Step::TakeBaseline,
    Step::CreateContainers,
    Step::BackUpCutover,
    Step::StartNew,
    Step::VerifyNew,
    Step::Watch,
    Step::Document,
];
const BACKUP: &[Step] = &[
    Step::Confirm,
    Step::KeepImage,
    Step::SaveConfiguration,
    Step::RunBeforeBackup,
    Step::BackUpLive,
    Step::Stop,
    Step::BackUpStill,
    Step::StartOld,
    Step::VerifyOld,
    Step::RunAfterBackup,
    Step::Document,
];
const RESTORE: &[Step] = &[
    Step::Confirm,
    Step::SaveConfiguration,
    Step::Stop,
    Step::BackUpSafety,
    Step::RestoreData,
    Step::StartOld,
    Step::VerifyOld,
    Step::Document,
];

const BACK_FILES: &[Step] = &[Step::Unpause, Step::RestoreFiles, Step::RunAfterBackup, Step::Document];
/// A backup that had stopped the service: the containers are still there.
const BACK_STOPPED: &[Step] = &[Step::StartOld, Step::VerifyOld, Step::RunAfterBackup, Step::Document];
const BACK_NEVER_STARTED: &[Step] = &[
    Step::Stop,
    Step::RestoreFiles,
    Step::RestoreTag,
    Step::RecreateOld,
    Step::StartOld,
    Step::VerifyOld,
    Step::RunAfterBackup,
    Step::Document,
];
const BACK_UNDECIDED: &[Step] = &[Step::Stop, Step::BackUpSafety];
const BACK_IMAGE_ONLY: &[Step] = &[
    Step::Stop,
    Step::BackUpSafety,
    Step::RestoreFiles,
    Step::RestoreTag,
    Step::RecreateOld,
    Step::StartOld,
    Step::VerifyOld,
    Step::RunAfterBackup,
    Step::Document,
];
const BACK_FULL: &[Step] = &[
    Step::Stop,
    Step::BackUpSafety,
    Step::RestoreFiles,
    Step::RestoreTag,
    Step::RecreateOld,
    Step::RestoreData,
    Step::StartOld,
    Step::VerifyOld,
    Step::RunAfterBackup,
    Step::Document,
];

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

/// Where a run is going.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Course {
    Forward,
    Back {
        tier: Tier,
        failure: Box<Failure>,
    },
    /// No way on: document what there is, then ask for a person.
    Stuck {
        failure: Box<Failure>,
        then: Option<Box<Failure>>,
    },
    Ended(Conclusion),
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
    course: Course,
    /// Steps done on the present course.
    done: Vec<Step>,
    /// Steps that were ever begun, on any course.
    begun: Vec<Step>,
    running: Option<Step>,
    interrupted: bool,
    warnings: bool,
    new_version_verified: bool,
    /// A backup was begun, and what its services want done after one has not been done since.
    after_owed: bool,
    facts: Vec<(Step, Fact)>,
    began_at: Option<Timestamp>,
    timings: Vec<(Step, u64)>,
}

impl RunState {
    /// The state after [`Event::RunStarted`].
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let course = match &plan.kind {
            Kind::Rollback { tier, .. } => {
                Course::Back { tier: *tier, failure: Box::new(asked_for_by_operator()) }
            }
            _ => Course::Forward,
        };
        Self {
            seq: 1,
            course,
            done: Vec::new(),
            begun: Vec::new(),
            running: None,
            interrupted: false,
            warnings: plan.findings.iter().any(|f| f.severity > crate::finding::Severity::Note),
            new_version_verified: false,
            after_owed: false,
            facts: Vec::new(),
            began_at: None,
            timings: Vec::new(),
        }
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
        match (&entry.event, self.running) {
            (_, _) if matches!(self.course, Course::Ended(_)) => return Err(self.illegal(entry)),
            (Event::StepStarted { step }, None) if self.next(plan) == Next::Do(*step) => {
                self.begin(*step, entry.at)
            }
            // Begun again after a crash: the same step, and no other.
            (Event::StepStarted { step }, Some(running)) if *step == running => {}
            (Event::StepEnded { step, outcome }, Some(running)) if *step == running => {
                let took = entry.at.since(self.began_at.unwrap_or(entry.at));
                self.timings.push((*step, took));
                self.end(plan, *step, outcome);
            }
            (Event::Observed { finding }, _) => {
                self.warnings |= finding.severity > crate::finding::Severity::Note;
            }
            (Event::Interrupted { .. }, _) => self.interrupt(plan),
            (Event::Resumed | Event::Unknown, _) => {}
            (Event::RunEnded { conclusion }, None) if self.next(plan) == Next::Close(conclusion.clone()) => {
                self.course = Course::Ended(conclusion.clone());
            }
            _ => return Err(self.illegal(entry)),
        }
        self.seq = entry.seq;
        Ok(())
    }

    /// What to do next. Total: every state has an answer.
    #[must_use]
    pub fn next(&self, plan: &Plan) -> Next {
        if let Some(step) = self.running {
            return Next::Do(step);
        }
        if matches!(self.course, Course::Ended(_)) {
            return Next::Nothing;
        }
        let open = |step: &Step| !self.done.contains(step) && self.applies(plan, *step);
        match self.course_of(plan).iter().copied().find(open) {
            Some(step) => Next::Do(step),
            None => Next::Close(self.conclusion()),
        }
    }

    /// The steps of the present course, in order.
    #[must_use]
    pub fn steps(&self, plan: &Plan) -> Vec<Step> {
        self.course_of(plan).iter().copied().filter(|step| self.applies(plan, *step)).collect()
    }

    /// Whether the plan has a use for a step of the present course.
    fn applies(&self, plan: &Plan, step: Step) -> bool {
        let hooks = |wanted: fn(&Hooks) -> bool| plan.unit.services.iter().flat_map(|s| &s.hooks).any(wanted);
        let forward = self.course == Course::Forward;
        match step {
            Step::RunBeforeBackup | Step::RunBeforeCutover => hooks(|h| h.before.is_some()),
            Step::RunAfterBackup => hooks(|h| h.after.is_some()) && (forward || self.after_owed),
            Step::BackUpStill => plan.still.is_some(),
            Step::TakeBaseline => plan.measure,
            Step::Stop | Step::StartOld | Step::VerifyOld if forward && plan.kind == Kind::Backup => {
                plan.still == Some(Quiesce::Stop)
            }
            Step::Unpause => self.begun(Step::BackUpStill) && plan.still == Some(Quiesce::Pause),
            Step::RestoreFiles if matches!(self.course, Course::Back { tier: Tier::Files, .. }) => {
                self.begun(Step::EditFiles)
            }
            _ => true,
        }
    }

    fn course_of(&self, plan: &Plan) -> &'static [Step] {
        match &self.course {
            Course::Forward => match plan.kind {
                Kind::Update => UPDATE,
                Kind::Backup => BACKUP,
                Kind::Restore { .. } => RESTORE,
                Kind::Rollback { .. } => &[],
            },
            Course::Back { tier, .. } => match tier {
                Tier::Files => BACK_FILES,
                Tier::NeverStarted if plan.kind == Kind::Backup => BACK_STOPPED,
                Tier::NeverStarted => BACK_NEVER_STARTED,
                Tier::Undecided => BACK_UNDECIDED,
                Tier::ImageOnly => BACK_IMAGE_ONLY,
                Tier::Full => BACK_FULL,
            },
            Course::Stuck { .. } => &[Step::Document],
            Course::Ended(_) => &[],
        }
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
        self.interrupted
    }

    /// Whether a step was ever begun.
    #[must_use]
    pub fn begun(&self, step: Step) -> bool {
        self.begun.contains(&step)
    }

    /// The step whose effect was begun and has not ended: in doubt, if this state was read after a crash.
    #[must_use]
    pub fn running(&self) -> Option<Step> {
        self.running
    }

    /// The way back that the run is on, and why.
    #[must_use]
    pub fn turned_back(&self) -> Option<(Tier, &Failure)> {
        match &self.course {
            Course::Back { tier, failure } => Some((*tier, failure)),
            _ => None,
        }
    }

    /// How the run ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<&Conclusion> {
        match &self.course {
            Course::Ended(conclusion) => Some(conclusion),
            _ => None,
        }
    }

    /// The sequence number of the last entry.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    fn begin(&mut self, step: Step, at: Timestamp) {
        self.running = Some(step);
        self.began_at = Some(at);
        self.after_owed |= matches!(step, Step::RunBeforeBackup | Step::BackUpLive | Step::RunBeforeCutover);
        if !self.begun.contains(&step) {
            self.begun.push(step);
        }
    }

    fn end(&mut self, plan: &Plan, step: Step, outcome: &Outcome) {
        self.running = None;
        match outcome {
            Outcome::Done { fact } => {
                self.done.push(step);
                self.note(step, fact);
                self.facts.push((step, fact.clone()));
                self.decide_tier(step, fact);
            }
            Outcome::Failed { .. } if step == Step::Document => {
                // A report that can't be written changes no verdict.
                self.done.push(step);
                self.warnings = true;
            }
            // The backup is there, or the way back is more important.
            Outcome::Failed { .. }
                if step == Step::RunAfterBackup
                    && (plan.kind == Kind::Backup || self.course != Course::Forward) =>
            {
                self.done.push(step);
                self.after_owed = false;
                self.warnings = true;
            }
            Outcome::Failed { failure } => self.turn(plan, step, failure),
        }
        if self.interrupted {
            self.interrupt(plan);
        }
    }

    fn note(&mut self, step: Step, fact: &Fact) {
        self.new_version_verified |= step == Step::VerifyNew;
        self.after_owed &= step != Step::RunAfterBackup;
        self.warnings |= matches!(fact, Fact::Watched { cut_short: true, .. });
    }

    /// Once the present data is safe, the evidence decides between image only and full.
    fn decide_tier(&mut self, step: Step, fact: &Fact) {
        let Course::Back { tier: tier @ Tier::Undecided, failure } = &mut self.course else { return };
        if step != Step::BackUpSafety {
            return;
        }
        let unchanged = matches!(fact, Fact::BackedUp { changed_since_cutover: Some(false), .. });
        let unrelated = failure.cause == Cause::Version(DataDoubt::Unrelated);
        *tier =
            if unchanged || (self.new_version_verified && unrelated) { Tier::ImageOnly } else { Tier::Full };
    }

    /// A step failed: turn back, reach further back, or give up.
    fn turn(&mut self, plan: &Plan, step: Step, failure: &Failure) {
        let failure = Box::new(failure.clone());
        self.course = match std::mem::replace(&mut self.course, Course::Forward) {
            Course::Forward => self.first_turn(plan, step, failure),
            Course::Back { tier: Tier::ImageOnly, failure: first }
                if matches!(step, Step::StartOld | Step::VerifyOld) && !self.way_back(plan).is_empty() =>
            {
                // The old version does not work on the present data: that is evidence about the data.
                Course::Back { tier: Tier::Full, failure: first }
            }
            Course::Back { failure: first, .. } | Course::Stuck { failure: first, .. } => {
                Course::Stuck { failure: first, then: Some(failure) }
            }
            ended @ Course::Ended(_) => ended,
        };
        self.done.clear();
    }

    fn first_turn(&self, plan: &Plan, step: Step, failure: Box<Failure>) -> Course {
        let never_ran = step == Step::StartNew && failure.cause == Cause::NeverRan;
        match self.first_tier(plan, never_ran) {
            Some(tier) => Course::Back { tier, failure },
            None => Course::Stuck { failure, then: None },
        }
    }

    /// How far a run that goes forward has to go back, by what it has begun; `None` where only going on, or a
    /// person, helps: a restoration that has begun to move data. `never_ran` says that the start was begun in vain.
    fn first_tier(&self, plan: &Plan, never_ran: bool) -> Option<Tier> {
        let begun = |step| self.begun.contains(&step);
        if begun(Step::RestoreData) {
            None
        } else if begun(Step::StartNew) && !never_ran {
            Some(Tier::Undecided)
        } else if begun(Step::CreateContainers) || begun(Step::Stop) {
            Some(Tier::NeverStarted)
        } else {
            debug_assert!(!matches!(plan.kind, Kind::Rollback { .. }), "a rollback never goes forward");
            Some(Tier::Files)
        }
    }

    /// Before the cutover an interruption turns the run back; a verified new version is kept; a way back, and
    /// a restoration that moves data, are finished; and what is done already stays done.
    fn interrupt(&mut self, plan: &Plan) {
        self.interrupted = true;
        let complete = self.done.contains(&Step::Document);
        if self.running.is_some() || self.course != Course::Forward || self.new_version_verified || complete {
            return;
        }
        if let Some(tier) = self.first_tier(plan, false) {
            self.course = Course::Back { tier, failure: Box::new(interrupted()) };
            self.done.clear();
        }
    }

    fn conclusion(&self) -> Conclusion {
        match &self.course {
            Course::Forward => Conclusion::Kept { warnings: self.warnings },
            Course::Back { tier: Tier::Files, failure } => Conclusion::AsBefore { failure: failure.clone() },
            Course::Back { tier, failure } => {
                Conclusion::RolledBack { tier: *tier, failure: failure.clone() }
            }
            Course::Stuck { failure, then } => {
                Conclusion::NeedsPerson { failure: failure.clone(), then: then.clone() }
            }
            Course::Ended(conclusion) => conclusion.clone(),
        }
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

fn interrupted() -> Failure {
    Failure::new(Problem::new("interrupted", "the run was interrupted"), Cause::Interrupted)
}

fn asked_for_by_operator() -> Failure {
    Failure::new(Problem::new("rollback-requested", "the operator asked for the rollback"), Cause::Requested)
}

#[cfg(test)]
mod tests;
