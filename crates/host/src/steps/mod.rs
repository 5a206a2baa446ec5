//! The real world: one function a step, of the step's name.
//!
//! Invariant: a step looks first at what is there, so that it can be performed again from any half-done state;
//! it needs a [`Permit`], which only the journal gives. It decides nothing but how its own effect ended.

mod backup;
mod baseline;
mod configuration;
mod containers;
mod diagnose;
mod document;
mod hooks;
mod images;
mod judge;
mod names;
mod old_image;
mod patience;
mod rate;
mod reach;
mod still;
mod trouble;
mod way_back;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mainstay_core::event::{Fact, Outcome};
use mainstay_core::state::RunState;
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::Failure;
use mainstay_runner::{Context, Permit, World};
use mainstay_vault::{Access, Vault};
use tokio::runtime::Handle;

use crate::engine::Engine;
use crate::files::RunDir;
use crate::functional::Operator;
use crate::watch::meter::Meter;
use crate::watch::sampling::Sampling;

pub use crate::clock::{now, now_at_the_earliest};
pub use document::backup_info;
pub use rate::Rate;
pub use trouble::{engine_step, vault_problem};

/// How a step ends.
type Done = Result<Fact, Box<Failure>>;

/// The engine, the repository and the run directory that steps act on.
#[derive(Debug)]
pub struct Host {
    engine: Engine,
    runtime: Handle,
    /// The repository that the run keeps its backups in.
    access: Access,
    run: RunDir,
    interrupt: Arc<AtomicUsize>,
    meter: Option<Meter>,
    operator: Option<Operator>,
    sampling: Option<Sampling>,
    /// What verification has warned of: the watch doesn't say it again.
    warned: Vec<String>,
    /// Opened at the first backup, because opening derives a key, which takes a good part of a second: not in
    /// the downtime.
    vault: Option<Arc<Vault>>,
    /// No Compose of a process that was killed is at work any more.
    alone: bool,
    /// The step that is performed was broken off by the absence of the engine.
    once_more: bool,
    /// What was noted of the containers' starts, as it was last written.
    starts: Option<String>,
}

impl Host {
    /// For one run. `interrupt` holds the number of the signal that asked to stop, or 0.
    #[must_use]
    pub fn new(
        engine: Engine,
        runtime: Handle,
        access: Access,
        run: RunDir,
        interrupt: Arc<AtomicUsize>,
    ) -> Self {
        let (meter, operator, sampling, warned, vault) = (None, None, None, Vec::new(), None);
        let (alone, once_more, starts) = (false, false, None);
        Self {
            engine,
            runtime,
            access,
            run,
            interrupt,
            meter,
            operator,
            sampling,
            warned,
            vault,
            alone,
            once_more,
            starts,
        }
    }

    /// With somebody to answer questions.
    #[must_use]
    pub fn with_operator(self, operator: Option<Operator>) -> Self {
        Self { operator, ..self }
    }

    /// The repository, if a step has opened it.
    #[must_use]
    pub fn repository(&self) -> Option<&Vault> {
        self.vault.as_deref()
    }

    /// Whether a step may stop when the operator asks for it: on the way forward, until data is moved. A way
    /// back, and a restoration, are finished.
    fn stoppable(state: &RunState) -> bool {
        state.turned_back().is_none() && !state.begun(Step::RestoreData)
    }

    /// Whether this step should stop.
    fn cancelled(interrupt: &AtomicUsize, state: &RunState) -> bool {
        Self::stoppable(state) && interrupt.load(Relaxed) != 0
    }

    fn step(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        self.wait_for_compose(context.plan).map_err(engine_step)?;
        self.keep_sampling(permit.step(), context);
        match permit.step() {
            Step::Confirm => self.confirm(context),
            Step::KeepImage => self.keep_image(permit, context),
            Step::SaveConfiguration => self.save_configuration(context),
            Step::BackUpLive | Step::BackUpCutover | Step::BackUpSafety => self.back_up(permit, context),
            Step::RunBeforeBackup | Step::RunBeforeCutover => self.run_before(permit, context),
            Step::RunAfterBackup => self.run_after(permit, context),
            Step::BackUpStill => self.back_up_still(permit, context),
            Step::ConfirmWayBack => self.confirm_way_back(context),
            Step::Unpause => self.unpause(),
            Step::PullImage => self.pull_image(context),
            Step::EditFiles => self.edit_files(context),
            Step::TakeBaseline => self.take_baseline(context),
            Step::CreateContainers => self.create_containers(permit, context),
            Step::StartNew | Step::StartOld => self.start_containers(context),
            Step::VerifyNew | Step::VerifyOld => self.verify(permit, context),
            Step::Watch => self.watch(permit, context),
            Step::Stop => self.stop(context),
            Step::RestoreFiles => self.restore_files(context),
            Step::RestoreTag => self.restore_tag(context),
            Step::RecreateOld => self.recreate_old(context),
            Step::RestoreData => self.restore_data(permit, context),
            Step::Document => self.document(permit, context),
        }
    }
}

impl World for Host {
    fn perform(&mut self, permit: &Permit, context: &mut Context<'_>) -> Outcome {
        self.once_more = false;
        match self.patiently(permit, context) {
            Ok(fact) => Outcome::Done { fact },
            Err(failure) => Outcome::Failed { failure },
        }
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn interruption(&self) -> Option<String> {
        match self.interrupt.load(Relaxed) {
            0 => None,
            1 => Some("SIGHUP".to_owned()),
            2 => Some("SIGINT".to_owned()),
            15 => Some("SIGTERM".to_owned()),
            other => Some(format!("signal {other}")),
        }
    }
}
