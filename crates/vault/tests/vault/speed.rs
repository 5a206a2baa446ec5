//! How long it takes to put data back, beside the usual `rm -rf; tar xzf`. Takes minutes and gigabytes:
//!
//!     cargo nextest run --release -p mainstay-vault --run-ignored only speed --no-capture

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::common::{Place, describe};
use mainstay_vault::{SnapshotId, Unwatched, Vault};

const CHILD: &str = "MAINSTAY_TEST_SPEED";

/// Half of it compresses well.
fn content(seed: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let (noise, text) = bytes.split_at_mut(length / 2);
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(noise);
    for (number, byte) in text.iter_mut().enumerate() {
        *byte = b"what people write "[(number + seed) % 18];
    }
    bytes
}

fn write(path: &Path, seed: usize, megabytes: usize) {
    let file = fs::File::create(path).unwrap();
    for number in 0..megabytes {
        file.write_all_at(&content(seed * 1000 + number, 1 << 20), (number as u64) << 20).unwrap();
    }
}

fn small_files(root: &Path, count: usize, bytes: usize) {
    for number in 0..count {
        let dir = root.join(format!("{}/{}", number % 20, number / 20 % 40));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{number}.txt")), content(number, bytes)).unwrap();
    }
}

/// 20,000 small files, a file of 400 MB, a cluster of 600 MB, 20 blobs of 10 MB: 1.5 GB.
fn mixed(root: &Path) {
    small_files(&root.join("files"), 20_000, 15_000);
    for dir in ["cluster", "blobs"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    write(&root.join("mail.db"), 1, 400);
    for number in 0..12 {
        write(&root.join(format!("cluster/{number}")), 10 + number, 50);
    }
    for number in 0..20 {
        write(&root.join(format!("blobs/{number}")), 50 + number, 10);
    }
}

/// One byte of a hundred, in places as a database has them.
fn change(root: &Path) {
    for number in (0..20_000).step_by(100) {
        let path = root.join(format!("files/{}/{}/{number}.txt", number % 20, number / 20 % 40));
        fs::write(path, content(number + 1, 15_000)).unwrap();
    }
    let patch = |path: &Path, offset: u64, length: usize| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&content(9, length), offset).unwrap();
    };
    for number in 0..16 {
        patch(&root.join("mail.db"), number * (25 << 20) + 5000, 256 << 10);
    }
    for number in 0..12 {
        for place in 0..4 {
            patch(&root.join(format!("cluster/{number}")), place * (12 << 20) + 8192, 128 << 10);
        }
    }
    for number in 0..3 {
        fs::remove_file(root.join(format!("blobs/{number}"))).unwrap();
        write(&root.join(format!("blobs/new {number}")), 90 + number, 1);
    }
}

/// Puts `old` back in a process of its own; its seconds and its peak memory in MB.
fn replace(place: &Place, target: &Path, old: &SnapshotId, safety: &SnapshotId) -> (f64, u64) {
    let order = format!("{}\n{}\n{old}\n{safety}", place.state().display(), target.display());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "speed::puts_back", "--ignored", "--nocapture"])
        .env(CHILD, order)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("took ")).unwrap().1.to_owned();
    let (seconds, memory) = line.split_once(' ').unwrap();
    (seconds.parse().unwrap(), memory.parse::<u64>().unwrap() / 1024)
}

#[test]
#[ignore = "this is the child process of the measurements"]
fn puts_back() {
    let order = std::env::var(CHILD).unwrap();
    let order: Vec<_> = order.split('\n').collect();
    let vault = Vault::open(Path::new(order[0])).unwrap().unwrap();
    let begin = Instant::now();
    vault
        .replace(
            &order[2].parse().unwrap(),
            Path::new(order[1]),
            &order[3].parse().unwrap(),
            "run",
            &Unwatched,
        )
        .unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("took {seconds:.2} {}", peak.trim().trim_end_matches(" kB"));
}

fn sh(command: &str) -> f64 {
    let begin = Instant::now();
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    begin.elapsed().as_secs_f64()
}

#[test]
#[ignore = "takes minutes and 5 GB"]
fn little_is_put_back_five_times_as_fast_as_by_tar() {
    let place = Place::new();
    let target = place.path("data");
    fs::create_dir(&target).unwrap();
    mixed(&target);
    let archive = place.path("data.tar.gz");
    let (at, tar) = (target.display(), archive.display());
    sh(&format!("tar -C '{at}' -czf '{tar}' . && sync"));
    let old = place.backup(&target).id;
    let wanted = describe(&target);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..3 {
        change(&target);
        let safety = place.backup(&target).id;
        sh("sync");
        ours.push(replace(&place, &target, &old, &safety));
        assert!(describe(&target) == wanted, "round {round}");
        sh("sync");
        theirs.push(sh(&format!("rm -rf '{at}'/* && tar -C '{at}' -xzf '{tar}'")));
        // What was unpacked has other times of directories only.
        place.backup(&target);
    }
    println!("ours (s, MB peak): {ours:?}; rm and tar (s): {theirs:?}");
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (fast, slow) = (median(ours.iter().map(|one| one.0).collect()), median(theirs));
    println!("ratio {:.1}", slow / fast);
    assert!(ours.iter().all(|one| one.1 < 400), "memory");
    assert!(slow / fast > 5.0);
}

#[test]
#[ignore = "takes a minute"]
fn many_small_files_are_exchanged() {
    let place = Place::new();
    let target = place.path("data");
    fs::create_dir(&target).unwrap();
    small_files(&target, 30_000, 4_000);
    let old = place.backup(&target).id;
    fs::remove_dir_all(&target).unwrap();
    fs::create_dir(&target).unwrap();
    small_files(&target, 30_000, 4_001);
    let safety = place.backup(&target).id;
    sh("sync");
    println!("30,000 files (s, MB peak): {:?}", replace(&place, &target, &old, &safety));
}
