//! Every course that a run can take, as far as a budget of faults, deaths and deeds of others reaches; every
//! mistake of the list found; and beyond the budget, drawn schedules through the real loop and the real journal.

#![expect(clippy::print_stdout, reason = "how much was explored, and which path broke a law")]

use std::time::Instant;

use mainstay_core::verdict::{Conclusion, Tier};
use mainstay_sim::{
    Budget, Chances, Content, Crash, Explored, MISTAKES, Mistake, Scenario, Twist, Version, explore, live,
    scenarios,
};

/// What the suite explores of every scenario.
const BUDGET: Budget = Budget { faults: 2, crashes: 3, deeds: 1 };
/// With so little, every mistake of the list has to show.
const SMALL: Budget = Budget { faults: 1, crashes: 1, deeds: 1 };

fn explore_all(budget: Budget) {
    let began = Instant::now();
    let mut all = Explored::default();
    for Scenario { name, plan, world } in scenarios() {
        let one = Instant::now();
        let explored = match explore(&plan, world, budget, Twist::Straight) {
            Ok(explored) => explored,
            Err(found) => panic!("{name}: {}\n{:#?}", found.law, found.path),
        };
        let seconds = one.elapsed().as_secs_f64();
        println!("{name}: states={} seconds={seconds:.1} {:?}", explored.states, explored.ends);
        all.states += explored.states;
        all.transitions += explored.transitions;
        all.longest = all.longest.max(explored.longest);
    }
    let seconds = began.elapsed().as_secs_f64();
    let Explored { states, transitions, longest, .. } = all;
    println!("{budget:?} longest={longest} transitions={transitions} states={states} seconds={seconds:.1}");
}

#[test]
fn no_law_is_broken_within_the_budget() {
    explore_all(BUDGET);
}

/// Where a mistake shows, if it does.
fn found(mistake: &Mistake, budget: Budget) -> Option<(&'static str, String)> {
    scenarios().into_iter().find_map(|Scenario { name, plan, mut world }| {
        world.care = mistake.care;
        let found = explore(&plan, world, budget, mistake.twist).err()?;
        Some((name, found.law))
    })
}

#[test]
fn every_mistake_is_found() {
    let mut missed = Vec::new();
    for mistake in MISTAKES {
        match found(mistake, SMALL) {
            Some((scenario, law)) => println!("{}: {law} ({scenario})", mistake.name),
            None => missed.push(mistake.name),
        }
    }
    println!("mistakes={} missed={}", MISTAKES.len(), missed.len());
    assert_eq!(missed, [""; 0], "not found");
}

fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Crash>() {
                usual(info);
            }
        }));
    });
}

/// Draws schedules for every scenario, from this seed on.
fn draw(first: u64, runs: u64, budget: Budget) {
    quiet_panics();
    let began = Instant::now();
    let mut ends = std::collections::BTreeMap::<&str, u64>::new();
    for seed in first..first + runs {
        for Scenario { name, plan, world } in scenarios() {
            match live(&plan, world, Chances::new(seed, budget)) {
                Ok((conclusion, _)) => *ends.entry(conclusion.word()).or_default() += 1,
                Err(broken) => panic!("{name}, MAINSTAY_SEED={seed}: {}", broken.0),
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{budget:?} seed={first} runs={} seconds={seconds:.1} {ends:?}",
        runs * scenarios().len() as u64
    );
}

#[test]
fn drawn_schedules_through_the_real_loop_break_no_law() {
    draw(1, 100, Budget { faults: 2, crashes: 3, deeds: 1 });
    draw(1, 100, Budget { faults: 6, crashes: 6, deeds: 3 });
}

/// For the soak: another seed every time, or the one of `MAINSTAY_SEED`; `MAINSTAY_RUNS` schedules a scenario.
#[test]
#[ignore = "takes minutes"]
fn many_drawn_schedules_break_no_law() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("MAINSTAY_SEED").unwrap_or(now.map_or(1, |now| now.as_secs()) << 20);
    println!("seed={seed}");
    draw(seed, number("MAINSTAY_RUNS").unwrap_or(5_000), Budget { faults: 6, crashes: 6, deeds: 3 });
}

/// For the soak: two deeds of others on one path.
#[test]
#[ignore = "takes minutes"]
fn no_law_is_broken_within_a_larger_budget() {
    explore_all(Budget { faults: 2, crashes: 3, deeds: 2 });
}

fn scenario(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("no {name}"))
}

const NOTHING: Budget = Budget { faults: 0, crashes: 0, deeds: 0 };

#[test]
fn a_clean_update_is_kept() {
    let Scenario { plan, world, .. } = scenario("update");
    let (conclusion, world) =
        live(&plan, world, Chances::new(1, NOTHING)).unwrap_or_else(|b| panic!("{b:?}"));
    assert_eq!(conclusion, Conclusion::Kept { warnings: false });
    assert_eq!((world.runs(), world.data.content), (Some(Version::New), Content::NewUsed));
}

#[test]
fn a_version_that_never_ran_costs_no_look_at_the_data() {
    let Scenario { plan, world, .. } = scenario("update to what can't be started");
    let (conclusion, world) =
        live(&plan, world, Chances::new(1, NOTHING)).unwrap_or_else(|b| panic!("{b:?}"));
    assert!(matches!(conclusion, Conclusion::RolledBack { tier: Tier::NeverStarted, .. }), "{conclusion:?}");
    assert_eq!((world.runs(), world.data.content), (Some(Version::Old), Content::Old));
    assert_eq!(
        world.repository.iter().count(),
        2,
        "the backups from before the start, and no safety snapshot"
    );
}
