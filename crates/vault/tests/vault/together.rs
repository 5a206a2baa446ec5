//! Two backups, prunes and stock restic on one repository at the same time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mainstay_vault::{Kind, Pass, PruneOptions, Retention, Tags, Unwatched, Vault, VaultError};

use crate::common::{Place, files_below};
use crate::killed::{self, Child, Moments};
use crate::restic::{command, restic};

const ROUNDS: usize = 4;
const BACKUPS: usize = 3;

fn tags(service: &str, run: String) -> Tags {
    Tags { run, project: "shop".into(), service: service.into(), mount: "data".into(), kind: Kind::Cutover }
}

/// `STATE DATA SERVICE ROUND`: backs up several times, the data changing in between.
#[test]
#[ignore = "the other test runs it"]
fn child() {
    let arguments = killed::arguments();
    let [state, data, service, round] = &arguments[..] else { panic!("{arguments:?}") };
    let vault = Vault::open(Path::new(state)).unwrap().unwrap();
    killed::ready();
    for number in 0..BACKUPS {
        fs::write(Path::new(data).join("changing"), noise(&format!("{service} {round} {number}"))).unwrap();
        let tags = tags(service, format!("{service}-{round}-{number}"));
        vault.backup(Path::new(data), &tags, Pass::Still, &Unwatched).unwrap();
    }
}

fn noise(seed: &str) -> Vec<u8> {
    let mut noise = vec![0; 400_000];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut noise);
    noise
}

/// Removes all but the last two, if nobody else is at work; whether that was so.
fn try_prune(vault: &Vault) -> bool {
    let two = Retention { keep_days: 0, keep_last: 2 };
    let judged = two.judge(&vault.snapshots().unwrap(), i64::MAX, &Default::default());
    let old: Vec<_> = judged.into_iter().filter(|j| j.kept.is_none()).map(|j| j.snapshot.id).collect();
    match vault.forget_and_prune(&old, &PruneOptions { keep_delete: Duration::ZERO }, &Unwatched) {
        Ok(_) => true,
        Err(VaultError::Locked { .. } | VaultError::InUse { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// What restic does goes well, or it is refused because of a lock.
fn try_restic(place: &Place, arguments: &[&str]) -> bool {
    let output = command(place, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.contains("already locked"), "{arguments:?}: {said}");
    output.status.success()
}

#[test]
fn nothing_is_lost_where_all_work_at_once() {
    let place = Place::in_memory();
    killed::open_fast(&place);
    let state = place.state();
    let services = ["one", "two"].map(|name| (name, place.data(name, name)));
    let other = place.data("other", "of restic");
    let mut moments = Moments::new();
    let (mut pruned, mut by_restic) = (0, 0);
    for round in 0..ROUNDS {
        let children: Vec<_> = services
            .iter()
            .map(|(name, data)| {
                let arguments = [state.to_str().unwrap(), data.to_str().unwrap(), name, &round.to_string()];
                Child::start("together::child", &arguments)
            })
            .collect();
        let pauses: Vec<_> = (0..6).map(|_| moments.next(Duration::from_millis(80))).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for pause in &pauses {
                    fs::write(other.join("changing"), noise(&format!("{pause:?}"))).unwrap();
                    try_restic(&place, &["backup", "--host", "elsewhere", other.to_str().unwrap()]);
                    let forget = ["forget", "--host", "elsewhere", "--keep-last", "1", "--prune"];
                    by_restic += usize::from(try_restic(&place, &forget));
                    std::thread::sleep(*pause);
                }
            });
            for pause in &pauses {
                std::thread::sleep(*pause);
                pruned += usize::from(try_prune(&place.vault));
            }
            for child in children {
                child.finish();
            }
        });
        // The last ones of each are there, whoever removed what.
        let listed = place.vault.snapshots().unwrap();
        for (name, _) in &services {
            let run = format!("{name}-{round}-{}", BACKUPS - 1);
            assert!(listed.iter().any(|snapshot| snapshot.tags.run == run), "{run}");
        }
        for snapshot in listed {
            place.vault.verify(&snapshot.id, &Unwatched).unwrap();
        }
        pruned += usize::from(try_prune(&place.vault));
    }
    assert!(pruned >= ROUNDS, "the lock is free after each round");
    assert!(try_restic(&place, &["forget", "--host", "elsewhere", "--keep-last", "1", "--prune"]));
    assert!(files_below(&place.vault.path().join("locks")).is_empty());
    for snapshot in place.vault.snapshots().unwrap() {
        place.vault.verify(&snapshot.id, &Unwatched).unwrap();
    }
    let found = restic(&place, &["check", "--read-data"]);
    assert!(found.contains("no errors were found"), "{found}; restic pruned {by_restic} times beside");
}
