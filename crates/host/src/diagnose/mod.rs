//! Gathers what the rules of [`mainstay_core::diagnosis`] look at, while the service is still there.
//!
//! Invariant: it changes nothing, runs nothing in a container, and has an end: what could not be learned in time is
//! absent. Everything that may hold a secret is redacted, or compared and left out, before it becomes a fact. It
//! doesn't judge.

mod clocks;
mod containers;
mod history;
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
use mainstay_core::plan::{ContainerRef, Plan, Probes};
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
    /// Their containers, each with its service, where they are known; else they are looked up.
    pub known: Vec<(String, ContainerRef)>,
    /// How the service is asked.
    pub probes: Probes,
    /// The directory of a run that saved the containers as they were before.
    pub before: Option<PathBuf>,
    /// Whether a verdict has condemned it already.
    pub condemned: bool,
    /// Whether that was because it comes near its memory limit.
    pub short_of_memory: bool,
    /// Whether that was because it answers too slowly.
    pub slow: bool,
    /// Whether somebody saw it run out of memory; engines forget that at the next start.
    pub out_of_memory: bool,
    /// Log lines that were seen already, should the log itself not come in time.
    pub heard: Vec<String>,
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
            known: Vec::new(),
            probes,
            before,
            condemned: false,
            short_of_memory: false,
            slow: false,
            out_of_memory: false,
            heard: Vec::new(),
        }
    }

    /// The unit of a run, which has failed.
    #[must_use]
    pub fn of(plan: &Plan, known: Vec<(String, ContainerRef)>, run: &Path, failure: &Failure) -> Self {
        Self {
            project: plan.unit.project.name.clone(),
            files: plan.unit.project.files.clone(),
            service: plan.unit.service.clone(),
            unit: plan.unit.names().map(str::to_owned).collect(),
            known,
            probes: plan.probes.clone(),
            before: Some(run.to_owned()),
            condemned: true,
            short_of_memory: failure.problem.code.starts_with("version-memory"),
            slow: failure.problem.code == "version-slow",
            out_of_memory: failure.problem.code == "version-out-of-memory",
            heard: failure
                .evidence
                .iter()
                .filter_map(|line| Some(line.split_once(": ")?.1.to_owned()))
                .collect(),
        }
    }
}

impl Patient {
    async fn containers(&self, gatherer: &Gatherer) -> Vec<(String, ContainerRef)> {
        if !self.known.is_empty() {
            return self.known.clone();
        }
        let listing = async { crate::discover::list(&gatherer.engine).await.unwrap_or_default() };
        let listed = gatherer.surely(listing).await;
        let own =
            listed.into_iter().filter(|l| l.project.name == self.project && self.unit.contains(&l.service));
        own.flat_map(|l| l.containers.into_iter().map(move |c| (l.service.clone(), c.container))).collect()
    }
}

/// The engine, and until when it may be asked.
#[derive(Clone, Debug)]
struct Gatherer {
    engine: Engine,
    end: Instant,
    last: Instant,
}

/// What a diagnosis would be empty without, state and log, is waited for so much longer where a machine is at its limits.
const LONGER: Duration = Duration::from_secs(2);

impl Gatherer {
    /// What comes in time, else nothing.
    async fn within<T: Default>(&self, part: impl Future<Output = T>) -> T {
        tokio::time::timeout_at(self.end, part).await.unwrap_or_default()
    }

    /// The same for what matters most.
    async fn surely<T: Default>(&self, part: impl Future<Output = T>) -> T {
        tokio::time::timeout_at(self.last, part).await.unwrap_or_default()
    }

    /// The same for files of this machine, which take no time unless a mount hangs.
    async fn blocking<T: Default + Send + 'static>(&self, part: impl FnOnce() -> T + Send + 'static) -> T {
        self.surely(async { tokio::task::spawn_blocking(part).await.unwrap_or_default() }).await
    }

    /// What is left for a question, a little less than for everything.
    fn patience(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now()).mul_f32(0.9)
    }
}

/// Gathers the facts, within `limit`: all at once, because each answer can be late by itself.
pub async fn gather(engine: &Engine, patient: &Patient, limit: Duration) -> Facts {
    let end = Instant::now() + limit;
    let gatherer = Gatherer { engine: engine.clone(), end, last: end + LONGER };
    let own = async {
        let own = patient.containers(&gatherer).await;
        let (containers, inside) = tokio::join!(
            containers::all(&gatherer, patient, &own),
            containers::ask(&gatherer, patient, &own)
        );
        (own, containers, inside)
    };
    let ((own, mut containers, inside), outside, machine, served, others) = tokio::join!(
        own,
        outside::ask(&gatherer, patient.probes.outside.as_ref()),
        gatherer.within(clocks::machine(engine)),
        gatherer.within(clocks::served(&gatherer, patient)),
        neighbours::listed(&gatherer),
    );
    if patient.out_of_memory && !containers.iter().any(|c| c.out_of_memory) {
        remember(&mut containers, &own);
    }
    for container in containers.iter_mut().filter(|c| c.log.is_empty()) {
        container.log.clone_from(&patient.heard);
    }
    let (architecture, clocks) = machine;
    Facts {
        service: patient.service.clone(),
        condemned: patient.condemned,
        short_of_memory: patient.short_of_memory,
        slow: patient.slow,
        listed: others.is_some(),
        neighbours: neighbours::of(patient, others.as_deref().unwrap_or_default()),
        proxy: ports::proxy(patient, &own, others.as_deref().unwrap_or_default()),
        port_holder: ports::holder(&gatherer, &own, &containers, others.as_deref().unwrap_or_default()).await,
        spaces: spaces(&gatherer, &containers).await,
        // One that is not running has not answered, whatever has its address now.
        inside: inside.filter(|_| containers.iter().any(|c| c.running)),
        containers,
        architecture,
        outside,
        clocks: clocks.into_iter().chain(served).collect(),
    }
}

/// The kill was seen, whatever the engine says now: of the one that has ended so, or has a limit.
fn remember(containers: &mut Vec<Container>, own: &[(String, ContainerRef)]) {
    let likely = containers.iter().position(|c| c.exit_code == 137 || c.exits > 0);
    let limited = || containers.iter().position(|c| c.memory_limit.is_some());
    match (likely.or_else(limited), own.first()) {
        (Some(at), _) => containers[at].out_of_memory = true,
        (None, Some((_, which))) => containers.push(Container {
            name: which.name.clone(),
            out_of_memory: true,
            ..Container::default()
        }),
        (None, None) => {}
    }
}

/// Room where the service writes to, and where the engine does; each filesystem once.
async fn spaces(gatherer: &Gatherer, containers: &[Container]) -> Vec<Space> {
    if !gatherer.engine.is_local() || containers.is_empty() {
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
