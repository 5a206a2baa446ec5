//! A replacement that is killed at any moment is finished by the same call, and loses nothing.
//!
//! A child process, this test binary again, replaces many targets at once; it is killed at a random
//! moment, which interrupts all of them somewhere. The next child makes the same calls, and is killed too.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Mount, Place, describe, set_mtime};
use mainstay_vault::{SnapshotId, Unwatched, Vault};

const CHILD: &str = "MAINSTAY_TEST_KILLED_RESTORE";
const RUN: &str = "run-7";
/// Targets of each mode.
const TARGETS: usize = 6;
/// Replacements of each mode that have to be killed before they are done.
const KILLS: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    ByFile,
    ByFileAtMountPoint,
    Exchange,
    InPlace,
}

impl Mode {
    const ALL: [Self; 4] = [Self::ByFile, Self::ByFileAtMountPoint, Self::Exchange, Self::InPlace];

    fn is_little(self) -> bool {
        matches!(self, Self::ByFile | Self::ByFileAtMountPoint)
    }

    fn is_mount_point(self) -> bool {
        matches!(self, Self::ByFileAtMountPoint | Self::InPlace)
    }
}

/// A snapshot, and what it is of.
struct State {
    id: SnapshotId,
    tree: BTreeMap<PathBuf, String>,
    contents: BTreeMap<PathBuf, String>,
}

impl State {
    fn of(place: &Place, source: &Path) -> Self {
        Self { id: place.backup(source).id, tree: describe(source), contents: contents(source) }
    }
}

struct Target {
    mode: Mode,
    path: PathBuf,
    /// What it has, and what it gets.
    now: usize,
    killed: usize,
}

/// What there is, without attributes, and without anything of a replacement.
fn contents(root: &Path) -> BTreeMap<PathBuf, String> {
    let all = describe(root).into_keys().filter(|path| !path.to_string_lossy().starts_with(".mainstay-"));
    all.map(|path| {
        let full = root.join(&path);
        let kind = fs::symlink_metadata(&full).unwrap().file_type();
        let what = if kind.is_file() {
            blake3::hash(&fs::read(&full).unwrap()).to_string()
        } else if kind.is_symlink() {
            format!("-> {:?}", fs::read_link(&full).unwrap())
        } else {
            format!("dir {} fifo {}", kind.is_dir(), kind.is_fifo())
        };
        (path, what)
    })
    .collect()
}

fn fill(root: &Path) {
    fs::create_dir_all(root.join("deep/er")).unwrap();
    for number in 0..60 {
        fs::write(root.join(format!("file {number}")), format!("{number}").repeat(number * 40)).unwrap();
    }
    let mut noise = vec![0; 5_000_003];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(root.join("large"), noise).unwrap();
    fs::hard_link(root.join("file 1"), root.join("deep/er/name of 1")).unwrap();
    symlink("nowhere", root.join("link")).unwrap();
    fs::write(root.join("deep/er/below"), "below").unwrap();
    xattr::set(root.join("file 2"), "trusted.of.file", b"2").unwrap();
    set_mtime(root, 1_400_000_000, 5);
}

fn change_little(root: &Path) {
    let mut large = fs::read(root.join("large")).unwrap();
    large[2_000_000] ^= 1;
    fs::write(root.join("large"), large).unwrap();
    for number in 10..16 {
        fs::write(root.join(format!("file {number}")), "changed").unwrap();
    }
    fs::remove_file(root.join("link")).unwrap();
    fs::create_dir_all(root.join("link/now/a directory")).unwrap();
    fs::write(root.join("link/now/file"), "in it").unwrap();
    fs::remove_file(root.join("file 1")).unwrap();
    fs::rename(root.join("deep/er"), root.join("deep/other")).unwrap();
    fs::write(root.join("additional"), "more").unwrap();
    set_mtime(&root.join("file 20"), 1, 1);
    xattr::set(root.join("file 2"), "trusted.of.file", b"3").unwrap();
}

fn change_much(root: &Path) {
    change_little(root);
    let large: Vec<u8> = fs::read(root.join("large")).unwrap().iter().map(|byte| !byte).collect();
    fs::write(root.join("large"), large).unwrap();
}

struct Scene {
    targets: Vec<Target>,
    little: [State; 2],
    much: [State; 2],
    /// Unmounted before what they are mounted in.
    _mounts: Vec<Mount>,
    place: Place,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        // Not on a disk, since a killed process loses nothing there either, and is killed more often.
        let disk = Mount::new(place.path("disk"), "size=1g");
        let states = |change: fn(&Path), name: &str| {
            let source = disk.0.join(name);
            fill(&source);
            let first = State::of(&place, &source);
            change(&source);
            [first, State::of(&place, &source)]
        };
        let (little, much) = (states(change_little, "little"), states(change_much, "much"));
        let (mut targets, mut mounts) = (Vec::new(), Vec::new());
        for mode in Mode::ALL {
            for number in 0..TARGETS {
                let mut path = disk.0.join(format!("{mode:?}{number}"));
                let id = if mode.is_little() { &little[0].id } else { &much[0].id };
                place.vault.restore_to(id, &path, &Unwatched).unwrap();
                if mode.is_mount_point() {
                    let point = place.path(&format!("{mode:?}{number}"));
                    mounts.push(Mount::bind(&path, point.clone()));
                    path = point;
                }
                targets.push(Target { mode, path, now: 0, killed: 0 });
            }
        }
        mounts.push(disk);
        Self { targets, little, much, _mounts: mounts, place }
    }

    fn states(&self, mode: Mode) -> &[State; 2] {
        if mode.is_little() { &self.little } else { &self.much }
    }

    /// One line a target: its path, the snapshot that it gets, the snapshot that it has.
    fn orders(&self) -> String {
        let line = |target: &Target| {
            let states = self.states(target.mode);
            let (old, safety) = (&states[1 - target.now].id, &states[target.now].id);
            format!("{}\t{old}\t{safety}\n", target.path.display())
        };
        self.targets.iter().map(line).collect::<String>() + "\n"
    }

    /// Some time after they were told to begin.
    fn kill(&mut self, mut child: Child, delay: Duration) {
        child.stdin.as_mut().unwrap().write_all(self.orders().as_bytes()).unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert!(!child.wait().unwrap().success(), "it was killed: {said}");
        assert!(!said.contains("failed"), "{said}");
        self.look(&said);
    }

    fn look(&mut self, said: &str) {
        let is_done: Vec<bool> = self
            .targets
            .iter()
            .map(|target| said.contains(&format!("done {}\n", target.path.display())))
            .collect();
        for (number, done) in is_done.into_iter().enumerate() {
            let target = &self.targets[number];
            let [wanted, before] = [1 - target.now, target.now].map(|state| &self.states(target.mode)[state]);
            if done {
                assert_eq!(describe(&target.path), wanted.tree, "{:?}", target.mode);
                assert_eq!(stages(&target.path), Vec::<PathBuf>::new());
                self.targets[number].now = 1 - self.targets[number].now;
            } else {
                second_look(target, wanted, before);
                self.targets[number].killed += 1;
            }
        }
    }

    fn killed(&self, mode: Mode) -> usize {
        self.targets.iter().filter(|target| target.mode == mode).map(|target| target.killed).sum()
    }
}

/// What a replacement of a target leaves while it isn't done.
fn stages(target: &Path) -> Vec<PathBuf> {
    let beside = target.parent().unwrap();
    let name = format!(".{}.mainstay-{RUN}", target.file_name().unwrap().to_str().unwrap());
    let below = format!(".mainstay-replace-{RUN}");
    [(beside, name), (target, below)]
        .iter()
        .flat_map(|(dir, start)| ["", "+files", "+done"].map(|ending| dir.join(format!("{start}{ending}"))))
        .filter(|path| path.exists())
        .collect()
}

/// Nothing but old and new data is there, and where both are, the stage says so.
fn second_look(target: &Target, wanted: &State, before: &State) {
    let now = contents(&target.path);
    if now == wanted.contents || now == before.contents {
        return;
    }
    assert_ne!(target.mode, Mode::Exchange, "it is exchanged as a whole");
    assert!(!stages(&target.path).is_empty(), "{:?}", target.mode);
    for (path, what) in &now {
        let is_known = [wanted, before].iter().any(|state| state.contents.get(path) == Some(what));
        assert!(is_known, "{:?}: {} is neither", target.mode, path.display());
    }
}

/// A child that has opened the repository and waits.
fn child(state: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_restore::replaces_what_it_is_told", "--ignored", "--nocapture"])
        .env(CHILD, state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [0];
    let stdout = child.stdout.as_mut().unwrap();
    while byte != *b"!" {
        std::io::Read::read_exact(stdout, &mut byte).unwrap();
    }
    child
}

#[test]
#[ignore = "this is the child process of the test below"]
fn replaces_what_it_is_told() {
    let vault = Vault::open(Path::new(&std::env::var_os(CHILD).unwrap())).unwrap().unwrap();
    println!("!");
    let lines: Vec<_> = BufReader::new(std::io::stdin())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect();
    std::thread::scope(|scope| {
        for line in &lines {
            scope.spawn(|| {
                let parts: Vec<_> = line.split('\t').collect();
                let [old, safety] = [parts[1], parts[2]].map(|id| id.parse::<SnapshotId>().unwrap());
                match vault.replace(&old, Path::new(parts[0]), &safety, RUN, &Unwatched) {
                    Ok(_) => println!("done {}", parts[0]),
                    Err(error) => println!("failed {}: {error}", parts[0]),
                }
            });
        }
    });
    println!("all done");
    // Until it is killed.
    std::thread::sleep(Duration::from_secs(60));
}

/// A number below `limit`, from the clock.
fn random(limit: Duration) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let hash = blake3::hash(&now.as_nanos().to_le_bytes());
    let number = u32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap());
    limit.mul_f64(f64::from(number) / f64::from(u32::MAX))
}

#[test]
fn every_killed_replacement_is_finished() {
    let mut scene = Scene::new();
    let state = scene.place.state();
    let mut next = child(&state);
    let mut limit = Duration::from_millis(300);
    let begin = Instant::now();
    while Mode::ALL.iter().any(|mode| scene.killed(*mode) < KILLS) {
        assert!(begin.elapsed() < Duration::from_secs(250), "it is done before it is killed, too often");
        let waiting = std::mem::replace(&mut next, child(&state));
        let before: usize = scene.targets.iter().map(|target| target.killed).sum();
        scene.kill(waiting, random(limit));
        let killed = scene.targets.iter().map(|target| target.killed).sum::<usize>() - before;
        // About half of them shall be done, however fast this machine is at the moment.
        limit = if 2 * killed > scene.targets.len() { limit.mul_f64(1.15) } else { limit.mul_f64(0.87) };
    }
    let mut child = next;
    child.stdin.as_mut().unwrap().write_all(scene.orders().as_bytes()).unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let said: String = lines.take_while(|line| line != "all done").map(|line| line + "\n").collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let killed: Vec<_> = scene.targets.iter().map(|target| target.killed).collect();
    scene.look(&said);
    assert_eq!(killed, scene.targets.iter().map(|target| target.killed).collect::<Vec<_>>(), "{said}");
    for state in scene.little.iter().chain(&scene.much) {
        scene.place.vault.verify(&state.id, &Unwatched).unwrap();
    }
}
