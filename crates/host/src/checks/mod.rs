//! Validation: what a survey, and the first answers of the probes, say against an update.
//!
//! Invariant: a check is a pure function; it asks nobody and changes nothing. Each finding carries the
//! figures it rests on and what to do about it, no secret, and the id that `--force` takes. Required is what
//! would make the update unsafe or its verdict worthless; docs/checks.md lists all checks. What this module
//! does not do: gather facts ([`crate::survey`]) or compare images (`mainstay_core::image`).

mod advice;
mod anonymous_volumes;
mod answers;
mod certificate;
mod compose;
mod dependencies;
mod disk;
mod drift;
mod health;
mod image_drift;
mod memory;
mod mounts;
mod profiles;
mod quiesce;
mod restarts;
mod sharers;
mod state;
mod unreachable_data;
mod writable_layer;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use mainstay_core::finding::{Finding, Severity};

pub use disk::room;

use crate::probes::Answer;
use crate::survey::Survey;

/// What the probes said before the update.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// From inside the network; `None` where nobody was asked.
    pub inside: Option<Answer>,
    /// As users reach it; `None` where nobody was asked.
    pub outside: Option<Answer>,
}

/// What the run is going to do, as far as it matters to checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The data is backed up: it has to be readable, and to fit.
    pub backup: bool,
    /// Containers are re-created: what is in them alone is lost, and Compose goes by its files.
    pub recreate: bool,
    /// Commands are run in the containers before or after the backup.
    pub hooks: bool,
    /// The containers are paused for the backup.
    pub pause: bool,
    /// Data is put back, so many bytes, after a safety backup of what is there.
    pub restore: Option<u64>,
    /// Bytes that the repository grew by when this service was last backed up; `None` if it never was.
    pub added_before: Option<u64>,
    /// Bytes that copies of the images that run may take in the state directory.
    pub image_copies: u64,
    /// The data is copied while the service runs, and at no other time.
    pub live_only: bool,
    /// The images that services shall run, by service.
    pub to: BTreeMap<String, String>,
}

/// Everything that a check sees.
struct Input<'a> {
    survey: &'a Survey,
    asked: &'a Asked,
    wanted: &'a Wanted,
    now: Timestamp,
}

struct Check {
    id: &'static str,
    looks_at: &'static str,
    run: fn(&Input<'_>) -> Vec<Finding>,
}

const fn check(id: &'static str, looks_at: &'static str, run: fn(&Input<'_>) -> Vec<Finding>) -> Check {
    Check { id, looks_at, run }
}

/// In the order in which findings of one severity are shown.
const CHECKS: &[Check] = &[
    check(compose::ID, "whether Compose accepts the files, and the files can be read", compose::run),
    check(state::ID, "whether every container runs", state::run),
    check(health::ID, "what the containers' own health checks say", health::run),
    check(restarts::ID, "whether the engine keeps restarting a container", restarts::run),
    check(memory::OOM, "whether the kernel killed a container for want of memory", memory::oom),
    check(memory::ID, "how near a container is to its memory limit", memory::run),
    check(answers::INSIDE, "whether the service answers inside its network", answers::inside),
    check(answers::URL, "whether the service answers as its users reach it", answers::url),
    check(certificate::ID, "whether the URL's certificate is valid, and for how long", certificate::run),
    check(
        unreachable_data::ARCHIVE,
        "data that is reached through the engine, which keeps less",
        unreachable_data::archive_api,
    ),
    check(
        unreachable_data::PUT_BACK,
        "whether data that is reached through the engine could be put back",
        unreachable_data::put_back,
    ),
    check(mounts::ID, "whether the data is there, and all of it can be read", mounts::run),
    check(unreachable_data::UNSUPPORTED, "mounts that can't be backed up", unreachable_data::unsupported),
    check(sharers::ID, "other running containers that use the same data", sharers::run),
    check(quiesce::ID, "whether the containers can do what is to be done around a backup", quiesce::run),
    check(disk::ID, "whether there is room for the backup and for a restore", disk::run),
    check(drift::ID, "whether what runs is what the Compose file says", drift::run),
    check(image_drift::ID, "whether the image's tag still means the image that runs", image_drift::run),
    check(
        dependencies::ID,
        "whether what the service needs runs, and would be left alone",
        dependencies::run,
    ),
    check(writable_layer::ID, "files in containers outside their mounts", writable_layer::run),
    check(profiles::JUMP, "whether the new version can work on data of the old one", profiles::jump),
    check(profiles::LIVE, "whether a copy that is made while the service runs is of use", profiles::live),
    check(anonymous_volumes::ID, "data in volumes without a name", anonymous_volumes::run),
    check(mounts::NO_DATA, "whether there is any data to back up", mounts::no_data),
];

/// Every check: its id, as findings and `--force` name it, and what it looks at.
pub const ALL: &[(&str, &str)] = &table();

const fn table() -> [(&'static str, &'static str); CHECKS.len()] {
    let mut all = [("", ""); CHECKS.len()];
    let mut at = 0;
    while at < CHECKS.len() {
        all[at] = (CHECKS[at].id, CHECKS[at].looks_at);
        at += 1;
    }
    all
}

/// Runs every check. Most severe first.
#[must_use]
pub fn run(survey: &Survey, asked: &Asked, wanted: &Wanted) -> Vec<Finding> {
    run_at(Timestamp::now(), survey, asked, wanted)
}

fn run_at(now: Timestamp, survey: &Survey, asked: &Asked, wanted: &Wanted) -> Vec<Finding> {
    let input = Input { survey, asked, wanted, now };
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|c| (c.run)(&input)).collect();
    findings.sort_by_key(|f| Reverse(f.severity));
    findings
}

/// Required where `decides`, else a warning.
fn required_if(decides: bool) -> Severity {
    if decides { Severity::Required } else { Severity::Warning }
}

#[cfg(test)]
mod tests;
