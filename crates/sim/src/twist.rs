//! Rules broken on purpose, one at a time: an exploration that doesn't find such a mistake proves nothing.

use mainstay_core::event::{Fact, Outcome};
use mainstay_core::plan::Plan;
use mainstay_core::state::RunState;
use mainstay_core::step::Step;

use crate::fate::{Broken, Fate, Performed};
use crate::world::{Care, World};

/// One way of breaking the order or the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// None: as it is meant.
    Straight,
    /// A step is journaled as done and not performed.
    Skips(Step),
    /// A step that fails is journaled as done.
    Believes(Step),
    /// Two steps are performed in each other's place.
    Swaps(Step, Step),
    /// A second safety snapshot is spared: there is one already.
    SparesSafety,
    /// A step is journaled only once it has ended.
    ForgetsBegun,
    /// A step that fails is tried again, and again.
    TriesForEver(Step),
}

impl Twist {
    pub(crate) fn perform(
        self,
        world: &mut World,
        (plan, state): (&Plan, &RunState),
        (step, again): (Step, bool),
        fate: Fate,
    ) -> Result<Performed, Broken> {
        let done = |fact| Performed { outcome: Some(Outcome::Done { fact }), cut: false };
        let effect = match self {
            Self::Skips(skipped) if step == skipped => return Ok(done(Fact::Nothing)),
            Self::SparesSafety if step == Step::BackUpSafety => match state.fact(step) {
                Some(fact) => return Ok(done(fact.clone())),
                None => step,
            },
            Self::Swaps(one, other) if [one, other].iter().all(|s| state.steps(plan).contains(s)) => {
                if step == one {
                    other
                } else if step == other {
                    one
                } else {
                    step
                }
            }
            _ => step,
        };
        let performed = world.perform(plan, state, effect, again, fate)?;
        Ok(match performed.outcome {
            Some(Outcome::Failed { .. }) if self == Self::Believes(step) => done(Fact::Nothing),
            _ => performed,
        })
    }
}

/// A mistake that somebody could make.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// In a few words.
    pub name: &'static str,
    /// What is done in another order, or not at all.
    pub twist: Twist,
    /// What the steps are no longer careful about.
    pub care: Care,
}

const fn by(name: &'static str, twist: Twist) -> Mistake {
    Mistake { name, twist, care: Care::FULL }
}

const fn careless(name: &'static str, care: Care) -> Mistake {
    Mistake { name, twist: Twist::Straight, care }
}

/// Every mistake that an exploration has to find.
pub const MISTAKES: &[Mistake] = &[
    by("no safety snapshot before a restoration", Twist::Skips(Step::BackUpSafety)),
    Mistake {
        name: "no safety snapshot, and nothing that guards the data",
        twist: Twist::Skips(Step::BackUpSafety),
        care: Care { guards_data: false, ..Care::FULL },
    },
    by("the second safety snapshot is spared", Twist::SparesSafety),
    Mistake {
        name: "the second safety snapshot is spared, and nothing guards the data",
        twist: Twist::SparesSafety,
        care: Care { guards_data: false, ..Care::FULL },
    },
    careless("a backup isn't read back", Care { reads_back: false, ..Care::FULL }),
    by("no backup at the cutover", Twist::Skips(Step::BackUpCutover)),
    by("a failed cutover backup counts", Twist::Believes(Step::BackUpCutover)),
    by("the new version starts before the cutover backup", Twist::Swaps(Step::BackUpCutover, Step::StartNew)),
    careless("image only, though the data changed", Care { compares: false, ..Care::FULL }),
    by("data is restored before the service stops", Twist::Swaps(Step::Stop, Step::RestoreData)),
    careless("what was stopped is taken for stopped", Care { stops_again: false, ..Care::FULL }),
    by("the old version starts before its data is back", Twist::Swaps(Step::RestoreData, Step::StartOld)),
    by("the data isn't put back", Twist::Skips(Step::RestoreData)),
    by(
        "the old container is made before the files are back",
        Twist::Swaps(Step::RestoreFiles, Step::RecreateOld),
    ),
    by("the files aren't put back", Twist::Skips(Step::RestoreFiles)),
    by("a moved tag isn't put back", Twist::Skips(Step::RestoreTag)),
    by("the old container isn't made again", Twist::Skips(Step::RecreateOld)),
    by("a step is journaled when it has ended", Twist::ForgetsBegun),
    by("a start that fails is tried for ever", Twist::TriesForEver(Step::StartNew)),
    by("files that can't be put back are tried for ever", Twist::TriesForEver(Step::RestoreFiles)),
    by("a new version that can't be verified is kept", Twist::Believes(Step::VerifyNew)),
    by("a new version that went bad is kept", Twist::Believes(Step::Watch)),
    by("an old version that doesn't work is called verified", Twist::Believes(Step::VerifyOld)),
    careless("a foreign edit is overwritten", Care { respects_files: false, ..Care::FULL }),
    careless("a start by somebody else isn't noticed", Care { sees_strangers_start: false, ..Care::FULL }),
    careless("a start since the data was kept isn't noticed", Care { asks_what_ran: false, ..Care::FULL }),
    careless("a pruned image isn't pulled again", Care { pulls_old_image: false, ..Care::FULL }),
    careless("a removed container works", Care { sees_missing_containers: false, ..Care::FULL }),
    by("the service is stopped without a look at the way back", Twist::Skips(Step::ConfirmWayBack)),
    by("a pause is forgotten", Twist::Skips(Step::Unpause)),
    by("what comes after a backup is forgotten", Twist::Skips(Step::RunAfterBackup)),
];
