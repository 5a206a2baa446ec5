//! What the journal says must be kept, and which runs' leftovers may go.
//!
//! Invariant: what an unfinished run, or the way back from the newest kept update of a service, needs is never
//! among what may go; neither is what a run that needs a person left. Removes nothing: see
//! `commands/housekeeping.rs`.

use std::collections::{BTreeMap, HashSet};

use mainstay_core::event::BackupRecord;
use mainstay_core::plan::Kind;
use mainstay_core::time::Timestamp;
use mainstay_runner::{Journal, JournalError, RunSummary};
use mainstay_vault::{Listed, Retention, SnapshotId};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What must not be removed, however old it is.
#[derive(Debug, Default)]
pub struct Needed {
    /// Runs all of whose backups, images and files are needed.
    pub runs: HashSet<String>,
    /// Further snapshots.
    pub snapshots: HashSet<SnapshotId>,
}

impl Needed {
    /// Reads the journal.
    ///
    /// # Errors
    /// Where it can't be read: nobody knows what is needed then, and nothing may be removed.
    pub fn by(journal: &Journal, runs: &[RunSummary]) -> Result<Self, JournalError> {
        let mut needed = Self::default();
        for of_service in by_service(runs).into_values() {
            // The way back from what runs now.
            needed.runs.extend(kept_update(journal, of_service.iter().copied())?);
            // What was written between the last update and its rollback.
            needed
                .runs
                .extend(of_service.iter().find(|run| is(run, "rolled-back")).map(|run| run.id.clone()));
            needed.runs.extend(in_need(&of_service));
        }
        for run in runs.iter().filter(|run| run.ended_at.is_none()) {
            needed.unfinished(journal, &run.id)?;
        }
        Ok(needed)
    }

    fn unfinished(&mut self, journal: &Journal, run: &str) -> Result<(), JournalError> {
        let (plan, _) = journal.replay(run)?;
        self.runs.insert(run.to_owned());
        let mut snapshots = |backups: &[BackupRecord]| {
            self.snapshots.extend(backups.iter().filter_map(|backup| backup.snapshot.parse().ok()));
        };
        match &plan.kind {
            Kind::Rollback { of, backups, .. } => {
                snapshots(backups);
                self.runs.insert(of.clone());
            }
            Kind::Restore { backups } => snapshots(backups),
            Kind::Update | Kind::Backup => {}
        }
        Ok(())
    }

    /// Which of these backups are needed.
    #[must_use]
    pub fn of(&self, listed: &[Listed]) -> HashSet<SnapshotId> {
        let own = listed.iter().filter(|snapshot| self.runs.contains(&snapshot.tags.run));
        own.map(|snapshot| snapshot.id.clone()).chain(self.snapshots.iter().cloned()).collect()
    }
}

/// The newest kept update among the runs of a service (newest first) that was not undone: the one that `rollback`
/// undoes.
///
/// # Errors
/// Where the journal can't be read.
pub fn kept_update<'a>(
    journal: &Journal,
    runs: impl Iterator<Item = &'a RunSummary>,
) -> Result<Option<String>, JournalError> {
    let mut undone = HashSet::new();
    for run in runs {
        if run.kind == "rollback" && is(run, "rolled-back") {
            if let Kind::Rollback { of, .. } = journal.replay(&run.id)?.0.kind {
                undone.insert(of);
            }
        } else if is_kept_update(run) && !undone.contains(&run.id) {
            return Ok(Some(run.id.clone()));
        }
    }
    Ok(None)
}

/// Whether the run is an update whose new version stayed.
#[must_use]
pub fn is_kept_update(run: &RunSummary) -> bool {
    run.kind == "update" && is_done(run)
}

/// The runs that needed a person, after which nothing brought the service in order.
fn in_need(of_service: &[&RunSummary]) -> Vec<String> {
    let in_order = |run: &RunSummary| run.kind != "backup" && (is_done(run) || is(run, "rolled-back"));
    let since = of_service.iter().take_while(|run| !in_order(run));
    since.filter(|run| is(run, "needs-person")).map(|run| run.id.clone()).collect()
}

/// The ended runs whose directories and kept images may go: older than the days, none of the last ones of the
/// service, and not among `staying` (those that are needed, and those that still have backups). A run from the
/// future counts for nothing and stays.
pub fn leaving<'a>(
    runs: &'a [RunSummary],
    staying: &HashSet<String>,
    retention: impl Fn(&RunSummary) -> Retention,
    now: Timestamp,
) -> Vec<&'a RunSummary> {
    let mut leaving = Vec::new();
    for of_service in by_service(runs).into_values() {
        let past = of_service.into_iter().filter(|run| run.started_at <= now);
        for (position, run) in past.enumerate() {
            let Retention { keep_days, keep_last } = retention(run);
            let oldest = now.0.saturating_sub(i64::from(keep_days).saturating_mul(DAY_MS));
            let old = run.ended_at.is_some_and(|ended| ended.0 <= oldest);
            if old && position >= keep_last as usize && !staying.contains(&run.id) {
                leaving.push(run);
            }
        }
    }
    leaving
}

fn by_service(runs: &[RunSummary]) -> BTreeMap<(&str, &str), Vec<&RunSummary>> {
    let mut services: BTreeMap<(&str, &str), Vec<&RunSummary>> = BTreeMap::new();
    for run in runs {
        services.entry((&run.project, &run.service)).or_default().push(run);
    }
    services
}

fn is(run: &RunSummary, verdict: &str) -> bool {
    run.verdict.as_deref() == Some(verdict)
}

fn is_done(run: &RunSummary) -> bool {
    run.verdict.as_deref().is_some_and(|verdict| verdict.starts_with("done"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn run(id: &str, kind: &str, days: i64, verdict: Option<&str>) -> RunSummary {
        let at = Timestamp(NOW.0 - days * DAY_MS);
        RunSummary {
            id: id.to_owned(),
            project: "shop".to_owned(),
            service: "app".to_owned(),
            kind: kind.to_owned(),
            started_at: at,
            ended_at: verdict.map(|_| at),
            verdict: verdict.map(str::to_owned),
        }
    }

    fn needed(runs: &[RunSummary]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal.db")).unwrap();
        let mut needed: Vec<_> = Needed::by(&journal, runs).unwrap().runs.into_iter().collect();
        needed.sort();
        needed
    }

    #[test]
    fn the_way_back_and_the_last_rollback_are_needed() {
        let runs = [
            run("a", "backup", 1, Some("done")),
            run("b", "update", 2, Some("rolled-back")),
            run("c", "update", 30, Some("done-with-warnings")),
            run("d", "update", 40, Some("rolled-back")),
            run("e", "update", 50, Some("done")),
        ];
        assert_eq!(needed(&runs), ["b", "c"]);
    }

    #[test]
    fn what_needs_a_person_is_needed_until_the_service_is_in_order() {
        let runs = [
            run("a", "backup", 1, Some("done")),
            run("b", "restore", 2, Some("as-before")),
            run("c", "update", 3, Some("needs-person")),
            run("d", "restore", 4, Some("done")),
            run("e", "update", 5, Some("needs-person")),
        ];
        assert_eq!(needed(&runs), ["c"], "a backup brings nothing in order, a restoration does");
    }

    #[test]
    fn an_unfinished_run_that_cant_be_read_stops_every_removal() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal.db")).unwrap();
        assert!(Needed::by(&journal, &[run("a", "update", 1, None)]).is_err());
    }

    #[test]
    fn only_old_runs_that_nobody_needs_leave() {
        let runs = [
            run("future", "backup", -3, Some("done")),
            run("one", "backup", 10, Some("done")),
            run("unfinished", "update", 11, None),
            run("young", "backup", 5, Some("done")),
            run("needed", "update", 20, Some("done")),
            run("old", "backup", 21, Some("done")),
        ];
        let staying = HashSet::from(["needed".to_owned()]);
        let of = |keep_last| {
            let retention = |_: &RunSummary| Retention { keep_days: 7, keep_last };
            leaving(&runs, &staying, retention, NOW).iter().map(|run| &*run.id).collect::<Vec<_>>()
        };
        assert_eq!(of(0), ["one", "old"]);
        assert_eq!(of(1), ["old"]);
        assert!(of(5).is_empty());
    }
}
