//! Which backups may go.
//!
//! What one run backed up of one service is a *set*, and stays or goes as a whole. Invariant: a set goes only if it
//! is older than `keep_days` and neither among the last `keep_last` sets of its service nor among its last
//! `keep_last` good ones, and holds neither a protected snapshot nor the newest good one of a mount. Good means: made
//! to be restored (live, cutover, manual), not to save what a restore overwrote. A snapshot from the future was
//! made, or is looked at, by a wrong clock: it stays, and counts for nothing, so that it drives out no other.
//!
//! Pure: removes nothing, knows no clock, and doesn't know what a run needs; the caller protects that.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ids::{Kind, SnapshotId};
use crate::vault::Listed;

/// How long backups of a service are kept: the longer of both holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days for which every backup is kept.
    pub keep_days: u32,
    /// Runs whose backups are kept however old they are.
    pub keep_last: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_days: 7, keep_last: 3 }
    }
}

/// Why a backup stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A run may still need it.
    Protected,
    /// It holds the newest good backup of a mount.
    Newest,
    /// Its time is in the future.
    Future,
    /// It is one of the last ones.
    Last,
    /// It is younger than the days that everything is kept.
    Young,
}

impl Reason {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protected => "a way back needs it",
            Self::Newest => "newest backup of a mount",
            Self::Future => "its time is in the future",
            Self::Last => "one of the last",
            Self::Young => "young",
        }
    }
}

/// What becomes of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The backup.
    pub snapshot: Listed,
    /// Why it stays; `None` if it may go.
    pub kept: Option<Reason>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The snapshots of one run of one service.
struct Set<'a> {
    snapshots: Vec<&'a Listed>,
    /// The newest time in it, in milliseconds since 1970.
    time: i64,
}

impl Retention {
    /// Judges backups, of any services, at the time `now` in milliseconds since 1970; in the order given.
    #[must_use]
    pub fn judge(&self, snapshots: &[Listed], now: i64, protected: &HashSet<SnapshotId>) -> Vec<Judged> {
        let mut sets: BTreeMap<(&str, &str), BTreeMap<&str, Set<'_>>> = BTreeMap::new();
        for snapshot in snapshots {
            let tags = &snapshot.tags;
            let of_service = sets.entry((&tags.project, &tags.service)).or_default();
            let set =
                of_service.entry(&tags.run).or_insert_with(|| Set { snapshots: Vec::new(), time: i64::MIN });
            set.snapshots.push(snapshot);
            set.time = set.time.max(snapshot.time);
        }
        let mut kept: HashMap<&SnapshotId, Reason> = HashMap::new();
        for of_service in sets.into_values() {
            for (set, reason) in self.of_service(of_service.into_values().collect(), now, protected) {
                kept.extend(set.snapshots.iter().map(|snapshot| (&snapshot.id, reason)));
            }
        }
        let judged =
            |snapshot: &Listed| Judged { snapshot: snapshot.clone(), kept: kept.get(&snapshot.id).copied() };
        snapshots.iter().map(judged).collect()
    }

    /// The sets of one service that stay.
    fn of_service<'a>(
        &self,
        mut sets: Vec<Set<'a>>,
        now: i64,
        protected: &HashSet<SnapshotId>,
    ) -> Vec<(Set<'a>, Reason)> {
        sets.sort_by(|one, two| two.time.cmp(&one.time).then_with(|| two.first().cmp(&one.first())));
        let newest = newest_good(&sets, now);
        let oldest = now.saturating_sub(i64::from(self.keep_days).saturating_mul(DAY_MS));
        let (mut last, mut last_good) = (0, 0);
        let mut kept = Vec::new();
        for set in sets {
            let future = set.time > now;
            let (mut is_last, good) = (false, set.snapshots.iter().any(|snapshot| is_good(snapshot)));
            if !future {
                is_last = last < self.keep_last || (good && last_good < self.keep_last);
                last += 1;
                last_good += u32::from(good);
            }
            let holds = |ids: &HashSet<SnapshotId>| set.snapshots.iter().any(|s| ids.contains(&s.id));
            let reasons = [
                (holds(protected), Reason::Protected),
                (holds(&newest), Reason::Newest),
                (future, Reason::Future),
                (is_last, Reason::Last),
                (set.time > oldest, Reason::Young),
            ];
            if let Some((_, reason)) = reasons.into_iter().find(|(applies, _)| *applies) {
                kept.push((set, reason));
            }
        }
        kept
    }
}

impl Set<'_> {
    fn first(&self) -> Option<&SnapshotId> {
        self.snapshots.iter().map(|snapshot| &snapshot.id).min()
    }
}

fn is_good(snapshot: &Listed) -> bool {
    snapshot.tags.kind != Kind::Safety
}

/// The newest good snapshot of every mount that isn't from the future.
fn newest_good(sets: &[Set<'_>], now: i64) -> HashSet<SnapshotId> {
    let mut newest: HashMap<&str, &Listed> = HashMap::new();
    let all = sets.iter().filter(|set| set.time <= now).flat_map(|set| &set.snapshots);
    for snapshot in all.filter(|snapshot| is_good(snapshot)) {
        let best = newest.entry(&snapshot.tags.mount).or_insert(snapshot);
        if (snapshot.time, &snapshot.id) > (best.time, &best.id) {
            *best = snapshot;
        }
    }
    newest.into_values().map(|snapshot| snapshot.id.clone()).collect()
}

/// What of `forget` may go without leaving a mount of `listed` without a good backup. [`Retention::judge`] sees to that
/// for what it was shown; meanwhile somebody else may have removed something.
pub(crate) fn spare_the_last(listed: &[Listed], forget: &[SnapshotId]) -> Vec<SnapshotId> {
    let wanted: HashSet<&SnapshotId> = forget.iter().collect();
    let mut newest: HashMap<(&str, &str, &str), (bool, &Listed)> = HashMap::new();
    for snapshot in listed.iter().filter(|snapshot| is_good(snapshot)) {
        let tags = &snapshot.tags;
        let stays = !wanted.contains(&snapshot.id);
        let best = newest.entry((&tags.project, &tags.service, &tags.mount)).or_insert((stays, snapshot));
        if (stays, snapshot.time) > (best.0, best.1.time) {
            *best = (stays, snapshot);
        }
    }
    let spared: HashSet<&SnapshotId> = newest.into_values().map(|(_, snapshot)| &snapshot.id).collect();
    let goes = |snapshot: &&Listed| wanted.contains(&snapshot.id) && !spared.contains(&snapshot.id);
    listed.iter().filter(goes).map(|snapshot| snapshot.id.clone()).collect()
}

#[cfg(test)]
#[path = "retention/tests.rs"]
mod tests;
