//! The runs that are explored: every kind, on services that behave differently.

use mainstay_core::plan::{Plan, Quiesce};
use mainstay_core::verdict::Tier;

use crate::plan::{backup, restore, rollback, still_backup, update, update_of_a_moved_tag, with_hooks};
use crate::world::{Service, World};

/// A plan, and the world that it begins in.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// In a few words.
    pub name: &'static str,
    /// What is planned.
    pub plan: Plan,
    /// What is there.
    pub world: World,
}

/// All of them.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let usual = Service::USUAL;
    let tolerant = Service { old_refuses_new_data: false, ..usual };
    let harmless = Service { migrates: false, ..usual };
    let dead = Service { never_starts: true, ..usual };
    let moved = Service { moved_tag: true, ..usual };
    let one = |name, plan, world| Scenario { name, plan, world };
    let on = World::new;
    vec![
        one("update", update(), on(usual)),
        one("update, the old version takes migrated data", update(), on(tolerant)),
        one("update without a migration", update(), on(harmless)),
        one("update to what can't be started", update(), on(dead)),
        one("update of a moved tag", update_of_a_moved_tag(), on(moved)),
        one("update with commands around backups", with_hooks(update()), on(usual)),
        one("rollback of image and data", rollback(Tier::Full), World::updated(usual)),
        one("rollback of the image, refused by the data", rollback(Tier::ImageOnly), World::updated(usual)),
        one("rollback of the image", rollback(Tier::ImageOnly), World::updated(harmless)),
        one("restoration", restore(), on(harmless).with_backup()),
        one("backup", with_hooks(backup()), on(usual)),
        one("backup, stopped", with_hooks(still_backup(Quiesce::Stop)), on(usual)),
        one("backup, paused", with_hooks(still_backup(Quiesce::Pause)), on(usual)),
    ]
}
