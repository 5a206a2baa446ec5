//! Where a run stands: all that decides what comes next, and how outcomes and interruptions change it.
//!
//! Invariant: equal standings of one plan go on alike, whatever led to them; so what is here is all that an
//! exploration of runs has to tell apart.

use crate::event::{Fact, Outcome};
use crate::plan::{Kind, Plan};
use crate::problem::Problem;
use crate::step::Step;
use crate::verdict::{Cause, Conclusion, DataDoubt, Failure, Tier};

use super::Next;

/// Where a run is going.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Course {
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

/// All that decides what a run does next: the course it is on, and what was begun and done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    pub(super) course: Course,
    /// Steps done on the present course.
    pub(super) done: Vec<Step>,
    /// Steps that were ever begun, on any course.
    begun: Vec<Step>,
    pub(super) running: Option<Step>,
    pub(super) interrupted: bool,
    pub(super) warnings: bool,
    pub(super) new_version_verified: bool,
    /// A backup was begun, and what its services want done after one has not been done since.
    pub(super) after_owed: bool,
    /// Whether there are backups to which the data can be put back.
    has_way_back: bool,
}

impl Standing {
    pub(super) fn new(plan: &Plan) -> Self {
        let course = match &plan.kind {
            Kind::Rollback { tier, .. } => {
                Course::Back { tier: *tier, failure: Box::new(asked_for_by_operator()) }
            }
            _ => Course::Forward,
        };
        let has_way_back = match &plan.kind {
            Kind::Rollback { backups, .. } | Kind::Restore { backups } => !backups.is_empty(),
            Kind::Update | Kind::Backup => false,
        };
        Self {
            course,
            done: Vec::new(),
            begun: Vec::new(),
            running: None,
            interrupted: false,
            warnings: plan.findings.iter().any(|f| f.severity > crate::finding::Severity::Note),
            new_version_verified: false,
            after_owed: false,
            has_way_back,
        }
    }

    pub(super) fn next(&self, plan: &Plan) -> Next {
        if let Some(step) = self.running {
            return Next::Do(step);
        }
        if matches!(self.course, Course::Ended(_)) {
            return Next::Nothing;
        }
        let open = self.steps(plan).find(|step| !self.done.contains(step));
        open.map_or_else(|| Next::Close(self.conclusion()), Next::Do)
    }

    pub(super) fn has_begun(&self, step: Step) -> bool {
        self.begun.contains(&step)
    }

    pub(super) fn begin(&mut self, step: Step) {
        self.running = Some(step);
        self.after_owed |= matches!(step, Step::RunBeforeBackup | Step::BackUpLive | Step::RunBeforeCutover);
        if !self.has_begun(step) {
            self.begun.push(step);
        }
    }

    pub(super) fn end(&mut self, plan: &Plan, step: Step, outcome: &Outcome) {
        self.running = None;
        match outcome {
            Outcome::Done { fact } => {
                self.done.push(step);
                self.note(plan, step, fact);
                self.decide_tier(plan, step, fact);
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

    fn note(&mut self, plan: &Plan, step: Step, fact: &Fact) {
        self.new_version_verified |= step == Step::VerifyNew;
        self.after_owed &= step != Step::RunAfterBackup;
        self.warnings |= matches!(fact, Fact::Watched { cut_short: true, .. });
        if let (Step::BackUpCutover, Kind::Update, Fact::BackedUp { backups, .. }) = (step, &plan.kind, fact)
        {
            self.has_way_back = !backups.is_empty();
        }
    }

    /// What was seen decides how far to go back: whether anything of the new version ran, before the service is
    /// stopped; whether the data changed, once it is safe; and whether anything may have run since.
    fn decide_tier(&mut self, plan: &Plan, step: Step, fact: &Fact) {
        let Course::Back { tier, failure } = &mut self.course else { return };
        match (&*tier, step, fact) {
            // Somebody else started it: its data is looked at like any other's.
            (Tier::NeverStarted, Step::ConfirmWayBack, Fact::WayBack { new_version_ran: true }) => {
                *tier = Tier::Undecided;
            }
            (Tier::Undecided, Step::BackUpSafety, fact) => {
                let unchanged = matches!(fact, Fact::BackedUp { changed_since_cutover: Some(false), .. });
                let unrelated = failure.cause == Cause::Version(DataDoubt::Unrelated);
                // Without a backup of the cutover there is nothing but the present data.
                let image_only = unchanged || (self.new_version_verified && unrelated) || !self.has_way_back;
                *tier = if image_only { Tier::ImageOnly } else { Tier::Full };
            }
            // The data is kept as it is now, before anything is done to it or started on it; what an update had
            // decided by how it was is decided again. How far a rollback goes, the operator has said.
            (_, Step::RecreateOld, Fact::Created { ran_meanwhile: true, .. }) => {
                self.done.retain(|done| *done != Step::BackUpSafety);
                if *tier == Tier::NeverStarted || (*tier == Tier::ImageOnly && plan.kind == Kind::Update) {
                    *tier = Tier::Undecided;
                }
            }
            _ => {}
        }
    }

    /// A step failed: turn back, reach further back, or give up.
    fn turn(&mut self, plan: &Plan, step: Step, failure: &Failure) {
        let failure = Box::new(failure.clone());
        self.course = match std::mem::replace(&mut self.course, Course::Forward) {
            Course::Forward => self.first_turn(plan, step, failure),
            Course::Back { tier: Tier::ImageOnly, failure: first }
                if matches!(step, Step::StartOld | Step::VerifyOld) && self.has_way_back =>
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
        if self.has_begun(Step::RestoreData) {
            None
        } else if self.has_begun(Step::StartNew) && !never_ran {
            Some(Tier::Undecided)
        } else if self.has_begun(Step::CreateContainers) || self.has_begun(Step::Stop) {
            Some(Tier::NeverStarted)
        } else {
            debug_assert!(!matches!(plan.kind, Kind::Rollback { .. }), "a rollback never goes forward");
            Some(Tier::Files)
        }
    }

    /// Before the cutover an interruption turns the run back; a verified new version is kept; a way back, and
    /// a restoration that moves data, are finished; and what is done already stays done.
    pub(super) fn interrupt(&mut self, plan: &Plan) {
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
}

fn interrupted() -> Failure {
    Failure::new(Problem::new("interrupted", "the run was interrupted"), Cause::Interrupted)
}

fn asked_for_by_operator() -> Failure {
    Failure::new(Problem::new("rollback-requested", "the operator asked for the rollback"), Cause::Requested)
}
