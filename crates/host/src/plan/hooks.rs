//! The commands that services want run around a backup, in the plan as they may be shown.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mainstay_core::plan::{Hooks, Plan};

use crate::functional::shown_command as shown;
use crate::survey::Hidden;

/// What one service wants run in its container around a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookWish {
    /// Before the data is read: a program and its arguments.
    pub before: Option<Hidden<Vec<String>>>,
    /// After it was read.
    pub after: Option<Hidden<Vec<String>>>,
    /// How long each may take, in milliseconds.
    pub timeout_ms: u64,
    /// Whether the operator says what is run, be it nothing.
    pub said: bool,
    /// The profile that the commands are of, if they are not the operator's.
    pub profile: Option<&'static str>,
}

/// What the services of a project want.
#[derive(Clone, Debug, Default)]
pub struct HookWishes {
    /// Services that are named.
    pub by_service: BTreeMap<String, HookWish>,
    /// All others.
    pub others: HookWish,
}

impl HookWishes {
    pub(super) fn of(&self, service: &str) -> &HookWish {
        self.by_service.get(service).unwrap_or(&self.others)
    }

    /// Whether the operator says what is run around a backup of this service, be it nothing.
    pub(super) fn are_said(&self, service: &str) -> bool {
        self.of(service).said
    }

    /// Whether any of these services wants something run.
    #[must_use]
    pub fn any<'a>(&self, services: impl IntoIterator<Item = &'a String>) -> bool {
        services.into_iter().map(|s| self.of(s)).any(|w| w.before.is_some() || w.after.is_some())
    }
}

/// Puts the commands into the plan as they may be shown; returned are the commands themselves.
pub(super) fn add(plan: &mut Plan, wishes: &HookWishes) -> Vec<(PathBuf, Hidden<Vec<u8>>)> {
    let mut commands = Vec::new();
    for (index, service) in plan.unit.services.iter_mut().enumerate() {
        let wish = wishes.of(&service.name);
        if wish.before.is_none() && wish.after.is_none() {
            continue;
        }
        let [before, after] = [&wish.before, &wish.after].map(|c| c.as_ref().map(|c| shown(&c.0)));
        let profile = wish.profile.map(str::to_owned);
        let hooks = Hooks { before, after, timeout_ms: wish.timeout_ms, profile, index };
        for (command, stored) in [(&wish.before, hooks.stored_before()), (&wish.after, hooks.stored_after())]
        {
            if let Some(command) = command {
                commands.push((stored, Hidden(serde_json::json!(command.0).to_string().into_bytes())));
            }
        }
        service.hooks = Some(hooks);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_without_secrets() {
        let command = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let dump = shown(&command(&["sh", "-c", "pg_dump postgres://app:hunter2@db/app >/data/dump.sql"]));
        assert_eq!(dump, "pg_dump postgres://app:[hidden]@db/app >/data/dump.sql");
        let variable = shown(&command(&["sh", "-c", "PGPASSWORD=hunter2 pg_dump app"]));
        assert!(!variable.contains("hunter2"), "{variable}");
        let list = shown(&command(&["/app", "--password", "hunter2", "save"]));
        assert!(list.starts_with("/app --password") && !list.contains("hunter2"), "{list}");
    }

    #[test]
    fn a_service_that_is_named_wants_what_it_says() {
        let some = HookWish { before: Some(Hidden(vec!["x".into()])), ..HookWish::default() };
        let mut wishes = HookWishes { others: some, ..HookWishes::default() };
        wishes.by_service.insert("db".into(), HookWish::default());
        assert!(wishes.any(&["app".to_owned()]) && !wishes.any(&["db".to_owned()]));
    }
}
