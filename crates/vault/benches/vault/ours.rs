//! What this crate does with the data, each operation in a process of its own, which says how long it took and
//! how much memory it had at most.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mainstay_vault::{Backup, Kind, Pass, Tags, Unwatched, Vault};
use serde_json::{Value, json};

use crate::data;

/// A file that changed within the last two seconds isn't taken as known: the volume of a real service is older.
const SETTLED: Duration = Duration::from_millis(3200);

/// Runs one operation in another process.
pub fn call(operation: &[&str]) -> Value {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program).arg("ours").args(operation).stderr(Stdio::inherit()).output().unwrap();
    assert!(child.status.success(), "{operation:?} failed");
    serde_json::from_slice(&child.stdout).unwrap()
}

/// Performs one operation in this process.
pub fn perform(operation: &[&str]) -> Value {
    sleep(SETTLED);
    let mut result = match operation {
        ["first", state, volume] => backup(Path::new(state), Path::new(volume), "run-1"),
        ["second", state, volume] => backup(Path::new(state), Path::new(volume), "run-2"),
        ["cutover", state, volume] => cutover(Path::new(state), Path::new(volume), None),
        ["cutover", state, volume, later] => {
            cutover(Path::new(state), Path::new(volume), Some(Path::new(later)))
        }
        ["restore", state, volume, id] => restore(Path::new(state), Path::new(volume), id),
        other => panic!("no operation {other:?}"),
    };
    result["peak_memory_mib"] = json!(peak_memory_mib());
    result
}

fn backup(state: &Path, volume: &Path, run: &str) -> Value {
    let begun = Instant::now();
    let vault = Vault::open_or_create(state).unwrap();
    let backup = pass(&vault, volume, run, Kind::Manual, Pass::Still);
    let seconds = begun.elapsed().as_secs_f64();
    json!({
        "seconds": seconds,
        "added_bytes": backup.added_bytes,
        "repository_bytes": data::bytes(vault.path()),
    })
}

fn cutover(state: &Path, volume: &Path, later: Option<&Path>) -> Value {
    let vault = Vault::open_or_create(state).unwrap();
    let run = if later.is_some() { "run-4" } else { "run-3" };
    let begun = Instant::now();
    let live = pass(&vault, volume, run, Kind::Live, Pass::Live);
    let live_seconds = begun.elapsed().as_secs_f64();
    if let Some(later) = later {
        data::write_over(later, volume);
    }
    let (begun, used) = (Instant::now(), processor_seconds());
    let still = pass(&vault, volume, run, Kind::Cutover, Pass::Still);
    json!({
        "seconds": begun.elapsed().as_secs_f64(),
        "processor_seconds": processor_seconds() - used,
        "live_seconds": live_seconds,
        "live": live.id.to_string(),
        "added_bytes": still.added_bytes,
    })
}

fn restore(state: &Path, volume: &Path, id: &str) -> Value {
    let vault = Vault::open_or_create(state).unwrap();
    let begun = Instant::now();
    let safety = pass(&vault, volume, "run-4", Kind::Safety, Pass::Still);
    let safety_seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    vault.replace(&id.parse().unwrap(), volume, &safety.id, "run-4", &Unwatched).unwrap();
    json!({ "seconds": begun.elapsed().as_secs_f64(), "safety_seconds": safety_seconds })
}

fn pass(vault: &Vault, volume: &Path, run: &str, kind: Kind, pass: Pass) -> Backup {
    let tags =
        Tags { run: run.into(), project: "shop".into(), service: "db".into(), mount: "data".into(), kind };
    vault.backup(volume, &tags, pass, &Unwatched).unwrap()
}

/// What this process has used of all processors so far: of a machine that others use too, that says more than the clock.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    // On every Linux that this runs on, whatever the kernel's own clock does.
    ticks / 100.0
}

/// What the kernel saw at most, in MiB.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}
