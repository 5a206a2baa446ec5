//! The data that is measured: made from a seed, so that every run has the same.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Random numbers that are the same every time.
struct Random(blake3::OutputReader);

impl Random {
    fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    fn below(&mut self, limit: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % limit as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Words of a small language, which compress about as texts do.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 16);
        while text.len() < length {
            let word = self.below(3000);
            write!(text, "{:x}{} ", word * word * 7919, ["", "en", "ing", "s"][word % 4]).unwrap();
        }
        text.truncate(length);
        text
    }
}

const SMALL_FILES: usize = 20_000;

/// 20,000 texts of 10 kB on average in 200 directories, and 300 MB of what is compressed already.
pub fn small_files_and_blobs(root: &Path) {
    let mut random = Random::new(1);
    for number in 0..SMALL_FILES {
        let path = small_file(root, number);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let length = 500 + random.below(19_000);
        fs::write(path, random.text(length)).unwrap();
    }
    fs::create_dir_all(root.join("blobs")).unwrap();
    for number in 0..30 {
        let length = 5_000_000 + random.below(10_000_000);
        fs::write(root.join(format!("blobs/{number:02}.jpg")), random.bytes(length)).unwrap();
    }
}

fn small_file(root: &Path, number: usize) -> PathBuf {
    root.join(format!("files/{:03}/{number:05}.txt", number % 200))
}

/// Writes 1 % of the small files anew.
pub fn change(root: &Path, seed: u64) {
    let mut random = Random::new(seed);
    for _ in 0..SMALL_FILES / 100 {
        let length = 500 + random.below(19_000);
        let path = small_file(root, random.below(SMALL_FILES));
        fs::write(path, random.text(length)).unwrap();
    }
}

/// Files of 20 to 400 bytes, 500 in a directory.
pub fn tiny_files(root: &Path, count: usize) {
    let mut random = Random::new(2);
    for number in 0..count {
        let dir = root.join(format!("{:02}/{:03}", number / 500 % 20, number / 500 / 20));
        if number % 500 == 0 {
            fs::create_dir_all(&dir).unwrap();
        }
        let length = 20 + random.below(380);
        fs::write(dir.join(format!("{number:06}")), random.text(length)).unwrap();
    }
}

/// A copy with owners, modes and times.
pub fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Makes `volume` equal to `tree` as a running service would: files stay, only blocks that differ are written.
pub fn write_over(tree: &Path, volume: &Path) {
    for path in below(volume) {
        if !tree.join(&path).exists() {
            fs::remove_file(volume.join(&path)).unwrap();
        }
    }
    for path in below(tree) {
        let (wanted, target) = (tree.join(&path), volume.join(&path));
        if let Ok(mut present) = File::options().read(true).write(true).open(&target) {
            let (mut wanted, mut offset) = (File::open(wanted).unwrap(), 0);
            let (mut new, mut old) = (vec![0; 1 << 20], vec![0; 1 << 20]);
            loop {
                let length = read_full(&mut wanted, &mut new);
                let there = read_full(&mut present, &mut old);
                for at in (0..length).step_by(4096) {
                    let end = (at + 4096).min(length);
                    if old[at..end.min(there).max(at)] != new[at..end] {
                        present.write_all_at(&new[at..end], offset + at as u64).unwrap();
                    }
                }
                offset += length as u64;
                if length < new.len() {
                    break;
                }
            }
            if present.metadata().unwrap().len() != offset {
                present.set_len(offset).unwrap();
            }
        } else {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            copy(&wanted, &target);
        }
    }
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> usize {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]).unwrap() {
            0 => break,
            more => length += more,
        }
    }
    length
}

/// Ends the program where two trees hold different files.
pub fn assert_equal(one: &Path, other: &Path) {
    let status = Command::new("diff").args(["-rq", "--no-dereference"]).args([one, other]).status().unwrap();
    assert!(status.success(), "{} and {} differ", one.display(), other.display());
}

/// Bytes of file content.
pub fn bytes(root: &Path) -> u64 {
    below(root).iter().map(|path| fs::metadata(root.join(path)).unwrap().len()).sum()
}

/// Regular files.
pub fn files(root: &Path) -> usize {
    below(root).len()
}

/// Regular files, relative to the root.
fn below(root: &Path) -> Vec<PathBuf> {
    fn collect(root: &Path, dir: &Path, found: &mut Vec<PathBuf>) {
        for item in fs::read_dir(dir).unwrap() {
            let item = item.unwrap();
            if item.file_type().unwrap().is_dir() {
                collect(root, &item.path(), found);
            } else if item.file_type().unwrap().is_file() {
                found.push(item.path().strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found
}
