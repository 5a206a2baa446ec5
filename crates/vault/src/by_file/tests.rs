//! Interrupts a replacement before every single move, which a signal hits only now and then.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::VaultError;
use crate::ids::{Kind, SnapshotId, Tags};
use crate::progress::Unwatched;
use crate::vault::Vault;
use crate::{Pass, Result};

thread_local! {
    /// How many steps are left to do.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Called before every step.
pub(crate) fn step(path: &Path) -> Result<()> {
    LEFT.with(|left| match left.get() {
        0 => Err(VaultError::io("go on with", path, std::io::Error::other("interrupted"))),
        some => {
            left.set(some - 1);
            Ok(())
        }
    })
}

fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|item| item.unwrap().path()));
            String::new()
        } else if meta.is_symlink() {
            format!("{:?}", fs::read_link(&path).unwrap())
        } else {
            format!("{} {}", meta.nlink(), blake3::hash(&fs::read(&path).unwrap()))
        };
        let times = (meta.mtime(), meta.mtime_nsec());
        let relative = path.strip_prefix(root).unwrap().to_owned();
        all.insert(relative, format!("{:o} {times:?} {content}", meta.mode()));
    }
    all
}

struct Scene {
    dir: tempfile::TempDir,
    vault: Vault,
    ids: [SnapshotId; 2],
    trees: [BTreeMap<PathBuf, String>; 2],
}

impl Scene {
    /// Two states that differ in every way.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(&dir.path().join("state")).unwrap();
        let data = dir.path().join("data");
        let at = |name: &str| data.join(name);
        fs::create_dir_all(at("sub/below")).unwrap();
        for number in 0..40 {
            fs::write(at(&format!("stays {number}")), "the same").unwrap();
        }
        fs::write(at("sub/below/file"), "one").unwrap();
        fs::write(at("kind"), "a file").unwrap();
        fs::write(at("linked"), "two names").unwrap();
        fs::hard_link(at("linked"), at("sub/linked too")).unwrap();
        let back_up = || {
            let word = |word: &str| word.to_owned();
            let (run, project, service, mount) = (word("r"), word("p"), word("s"), word("m"));
            let tags = Tags { run, project, service, mount, kind: Kind::Manual };
            vault.backup(&data, &tags, Pass::Still, &Unwatched).unwrap().id
        };
        let first = (back_up(), describe(&data));
        fs::remove_dir_all(at("sub/below")).unwrap();
        symlink("elsewhere", at("sub/below")).unwrap();
        fs::remove_file(at("kind")).unwrap();
        fs::create_dir_all(at("kind/of")).unwrap();
        fs::write(at("kind/of/file"), "additional").unwrap();
        fs::remove_file(at("linked")).unwrap();
        fs::write(at("linked"), "by itself").unwrap();
        fs::set_permissions(at("stays 3"), PermissionsExt::from_mode(0o600)).unwrap();
        let second = (back_up(), describe(&data));
        Self { ids: [first.0, second.0], trees: [first.1, second.1], vault, dir }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Puts the other state in the place of this one, but not more than so many steps.
    fn replace(&self, now: usize, steps: usize) -> Result<()> {
        LEFT.with(|left| left.set(steps));
        let (old, safety) = (&self.ids[1 - now], &self.ids[now]);
        self.vault.replace(old, &self.data(), safety, "run", &Unwatched).map(|_| ())
    }
}

#[test]
fn an_interruption_before_any_step_is_finished() {
    let scene = Scene::new();
    let mut now = 1;
    for both in [1, 0] {
        let mut steps = 0;
        loop {
            let interrupted = scene.replace(now, steps);
            // Also while it is being finished.
            let again = interrupted.is_err() && scene.replace(now, steps / 2).is_err();
            assert!(again || interrupted.is_ok() || describe(&scene.data()) == scene.trees[1 - now]);
            scene.replace(now, usize::MAX).unwrap();
            assert_eq!(describe(&scene.data()), scene.trees[1 - now], "{steps} steps");
            assert_eq!(fs::read_dir(scene.dir.path()).unwrap().count(), 2, "nothing is left");
            now = 1 - now;
            if interrupted.is_ok() {
                break;
            }
            steps += 1;
        }
        assert!(steps > 15, "only {steps} steps from state {both}");
        if now != 1 - both {
            scene.replace(now, usize::MAX).unwrap();
            now = 1 - now;
        }
    }
}

#[test]
fn what_somebody_else_puts_there_meanwhile_is_left_alone() {
    let changes: [fn(&Path); 3] = [
        |data| fs::write(data.join("kind/of/theirs"), "the only copy").unwrap(),
        |data| fs::write(data.join("linked"), "the only copy, changed").unwrap(),
        |data| fs::write(data.join("sub/theirs"), "the only copy").unwrap(),
    ];
    for change in changes {
        let scene = Scene::new();
        scene.replace(1, 0).unwrap_err();
        change(&scene.data());
        let before = describe(&scene.data());
        let refused = scene.replace(1, usize::MAX);
        assert!(matches!(refused, Err(VaultError::Foreign { .. })), "{refused:?}");
        let now = describe(&scene.data());
        let theirs = before.iter().filter(|(_, what)| scene.trees[1].values().all(|known| known != *what));
        for (path, what) in theirs.filter(|(path, _)| !scene.data().join(path).is_dir()) {
            assert_eq!(now.get(path), Some(what), "{}", path.display());
        }
    }
}
