//! Gathers what the rules of [`mainstay_core::diagnosis`] look at, while the service is still there.
//!
//! Invariant: it changes nothing, runs nothing in a container, and has an end: what could not be learned in time is
//! absent. Everything that may hold a secret is redacted, or compared and left out, before it becomes a fact. It
//! doesn't judge.

mod clocks;
mod containers;
mod history;
mod memory;
mod mounts;
mod neighbours;
mod outside;
mod ports;
mod process;
mod secrets;
mod sockets;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_core::diagnosis::{Container, Facts, Space};
use mainstay_core::plan::{Plan, Probes};
use mainstay_core::verdict::Failure;
use tokio::time::Instant;

use crate::discover::Found;
use crate::engine::Engine;

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Patient {
    /// The project.
    pub project: String,
    /// Its Compose files, which say what needs what.
    pub files: Vec<PathBuf>,
    /// The service that the operator named.
    pub service: String,
    /// The services of the unit, that one included.
    pub unit: Vec<String>,
    /// How the service is asked.
    pub probes: Probes,
    /// The directory of a run that saved the containers as they were before.
    pub before: Option<PathBuf>,
    /// Whether a verdict has condemned it already.
    pub condemned: bool,
    /// Whether that was because it comes near its memory limit.
    pub short_of_memory: bool,
    /// Whether somebody saw it run out of memory; engines forget that at the next start.
    pub out_of_memory: bool,
}

impl Patient {
    /// A service as it is found, outside of a run.
    #[must_use]
    pub fn found(found: &Found, probes: Probes, before: Option<PathBuf>) -> Self {
        Self {
            project: found.project.name.clone(),
            files: found.project.files.clone(),
            service: found.service.clone(),
            unit: vec![found.service.clone()],
            probes,
            before,
            condemned: false,
            short_of_memory: false,
            out_of_memory: false,
        }
    }

    /// The unit of a run, which has failed.
    #[must_use]
    pub fn of(plan: &Plan, run: &Path, failure: &Failure) -> Self {
        Self {
            project: plan.unit.project.name.clone(),
            files: plan.unit.project.files.clone(),
            service: plan.unit.service.clone(),
            unit: plan.unit.names().map(str::to_owned).collect(),
            probes: plan.probes.clone(),
            before: Some(run.to_owned()),
            condemned: true,
            short_of_memory: failure.problem.code.starts_with("version-memory"),
            out_of_memory: failure.problem.code == "version-out-of-memory",
        }
    }
}

/// The engine, and until when it may be asked.
#[derive(Clone, Debug)]
struct Gatherer {
    engine: Engine,
    end: Instant,
}

impl Gatherer {
    /// What comes in time, else nothing.
    async fn within<T: Default>(&self, part: impl Future<Output = T>) -> T {
        tokio::time::timeout_at(self.end, part).await.unwrap_or_default()
    }

    /// The same for what may block: files of mounts that hang.
    async fn blocking<T: Default + Send + 'static>(&self, part: impl FnOnce() -> T + Send + 'static) -> T {
        self.within(async { tokio::task::spawn_blocking(part).await.unwrap_or_default() }).await
    }

    /// What is left for a question, a little less than for everything.
    fn patience(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now()).mul_f32(0.9)
    }
}

/// Gathers the facts, within `limit`.
pub async fn gather(engine: &Engine, patient: &Patient, limit: Duration) -> Facts {
    let gatherer = Gatherer { engine: engine.clone(), end: Instant::now() + limit };
    let listed = gatherer.within(async { crate::discover::list(engine).await.unwrap_or_default() }).await;
    let own: Vec<_> = listed
        .iter()
        .filter(|l| l.project.name == patient.project && patient.unit.contains(&l.service))
        .flat_map(|l| l.containers.iter().map(|c| (l.service.clone(), c.container.clone())))
        .collect();
    let (seen, outside, machine) = tokio::join!(
        containers::all(&gatherer, patient, &own),
        outside::ask(&gatherer, patient.probes.outside.as_ref()),
        gatherer.within(clocks::machine(engine)),
    );
    let inside = containers::ask(&gatherer, patient, &own, &seen).await;
    let mut containers: Vec<Container> = seen.into_iter().map(|seen| seen.container).collect();
    if patient.out_of_memory && !containers.iter().any(|c| c.out_of_memory) {
        remember(&mut containers);
    }
    let ids: BTreeSet<&str> = own.iter().map(|(_, c)| c.id.as_str()).collect();
    let (proxy, port_holder) = ports::others(&gatherer, patient, &ids, &containers).await;
    let (architecture, mut clocks) = machine;
    clocks.extend(gatherer.within(clocks::served(&gatherer, patient, outside.as_ref())).await);
    Facts {
        service: patient.service.clone(),
        condemned: patient.condemned,
        short_of_memory: patient.short_of_memory,
        neighbours: neighbours::of(patient, &listed),
        spaces: spaces(&gatherer, &own, &containers).await,
        containers,
        architecture,
        inside,
        outside,
        proxy,
        port_holder,
        clocks,
    }
}

/// The kill was seen; the one that has a limit, or has ended so, is the likeliest.
fn remember(containers: &mut [Container]) {
    let likely = containers.iter().position(|c| c.exit_code == 137 || c.exits > 0);
    let limited = || containers.iter().position(|c| c.memory_limit.is_some());
    if let Some(at) = likely.or_else(limited) {
        containers[at].out_of_memory = true;
    }
}

/// Room where the service writes to, and where the engine does; each filesystem once.
async fn spaces(
    gatherer: &Gatherer,
    own: &[(String, mainstay_core::plan::ContainerRef)],
    containers: &[Container],
) -> Vec<Space> {
    if !gatherer.engine.is_local() || own.is_empty() {
        return Vec::new();
    }
    let root = gatherer.engine.root().to_owned();
    let mounts: Vec<(String, PathBuf)> = containers
        .iter()
        .flat_map(|c| c.mounts.iter().map(|m| (m.destination.clone(), PathBuf::from(&m.source))))
        .collect();
    gatherer
        .blocking(move || {
            let engine = ("the engine".to_owned(), root);
            let mut known = BTreeSet::new();
            let spaces = mounts.into_iter().chain([engine]).filter_map(|(what, path)| {
                let (device, space) = mounts::space(what, &path)?;
                known.insert(device).then_some(space)
            });
            spaces.collect()
        })
        .await
}
