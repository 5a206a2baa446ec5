//! Every transition, on plain values. The exhaustive exploration with crashes lives with the simulated world.

use proptest::prelude::*;

use super::*;
use crate::baseline::Baseline;
use crate::finding::{Finding, Severity};
use crate::plan::{ComposeVersion, FORMAT, Limits, Probes, Project, Quiesce, Unit};
use crate::problem::Problem;
use crate::verdict::{Cause, DataDoubt};

mod course;
mod cut_off;
mod journal;
mod laws;
mod quiesce;

pub fn plan(kind: Kind) -> Plan {
    let project = Project {
        name: "p".into(),
        directory: "/srv/p".into(),
        files: Vec::new(),
        env_files: Vec::new(),
        compose: ComposeVersion::V2("2.26.1".into()),
    };
    Plan {
        format: FORMAT,
        kind,
        engine: "E".into(),
        unit: Unit { service: "app".into(), services: Vec::new(), project },
        edits: Vec::new(),
        data: Vec::new(),
        quiesce: Quiesce::Stop,
        still: None,
        room: Vec::new(),
        probes: Probes::default(),
        checks: Vec::new(),
        limits: Limits::default(),
        measure: false,
        keep_image_copy: false,
        baseline: Baseline::default(),
        logs: Default::default(),
        findings: Vec::new(),
        forced: Vec::new(),
    }
}

pub fn update() -> Plan {
    plan(Kind::Update)
}

pub fn record(snapshot: &str) -> BackupRecord {
    BackupRecord {
        mount: "data".into(),
        snapshot: snapshot.into(),
        files: 1,
        bytes: 1,
        added_bytes: 1,
        changed_while_reading: 0,
        manifest: "00".into(),
    }
}

pub fn rollback(tier: Tier) -> Plan {
    plan(Kind::Rollback { of: "r1".into(), tier, backups: vec![record("old")] })
}

pub fn restore() -> Plan {
    plan(Kind::Restore { backups: vec![record("old")] })
}

pub fn failed(cause: Cause) -> Outcome {
    let problem = Problem::new("broken", "it is broken");
    Outcome::Failed { failure: Box::new(Failure::new(problem, cause)) }
}

pub fn backed_up(changed_since_cutover: Option<bool>) -> Outcome {
    Outcome::Done { fact: Fact::BackedUp { backups: vec![record("s")], changed_since_cutover } }
}

pub fn way_back(new_version_ran: bool) -> Outcome {
    Outcome::Done { fact: Fact::WayBack { new_version_ran } }
}

pub fn created(ran_meanwhile: bool) -> Outcome {
    Outcome::Done { fact: Fact::Created { containers: Vec::new(), ran_meanwhile } }
}

/// What a step gives where a test says nothing else: done, the data having changed since the cutover.
pub fn usual(step: Step) -> Outcome {
    match step {
        Step::BackUpLive | Step::BackUpStill | Step::BackUpCutover => backed_up(None),
        Step::BackUpSafety => backed_up(Some(true)),
        Step::ConfirmWayBack => way_back(false),
        _ => Outcome::done(),
    }
}

/// A run in the making: every entry is applied, and kept.
pub struct Run {
    pub plan: Plan,
    pub state: RunState,
    pub journal: Vec<Entry>,
}

impl Run {
    pub fn new(plan: Plan) -> Self {
        let state = RunState::new(&plan);
        let event = Event::RunStarted { plan: Box::new(plan.clone()) };
        Self { plan, state, journal: vec![Entry { seq: 1, at: Timestamp(0), event }] }
    }

    pub fn try_add(&mut self, at: i64, event: Event) -> Result<(), IllegalEntry> {
        let entry = Entry { seq: self.state.seq() + 1, at: Timestamp(at), event };
        self.state.apply(&self.plan, &entry)?;
        self.journal.push(entry);
        Ok(())
    }

    #[track_caller]
    pub fn add(&mut self, event: Event) {
        self.try_add(0, event).unwrap();
    }

    pub fn interrupt(&mut self) {
        self.add(Event::Interrupted { signal: "SIGINT".into() });
    }

    #[track_caller]
    pub fn begin(&mut self) -> Step {
        let Next::Do(step) = self.state.next(&self.plan) else { panic!("no step is next") };
        self.add(Event::StepStarted { step });
        step
    }

    #[track_caller]
    pub fn end(&mut self, step: Step, outcome: Outcome) {
        self.add(Event::StepEnded { step, outcome });
    }

    /// Goes on, with the usual outcomes, until `step` has begun.
    #[track_caller]
    pub fn until_begun(&mut self, step: Step) {
        loop {
            let next = self.begin();
            if next == step {
                return;
            }
            self.end(next, usual(next));
        }
    }

    #[track_caller]
    pub fn until_done(&mut self, step: Step) {
        self.until_begun(step);
        self.end(step, usual(step));
    }

    /// Goes on to the end: the steps that were taken, and how it ended.
    pub fn finish(&mut self, mut outcome: impl FnMut(Step) -> Outcome) -> (Vec<Step>, Conclusion) {
        let mut steps = Vec::new();
        loop {
            match self.state.next(&self.plan) {
                Next::Do(step) => {
                    if self.state.running().is_none() {
                        self.begin();
                    }
                    steps.push(step);
                    self.end(step, outcome(step));
                }
                Next::Close(conclusion) => {
                    self.add(Event::RunEnded { conclusion: conclusion.clone() });
                    return (steps, conclusion);
                }
                Next::Nothing => panic!("it had ended"),
            }
        }
    }
}

/// Runs a plan to its end with `failures` at these steps, each the first time that it comes.
pub fn run(plan: Plan, failures: &[(Step, Cause)]) -> (Vec<Step>, Conclusion) {
    let mut open = failures.to_vec();
    Run::new(plan).finish(|step| match open.iter().position(|(at, _)| *at == step) {
        Some(index) => failed(open.remove(index).1),
        None => usual(step),
    })
}

pub fn tier(conclusion: &Conclusion) -> Option<Tier> {
    match conclusion {
        Conclusion::RolledBack { tier, .. } => Some(*tier),
        _ => None,
    }
}
