//! Every point of every course, and random chains of kills, from a seed: what `script/soak` runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::course::{ALL, Course};
use super::gate::{Line, When};
use super::trial::{Bench, Blow, Seen};

/// What takes longer is also killed in its middle.
const LONG: Duration = Duration::from_millis(50);
/// At least so many kills in all.
const KILLS: usize = 300;
/// How many projects are at work at once, unless `SOAK_JOBS` says otherwise.
const JOBS: usize = 3;
/// After so many trials a project is set up anew.
const TRIALS_A_PROJECT: usize = 12;

/// Numbers that only depend on the seed: splitmix64, by Sebastiano Vigna (public domain,
/// <https://prng.di.unimi.it/splitmix64.c>).
pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0, below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Some part of a time, neither its very beginning nor its end.
    pub fn part(&mut self, time: Duration) -> Duration {
        time.mul_f64((5 + self.below(90)) as f64 / 100.0)
    }
}

/// What came of all trials of one course.
#[derive(Default)]
struct Tally {
    trials: usize,
    kills: usize,
    missed: usize,
    lost: Vec<String>,
    left: Vec<String>,
    points: BTreeMap<String, usize>,
    ends: BTreeMap<String, usize>,
}

impl Tally {
    fn take(&mut self, blows: &[Blow], seen: Result<Seen, String>) {
        self.trials += 1;
        match seen {
            Ok(seen) => {
                self.kills += seen.killed.len();
                self.missed += blows.len() - seen.killed.len();
                for at in seen.killed {
                    *self.points.entry(at.kind).or_default() += 1;
                }
                *self.ends.entry(seen.verdict).or_default() += 1;
                self.left.extend(seen.left.iter().map(|left| format!("{blows:?}: {left}")));
            }
            Err(why) => self.lost.push(format!("{blows:?}: {why}")),
        }
    }
}

/// Each line of the undisturbed run once: just after it, before the next one, and within what takes long.
fn points(bench: &Bench, dice: &mut Dice) -> Vec<Vec<Blow>> {
    let mut all = Vec::new();
    for line in &bench.lines {
        let blow = |when| vec![Blow { line: Line::Named(line.kind.clone()), when }];
        all.push(blow(When::After));
        if line.kind.ends_with(" started") {
            all.push(blow(When::BeforeNext));
            if let Some(took) = line.took.filter(|took| *took > LONG) {
                all.push(blow(When::Within(dice.part(took))));
            }
        }
    }
    all
}

/// Somewhere in the run, and then again and again in what resumes it.
fn chain(bench: &Bench, dice: &mut Dice) -> Vec<Blow> {
    let line = &bench.lines[dice.below(bench.lines.len() as u64 - 1) as usize];
    let mut blows = vec![Blow { line: Line::Named(line.kind.clone()), when: When::After }];
    for _ in 0..=dice.below(3) {
        let when = match dice.below(3) {
            0 => When::After,
            1 => When::BeforeNext,
            _ => When::Within(Duration::from_millis(dice.below(400))),
        };
        blows.push(Blow { line: Line::Nth(1 + dice.below(6)), when });
    }
    blows
}

/// One course: all its points, then chains until there are enough kills. A project in which something went wrong is
/// left, and another one set up.
fn soak(course: Course, seed: u64, chains: usize) -> Tally {
    let (mut tally, mut dice) = (Tally::default(), Dice::of(seed));
    let mut bench = Bench::new(course);
    let mut all = points(&bench, &mut dice);
    all.extend((0..chains).map(|_| chain(&bench, &mut dice)));
    for (nth, blows) in all.iter().enumerate() {
        if nth % TRIALS_A_PROJECT == TRIALS_A_PROJECT - 1 {
            bench = Bench::new(course);
        }
        let seen = attempt(|| bench.perform(blows));
        let lost = seen.is_err();
        tally.take(blows, seen);
        let _ = writeln!(std::io::stderr(), "{}: {} of {} {blows:?}", course.name, nth + 1, all.len());
        if lost {
            let _ = writeln!(std::io::stderr(), "  LOST: {}", tally.lost.last().unwrap());
            bench = Bench::new(course);
        }
    }
    tally
}

/// What a trial says, or the words of the assertion that failed in it.
pub fn attempt<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

/// A setting of `script/soak`.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `SOAK_SEED` is a number, `SOAK_ONLY` a piece of the courses' names, `SOAK_REPORT` the file for the table.
#[test]
#[ignore = "takes an hour: script/soak runs it"]
fn every_point() {
    let seed = number("SOAK_SEED").unwrap_or(1);
    let jobs = number("SOAK_JOBS").map_or(JOBS, |jobs| jobs as usize);
    let only = std::env::var("SOAK_ONLY").unwrap_or_default();
    let courses: Vec<Course> = ALL.iter().copied().filter(|course| course.name.contains(&only)).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    // A chain kills two to four times; what the points don't reach, the chains have to.
    let chains = KILLS.div_ceil(3 * ALL.len());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(course) = courses.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tally = soak(*course, seed.wrapping_add(course.name.len() as u64), chains);
                    done.lock().unwrap().insert(course.name, tally);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let totals = totals(seed, &done);
    if let Ok(file) = std::env::var("SOAK_REPORT") {
        std::fs::write(file, format!("{}\n{totals}\n", table(&done))).unwrap();
    }
    println!("{}\n{totals}", table(&done));
    assert_eq!((&totals["losses"], &totals["leftovers"]), (&json!(0), &json!(0)), "{}", table(&done));
    assert!(!only.is_empty() || totals["kills"].as_u64() >= Some(KILLS as u64), "{totals}");
}

fn totals(seed: u64, done: &BTreeMap<&str, Tally>) -> Value {
    let sum = |of: fn(&Tally) -> usize| done.values().map(of).sum::<usize>();
    json!({
        "seed": seed,
        "kills": sum(|tally| tally.kills),
        "missed": sum(|tally| tally.missed),
        "losses": sum(|tally| tally.lost.len()),
        "leftovers": sum(|tally| tally.left.len()),
    })
}

fn table(done: &BTreeMap<&str, Tally>) -> String {
    let mut text = format!(
        "{:<24} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}\n",
        "course", "trials", "kills", "points", "missed", "lost", "left"
    );
    for (name, tally) in done {
        let _ = writeln!(
            text,
            "{name:<24} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}",
            tally.trials,
            tally.kills,
            tally.points.len(),
            tally.missed,
            tally.lost.len(),
            tally.left.len()
        );
        let ends: Vec<String> = tally.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
        let _ = writeln!(text, "    ended: {}", ends.join(", "));
        for what in tally.lost.iter().chain(&tally.left) {
            let _ = writeln!(text, "    {}", what.chars().take(3_000).collect::<String>());
        }
    }
    text
}
