//! `disk-full`: a filesystem that the service writes to has no room, or no file entries, left.

use super::{Diagnosis, Facts, flagged, quoted};
use crate::diagnosis::Space;
use crate::redflags::Flag;

/// Less than this is nothing, unless the filesystem itself is that small.
const NOTHING: u64 = 16 << 20;

fn full(space: &Space) -> bool {
    let bytes = space.total > 0 && space.free < NOTHING && space.free.saturating_mul(20) < space.total;
    bytes || (space.files_total > 0 && space.files_free == 0)
}

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let lines = flagged(facts, Flag::DiskFull);
    let space = facts.spaces.iter().find(|space| full(space));
    let what = match (space, lines.first()) {
        (Some(space), _) => format!("the disk of {} is full", space.what),
        (None, Some((container, _))) => format!("{} finds a disk or quota full", container.name),
        (None, None) => return None,
    };
    let figures = facts.spaces.iter().filter(|s| full(s)).map(|s| {
        let entries = if s.files_total > 0 && s.files_free == 0 { ", no file entries free" } else { "" };
        format!("{}: {} kB of {} MB free{entries}", s.path, s.free / 1000, s.total / 1_000_000)
    });
    Some(
        Diagnosis::new(what)
            .seen_all(figures)
            .seen_all(quoted(&lines))
            .advise("free room there: `docker system df` shows what images, volumes and build caches take")
            .advise("`mainstay prune --dry-run` shows which backups may go"),
    )
}
