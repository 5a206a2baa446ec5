//! When something goes wrong: in which phase of which update.

/// It migrates the data, which the old version then refuses.
pub const GOOD: &str = "2.0.0";
/// It has rewritten half of its data when it gives up, so that the data has to come back.
pub const BAD: &str = "2.0.0-migration-fails-half-way";

/// A phase, or a part of one in which other things may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The service is looked at and the plan made.
    Validate,
    /// The data is backed up while the service runs.
    BackUp,
    /// The image is pulled.
    Prepare,
    /// The operator's files are edited.
    Edit,
    /// Compose makes the new container, stops the old one and removes it.
    CutOver,
    /// The data is backed up as it stands.
    SecondBackUp,
    /// The new version is started and verified.
    Verify,
    /// It is watched.
    Watch,
    /// It is kept, and that is written down.
    Document,
    /// A bad version is stopped.
    WayBack,
    /// The data is put back.
    DataBack,
    /// The old version is verified.
    VerifyOld,
}

/// All of them, in the order of the table.
pub const ALL: &[Phase] = &[
    Phase::Validate,
    Phase::BackUp,
    Phase::Prepare,
    Phase::Edit,
    Phase::CutOver,
    Phase::SecondBackUp,
    Phase::Verify,
    Phase::Watch,
    Phase::Document,
    Phase::WayBack,
    Phase::DataBack,
    Phase::VerifyOld,
];

impl Phase {
    /// The step with whose beginning it begins; none for what is before all steps.
    pub fn step(self) -> Option<&'static str> {
        Some(match self {
            Self::Validate => return None,
            Self::BackUp => "back-up-live",
            Self::Prepare => "pull-image",
            Self::Edit => "edit-files",
            Self::CutOver => "create-containers",
            Self::SecondBackUp => "back-up-cutover",
            Self::Verify => "verify-new",
            Self::Watch => "watch",
            Self::Document => "document",
            Self::WayBack => "stop",
            Self::DataBack => "restore-data",
            Self::VerifyOld => "verify-old",
        })
    }

    /// The version that is updated to.
    pub fn version(self) -> &'static str {
        match self {
            Self::WayBack | Self::DataBack | Self::VerifyOld => BAD,
            _ => GOOD,
        }
    }

    /// A column of the table.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::BackUp => "back up",
            Self::Prepare => "prepare",
            Self::Edit => "edit files",
            Self::CutOver => "cut over",
            Self::SecondBackUp => "2nd backup",
            Self::Verify => "verify",
            Self::Watch => "watch",
            Self::Document => "document",
            Self::WayBack => "way back",
            Self::DataBack => "data back",
            Self::VerifyOld => "verify old",
        }
    }
}
