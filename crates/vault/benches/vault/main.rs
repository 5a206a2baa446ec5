//! Times backups and restorations of the same data by this crate, by the runbook's `busybox tar czf`, by GNU
//! tar with zstd, and by stock restic, one after the other in the same run. `script/bench vault` calls it.
//!
//! Prints a table, and as the last line one JSON object. Seconds mean nothing on another machine: the ratios do.

// Benches are programs: what they find goes to the terminal, and a broken assumption may end them.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers")]

mod data;
mod ours;
mod peers;
mod report;

use std::path::{Path, PathBuf};

use report::{Figures, median};

/// As in the program that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line names.
struct Places {
    /// The trees that are measured; made by `script/bench`.
    data: PathBuf,
    /// For everything that is written.
    work: PathBuf,
    /// The stock restic.
    restic: PathBuf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["files", directory] => data::small_files_and_blobs(Path::new(directory)),
        ["change", directory, seed] => data::change(Path::new(directory), seed.parse().unwrap()),
        ["tiny", directory, count] => data::tiny_files(Path::new(directory), count.parse().unwrap()),
        ["ours", operation @ ..] => println!("{}", ours::perform(operation)),
        ["compare", data, work, restic, rounds] => {
            let places = Places { data: data.into(), work: work.into(), restic: restic.into() };
            compare(&places, rounds.parse().unwrap());
        }
        // `cargo bench` without a script around it: there is no data to measure.
        _ => println!("run `script/bench vault`"),
    }
}

fn compare(places: &Places, rounds: usize) {
    let mut figures = Figures::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        mixed(places, &mut figures);
        tiny(places, &mut figures);
    }
    figures.print();
}

/// The volume of several kinds of data, first whole, then with 1 % changed, twice.
fn mixed(places: &Places, figures: &mut Figures) {
    let (volume, state, repository) =
        (places.work.join("volume"), places.work.join("state"), places.work.join("restic"));
    let tree = |name: &str| places.data.join(name);
    clear(&places.work);
    data::copy(&tree("before"), &volume);
    figures.volume_bytes = data::bytes(&volume);

    figures.add("first: busybox tar czf", peers::runbook(&volume, &places.work.join("first.tgz")));
    figures.add("first: tar, zstd -T0", peers::tar_zstd(&volume, &places.work.join("first.tzst")));
    figures.add("first: restic", peers::restic_first(&places.restic, &repository, &volume));
    let first = ours::call(&["first", text(&state), text(&volume)]);
    figures.add_ours("first: mainstay", &first, "seconds");
    figures.first_bytes = first["repository_bytes"].as_u64().unwrap();

    data::write_over(&tree("after"), &volume);
    figures.add("second: busybox tar czf", peers::runbook(&volume, &places.work.join("second.tgz")));
    figures.add("second: tar, zstd -T0", peers::tar_zstd(&volume, &places.work.join("second.tzst")));
    figures.add("second: restic", peers::restic_backup(&places.restic, &repository, &volume));
    let second = ours::call(&["second", text(&state), text(&volume)]);
    figures.add_ours("second: mainstay", &second, "seconds");
    figures.second_added = second["added_bytes"].as_u64().unwrap();

    let unchanged = ours::call(&["cutover", text(&state), text(&volume)]);
    figures.add_ours("live pass, unchanged: mainstay", &unchanged, "live_seconds");
    figures.add_ours("cutover, unchanged: mainstay", &unchanged, "seconds");
    let changed = ours::call(&["cutover", text(&state), text(&volume), text(&tree("later"))]);
    figures.add_ours("cutover, 1 % changed: mainstay", &changed, "seconds");
    figures.add_ours("the same, on all processors", &changed, "processor_seconds");

    let restored = ours::call(&["restore", text(&state), text(&volume), changed["live"].as_str().unwrap()]);
    figures.add_ours("safety backup before it: mainstay", &restored, "safety_seconds");
    figures.add_ours("restore, 1 % changed: mainstay", &restored, "seconds");
    data::assert_equal(&tree("after"), &volume);
    figures.add(
        "restore: rm -rf, busybox tar xzf",
        peers::runbook_restore(&places.work.join("second.tgz"), &volume),
    );
    data::assert_equal(&tree("after"), &volume);
}

fn tiny(places: &Places, figures: &mut Figures) {
    let (state, repository) = (places.work.join("state"), places.work.join("restic"));
    clear(&places.work);
    let volume = places.data.join("tiny");
    // Both find the list of files in the system's memory.
    figures.tiny_files = data::files(&volume);
    figures.add("tiny: restic", peers::restic_first(&places.restic, &repository, &volume));
    figures.add("tiny: busybox tar czf", peers::runbook(&volume, &places.work.join("tiny.tgz")));
    let ours = ours::call(&["first", text(&state), text(&volume)]);
    figures.add_ours("tiny: mainstay", &ours, "seconds");
}

fn clear(work: &Path) {
    if work.exists() {
        std::fs::remove_dir_all(work).unwrap();
    }
    std::fs::create_dir_all(work).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Of what was measured several times.
fn typical(samples: &[f64]) -> f64 {
    median(samples).unwrap_or(f64::NAN)
}
