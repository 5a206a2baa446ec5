//! A repository in a bucket is as good as one in a directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mainstay_vault::{
    Access, Backup, Credentials, Kind, Monitor, Pass, Password, Progress, Unwatched, Vault, VaultError,
};

use crate::common::{Place, describe, files_below, populate, tags};
use crate::s3::{ID, S3, SECRET};

fn credentials(secret: &str) -> Credentials {
    Credentials { id: ID.to_owned(), secret: secret.to_owned(), token: None, region: None }
}

/// A state directory of this name beside the server's, and a repository under this prefix.
fn at(s3: &S3, state: &str, prefix: &str) -> Access {
    Access {
        state: s3.dir.path().join(state),
        location: s3.location(prefix),
        password: Password::Own,
        credentials: Some(credentials(SECRET)),
    }
}

/// The files behind a prefix.
fn files(s3: &S3, prefix: &str) -> PathBuf {
    s3.dir.path().join("s3/backups").join(prefix)
}

fn backup(vault: &Vault, source: &std::path::Path) -> Backup {
    vault.backup(source, &tags("run-1", Kind::Manual), Pass::Still, &Unwatched).unwrap()
}

/// What an error says, with what to do about it; never a secret.
fn said(error: &VaultError) -> String {
    let text = format!("{error} {error:?} {}", error.advice());
    assert!(!text.contains(SECRET) && !text.contains("wrong-secret") && !text.contains(ID), "{text}");
    error.to_string()
}

#[test]
fn a_bucket_holds_backups_that_are_verified_and_restored() {
    let s3 = S3::start();
    let access = at(&s3, "state", "host/one");
    let vault = Vault::open_or_create_at(&access).unwrap();
    assert!(vault.created_password());
    let data = s3.dir.path().join("data");
    populate(&data);
    let before = describe(&data);
    let first = backup(&vault, &data);
    let again = Vault::open_at(&access).unwrap().unwrap();
    assert_eq!(again.verify(&first.id, &Unwatched).unwrap().files, first.files);
    let second = backup(&again, &data);
    assert!(second.added_bytes < first.added_bytes / 10, "{second:?}");
    assert_eq!(again.snapshots().unwrap().len(), 2);
    let target = s3.dir.path().join("restored");
    again.restore_to(&first.id, &target, &Unwatched).unwrap();
    assert_eq!(describe(&target), before);
    // Only what restic knows, and no objects that stand for directories.
    let names: Vec<_> =
        fs::read_dir(files(&s3, "host/one")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(
        names.iter().all(|n| ["config", "keys", "data", "index", "snapshots"].iter().any(|k| n == k)),
        "{names:?}"
    );
    assert!(Vault::open_at(&at(&s3, "state", "host/other")).unwrap().is_none());
}

#[test]
fn restic_reads_a_bucket() {
    let s3 = S3::start();
    let access = at(&s3, "state", "r");
    let vault = Vault::open_or_create_at(&access).unwrap();
    let data = s3.dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "kept in a bucket").unwrap();
    let id = backup(&vault, &data).id;
    vault.settle(&Unwatched).unwrap();
    let restic = |repository: &str, arguments: &[&str]| {
        let output = Command::new("restic")
            .args(["--no-cache", "-r", repository, "--password-file"])
            .arg(vault.password_file())
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .output()
            .expect("this test needs restic: apt-get install restic");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restic {arguments:?}: {text}");
        text.into_owned()
    };
    let address = access.location.to_string();
    let listed = restic(&address, &["snapshots", "--json"]);
    assert!(listed.contains(id.as_str()), "{listed}");
    // This server lists nothing below `data/` for restic, not even of restic's own repositories; so the
    // check is done on the bucket's files.
    let files = files(&s3, "r");
    assert!(restic(files.to_str().unwrap(), &["check", "--read-data"]).contains("no errors were found"));
    let target = s3.dir.path().join("by-restic");
    restic(&address, &["restore", id.as_str(), "--target", target.to_str().unwrap()]);
    let restored = target.join(data.strip_prefix("/").unwrap()).join("file");
    assert_eq!(fs::read_to_string(restored).unwrap(), "kept in a bucket");
}

#[test]
fn damage_in_a_bucket_is_found() {
    let s3 = S3::start();
    let vault = Vault::open_or_create_at(&at(&s3, "state", "r")).unwrap();
    let data = s3.dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "content that is kept").unwrap();
    let id = backup(&vault, &data).id;
    for file in files_below(&files(&s3, "r/data")) {
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(&file, bad).unwrap();
        let error = vault.verify(&id, &Unwatched).unwrap_err();
        assert!(matches!(error, VaultError::Damaged { .. }), "{error}");
        fs::remove_file(&file).unwrap();
        let error = vault.verify(&id, &Unwatched).unwrap_err();
        assert!(matches!(error, VaultError::Damaged { .. }), "{error}");
        fs::write(&file, good).unwrap();
    }
    vault.verify(&id, &Unwatched).unwrap();
}

#[test]
fn wrong_credentials_are_said_without_them() {
    let s3 = S3::start();
    let good = at(&s3, "state", "r");
    Vault::open_or_create_at(&good).unwrap();
    let mut wrong = good.clone();
    wrong.credentials = Some(credentials("wrong-secret"));
    let text = said(&Vault::open_at(&wrong).unwrap_err());
    assert!(text.contains("denies access") && text.contains(&good.location.to_string()), "{text}");
    wrong.credentials = None;
    let error = Vault::open_at(&wrong).unwrap_err();
    assert!(said(&error).contains("AWS_SECRET_ACCESS_KEY"), "{error}");
}

#[test]
fn a_bucket_that_isnt_there_is_said() {
    let s3 = S3::start();
    let mut access = at(&s3, "state", "r");
    fs::remove_dir(files(&s3, "")).unwrap();
    let text = said(&Vault::open_or_create_at(&access).unwrap_err());
    assert!(text.contains("no such bucket"), "{text}");
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("s3:http://127.0.0.1:{port}/backups");
    access.location = mainstay_vault::Location::parse(&address, std::path::Path::new("/")).unwrap();
    let begin = Instant::now();
    let text = said(&Vault::open_at(&access).unwrap_err());
    assert!(text.contains("can't be reached") && text.contains("refused"), "{text}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// Stops the server, once, as soon as something was read.
struct Stopper {
    server: std::sync::Mutex<S3>,
    stopped: AtomicBool,
    again: bool,
}

impl Monitor for Stopper {
    fn progress(&self, progress: Progress) {
        if progress.bytes_done > 0 && !self.stopped.swap(true, Ordering::SeqCst) {
            let mut server = self.server.lock().unwrap();
            server.stop();
            if self.again {
                std::thread::sleep(Duration::from_millis(700));
                server.run();
            }
        }
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// A server that stops while a backup of 48 MiB is written.
fn stopped_meanwhile(again: bool) -> (Result<Backup, VaultError>, Vault, S3) {
    let s3 = S3::start();
    let vault = Vault::open_or_create_at(&at(&s3, "state", "r")).unwrap();
    let data = s3.dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut noise = vec![0; 48 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(data.join("noise"), noise).unwrap();
    let stopper = Stopper { server: std::sync::Mutex::new(s3), stopped: AtomicBool::new(false), again };
    let result = vault.backup(&data, &tags("run-1", Kind::Manual), Pass::Still, &stopper);
    assert!(stopper.stopped.load(Ordering::SeqCst), "the server was stopped");
    (result, vault, stopper.server.into_inner().unwrap())
}

#[test]
fn a_server_that_goes_away_leaves_no_half_snapshot() {
    let (result, vault, mut s3) = stopped_meanwhile(false);
    let text = said(&result.unwrap_err());
    assert!(text.contains("can't be reached"), "{text}");
    s3.run();
    assert!(vault.snapshots().unwrap().is_empty());
    let data = s3.dir.path().join("data");
    let id = backup(&vault, &data).id;
    vault.verify(&id, &Unwatched).unwrap();
    assert_eq!(files_below(&files(&s3, "r/snapshots")).len(), 1, "nothing else is left");
}

#[test]
fn a_server_that_comes_back_within_a_second_is_waited_for() {
    let (result, vault, _s3) = stopped_meanwhile(true);
    vault.verify(&result.unwrap().id, &Unwatched).unwrap();
}

#[test]
fn a_copy_in_a_bucket_replaces_a_lost_host() {
    let s3 = S3::start();
    let place = Place::new();
    let data = place.path("data");
    populate(&data);
    let before = describe(&data);
    place.backup(&data);
    let mut target = at(&s3, "unused", "copy");
    target.state = place.state();
    let copy = Vault::open_or_create_at(&target).unwrap();
    assert!(!copy.created_password(), "the same password opens both");
    assert_eq!(place.vault.copy_to(&copy, |_| true, &Unwatched).unwrap().snapshots, 1);
    // What is left is the bucket and a copy of the password.
    let password = fs::read_to_string(place.state().join("repository.password")).unwrap();
    fs::remove_dir_all(place.state()).unwrap();
    let mut access = at(&s3, "new host", "copy");
    access.password = mainstay_vault::Password::Given(password.trim().to_owned());
    let vault = Vault::open_at(&access).unwrap().unwrap();
    let listed = vault.snapshots().unwrap();
    assert_eq!(listed.len(), 1);
    let restored = place.path("restored");
    vault.restore_to(&listed[0].id, &restored, &Unwatched).unwrap();
    assert_eq!(describe(&restored), before);
}

#[test]
fn a_making_that_was_cut_off_is_made_anew_and_nothing_is_made_over_a_damaged_one() {
    let s3 = S3::start();
    let access = at(&s3, "state", "r");
    let vault = Vault::open_or_create_at(&access).unwrap();
    // Cut off after the key.
    fs::remove_file(files(&s3, "r/config")).unwrap();
    fs::remove_dir_all(access.state.join("repositories")).unwrap();
    drop(vault);
    let vault = Vault::open_or_create_at(&access).unwrap();
    assert_eq!(files_below(&files(&s3, "r/keys")).len(), 1, "the key that opens nothing is gone");
    let data = s3.dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "x").unwrap();
    backup(&vault, &data);
    // The same with data in it is no such thing.
    fs::remove_file(files(&s3, "r/config")).unwrap();
    let error = Vault::open_or_create_at(&access).unwrap_err();
    assert!(matches!(error, VaultError::Vanished { .. }), "{error}");
    fs::remove_dir_all(access.state.join("repositories")).unwrap();
    let error = Vault::open_or_create_at(&access).unwrap_err();
    assert!(matches!(error, VaultError::NoConfig { .. }), "{error}");
    assert_eq!(files_below(&files(&s3, "r/keys")).len(), 1, "the key is still there");
}
