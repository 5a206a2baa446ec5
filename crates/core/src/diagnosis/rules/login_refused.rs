//! `login-refused`: a database or another service refuses the login that this one uses.

use super::{Diagnosis, Facts, flagged, quoted};
use crate::redflags::Flag;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let lines = flagged(facts, Flag::Authentication);
    let (container, _) = lines.first().filter(|_| facts.suffers())?;
    Some(
        Diagnosis::new(format!("a login that {} uses is refused", container.name))
            .seen_all(quoted(&lines))
            .advise(
                "compare user and password on both sides: a database takes its password from the environment only when its \
                 volume is made",
            ),
    )
}
