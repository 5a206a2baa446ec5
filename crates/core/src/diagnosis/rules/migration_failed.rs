//! `migration-failed`: a migration of the data failed, or the schema is not the one that the code expects.

use super::{Diagnosis, Facts, flagged, quoted};
use crate::redflags::Flag;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let lines = flagged(facts, Flag::MigrationFailed);
    let (container, _) = lines.first().filter(|_| facts.suffers())?;
    Some(
        Diagnosis::new(format!("a migration of the data of {} failed", container.name))
            .seen_all(quoted(&lines))
            .advise_if(
                !facts.condemned,
                "the data may be half migrated: restore the backup from before, whichever version runs next",
            )
            .advise("see the release notes for versions that must not be left out on the way"),
    )
}
