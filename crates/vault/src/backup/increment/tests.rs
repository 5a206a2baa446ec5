//! What goes on from the first pass is compared with what the library makes of everything.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustic_core::ConfigOptions;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use super::super::*;
use super::*;
use crate::{Phase, Unwatched};

/// Entries that changed just before they are looked at are stored as such, each time otherwise.
const SETTLED: Duration = Duration::from_millis(3100);

fn tags(run: &str, kind: Kind) -> Tags {
    Tags { run: run.into(), project: "shop".into(), service: "db".into(), mount: "data".into(), kind }
}

fn job<'a>(vault: &'a Vault, source: &Path, tags: &'a Tags, pass: Pass) -> Job<'a> {
    let source = source.to_owned();
    let parent = vault.parent(&source).unwrap();
    Job { vault, source, mirror: None, tags, pass, parent, meter: Meter::new(Phase::BackingUp, None) }
}

/// Numbers that a failed test can be repeated with.
struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.drawn += 1;
        let hash = blake3::hash(format!("{} {}", self.seed, self.drawn).as_bytes());
        (u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) % limit as u64) as usize
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let seed = self.below(1 << 40);
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Most files are small; some end beside, or at, the border of a block.
    fn length(&mut self) -> usize {
        let block = BLOCK as usize;
        let lengths = [0, 1, 700, 9000, 9001, block - 1, block, block + 1, 2 * block, 3 * block + 77];
        lengths[self.below(lengths.len())]
    }

    /// One of the entries of `dir`, its directories' included, of which `wanted` is true.
    fn pick(&mut self, dir: &Path, wanted: impl Fn(&fs::Metadata) -> bool) -> Option<PathBuf> {
        let entries: Vec<_> = Walk::still(dir).map(|entry| dir.join(entry.unwrap().path)).skip(1).collect();
        let mut fit: Vec<_> =
            entries.into_iter().filter(|path| wanted(&path.symlink_metadata().unwrap())).collect();
        (!fit.is_empty()).then(|| fit.swap_remove(self.below(fit.len())))
    }
}

/// A small tree with several kinds of entries.
fn grow(dir: &Path, random: &mut Random) {
    fs::create_dir_all(dir.join("sub/deeper")).unwrap();
    fs::create_dir(dir.join("sub-dash")).unwrap();
    for name in ["a", "b", "sub/c", "sub/deeper/d", "sub.e", "sub-dash/f", "z"] {
        let length = random.length();
        fs::write(dir.join(name), random.noise(length)).unwrap();
    }
    let block = BLOCK as usize;
    fs::write(dir.join("large"), random.noise(2 * block + 5000)).unwrap();
    fs::hard_link(dir.join("a"), dir.join("sub/hard")).unwrap();
    symlink("sub/c", dir.join("link")).unwrap();
}

type Change = fn(&Path, &mut Random);

fn is_file(meta: &fs::Metadata) -> bool {
    meta.is_file()
}

fn set_mtime(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 5 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Every way in which an entry can become another one; each where there is something for it.
const CHANGES: [(&str, Change); 22] = [
    ("write anew", |dir, random| {
        let path = random.pick(dir, is_file).unwrap_or(dir.join("new"));
        let length = random.length();
        fs::write(path, random.noise(length)).unwrap();
    }),
    ("write within", |dir, random| {
        let Some(path) = random.pick(dir, |meta| meta.is_file() && meta.len() > 0) else { return };
        let file = File::options().write(true).open(path).unwrap();
        let at = random.below(file.metadata().unwrap().len() as usize);
        file.write_all_at(&random.noise(3), at as u64).unwrap();
    }),
    ("the same again", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        fs::write(&path, fs::read(&path).unwrap()).unwrap();
    }),
    ("grow or shrink", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        File::options().write(true).open(path).unwrap().set_len(random.length() as u64).unwrap();
    }),
    ("shift blocks", |dir, random| {
        let Some(path) = random.pick(dir, |meta| meta.is_file() && meta.len() > BLOCK) else { return };
        let content = fs::read(&path).unwrap();
        fs::write(&path, [&content[BLOCK as usize..], &content[..BLOCK as usize]].concat()).unwrap();
    }),
    ("another content under the old time", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        let before = path.metadata().unwrap();
        fs::write(&path, random.noise(before.len() as usize)).unwrap();
        set_mtime(&path, before.mtime());
    }),
    ("another file of the same content", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        fs::copy(&path, dir.join("copy of it")).unwrap();
        fs::rename(dir.join("copy of it"), path).unwrap();
    }),
    ("remove", |dir, random| {
        let Some(path) = random.pick(dir, |meta| !meta.is_dir()) else { return };
        fs::remove_file(path).unwrap();
    }),
    ("remove with everything below", |dir, random| {
        let Some(path) = random.pick(dir, fs::Metadata::is_dir) else { return };
        fs::remove_dir_all(path).unwrap();
    }),
    ("new file", |dir, random| {
        let below = random.pick(dir, fs::Metadata::is_dir).unwrap_or(dir.to_owned());
        let length = random.length();
        fs::write(below.join(format!("new {}", random.below(1000))), random.noise(length)).unwrap();
    }),
    ("new directory", |dir, random| {
        fs::create_dir_all(dir.join(format!("new dir {}/and below", random.below(1000)))).unwrap();
    }),
    ("rename", |dir, random| {
        let Some(path) = random.pick(dir, |_| true) else { return };
        fs::rename(path, dir.join(format!("renamed {}", random.below(1000)))).unwrap();
    }),
    ("file to directory", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("below"), random.noise(10)).unwrap();
    }),
    ("directory to file", |dir, random| {
        let Some(path) = random.pick(dir, fs::Metadata::is_dir) else { return };
        fs::remove_dir_all(&path).unwrap();
        fs::write(path, random.noise(10)).unwrap();
    }),
    ("file to link", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        fs::remove_file(&path).unwrap();
        symlink("somewhere", path).unwrap();
    }),
    ("link to file or elsewhere", |dir, random| {
        let Some(path) = random.pick(dir, fs::Metadata::is_symlink) else { return };
        fs::remove_file(&path).unwrap();
        if random.below(2) == 0 { fs::write(path, "a file").unwrap() } else { symlink("else", path).unwrap() }
    }),
    ("to a pipe", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    }),
    ("another name", |dir, random| {
        let Some(path) = random.pick(dir, is_file) else { return };
        fs::hard_link(path, dir.join(format!("linked {}", random.below(1000)))).unwrap();
    }),
    ("a name less", |dir, random| {
        let Some(path) = random.pick(dir, |meta| meta.is_file() && meta.nlink() > 1) else { return };
        fs::remove_file(path).unwrap();
    }),
    ("attribute", |dir, random| {
        let Some(path) = random.pick(dir, |meta| !meta.is_symlink()) else { return };
        xattr::set(path, "trusted.test", &random.noise(20)).unwrap();
    }),
    ("mode", |dir, random| {
        let Some(path) = random.pick(dir, |meta| !meta.is_symlink()) else { return };
        let mode = 0o400 + random.below(0o4000) as u32;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }),
    ("time", |dir, random| {
        let Some(path) = random.pick(dir, |_| true) else { return };
        set_mtime(&path, random.below(2_000_000_000) as i64);
    }),
];

const TREES: usize = 30;

/// Makes every change somewhere, and some more.
fn change(root: &Path, random: &mut Random) {
    for number in 0..TREES {
        let dir = root.join(format!("tree {number:02}"));
        for more in 0..3 {
            let (_, change) = CHANGES[(number + more * 7) % CHANGES.len()];
            change(&dir, random);
        }
        // The one in five that nothing happens to.
        if number % 5 == 4 {
            continue;
        }
        for _ in 0..random.below(4) {
            CHANGES[random.below(CHANGES.len())].1(&dir, random);
        }
    }
}

/// What both ways make of the same, which stays unfinished and goes.
fn compare(vault: &Vault, root: &Path, tags: &Tags) {
    let ours = job(vault, root, tags, Pass::Still);
    let (increment, found) = ours.increment().unwrap().expect("it goes on from the first pass");
    let anew = Job { parent: None, ..job(vault, root, tags, Pass::Still) };
    let (whole, read) = anew.read_everything().unwrap();
    let racy: Vec<_> = found.entries.iter().filter(|entry| entry.racy.is_some()).collect();
    assert!(racy.is_empty(), "of these every look is another one: {racy:?}");
    for (one, other) in found.entries.iter().zip(&read.entries) {
        assert_eq!(one, other);
        assert_eq!(found.hashes.get(&one.path), read.hashes.get(&one.path), "{}", one.path.display());
    }
    assert_eq!((found.entries.len(), found.hashes), (read.entries.len(), read.hashes));
    assert_eq!(increment.tree, whole.tree);
    assert_eq!(increment.paths, whole.paths);
    vault.forget_unfinished(&[increment, whole]).unwrap();
}

#[test]
fn an_increment_is_what_a_whole_pass_would_be() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let given = std::env::var("MAINSTAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = Random { seed: given.unwrap_or(now.into()), drawn: 0 };
    let seed = random.seed;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("data");
    let vault = Vault::open_or_create(&dir.path().join("state")).unwrap();
    for number in 0..TREES {
        grow(&root.join(format!("tree {number:02}")), &mut random);
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sleep(SETTLED);
        vault.backup(&root, &tags("run", Kind::Live), Pass::Live, &Unwatched).unwrap();
        for (round, (_, one_more)) in CHANGES.iter().enumerate().take(3) {
            change(&root, &mut random);
            sleep(SETTLED);
            compare(&vault, &root, &tags("run", Kind::Cutover));
            // Its successor goes on from what was changed just now, too.
            one_more(&root.join("tree 00"), &mut random);
            let backup = vault.backup(&root, &tags("run", Kind::Cutover), Pass::Still, &Unwatched).unwrap();
            vault.verify(&backup.id, &Unwatched).unwrap();
            vault.restore_to(&backup.id, &dir.path().join(format!("restored {round}")), &Unwatched).unwrap();
        }
    }));
    assert!(result.is_ok(), "again with MAINSTAY_TEST_SEED={seed}");
}

#[test]
fn what_cant_be_gone_on_from_is_left_to_the_library() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("data");
    let state = dir.path().join("state");
    let vault = Vault::open_or_create(&state).unwrap();
    let goes_on = |vault: &Vault, run: &str, pass| {
        fs::write(root.join("always"), run).unwrap();
        let tags = tags(run, Kind::Cutover);
        let increment = job(vault, &root, &tags, pass).increment().unwrap();
        let goes_on = increment.is_some();
        vault
            .forget_unfinished(&increment.map(|(snapshot, _)| snapshot).into_iter().collect::<Vec<_>>())
            .unwrap();
        goes_on
    };
    grow(&root, &mut Random { seed: 1, drawn: 0 });
    assert!(!goes_on(&vault, "run", Pass::Still), "there is no first pass");
    vault.backup(&root, &tags("run", Kind::Live), Pass::Live, &Unwatched).unwrap();
    assert!(goes_on(&vault, "run", Pass::Still));
    assert!(!goes_on(&vault, "run", Pass::Live), "the service runs");
    assert!(!goes_on(&vault, "another run", Pass::Still), "what another run has proven may have rotted");

    let resumed = Vault::open(&state).unwrap().unwrap();
    assert!(goes_on(&resumed, "run", Pass::Still), "nothing that the first process knew is needed");

    let rabin = ConfigOptions::default().set_chunker(Chunker::Rabin);
    vault.repository().unwrap().apply_config(&rabin).unwrap();
    assert!(!goes_on(&vault, "run", Pass::Still), "blocks of any length");
    vault.repository().unwrap().apply_config(&rabin.set_chunker(Chunker::FixedSize)).unwrap();
    assert!(goes_on(&vault, "run", Pass::Still));

    for packs in fs::read_dir(state.join("repository/data")).unwrap() {
        for pack in fs::read_dir(packs.unwrap().path()).unwrap() {
            fs::write(pack.unwrap().path(), "damaged").unwrap();
        }
    }
    let resumed = Vault::open(&state).unwrap().unwrap();
    assert!(!goes_on(&resumed, "run", Pass::Still), "the trees can't be read");
}
