//! What can be observed of a version, and from where. A signal says what was seen, never what it means.

use super::Millis;
use super::certificate::Shown;
use super::resources::Reading;
use crate::functional::Judged;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// From another place in the service's network.
    Inside,
    /// As users do.
    Outside,
    /// From the place of another container.
    Neighbour,
}

/// Something that was observed.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// The engine says that it runs.
    Running {
        /// Which container.
        container: String,
    },
    /// Its process ended.
    Exited {
        /// Which container.
        container: String,
        /// Its exit code.
        code: i64,
    },
    /// Somebody sent it a signal: its next exit is no crash.
    Killed {
        /// Which container.
        container: String,
    },
    /// The kernel killed a process of it for want of memory.
    OutOfMemory {
        /// Which container.
        container: String,
    },
    /// The engine could not start it.
    StartFailed {
        /// Which container.
        container: String,
        /// What the engine says.
        error: String,
    },
    /// It is gone: removed by somebody else.
    Gone {
        /// Which container.
        container: String,
    },
    /// The health check, of the engine's or run by us.
    Health {
        /// Which container.
        container: String,
        /// Whether it was good.
        healthy: bool,
        /// The output of the check, shortened.
        output: String,
    },
    /// One run of its health check, for the evidence; what the run means is [`Signal::Health`].
    Checked {
        /// Which container.
        container: String,
        /// Exit code and output, shortened.
        outcome: String,
    },
    /// A probe was answered, or not.
    Probe {
        /// Who asked.
        place: Place,
        /// Whether the answer is as good as before the update.
        ok: bool,
        /// From the question to the answer, or until it was clear that none comes.
        millis: Millis,
        /// The answer, for people.
        detail: String,
        /// What is worth a remark although the answer is good.
        remarks: Vec<String>,
    },
    /// The certificate that was shown to who asked as users do.
    Certificate(Shown),
    /// A probe could not be asked, for a reason that is not the service's.
    Unaskable {
        /// From where it would have been asked.
        place: Place,
        /// Why it was not.
        why: String,
    },
    /// A functional check was answered.
    Check {
        /// Its name.
        name: String,
        /// The answer, compared with what was before.
        judged: Judged,
    },
    /// A line of its log.
    Log {
        /// Which container.
        container: String,
        /// The line.
        line: String,
    },
    /// What it uses up.
    Usage {
        /// Which container.
        container: String,
        /// One a resource.
        readings: Vec<Reading>,
    },
    /// The disk that a mount lies on.
    Room {
        /// The mount's name in the plan.
        mount: String,
        /// Bytes that are taken, or that the service may not take.
        used: u64,
        /// Bytes in all.
        total: u64,
    },
}
