//! The lists of steps: the ways forward, and the ways back.
//!
//! A way back is a list of its own, not the forward steps undone in reverse: it is looked at before anything is
//! stopped, the service stops before data moves, and the old files are back before the old container is made.

use crate::plan::{Hooks, Kind, Plan, Quiesce, ServicePlan};
use crate::step::Step;
use crate::verdict::Tier;

use super::{Course, Standing};

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

const BACK_FILES: &[Step] =
    &[Step::Unpause, Step::RestoreFiles, Step::RestoreTag, Step::RunAfterBackup, Step::Document];
/// A backup or a restoration had stopped the service: its containers are still there, and the tag may mean another
/// image by now.
const BACK_STOPPED: &[Step] = &[Step::StartOld, Step::VerifyOld, Step::RunAfterBackup, Step::Document];
const BACK_NEVER_STARTED: &[Step] = &[
    Step::ConfirmWayBack,
    Step::Stop,
    Step::RestoreFiles,
    Step::RestoreTag,
    Step::RecreateOld,
    Step::StartOld,
    Step::VerifyOld,
    Step::RunAfterBackup,
    Step::Document,
];
const BACK_UNDECIDED: &[Step] = &[Step::ConfirmWayBack, Step::Stop, Step::BackUpSafety];
const BACK_IMAGE_ONLY: &[Step] = &[
    Step::ConfirmWayBack,
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
    Step::ConfirmWayBack,
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

impl Standing {
    /// The steps of the present course that the plan has a use for, in order.
    pub(super) fn steps<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = Step> + 'a {
        self.course_of(plan).iter().copied().filter(|step| self.applies(plan, *step))
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
                Tier::NeverStarted if matches!(plan.kind, Kind::Backup | Kind::Restore { .. }) => {
                    BACK_STOPPED
                }
                Tier::NeverStarted => BACK_NEVER_STARTED,
                Tier::Undecided => BACK_UNDECIDED,
                Tier::ImageOnly => BACK_IMAGE_ONLY,
                Tier::Full => BACK_FULL,
            },
            Course::Stuck { .. } => &[Step::Document],
            Course::Ended(_) => &[],
        }
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
            Step::Unpause => self.has_begun(Step::BackUpStill) && plan.still == Some(Quiesce::Pause),
            Step::RestoreFiles if matches!(self.course, Course::Back { tier: Tier::Files, .. }) => {
                self.has_begun(Step::EditFiles)
            }
            // The pull has moved it, and the next `up -d` would bring the new version.
            Step::RestoreTag if matches!(self.course, Course::Back { tier: Tier::Files, .. }) => {
                let same_tag = |s: &ServicePlan| s.from.reference == s.to.reference;
                self.has_begun(Step::PullImage) && plan.unit.services.iter().any(same_tag)
            }
            _ => true,
        }
    }
}
