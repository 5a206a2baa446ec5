use super::*;

fn locks(directory: &Path) -> Locks {
    Locks { directory: directory.join(DIRECTORY), key: *Key::from_slice(&[7; 64]) }
}

/// As another process would leave it: not on record as ours.
fn foreign(locks: &Locks, change: impl FnOnce(&mut Content)) -> PathBuf {
    let mut content = Content::ours(false);
    content.pid = 1; // somebody who lives
    change(&mut content);
    let sealed = locks.seal(&serde_json::to_vec(&content).unwrap()).unwrap();
    let path = locks.directory.join(hex::encode(Sha256::digest(&sealed)));
    fs::create_dir_all(&locks.directory).unwrap();
    fs::write(&path, sealed).unwrap();
    path
}

fn ago(minutes: u64) -> String {
    let time = Timestamp::try_from(SystemTime::now() - Duration::from_secs(60 * minutes)).unwrap();
    time.to_string()
}

fn blocks(locks: &Locks, exclusive: bool) -> bool {
    locks.find_other(exclusive).unwrap().is_some()
}

#[test]
fn what_excludes_what_is_as_in_restic() {
    for (theirs, ours, expected) in
        [(false, false, false), (false, true, true), (true, false, true), (true, true, true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let locks = locks(dir.path());
        let path = foreign(&locks, |content| content.exclusive = theirs);
        assert_eq!(blocks(&locks, ours), expected, "{theirs} {ours}");
        assert!(path.exists());
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let locks = locks(dir.path());
    let since = ago(3);
    let lock = foreign(&locks, |content| {
        *content =
            Content { time: since.clone(), hostname: "elsewhere".into(), pid: 4711, ..content.clone() };
    });
    let found = locks.find_other(true).unwrap().unwrap();
    let VaultError::InUse { host, pid, since: named, exclusive: false, lock: path } = &found else {
        panic!("{found:?}")
    };
    assert_eq!((&**host, *pid, named, path), ("elsewhere", 4711, &since, &lock));
    let text = found.to_string();
    assert!(text.contains("elsewhere") && text.contains("4711") && text.contains(&since), "{text}");
}

#[test]
fn only_stale_locks_are_removed() {
    let gone = {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        i32::try_from(child.id()).unwrap()
    };
    type Change = fn(&mut Content, i32);
    let cases: [(&str, bool, Change); 7] = [
        ("fresh", false, |_, _| {}),
        ("29 minutes old", false, |content, _| content.time = ago(29)),
        ("31 minutes old", true, |content, _| content.time = ago(31)),
        ("old and elsewhere", true, |content, _| {
            (content.time, content.hostname) = (ago(31), "there".into())
        }),
        ("its process is gone", true, |content, gone| content.pid = gone),
        ("a process elsewhere", false, |content, gone| {
            (content.pid, content.hostname) = (gone, "there".into());
        }),
        ("our number, not ours", true, |content, _| content.pid = std::process::id() as i32),
    ];
    for (name, stale, change) in cases {
        for exclusive in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let locks = locks(dir.path());
            let path = foreign(&locks, |content| {
                content.exclusive = exclusive;
                change(content, gone);
            });
            assert_eq!(blocks(&locks, true), !stale, "{name}");
            assert_eq!(path.exists(), !stale, "{name}");
        }
    }
}

#[test]
fn a_torn_lock_stops_a_removal_for_a_while_and_a_backup_never() {
    let dir = tempfile::tempdir().unwrap();
    let locks = locks(dir.path());
    let path = foreign(&locks, |content| content.exclusive = true);
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(!blocks(&locks, false) && blocks(&locks, true));
    let old = SystemTime::now() - STALE - Duration::from_secs(1);
    File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert!(!blocks(&locks, true) && !path.exists());
    fs::write(locks.directory.join("notes"), "").unwrap();
    assert!(!blocks(&locks, true) && locks.directory.join("notes").exists(), "what is no lock stays");
}

#[test]
fn own_locks_come_and_go_and_cost_next_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let key = MasterKey::new();
    let files = || fs::read_dir(dir.path().join(DIRECTORY)).unwrap().count();
    let take = |exclusive| ResticLock::take(dir.path(), &key, exclusive, Duration::ZERO).unwrap();
    let first = take(false);
    let second = take(false);
    assert_eq!(files(), 2);
    drop((first, second));
    assert_eq!(files(), 0);
    let mut times: Vec<_> = (0..50)
        .map(|_| {
            let begun = Instant::now();
            drop(take(true));
            begun.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[25] < Duration::from_millis(20), "{times:?}");
    assert_eq!(files(), 0);
}

#[test]
fn one_who_waits_gets_it_when_the_other_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let key = MasterKey::new();
    let locks = Locks::new(dir.path(), &key);
    let path = foreign(&locks, |content| content.exclusive = true);
    let refused = ResticLock::take(dir.path(), &key, false, Duration::from_millis(150));
    assert!(matches!(refused, Err(VaultError::InUse { exclusive: true, .. })));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            fs::remove_file(&path).unwrap();
        });
        let begun = Instant::now();
        ResticLock::take(dir.path(), &key, false, Duration::from_secs(20)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(250));
    });
}

#[test]
fn a_long_operation_renews_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let key = MasterKey::new();
    let every = Duration::from_millis(40);
    let lock = ResticLock::take_renewing(dir.path(), &key, true, Duration::ZERO, every).unwrap();
    let names = || -> Vec<PathBuf> {
        let list = fs::read_dir(dir.path().join(DIRECTORY)).unwrap();
        list.map(|item| item.unwrap().path()).filter(|path| is_lock(path)).collect()
    };
    let first = names();
    let until = Instant::now() + Duration::from_secs(20);
    while names().iter().any(|name| first.contains(name)) {
        assert!(Instant::now() < until, "it stays the same");
        std::thread::sleep(Duration::from_millis(5));
        assert!(!names().is_empty(), "the new one comes before the old one goes");
    }
    assert!(Locks::new(dir.path(), &key).find_other(true).unwrap().is_none(), "all of them are ours");
    drop(lock);
    assert_eq!(fs::read_dir(dir.path().join(DIRECTORY)).unwrap().count(), 0);
}

#[test]
fn locks_of_one_process_dont_take_each_other_for_dead() {
    let dir = tempfile::tempdir().unwrap();
    let key = MasterKey::new();
    let work = || {
        for _ in 0..800 {
            let lock = ResticLock::take(dir.path(), &key, false, Duration::ZERO).unwrap();
            std::thread::sleep(Duration::from_micros(100));
            assert!(owned(&lock.file).exists(), "somebody removed it");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(work);
        }
    });
}
