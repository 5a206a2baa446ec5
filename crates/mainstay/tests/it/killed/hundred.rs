//! One service updated and rolled back again and again, with what goes wrong drawn from a seed: what builds up would
//! show here.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use super::course::GOOD;
use super::gate::{Gate, Line, When};
use super::soak::{Dice, number};
use super::trial::left;
use crate::lab::Lab;
use crate::lab::process::{Run, Running};
use crate::lab::proxy::{Mood, Proxy};

/// How often, unless `SOAK_UPDATES` says otherwise.
const UPDATES: u64 = 100;
/// Good ones more often than bad ones.
const VERSIONS: [&str; 4] = [GOOD, GOOD, "2.0.0-migration-fails-half-way", "2.0.0-exit-at-start"];
const MOODS: [Mood; 4] = [Mood::Gone, Mood::Breaks, Mood::Hangs, Mood::Late];

/// The service, behind an engine that can go away.
struct Ground {
    lab: Lab,
    proxy: Proxy,
    images: Vec<String>,
}

/// What a process of the command held at the end of its run.
struct Held {
    /// The most memory that it ever had, in KiB.
    memory: u64,
    /// Open files.
    files: u64,
}

impl Ground {
    fn new() -> Self {
        let lab = Lab::new("solo").up();
        std::fs::create_dir(lab.home().join("tmp")).unwrap();
        let proxy = Proxy::in_front_of_the_engine(lab.home());
        Self { lab, proxy, images: Vec::new() }
    }

    fn begin(&self, args: &[&str]) -> Running {
        let mut command = self.lab.command(args);
        command.env("DOCKER_HOST", self.proxy.host()).env("TMPDIR", self.lab.home().join("tmp"));
        Running::begin(command)
    }

    fn update(&self, to: &str) -> Running {
        let args = self.lab.update_args("app", to, &[]);
        self.begin(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Nothing goes wrong with the command itself.
    fn undisturbed(&self, to: &str) -> (Run, Held) {
        let mut running = self.update(to);
        running.until_started("document");
        let held = held(running.pid());
        (running.finish(), held)
    }

    /// Killed somewhere, and what resumes it perhaps, too; how often.
    fn killed(&self, to: &str, dice: &mut Dice) -> (Run, u64) {
        let gate = Gate::at(&self.lab.state());
        let (runs, mut known, mut kills) = (gate.runs() + 1, 0, 0);
        for nth in 0..=dice.below(3) {
            let process = if nth == 0 { self.update(to) } else { self.begin(&["resume"]) };
            let line = Line::Nth(1 + dice.below(if nth == 0 { 28 } else { 8 }));
            let when = match dice.below(3) {
                0 => When::After,
                1 => When::BeforeNext,
                _ => When::Within(Duration::from_millis(dice.below(500))),
            };
            let Some(last) = gate.kill(process, (runs, known), &line, when) else { break };
            (known, kills) = (last.seq, kills + 1);
        }
        (self.begin(&["resume"]).finish(), kills)
    }

    /// The engine goes away for a while, somewhere.
    fn without_engine(&self, to: &str, dice: &mut Dice) -> Run {
        let running = self.update(to);
        std::thread::sleep(Duration::from_millis(500 + dice.below(6_000)));
        self.proxy.set(MOODS[dice.below(4) as usize]);
        std::thread::sleep(Duration::from_millis(200 + dice.below(3_000)));
        self.proxy.set(Mood::Well);
        running.finish()
    }
}

fn held(process: u32) -> Held {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let memory = peak.trim().split(' ').next().unwrap().parse().unwrap();
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() as u64;
    Held { memory, files }
}

/// `SOAK_SEED` is a number, `SOAK_UPDATES` how often, `SOAK_REPORT` the file for the totals.
#[test]
#[ignore = "takes half an hour: script/soak runs it"]
fn a_hundred_updates() {
    let (seed, updates) = (number("SOAK_SEED").unwrap_or(1), number("SOAK_UPDATES").unwrap_or(UPDATES));
    let mut dice = Dice::of(seed);
    let mut ground = Ground::new();
    // There has to be a journal, and both images have to be known.
    ground.images.push(ground.lab.container("app")["Image"].as_str().unwrap().to_owned());
    ground.update(GOOD).finish().expect_kept();
    ground.images.push(ground.lab.container("app")["Image"].as_str().unwrap().to_owned());
    ground.begin(&["rollback", &ground.lab.id("app"), "--yes"]).finish().expect_kept();
    let (mut kills, mut leftovers, mut held) = (0, Vec::new(), Vec::new());
    let mut before: Vec<String> = Vec::new();
    for nth in 0..updates {
        ground.lab.add_record(&format!("before update {nth}"));
        let old = ground.lab.now();
        // The first and the last ones are alike and undisturbed, to be compared.
        let compared = nth < 3 || nth + 3 >= updates;
        let to = if compared { GOOD } else { VERSIONS[dice.below(4) as usize] };
        let fault = if compared { 0 } else { dice.below(4) };
        let run = match fault {
            0 => {
                let (run, now) = ground.undisturbed(to);
                held.extend(compared.then_some(now));
                run
            }
            1 | 2 => {
                let (run, hits) = ground.killed(to, &mut dice);
                kills += hits;
                run
            }
            _ => ground.without_engine(to, &mut dice),
        };
        let _ = writeln!(std::io::stderr(), "{} of {updates}: {to}, fault {fault}: {:?}", nth + 1, run.code);
        assert!(matches!(run.code, Some(0 | 1 | 3 | 4 | 130)), "{run}");
        if ground.lab.version() == GOOD {
            let records = ground.lab.get("/records").unwrap();
            assert!((0..=nth).all(|n| records.contains(&format!("before update {n}\""))), "{records}");
            ground.lab.compose_changes_nothing();
            ground.begin(&["rollback", &ground.lab.id("app"), "--yes"]).finish().expect_kept();
        }
        ground.lab.assert_as_before(&old);
        assert_eq!(ground.lab.version(), "1.0.0", "{run}");
        let images: Vec<&str> = ground.images.iter().map(String::as_str).collect();
        // What a process held that was killed after the end of its run goes with the next command.
        let now = left(&ground.lab, &images);
        leftovers.extend(now.iter().filter(|left| before.contains(left)).cloned());
        before = now;
    }
    Gate::at(&ground.lab.state()).assert_sound();
    let (first, last) = (&held[..3], &held[held.len() - 3..]);
    let most = |of: &[Held], what: fn(&Held) -> u64| of.iter().map(what).max().unwrap();
    let totals = json!({
        "updates": updates,
        "update_kills": kills,
        "update_leftovers": leftovers.len(),
        "memory_first_kib": most(first, |held| held.memory),
        "memory_last_kib": most(last, |held| held.memory),
        "files_first": most(first, |held| held.files),
        "files_last": most(last, |held| held.files),
    });
    if let Ok(file) = std::env::var("SOAK_REPORT") {
        std::fs::write(file, format!("{totals}\n")).unwrap();
    }
    println!("{totals}");
    assert_eq!(leftovers, Vec::<String>::new());
    // The journal and the repository have grown a hundredfold, and listing them may cost a little.
    assert!(most(last, |held| held.memory) <= most(first, |held| held.memory) * 3 / 2, "{totals}");
    assert!(most(last, |held| held.files) <= most(first, |held| held.files) + 2, "{totals}");
}
