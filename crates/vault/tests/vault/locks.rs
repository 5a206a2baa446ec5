//! Stock restic and mainstay keep out of each other's way, in both directions.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mainstay_vault::{Kind, Monitor, Pass, Progress, PruneOptions, Unwatched, VaultError};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Place, files_below, tags};
use crate::killed::open_fast;
use crate::restic::{command, restic};

fn place() -> Place {
    let place = Place::in_memory();
    open_fast(&place);
    place
}

fn locks(place: &Place) -> usize {
    let locks = place.vault.path().join("locks");
    let all = if locks.exists() { files_below(&locks) } else { Vec::new() };
    // restic writes a lock under another name first.
    all.iter().filter(|path| !path.to_str().unwrap().contains("-tmp-")).count()
}

/// Does something once, in the middle of an operation.
struct Meanwhile<F: Fn() + Sync>(F, std::sync::Once);

impl<F: Fn() + Sync> Monitor for Meanwhile<F> {
    fn progress(&self, _: Progress) {
        self.1.call_once(&self.0);
    }

    fn cancelled(&self) -> bool {
        false
    }
}

fn meanwhile<F: Fn() + Sync>(what: F) -> Meanwhile<F> {
    Meanwhile(what, std::sync::Once::new())
}

fn refused(place: &Place, arguments: &[&str]) -> String {
    let output = command(place, arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn restic_waits_for_what_mainstay_does() {
    let place = place();
    let data = place.data("data", "x");
    let backup = place.backup(&data);
    let other = place.data("other", "y");
    let busy = || {
        let ours = format!("already locked by PID {}", std::process::id());
        for alone in [&["prune"][..], &["forget", "--keep-last", "1"], &["rebuild-index"]] {
            let said = refused(&place, alone);
            assert!(said.contains(&ours), "{alone:?}: {said}");
        }
        // What restic does beside others it does.
        restic(&place, &["backup", "--host", "elsewhere", other.to_str().unwrap()]);
        let found = restic(&place, &["list", "locks", "--no-lock"]);
        assert_eq!(found.lines().count(), 1, "{found}");
        let lock = restic(&place, &["cat", "lock", found.trim(), "--no-lock"]);
        let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
        let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
        assert_eq!((&lock["exclusive"], &lock["hostname"]), (&false.into(), &host.into()));
        assert_eq!(lock["pid"], std::process::id());
    };
    let (live, target) = (tags("run-2", Kind::Live), place.path("restored"));
    place.vault.backup(&data, &live, Pass::Live, &meanwhile(busy)).unwrap();
    place.vault.verify(&backup.id, &meanwhile(busy)).unwrap();
    place.vault.restore_to(&backup.id, &target, &meanwhile(busy)).unwrap();
    let alone = || {
        let said = refused(&place, &["backup", other.to_str().unwrap()]);
        assert!(said.contains("already locked exclusively by PID"), "{said}");
        refused(&place, &["prune"]);
    };
    place.vault.forget_and_prune(&[], &PruneOptions::default(), &meanwhile(alone)).unwrap();
    assert_eq!(locks(&place), 0);
    restic(&place, &["prune"]);
    assert!(restic(&place, &["check", "--read-data"]).contains("no errors were found"));
    place.vault.verify(&backup.id, &Unwatched).unwrap();
}

/// A restic that was stopped as soon as its lock was there.
struct Stopped(std::process::Child);

impl Stopped {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let child = command(place, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while locks(place) == 0 {
            assert!(Instant::now() < until, "restic takes no lock");
            std::thread::sleep(Duration::from_millis(1));
        }
        let stopped = Self(child);
        stopped.signal(Signal::STOP);
        stopped
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn mainstay_waits_for_a_restic_that_is_alone() {
    let mut place = place();
    let data = place.data("data", "x");
    let first = place.backup(&data);
    let mut restic_prune = Stopped::start(&place, &["prune"]);
    place.vault.set_patience(Duration::from_millis(100));
    let refused = place.vault.backup(&data, &tags("run-2", Kind::Live), Pass::Live, &Unwatched);
    match refused.unwrap_err() {
        VaultError::InUse { pid, exclusive: true, .. } => assert_eq!(pid as u32, restic_prune.0.id()),
        other => panic!("{other}"),
    }
    let pruned = place.vault.forget_and_prune(&[], &PruneOptions::default(), &Unwatched);
    assert!(matches!(pruned, Err(VaultError::InUse { exclusive: true, .. })), "{pruned:?}");
    assert_eq!(place.vault.snapshots().unwrap().len(), 1, "looking is always possible");
    // The way back of a service doesn't depend on somebody else's restic.
    place.vault.restore_to(&first.id, &place.path("restored"), &Unwatched).unwrap();

    place.vault.set_patience(Duration::from_secs(20));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            restic_prune.signal(Signal::CONT);
            restic_prune.0.wait().unwrap()
        });
        place.vault.backup(&data, &tags("run-2", Kind::Live), Pass::Live, &Unwatched).unwrap();
    });
    assert_eq!(locks(&place), 0);
}

#[test]
fn mainstay_prunes_nothing_beside_a_restic_at_work() {
    let place = place();
    let data = place.data("data", "x");
    place.backup(&data);
    let mut child = command(&place, &["backup", "--stdin", "--host", "elsewhere"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"part of it").unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while locks(&place) == 0 {
        assert!(Instant::now() < until, "restic takes no lock");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pruned = place.vault.forget_and_prune(&[], &PruneOptions::default(), &Unwatched);
    match pruned.unwrap_err() {
        VaultError::InUse { pid, exclusive: false, host, .. } => {
            assert_eq!(
                (pid as u32, &*host),
                (child.id(), rustix::system::uname().nodename().to_str().unwrap())
            );
        }
        other => panic!("{other}"),
    }
    place.backup(&data);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(locks(&place), 1, "the lock of the dead one");
    place.vault.forget_and_prune(&[], &PruneOptions::default(), &Unwatched).unwrap();
    assert_eq!(locks(&place), 0);
}

#[test]
fn a_restic_of_another_machine_is_respected_dead_or_alive() {
    let place = place();
    let data = place.data("data", "x");
    place.backup(&data);
    let inner = command(&place, &["backup", "--stdin"]);
    let mut child = Command::new("unshare")
        .args(["--uts", "sh", "-c", "hostname elsewhere; exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while locks(&place) == 0 {
        assert!(Instant::now() < until, "restic takes no lock");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let pruned = place.vault.forget_and_prune(&[], &PruneOptions::default(), &Unwatched);
    assert!(matches!(pruned, Err(VaultError::InUse { ref host, .. }) if host == "elsewhere"), "{pruned:?}");
    assert_eq!(locks(&place), 1, "nobody can know whether it lives");
    restic(&place, &["unlock", "--remove-all"]);
    place.vault.forget_and_prune(&[], &PruneOptions::default(), &Unwatched).unwrap();
}
