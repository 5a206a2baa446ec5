//! Kill -9 at any moment of a backup, of the second pass of a run, or of a prune loses nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use mainstay_vault::{Kind, Listed, Pass, PruneOptions, Retention, SnapshotId, Unwatched, Vault};

use crate::common::{Place, files_below, tags};
use crate::killed::{self, Child, Moments};
use crate::restic::restic;

const KILLS: usize = 50;
const CHILD: &str = "killed_backup::child";

/// The program of the processes that are killed: `backup STATE DATA RUN` or `prune STATE ID…`.
#[test]
#[ignore = "the other tests run it"]
fn child() {
    let arguments = killed::arguments();
    let vault = Vault::open(Path::new(&arguments[1])).unwrap().unwrap();
    killed::ready();
    match &*arguments[0] {
        "backup" => {
            let tags = tags(&arguments[3], Kind::Cutover);
            vault.backup(Path::new(&arguments[2]), &tags, Pass::Still, &Unwatched).unwrap();
        }
        "prune" => {
            let forget: Vec<SnapshotId> = arguments[2..].iter().map(|id| id.parse().unwrap()).collect();
            vault.forget_and_prune(&forget, &at_once(), &Unwatched).unwrap();
        }
        other => panic!("{other}"),
    }
}

/// Marked packs go in the next prune.
fn at_once() -> PruneOptions {
    PruneOptions { keep_delete: Duration::ZERO }
}

struct Shop {
    place: Place,
    moments: Moments,
    runs: usize,
}

impl Shop {
    fn new() -> Self {
        let place = Place::in_memory();
        killed::open_fast(&place);
        fs::create_dir(place.path("data")).unwrap();
        let mut shop = Self { place, moments: Moments::new(), runs: 0 };
        for _ in 0..3 {
            shop.backup();
        }
        shop
    }

    /// Some files change, some are new, some are gone.
    fn change(&mut self) {
        let data = self.place.path("data");
        for number in 0..12 {
            let path = data.join(format!("file {number}"));
            let content = self.moments.number();
            match content % 4 {
                0 => drop(fs::remove_file(path)),
                1 => {}
                _ => {
                    let mut noise = vec![0; 20_000 + (content % 150_000) as usize];
                    blake3::Hasher::new().update(&content.to_le_bytes()).finalize_xof().fill(&mut noise);
                    fs::write(path, noise).unwrap();
                }
            }
        }
        fs::write(data.join("always"), self.moments.number().to_string()).unwrap();
    }

    fn next_run(&mut self) -> String {
        self.runs += 1;
        format!("run-{}", self.runs)
    }

    fn backup(&mut self) {
        self.change();
        let tags = tags(&self.next_run(), Kind::Cutover);
        self.place.vault.backup(&self.place.path("data"), &tags, Pass::Still, &Unwatched).unwrap();
    }

    fn start_backup(&mut self) -> Child {
        self.change();
        let (state, data, run) = (self.place.state(), self.place.path("data"), self.next_run());
        Child::start(CHILD, &["backup", state.to_str().unwrap(), data.to_str().unwrap(), &run])
    }

    /// The second pass of a run whose first one is done.
    fn start_second_pass(&mut self) -> Child {
        self.change();
        let (state, data, run) = (self.place.state(), self.place.path("data"), self.next_run());
        self.place.vault.backup(&data, &tags(&run, Kind::Live), Pass::Live, &Unwatched).unwrap();
        self.change();
        Child::start(CHILD, &["backup", state.to_str().unwrap(), data.to_str().unwrap(), &run])
    }

    fn start_prune(&self, forget: &[SnapshotId]) -> Child {
        let state = self.place.state();
        let mut arguments = vec!["prune", state.to_str().unwrap()];
        arguments.extend(forget.iter().map(SnapshotId::as_str));
        Child::start(CHILD, &arguments)
    }

    fn listed(&self) -> Vec<Listed> {
        self.place.vault.snapshots().unwrap()
    }

    /// All but the last three runs.
    fn old(&self) -> Vec<SnapshotId> {
        let last = Retention { keep_days: 0, keep_last: 3 };
        let judged = last.judge(&self.listed(), i64::MAX, &Default::default());
        judged.into_iter().filter(|j| j.kept.is_none()).map(|j| j.snapshot.id).collect()
    }

    fn prune(&self) {
        self.place.vault.forget_and_prune(&self.old(), &at_once(), &Unwatched).unwrap();
    }

    /// Everything listed can be relied on, and `expected` is.
    fn verify(&self, expected: &BTreeSet<SnapshotId>) {
        let listed = self.listed();
        for snapshot in &listed {
            self.place.vault.verify(&snapshot.id, &Unwatched).unwrap();
        }
        let listed: BTreeSet<_> = listed.into_iter().map(|snapshot| snapshot.id).collect();
        assert!(expected.is_subset(&listed), "lost: {:?}", expected - &listed);
    }

    /// Nothing that an interrupted operation left is there.
    fn is_tidy(&self) {
        let below = files_below(&self.place.state());
        let half: Vec<_> = below.iter().filter(|path| is_half(path)).collect();
        assert!(half.is_empty(), "{half:?}");
        let count = |name: &str| files_below(&self.place.state().join(name)).len();
        let listed = self.listed();
        assert_eq!(count("repository/snapshots"), listed.len(), "no unfinished one");
        assert_eq!(count("repository/locks"), 0);
        let manifests: BTreeSet<_> = listed.iter().map(|snapshot| &snapshot.manifest).collect();
        assert_eq!(count("manifests"), manifests.len());
    }

    fn restic_finds_no_fault(&self) {
        let found = restic(&self.place, &["check", "--read-data"]);
        assert!(found.contains("no errors were found"), "{found}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn is_half(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().contains("tmp")
}

fn ids(listed: &[Listed]) -> BTreeSet<SnapshotId> {
    listed.iter().map(|snapshot| snapshot.id.clone()).collect()
}

/// Kills what `start` starts, again and again, at random moments.
fn kill_backups(start: fn(&mut Shop) -> Child) {
    let mut shop = Shop::new();
    let mut whole = median((0..5).map(|_| start(&mut shop).finish()).collect());
    let (mut tried, mut killed) = (0, 0);
    while killed < KILLS && tried < 3 * KILLS {
        tried += 1;
        let before = ids(&shop.listed());
        let child = start(&mut shop);
        match child.kill_after(shop.moments.next(whole)) {
            None => killed += 1,
            // Other work on the machine comes and goes.
            Some(took) => whole = (whole + took) / 2,
        }
        shop.verify(&before);
        shop.backup();
        // What was killed before it had its name goes with the next prune.
        let whole_ones = |kind| {
            let found = files_below(&shop.place.vault.path().join(kind));
            found.iter().filter(|path| !is_half(path)).count()
        };
        assert_eq!(
            whole_ones("snapshots"),
            shop.listed().len(),
            "the next backup removes the unfinished one"
        );
        assert_eq!(whole_ones("locks"), 0, "and its lock");
        shop.prune();
        shop.is_tidy();
    }
    assert_eq!(killed, KILLS, "were killed in {tried} tries at moments of {whole:?}");
    shop.verify(&BTreeSet::new());
    shop.restic_finds_no_fault();
}

#[test]
fn a_backup_killed_at_any_moment_loses_nothing() {
    kill_backups(Shop::start_backup);
}

#[test]
fn a_second_pass_killed_at_any_moment_loses_nothing() {
    kill_backups(Shop::start_second_pass);
}

#[test]
fn a_prune_killed_at_any_moment_loses_nothing() {
    let mut shop = Shop::new();
    let mut times = Vec::new();
    for _ in 0..5 {
        shop.backup();
        times.push(shop.start_prune(&shop.old()).finish());
    }
    let mut whole = median(times);
    let (mut tried, mut killed) = (0, 0);
    while killed < KILLS && tried < 3 * KILLS {
        tried += 1;
        shop.backup();
        let old = shop.old();
        assert!(!old.is_empty());
        let kept = &ids(&shop.listed()) - &old.iter().cloned().collect();
        let child = shop.start_prune(&old);
        match child.kill_after(shop.moments.next(whole)) {
            None => killed += 1,
            // Other work on the machine comes and goes.
            Some(took) => whole = (whole + took) / 2,
        }
        shop.verify(&kept);
        if shop.moments.number().is_multiple_of(3) {
            // What the dead one was about to remove is needed again.
            shop.backup();
        }
        shop.prune();
        shop.is_tidy();
    }
    assert_eq!(killed, KILLS, "were killed in {tried} tries at moments of {whole:?}");
    shop.verify(&BTreeSet::new());
    shop.restic_finds_no_fault();
}
