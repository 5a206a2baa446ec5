//! The simulated world behind the real loop and the real journal: fates and deeds are drawn, the process dies by a
//! panic, and a run is resumed until it ends.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

use mainstay_core::event::{Entry, Outcome, Progress};
use mainstay_core::finding::Finding;
use mainstay_core::plan::Plan;
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::Conclusion;
use mainstay_runner::{Context, Journal, Observer, Permit, RunError, drive};

use crate::deeds::Deed;
use crate::fate::{Broken, Fate, causes, failed};
use crate::judge::{Suffered, judge};
use crate::search::Budget;
use crate::world::World;

/// The payload of the panic that stands for the death of the process.
#[derive(Clone, Copy, Debug)]
pub struct Crash;

/// Draws what happens, the same for the same seed (`SplitMix64`; Steele, Lea, Flood: "Fast splittable pseudorandom
/// number generators", 2014).
#[derive(Clone, Copy, Debug)]
pub struct Chances {
    state: u64,
    left: Budget,
}

impl Chances {
    /// At most so much goes wrong.
    #[must_use]
    pub fn new(seed: u64, budget: Budget) -> Self {
        Self { state: seed, left: budget }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn moves(&mut self) -> u8 {
        u8::try_from(self.draw(5)).unwrap_or(0)
    }

    fn fate(&mut self, step: Step) -> Fate {
        match self.draw(6) {
            0 if self.left.faults > 0 => {
                self.left.faults -= 1;
                let starts = matches!(step, Step::StartNew | Step::StartOld);
                if starts && self.draw(3) == 0 {
                    return Fate::Late;
                }
                let causes = causes(step);
                let which = usize::try_from(self.draw(causes.len() as u64)).unwrap_or(0);
                Fate::Fails { after: self.moves(), cause: causes[which] }
            }
            1 if self.left.crashes > 0 => {
                self.left.crashes -= 1;
                Fate::Dies { after: self.moves() }
            }
            _ => Fate::Done,
        }
    }

    fn deed(&mut self) -> Option<Deed> {
        if self.left.deeds == 0 || self.draw(10) != 0 {
            return None;
        }
        self.left.deeds -= 1;
        Some(Deed::ALL[usize::try_from(self.draw(Deed::ALL.len() as u64)).unwrap_or(0)])
    }
}

/// A world whose fates are drawn.
#[derive(Debug)]
pub struct SimWorld {
    /// What is there.
    pub world: World,
    chances: Chances,
    interrupted: Cell<bool>,
    clock: Cell<i64>,
    /// A law that was broken.
    broken: Option<Broken>,
}

impl SimWorld {
    fn others(&mut self) {
        match self.chances.deed() {
            Some(Deed::Interrupt) => self.interrupted.set(true),
            Some(deed) => drop(self.world.suffer(deed)),
            None => {}
        }
    }
}

impl mainstay_runner::World for SimWorld {
    fn perform(&mut self, permit: &Permit, context: &mut Context<'_>) -> Outcome {
        let step = permit.step();
        let fate = self.chances.fate(step);
        let outcome = match self.world.perform(context.plan, context.state, step, permit.again(), fate) {
            Ok(performed) => performed.outcome,
            Err(broken) => {
                self.broken.get_or_insert(broken);
                Some(failed(mainstay_core::verdict::Cause::Step))
            }
        };
        // Between two steps, or while nobody is there.
        self.others();
        outcome.unwrap_or_else(|| panic_any(Crash))
    }

    fn now(&self) -> Timestamp {
        self.clock.set(self.clock.get() + 1);
        Timestamp(self.clock.get())
    }

    fn interruption(&self) -> Option<String> {
        self.interrupted.get().then(|| "SIGINT".to_owned())
    }
}

struct Quiet;

impl Observer for Quiet {
    fn entry(&mut self, _: &Entry) {}
    fn progress(&mut self, _: &Progress) {}
    fn observed(&mut self, _: &Finding) {}
}

/// Performs a run to its end through the real loop, however often the process dies, and has the end judged.
///
/// # Errors
/// The law that was broken. A fault of the journal itself is a panic.
pub fn live(plan: &Plan, world: World, chances: Chances) -> Result<(Conclusion, World), Broken> {
    let budget = chances.left;
    let (interrupted, clock) = (Cell::new(false), Cell::new(0));
    let mut simulated = SimWorld { world, chances, interrupted, clock, broken: None };
    let broken = |what: &str| Broken(what.to_owned());
    let mut journal = Journal::open(":memory:".as_ref()).map_err(|e| Broken(e.to_string()))?;
    journal.start("run", plan, Timestamp(0)).map_err(|e| Broken(e.to_string()))?;
    for _ in 0..200 {
        let driven =
            catch_unwind(AssertUnwindSafe(|| drive(&mut journal, "run", &mut simulated, &mut Quiet)));
        match driven {
            Ok(Ok(conclusion)) => {
                if let Some(broken) = simulated.broken {
                    return Err(broken);
                }
                let left = simulated.chances.left;
                let suffered =
                    Suffered { faults: budget.faults - left.faults, deeds: budget.deeds - left.deeds };
                judge(plan, &simulated.world, &conclusion, suffered)?;
                return Ok((conclusion, simulated.world));
            }
            Ok(Err(RunError::Order(illegal))) => return Err(Broken(format!("law 2: {illegal}"))),
            Ok(Err(error)) => return Err(Broken(error.to_string())),
            Err(payload) if payload.is::<Crash>() => {}
            Err(payload) => resume_unwind(payload),
        }
    }
    Err(broken("the run never ends"))
}
