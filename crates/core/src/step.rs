//! The steps of a run: one imperative each, the same word as enum variant, host function, journal row and
//! line on the screen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One effect on the world. Every step looks first at what is there, so that it can be performed again from
/// any half-done state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// What runs and what stands in the files is still what the plan was made from.
    Confirm,
    /// Give the old image a tag of our own, so that nothing prunes it.
    KeepImage,
    /// Keep Compose and env files, `inspect` and the last log lines in the run's directory.
    SaveConfiguration,
    /// Run the services' own commands that come before a backup, in their containers.
    RunBeforeBackup,
    /// Back up the data while the service runs, and read the backup back.
    BackUpLive,
    /// In a run that only backs up: back up what changed since the live pass, and read it back, the service
    /// being stopped, or paused for just this step.
    BackUpStill,
    /// Run the services' own commands that come after a backup.
    RunAfterBackup,
    /// Pull the new image and compare it with the old one.
    PullImage,
    /// Write the planned edits into the operator's files.
    EditFiles,
    /// Run the commands that come before a backup again, in the old containers, just before they go.
    RunBeforeCutover,
    /// Take the figures that the new version is compared with: what the data holds, what is normal.
    TakeBaseline,
    /// Have Compose create the new container; it stops and removes the old one. **Downtime begins.**
    CreateContainers,
    /// Back up what changed since the live pass, and read it back. The service stands still.
    BackUpCutover,
    /// Start the new containers.
    StartNew,
    /// Health, inside, outside: does the new version work?
    VerifyNew,
    /// Stay and look until the window ends.
    Watch,

    /// Before the way back stops anything: the files are still as the run left them, the old image is there, and
    /// whether anything of the new version ever ran.
    ConfirmWayBack,
    /// Let containers go on that this run has paused.
    Unpause,
    /// Stop the containers of the unit.
    Stop,
    /// Keep the present data before it is overwritten or touched by the old version again.
    BackUpSafety,
    /// Put the operator's files back, byte for byte.
    RestoreFiles,
    /// Point a moved tag back to the old image.
    RestoreTag,
    /// Have Compose create the old container again, without starting it.
    RecreateOld,
    /// Put the data of the backup back in place.
    RestoreData,
    /// Start the containers of the old version.
    StartOld,
    /// Health, inside, outside: does the old version work again?
    VerifyOld,

    /// Write the report and the instructions for using the backup without mainstay.
    Document,
}

impl Step {
    /// The step's name in the journal, in `--json` and on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::KeepImage => "keep-image",
            Self::SaveConfiguration => "save-configuration",
            Self::RunBeforeBackup => "run-before-backup",
            Self::BackUpLive => "back-up-live",
            Self::BackUpStill => "back-up-still",
            Self::RunAfterBackup => "run-after-backup",
            Self::PullImage => "pull-image",
            Self::EditFiles => "edit-files",
            Self::RunBeforeCutover => "run-before-cutover",
            Self::TakeBaseline => "take-baseline",
            Self::CreateContainers => "create-containers",
            Self::BackUpCutover => "back-up-cutover",
            Self::StartNew => "start-new",
            Self::VerifyNew => "verify-new",
            Self::Watch => "watch",
            Self::ConfirmWayBack => "confirm-way-back",
            Self::Unpause => "unpause",
            Self::Stop => "stop",
            Self::BackUpSafety => "back-up-safety",
            Self::RestoreFiles => "restore-files",
            Self::RestoreTag => "restore-tag",
            Self::RecreateOld => "recreate-old",
            Self::RestoreData => "restore-data",
            Self::StartOld => "start-old",
            Self::VerifyOld => "verify-old",
            Self::Document => "document",
        }
    }

    /// The phase that the step belongs to.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self {
            Self::Confirm => Phase::Validate,
            Self::KeepImage
            | Self::SaveConfiguration
            | Self::RunBeforeBackup
            | Self::BackUpLive
            | Self::BackUpStill
            | Self::RunAfterBackup => Phase::BackUp,
            Self::PullImage => Phase::Prepare,
            Self::EditFiles
            | Self::RunBeforeCutover
            | Self::TakeBaseline
            | Self::CreateContainers
            | Self::BackUpCutover
            | Self::StartNew => Phase::CutOver,
            Self::VerifyNew => Phase::Verify,
            Self::Watch => Phase::Watch,
            Self::ConfirmWayBack
            | Self::Unpause
            | Self::Stop
            | Self::BackUpSafety
            | Self::RestoreFiles
            | Self::RestoreTag
            | Self::RecreateOld
            | Self::RestoreData
            | Self::StartOld
            | Self::VerifyOld => Phase::RollBack,
            Self::Document => Phase::Conclude,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A phase of a run, as the operator knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the phases of the runbook")]
pub enum Phase {
    Validate,
    BackUp,
    Prepare,
    CutOver,
    Verify,
    Watch,
    RollBack,
    Conclude,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validate => "validate",
            Self::BackUp => "back up",
            Self::Prepare => "prepare",
            Self::CutOver => "cut over",
            Self::Verify => "verify",
            Self::Watch => "watch",
            Self::RollBack => "roll back",
            Self::Conclude => "conclude",
        })
    }
}
