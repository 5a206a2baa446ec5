//! Explores every course that a run can take: all outcomes of all steps, deaths between any two moves, deeds of
//! others, as far as a budget of them reaches.
//!
//! Two states are the same if the run's standing, the backups it may restore from and the world are; where one was
//! left with at least as much budget before, nothing new can follow. A state that is met again on its own path is a
//! run that never ends.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash as _, Hasher as _};

use mainstay_core::event::{Entry, Event, Outcome};
use mainstay_core::plan::Plan;
use mainstay_core::state::{Next, RunState};
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;

use crate::deeds::Deed;
use crate::fate::{Broken, Fate, Performed, causes};
use crate::judge::{Suffered, judge};
use crate::twist::Twist;
use crate::world::World;

/// How much may go wrong on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Steps that fail.
    pub faults: u8,
    /// Deaths of the process.
    pub crashes: u8,
    /// Deeds of others.
    pub deeds: u8,
}

impl Budget {
    fn covers(self, other: Self) -> bool {
        self.faults >= other.faults && self.crashes >= other.crashes && self.deeds >= other.deeds
    }
}

/// What was explored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// Different states, each with what was left of the budget.
    pub states: u64,
    /// Transitions taken.
    pub transitions: u64,
    /// Happenings on the longest path.
    pub longest: usize,
    /// Ends of paths, by the word of their verdict.
    pub ends: BTreeMap<&'static str, u64>,
}

/// One thing that happens on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A step was performed, or tried.
    Step(Step, Fate),
    /// The process died in a step, and whoever resumed the run had it turn back.
    TurnedBack(Step),
    /// Somebody else did something.
    Deed(Deed),
}

/// A path that breaks a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What is broken.
    pub law: String,
    /// How it came to that.
    pub path: Vec<Happening>,
}

/// Explores a plan from a world on, with the rules bent by `twist`.
///
/// # Errors
/// The first path on which a law is broken.
pub fn explore(
    plan: &Plan,
    world: World,
    budget: Budget,
    twist: Twist,
) -> Result<Explored, Box<Counterexample>> {
    let mut search = Search {
        plan,
        budget,
        twist,
        seen: HashMap::default(),
        open: Vec::new(),
        path: Vec::new(),
        explored: Explored::default(),
    };
    let start = Node { state: RunState::new(plan), world, left: budget };
    match search.visit(&start) {
        Ok(()) => Ok(search.explored),
        Err(Broken(law)) => Err(Box::new(Counterexample { law, path: search.path })),
    }
}

#[derive(Clone)]
struct Node {
    state: RunState,
    world: World,
    left: Budget,
}

/// Keys are hashes already.
#[derive(Default)]
struct Plain(u64);

impl std::hash::Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

struct Search<'a> {
    plan: &'a Plan,
    budget: Budget,
    twist: Twist,
    /// What was left of the budget where a state was met; none of them covers another.
    seen: HashMap<u128, Vec<Budget>, BuildHasherDefault<Plain>>,
    /// The states on the present path.
    open: Vec<(u128, Budget)>,
    path: Vec<Happening>,
    explored: Explored,
}

impl Search<'_> {
    fn visit(&mut self, node: &Node) -> Result<(), Broken> {
        let key = key(node, self.plan);
        if self.open.contains(&(key, node.left)) {
            return Err(Broken("the run never ends".to_owned()));
        }
        let before = self.seen.entry(key).or_default();
        if before.iter().any(|left| left.covers(node.left)) {
            return Ok(());
        }
        before.retain(|left| !node.left.covers(*left));
        before.push(node.left);
        self.explored.states += 1;
        self.open.push((key, node.left));
        self.deeds(node)?;
        match node.state.next(self.plan) {
            Next::Do(step) => self.step(node, step)?,
            Next::Close(conclusion) => {
                *self.explored.ends.entry(conclusion.word()).or_default() += 1;
                let turned = self.path.iter().filter(|h| matches!(h, Happening::TurnedBack(_))).count();
                let suffered = Suffered {
                    faults: self.budget.faults - node.left.faults + u8::try_from(turned).unwrap_or(u8::MAX),
                    deeds: self.budget.deeds - node.left.deeds,
                };
                judge(self.plan, &node.world, &conclusion, suffered)?;
            }
            Next::Nothing => return Err(Broken("a run that never ended is over".to_owned())),
        }
        self.open.pop();
        Ok(())
    }

    fn follow(&mut self, happening: Happening, node: &Node) -> Result<(), Broken> {
        self.explored.transitions += 1;
        self.path.push(happening);
        self.explored.longest = self.explored.longest.max(self.path.len());
        self.visit(node)?;
        self.path.pop();
        Ok(())
    }

    fn deeds(&mut self, node: &Node) -> Result<(), Broken> {
        if node.left.deeds == 0 {
            return Ok(());
        }
        for deed in Deed::ALL {
            let mut after = node.clone();
            after.left.deeds -= 1;
            let changed = if deed == Deed::Interrupt {
                let fresh = !node.state.interrupted();
                append(&mut after.state, self.plan, Event::Interrupted { signal: "SIGINT".to_owned() })?;
                fresh
            } else {
                after.world.suffer(deed)
            };
            if changed {
                self.follow(Happening::Deed(deed), &after)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, node: &Node, step: Step) -> Result<(), Broken> {
        let again = node.state.running().is_some();
        let mut begun = node.clone();
        append(&mut begun.state, self.plan, Event::StepStarted { step })?;
        self.attempt(node, &begun, (step, again), Fate::Done)?;
        if node.left.faults > 0 {
            for cause in causes(step) {
                let mut after = 0;
                while self.attempt(node, &begun, (step, again), Fate::Fails { after, cause: *cause })? {
                    after += 1;
                }
            }
            if matches!(step, Step::StartNew | Step::StartOld) {
                self.attempt(node, &begun, (step, again), Fate::Late)?;
            }
        }
        if node.left.crashes > 0 {
            let mut after = 0;
            while self.attempt(node, &begun, (step, again), Fate::Dies { after })? {
                after += 1;
            }
        }
        Ok(())
    }

    /// Performs a step with one fate and goes on from there. Whether it was cut off before its end.
    fn attempt(
        &mut self,
        node: &Node,
        begun: &Node,
        (step, again): (Step, bool),
        fate: Fate,
    ) -> Result<bool, Broken> {
        let mut after = begun.clone();
        match fate {
            Fate::Done => {}
            Fate::Fails { .. } | Fate::Late => after.left.faults -= 1,
            Fate::Dies { .. } => after.left.crashes -= 1,
        }
        self.path.push(Happening::Step(step, fate));
        let Performed { outcome, cut } =
            self.twist.perform(&mut after.world, (self.plan, &begun.state), (step, again), fate)?;
        self.path.pop();
        match outcome {
            None if self.twist == Twist::ForgetsBegun && !again => after.state = node.state.clone(),
            None => {
                // Whoever resumes it may have it turn back, without another look at the step in doubt.
                if let Some(event) = after.state.cut_off(self.plan) {
                    let mut safe = after.clone();
                    append(&mut safe.state, self.plan, event)?;
                    self.follow(Happening::TurnedBack(step), &safe)?;
                }
            }
            Some(Outcome::Failed { .. }) if self.twist == Twist::TriesForEver(step) => {}
            Some(outcome) => append(&mut after.state, self.plan, Event::StepEnded { step, outcome })?,
        }
        self.follow(Happening::Step(step, fate), &after)?;
        Ok(cut)
    }
}

fn append(state: &mut RunState, plan: &Plan, event: Event) -> Result<(), Broken> {
    let entry = Entry { seq: state.seq() + 1, at: Timestamp(0), event };
    state.apply(plan, &entry).map_err(|illegal| Broken(format!("law 2: {illegal}")))
}

fn key(node: &Node, plan: &Plan) -> u128 {
    let half = |salt: u8| {
        let mut hasher = BuildHasherDefault::<DefaultHasher>::default().build_hasher();
        salt.hash(&mut hasher);
        node.state.standing().hash(&mut hasher);
        for records in [node.state.way_back(plan), node.state.backups(Step::BackUpSafety)] {
            records.len().hash(&mut hasher);
            records.iter().for_each(|record| record.snapshot.hash(&mut hasher));
        }
        node.world.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(0) << 64) | half(1)
}
