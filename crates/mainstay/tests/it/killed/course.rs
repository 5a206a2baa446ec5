//! What is killed: a command on a project whose data is well known, and where it leads.

use crate::lab::Lab;

/// Migrates the data, which the old version then refuses.
pub const GOOD: &str = "2.0.0";

/// Where an undisturbed run leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The new version, on the data that it migrated.
    New,
    /// The old version, on the data from before.
    Old,
}

/// A command that is killed.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// For tables.
    pub name: &'static str,
    /// A project of `lab/projects`.
    pub project: &'static str,
    /// What is done before, from the old version on.
    pub prepare: fn(&Lab),
    /// The arguments.
    pub args: fn(&Lab) -> Vec<String>,
    /// Where it leads.
    pub end: End,
}

fn nothing(_: &Lab) {}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// A good update.
pub const KEPT: Course = Course {
    name: "update, kept",
    project: "solo",
    prepare: nothing,
    args: |lab| lab.update_args("app", GOOD, &[]),
    end: End::New,
};

/// A good update of two services that share their version.
pub const PAIR: Course = Course { name: "update of two, kept", project: "pair", ..KEPT };

/// A version that never touches the data.
pub const IMAGE_ONLY: Course = Course {
    name: "update, back image only",
    args: |lab| lab.update_args("app", "2.0.0-exit-at-start", &[]),
    end: End::Old,
    ..KEPT
};

/// A version that leaves the data half migrated.
pub const FULL: Course = Course {
    name: "update, back in full",
    args: |lab| lab.update_args("app", "2.0.0-migration-fails-half-way", &[]),
    end: End::Old,
    ..KEPT
};

/// A kept update is undone, with its data.
pub const ROLLBACK: Course = Course {
    name: "rollback",
    prepare: |lab| {
        lab.update("app", GOOD, &[]).expect_kept();
    },
    args: |lab| words(&["rollback", &lab.id("app"), "--yes"]),
    end: End::Old,
    ..KEPT
};

/// Data is put back that was changed since.
pub const RESTORE: Course = Course {
    name: "restore",
    prepare: |lab| {
        lab.mainstay(&["backup", &lab.id("app")]).expect_kept();
        lab.add_record("only in the safety snapshot");
        std::fs::remove_dir_all(lab.volume("data").join("deep")).unwrap();
    },
    args: |lab| words(&["restore", &lab.id("app"), "--yes"]),
    end: End::Old,
    ..KEPT
};

/// The service runs on.
pub const BACKUP: Course =
    Course { name: "backup", args: |lab| words(&["backup", &lab.id("app")]), end: End::Old, ..KEPT };

/// The service stands still for it.
pub const BACKUP_STILL: Course = Course {
    name: "backup, stopped",
    args: |lab| words(&["backup", &lab.id("app"), "--quiesce", "stop"]),
    end: End::Old,
    ..KEPT
};

/// All of them.
pub const ALL: &[Course] = &[KEPT, IMAGE_ONLY, FULL, ROLLBACK, RESTORE, BACKUP, BACKUP_STILL, PAIR];
