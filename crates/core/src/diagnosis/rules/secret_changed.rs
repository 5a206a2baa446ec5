//! `secret-changed`: secrets among the variables are not what they were before the update: sessions, tokens and encrypted
//! data of before are worth nothing.

use super::{Diagnosis, Facts};
use crate::diagnosis::Change;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let container = facts.containers.iter().find(|c| !c.variables.is_empty())?;
    let names = |change: Change| -> Vec<&str> {
        container.variables.iter().filter(|v| v.change == change).map(|v| v.name.as_str()).collect()
    };
    let (vanished, changed) = (names(Change::Vanished), names(Change::Changed));
    let list: Vec<&str> = vanished.iter().chain(&changed).copied().collect();
    let what = format!("secrets of {} are not what they were: {}", container.name, list.join(", "));
    let gone = vanished.iter().map(|name| format!("{name}: was set, is not set or empty now"));
    let other = changed.iter().map(|name| format!("{name}: has another value now"));
    Some(
        Diagnosis::new(what)
            .seen_all(gone.chain(other))
            .advise(
                "where it signs sessions, everybody is logged out; where it encrypts, what is stored can't be read: put the old \
                 value back into the env file",
            )
            .advise("the old value is in the saved configuration of the run before (`configuration/` in its directory)"),
    )
}
