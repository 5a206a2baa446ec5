//! What a case is: an update, what has to come of it, and why.

use super::project::Project;

/// One update with the verdict that is right.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name; `script/verdicts` takes pieces of it.
    pub name: &'static str,
    /// Why this verdict and no other.
    pub why: &'static str,
    /// What is updated.
    pub project: Project,
    /// The tag that runs.
    pub from: &'static str,
    /// The tag to update to; `$NAME` is a version that the lab's images were built with.
    pub to: &'static str,
    /// How long the new version is watched.
    pub watch: &'static str,
    /// How long it may take to start, in seconds.
    pub startup: u64,
    /// How long a probe may fail, in seconds.
    pub grace: u64,
    /// Further options of `update`. `PORT` becomes the project's port, `DIR` its directory.
    pub options: &'static [&'static str],
    /// Its `mainstay.toml`.
    pub settings: &'static str,
    /// What has to come of it.
    pub expected: Verdict,
    /// The diagnosis, where there has to be a certain one.
    pub diagnosis: Option<&'static str>,
    /// What a good judge can't decide before.
    pub decisive: Decisive,
}

/// What has to come of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new version stays, with or without warnings.
    Kept,
    /// The old version comes back, as far as this tier says.
    RolledBack(&'static str),
    /// The update ends before the service is touched.
    AsBefore,
}

/// The moment from which on a bad version can be known to be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decisive {
    /// There is none: the version is good.
    None,
    /// The exit that was the last one before the decision.
    Exit,
    /// The kernel killed it.
    OutOfMemory,
    /// The engine could not start it.
    StartError,
    /// The time to start was over.
    NeverUp,
    /// It goes bad that many seconds after it was started, and the grace was over then.
    Goes(u64),
    /// The window was over.
    WindowEnd,
}

/// A version that is bad from the start and has rewritten its data.
pub const BAD: Case = Case {
    name: "",
    why: "",
    project: Project::Solo,
    from: "1.0.0",
    to: "",
    watch: "8s",
    startup: 20,
    grace: 2,
    options: &[],
    settings: "",
    expected: Verdict::RolledBack("full"),
    diagnosis: None,
    decisive: Decisive::Exit,
};

/// A version that is good, whatever it looks like.
pub const GOOD: Case = Case { grace: 3, expected: Verdict::Kept, decisive: Decisive::None, ..BAD };

/// What a rollback says that left the data as the new version had left it.
pub const IMAGE_ONLY: Verdict = Verdict::RolledBack("image-only");
