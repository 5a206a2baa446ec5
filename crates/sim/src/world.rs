//! The simulated world: one service, its file, its data, a repository, and a schedule of faults.

use std::cell::Cell;

use mainstay_core::event::{Fact, Outcome};
use mainstay_core::plan::{Kind, Quiesce};
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::{Cause, DataDoubt, Failure};
use mainstay_runner::{Context, Permit, World};

use crate::plan::record;

/// A version of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that ran before.
    Old,
    /// The one that the update brings.
    New,
}

/// What is in the volume: a number for every distinct content that it ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data(pub u32);

/// What goes wrong at an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails before it did anything.
    Fails,
    /// It does its work, and the success is reported as a failure (a lost reply).
    DoneButFails,
    /// The process dies before the effect.
    CrashBefore,
    /// The process dies in the middle: a part of the effect is there.
    CrashWithin,
    /// The process dies after the effect, before the journal knows.
    CrashAfter,
    /// The operator asks to stop while the effect is under way.
    Interrupt,
}

/// The payload of the panic that stands for the death of the process.
#[derive(Clone, Copy, Debug)]
pub struct Crash;

/// At which effect (counted from 0 over the whole life of the world) what goes wrong.
pub type Schedule = Vec<(usize, Fault)>;

/// How the new version behaves towards the data.
#[derive(Clone, Debug)]
pub struct SimWorld {
    /// What the operator's file says.
    pub file: Version,
    /// The container that exists.
    pub container: Option<Version>,
    /// Whether it runs.
    pub running: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether what runs before a backup has run in this container, and what runs after it has not, since.
    pub prepared: bool,
    /// Whether what runs after a backup was tried, and failed.
    pub after_failed: bool,
    /// What the volume holds.
    pub data: Data,
    /// What the repository holds, by snapshot number. Snapshot 0 is there from the start.
    pub repository: Vec<Data>,
    /// Whether starting the new version changes the data.
    pub migrates: bool,
    /// Whether the engine can't start the new version at all.
    pub never_starts: bool,
    /// Whether the old version refuses data that the new one has changed.
    pub old_refuses_new_data: bool,
    /// Effects performed so far.
    pub effects: usize,
    schedule: Schedule,
    interrupted: Cell<bool>,
    clock: Cell<i64>,
}

impl SimWorld {
    /// A service that runs the old version on `Data(1)`.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self {
            file: Version::Old,
            container: Some(Version::Old),
            running: true,
            paused: false,
            prepared: false,
            after_failed: false,
            data: Data(1),
            repository: vec![Data(1)],
            migrates: true,
            never_starts: false,
            old_refuses_new_data: true,
            effects: 0,
            schedule,
            interrupted: Cell::new(false),
            clock: Cell::new(0),
        }
    }

    /// A service that an earlier update left on the new version, whose data it has changed.
    #[must_use]
    pub fn updated(schedule: Schedule) -> Self {
        let new = Version::New;
        Self { file: new, container: Some(new), data: Data(2), ..Self::new(schedule) }
    }

    fn effect(&mut self, step: Step, again: bool, context: &Context<'_>) -> Outcome {
        match step {
            Step::EditFiles => self.file = Version::New,
            Step::RestoreFiles => self.restore_files(),
            Step::CreateContainers => self.recreate(Version::New),
            Step::RecreateOld => self.recreate(Version::Old),
            Step::Stop => self.running = false,
            Step::StartNew => return self.start(Version::New, again, context),
            Step::StartOld => return self.start_old(context),
            Step::RunBeforeBackup | Step::RunBeforeCutover | Step::RunAfterBackup => self.run_hooks(step),
            Step::BackUpStill => return self.back_up_still(context),
            Step::Unpause => self.paused = false,
            Step::BackUpLive | Step::BackUpCutover | Step::BackUpSafety => {
                return self.back_up(step, context);
            }
            Step::RestoreData => return self.restore_data(context),
            Step::VerifyNew | Step::VerifyOld => return self.verify(context),
            Step::Confirm
            | Step::KeepImage
            | Step::SaveConfiguration
            | Step::PullImage
            | Step::Watch
            | Step::RestoreTag
            | Step::Document => {}
            Step::TakeBaseline => {
                assert_eq!(
                    (self.container, self.running),
                    (Some(Version::Old), true),
                    "{step} of another version"
                );
                return Outcome::Done { fact: Fact::Measured { measured: Box::default() } };
            }
        }
        Outcome::done()
    }

    fn restore_files(&mut self) {
        let harmless = !self.running || self.container == Some(Version::Old);
        assert!(harmless, "the file is put back while the new version still runs");
        self.file = Version::Old;
    }

    /// As Compose does it: create what the file says, stop and remove what was there.
    fn recreate(&mut self, version: Version) {
        assert_eq!(self.file, version, "Compose would create what the file says, not {version:?}");
        if self.container != Some(version) {
            self.running = false;
            self.prepared = false;
            self.container = Some(version);
        }
    }

    fn run_hooks(&mut self, step: Step) {
        assert!(self.running && !self.paused, "{step} in a container that does not run");
        assert_eq!(self.container, Some(Version::Old), "{step} in a container that is not the old one");
        self.prepared = step != Step::RunAfterBackup;
    }

    /// Pauses for just this effect; a service that was stopped stays so.
    fn back_up_still(&mut self, context: &Context<'_>) -> Outcome {
        self.paused = context.plan.still == Some(Quiesce::Pause);
        let outcome = self.back_up(Step::BackUpStill, context);
        self.paused = false;
        outcome
    }

    fn start(&mut self, version: Version, again: bool, context: &Context<'_>) -> Outcome {
        if self.running {
            return Outcome::done();
        }
        assert_eq!(self.container, Some(version), "the container to start is not the one that is there");
        if version == Version::New {
            // Begun before and died, it may have touched the data already: then what it found is what counts.
            let found = if again { Data(1) } else { self.data };
            let safe = context.state.way_back(context.plan).iter().any(|b| self.holds(&b.snapshot, found));
            assert!(safe, "law 1: the new version is started without a backup of the data that it finds");
            if self.never_starts {
                return failed(Cause::NeverRan);
            }
            if self.migrates && self.data == Data(1) {
                self.data = Data(2);
            }
        }
        self.running = true;
        Outcome::done()
    }

    fn start_old(&mut self, context: &Context<'_>) -> Outcome {
        // A restoration starts whichever version is there.
        let version = if matches!(context.plan.kind, Kind::Restore { .. }) {
            self.container.unwrap_or(Version::Old)
        } else {
            Version::Old
        };
        if self.running {
            return Outcome::done();
        }
        assert_eq!(self.container, Some(version), "the container to start is not the one that is there");
        self.running = !(version == Version::Old && self.old_refuses_new_data && self.data == Data(2));
        if self.running { Outcome::done() } else { failed(Cause::Version(DataDoubt::Certain)) }
    }

    fn back_up(&mut self, step: Step, context: &Context<'_>) -> Outcome {
        let still = !self.running || self.paused;
        assert!(step == Step::BackUpLive || still, "{step} of data that is being written");
        self.repository.push(self.data);
        let cutover = context.state.way_back(context.plan);
        let changed = !cutover.iter().any(|b| self.holds(&b.snapshot, self.data));
        Outcome::Done {
            fact: Fact::BackedUp {
                backups: vec![record(self.repository.len() - 1)],
                changed_since_cutover: (step == Step::BackUpSafety).then_some(changed),
            },
        }
    }

    fn restore_data(&mut self, context: &Context<'_>) -> Outcome {
        assert!(!self.running, "data is moved under a running service");
        let saved =
            context.state.backups(Step::BackUpSafety).iter().any(|b| self.holds(&b.snapshot, self.data));
        let backups = context.state.way_back(context.plan);
        let target = backups.first().map(|b| self.repository[number(&b.snapshot)]);
        assert!(saved || target == Some(self.data), "law 3: the only copy of {:?} is overwritten", self.data);
        match target {
            Some(data) => self.data = data,
            None => panic!("there is nothing to restore from"),
        }
        Outcome::done()
    }

    fn verify(&self, _context: &Context<'_>) -> Outcome {
        if self.running && !self.paused {
            Outcome::Done {
                fact: Fact::Verified { startup_ms: 1, downtime_ms: None, observations: Vec::new() },
            }
        } else {
            failed(Cause::Version(DataDoubt::Possible))
        }
    }

    fn holds(&self, snapshot: &str, data: Data) -> bool {
        self.repository.get(number(snapshot)) == Some(&data)
    }

    fn fault(&self) -> Option<Fault> {
        self.schedule.iter().find(|(at, _)| *at == self.effects).map(|(_, fault)| *fault)
    }
}

impl World for SimWorld {
    fn perform(&mut self, permit: &Permit, context: &mut Context<'_>) -> Outcome {
        let fault = self.fault();
        self.effects += 1;
        if fault == Some(Fault::CrashBefore) {
            std::panic::panic_any(Crash);
        }
        if fault == Some(Fault::Fails) {
            self.after_failed |= permit.step() == Step::RunAfterBackup;
            let version = matches!(permit.step(), Step::VerifyNew | Step::Watch | Step::VerifyOld);
            let cause = if version { Cause::Version(DataDoubt::Possible) } else { Cause::Step };
            return failed(cause);
        }
        if fault == Some(Fault::CrashWithin) {
            self.partly(permit.step(), context);
            std::panic::panic_any(Crash);
        }
        let outcome = self.effect(permit.step(), permit.again(), context);
        match fault {
            Some(Fault::CrashAfter) => std::panic::panic_any(Crash),
            Some(Fault::DoneButFails) => {
                // The pass was good, and then the engine did not answer any more.
                self.paused |=
                    permit.step() == Step::BackUpStill && context.plan.still == Some(Quiesce::Pause);
                self.after_failed |= permit.step() == Step::RunAfterBackup;
                failed(Cause::Step)
            }
            Some(Fault::Interrupt) => {
                self.interrupted.set(true);
                outcome
            }
            _ => outcome,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.set(self.clock.get() + 1);
        Timestamp(self.clock.get())
    }

    fn interruption(&self) -> Option<String> {
        self.interrupted.get().then(|| "SIGINT".to_owned())
    }
}

impl SimWorld {
    /// Half an effect: Compose has stopped and removed the old container, and not yet made the new one; or the
    /// new version has touched the data and not come up; or the container is paused.
    fn partly(&mut self, step: Step, context: &Context<'_>) {
        match step {
            Step::RunBeforeBackup | Step::RunBeforeCutover => self.prepared = true,
            Step::BackUpStill => self.paused = context.plan.still == Some(Quiesce::Pause),
            Step::CreateContainers | Step::RecreateOld => {
                self.running = false;
                self.prepared = false;
                self.container = None;
            }
            Step::StartNew if self.migrates && !self.never_starts && self.data == Data(1) => {
                self.data = Data(2);
            }
            _ => {}
        }
    }
}

fn number(snapshot: &str) -> usize {
    snapshot.parse().unwrap_or(usize::MAX)
}

fn failed(cause: Cause) -> Outcome {
    Outcome::Failed { failure: Box::new(Failure::new(Problem::new("simulated", "it failed"), cause)) }
}
