//! What the containers use up, and how full their data's disks are: looked at again and again while watching.
//!
//! Invariant: a reading that fails is no reading. Processes are looked at only where it is certain that they are the
//! container's: the engine is on this machine, and the process is in the container's control group. It judges nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ContainerStatsResponse, HostConfig};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt as _;
use mainstay_core::baseline::Resource;
use mainstay_core::plan::DataMount;
use mainstay_core::watch::{Mode, Reading, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::{Setup, Subject};
use crate::cgroup::{self, Group, Taken};
use crate::engine::Engine;
use crate::survey;

/// How often it is looked; asking an engine costs it some work.
const SELDOM: Duration = Duration::from_secs(5);
const OFTEN: Duration = Duration::from_millis(250);
/// An engine that gives no figures within this time gives none.
const LIMIT: Duration = Duration::from_secs(5);
/// Processor time is a rate over this time at the least: the kernel hands it out in pieces, by periods of usually 100 ms.
const SPAN: Duration = Duration::from_secs(1);
/// A limit that nobody set is the largest number that there is, or nearly.
const NO_LIMIT: u64 = 1 << 50;

/// Starts looking, as often as probes ask, but not too often and not too seldom.
pub(super) fn spawn(sources: &mut JoinSet<()>, setup: &Setup<'_>, sender: &Sender<Signal>) {
    if setup.mode == Mode::Watch {
        let pause = Duration::from_millis(setup.plan.limits.probe_interval_ms).clamp(OFTEN, SELDOM);
        look_at(sources, setup.engine, setup.subjects, pause, sender);
        if setup.engine.is_local() {
            sources.spawn(rooms(setup.plan.data.clone(), pause, sender.clone()));
        }
    }
}

/// Starts looking at what containers use.
pub(super) fn look_at(
    sources: &mut JoinSet<()>,
    engine: &Engine,
    subjects: &[Subject],
    pause: Duration,
    sender: &Sender<Signal>,
) {
    for subject in subjects {
        sources.spawn(usage(engine.clone(), subject.clone(), pause, sender.clone()));
    }
}

async fn usage(engine: Engine, subject: Subject, pause: Duration, sender: Sender<Signal>) {
    let mut look = Look::default();
    loop {
        let began = Instant::now();
        let readings = look.readings(&engine, &subject.container.id).await;
        if !readings.is_empty() {
            let signal = Signal::Usage { container: subject.container.name.clone(), readings };
            if sender.send(signal).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(pause.saturating_sub(began.elapsed()).max(OFTEN)).await;
    }
}

/// What an engine says that a container uses now.
fn taken(stats: ContainerStatsResponse) -> Taken {
    let (memory, cpu) = (stats.memory_stats.unwrap_or_default(), stats.cpu_stats.unwrap_or_default());
    let pids = stats.pids_stats.unwrap_or_default();
    Taken {
        memory: survey::memory_used(&memory),
        memory_limit: memory.limit,
        cpu_nanos: cpu.cpu_usage.and_then(|usage| usage.total_usage),
        processors: cpu.online_cpus,
        pids: pids.current,
        pids_limit: pids.limit,
    }
}

/// What is known from the last look.
#[derive(Default)]
struct Look {
    container: Option<ContainerInspectResponse>,
    /// When the container's processor time was read, and how much it was, in nanoseconds.
    cpu: Option<(Instant, u64)>,
}

impl Look {
    async fn readings(&mut self, engine: &Engine, id: &str) -> Vec<Reading> {
        let mut own = self.own(id);
        if own.is_none() {
            // Its first process may be another one than at the last look.
            let inspected = engine.call("inspect a container", engine.docker().inspect_container(id, None));
            self.container = inspected.await.ok();
            own = if engine.is_local() { self.own(id) } else { None };
        }
        let files = own.as_ref().and_then(|(process, _)| files(process));
        let taken = match own.and_then(|(_, group)| group.read()) {
            Some(taken) => taken,
            None => ask(engine, id).await.unwrap_or_default(),
        };
        let host = self.container.as_ref().and_then(|c| c.host_config.clone()).unwrap_or_default();
        let cpu = self.processor(Instant::now(), &taken, &host);
        [memory(&taken, &host), cpu, pids(&taken), files].into_iter().flatten().collect()
    }

    /// Its first process and its control group, if both are on this machine and its own.
    fn own(&self, id: &str) -> Option<(PathBuf, Group)> {
        let pid = self.container.as_ref()?.state.as_ref()?.pid.filter(|pid| *pid > 0)?;
        let process = PathBuf::from(format!("/proc/{pid}"));
        Some((process.clone(), Group::of(&process, Path::new(cgroup::MOUNTED), id)?))
    }

    fn processor(&mut self, now: Instant, taken: &Taken, host: &HostConfig) -> Option<Reading> {
        let total = taken.cpu_nanos?;
        if self.cpu.is_some_and(|(then, _)| now - then < SPAN) {
            return None;
        }
        let (then, before) = self.cpu.replace((now, total))?;
        let allowed = allowed_processors(host, taken.processors.unwrap_or(1));
        let spent = Duration::from_nanos(total.checked_sub(before)?).as_secs_f64();
        let share = 1_000.0 * spent / ((now - then).as_secs_f64() * allowed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to what fits")]
        let used = share.clamp(0.0, 1e6) as u64;
        Some(Reading { resource: Resource::Cpu, used, limit: 1_000 })
    }
}

async fn ask(engine: &Engine, id: &str) -> Option<Taken> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut stream = std::pin::pin!(engine.docker().stats(id, Some(options)));
    tokio::time::timeout(LIMIT, stream.next()).await.ok()??.ok().map(taken)
}

/// The file descriptors of a process.
fn files(process: &Path) -> Option<Reading> {
    let used = u64::try_from(std::fs::read_dir(process.join("fd")).ok()?.count()).ok()?;
    let limits = std::fs::read_to_string(process.join("limits")).unwrap_or_default();
    Some(Reading { resource: Resource::Files, used, limit: open_files(&limits) })
}

/// Without a limit of its own the host's memory is the limit.
fn memory(taken: &Taken, host: &HostConfig) -> Option<Reading> {
    let own = host.memory.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    Some(Reading {
        resource: Resource::Memory,
        used: taken.memory?,
        limit: own.or(taken.memory_limit).filter(|limit| *limit < NO_LIMIT).unwrap_or(0),
    })
}

fn pids(taken: &Taken) -> Option<Reading> {
    let limit = taken.pids_limit.filter(|limit| *limit < NO_LIMIT).unwrap_or(0);
    Some(Reading { resource: Resource::Pids, used: taken.pids?, limit })
}

/// How many processors' time the container may have.
fn allowed_processors(host: &HostConfig, online: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a second, and microseconds of a period")]
    let positive = |n: Option<i64>| n.filter(|n| *n > 0).map(|n| n as f64);
    let period = positive(host.cpu_period).unwrap_or(100_000.0);
    let own = positive(host.nano_cpus).map(|nanos| nanos / 1e9);
    let own = own.or_else(|| positive(host.cpu_quota).map(|quota| quota / period));
    let online = f64::from(online.max(1));
    own.unwrap_or(online).min(online)
}

/// The soft limit in `/proc/PID/limits`; 0 for none.
fn open_files(limits: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// One mount a disk: the others on it would say the same.
async fn rooms(mounts: Vec<DataMount>, pause: Duration, sender: Sender<Signal>) {
    loop {
        let sources: Vec<(String, PathBuf)> =
            mounts.iter().map(|mount| (mount.name.clone(), mount.source.clone())).collect();
        // A disk that hangs holds up a thread, and nobody else.
        let looked = tokio::task::spawn_blocking(move || {
            let mut spaces = Vec::new();
            for (name, source) in sources {
                let Ok(space) = survey::free(&source) else { continue };
                if !spaces.iter().any(|(_, known): &(String, survey::Space)| known.device == space.device) {
                    spaces.push((name, space));
                }
            }
            spaces
        });
        for (mount, space) in looked.await.unwrap_or_default() {
            let used = space.total.saturating_sub(space.free);
            if sender.send(Signal::Room { mount, used, total: space.total }).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(text: serde_json::Value) -> Taken {
        taken(serde_json::from_value(text).unwrap())
    }

    #[test]
    fn memory_without_a_limit_of_its_own_is_that_of_the_host() {
        let stats = stats(serde_json::json!({"memory_stats": {"usage": 100, "limit": 24_000}}));
        let limit = |own| memory(&stats, &HostConfig { memory: own, ..HostConfig::default() }).unwrap().limit;
        assert_eq!(limit(Some(1_000)), 1_000);
        assert_eq!(limit(Some(0)), 24_000);
        assert_eq!(limit(None), 24_000);
    }

    #[test]
    fn limits_that_nobody_set_are_none() {
        let reading = |limit: u64| {
            pids(&stats(serde_json::json!({"pids_stats": {"current": 7, "limit": limit}}))).unwrap()
        };
        assert_eq!(reading(u64::MAX), Reading { resource: Resource::Pids, used: 7, limit: 0 });
        assert_eq!(reading(100).limit, 100);
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), 1_024);
        assert_eq!(
            open_files("Max open files            unlimited            unlimited            files\n"),
            0
        );
        assert_eq!(open_files(""), 0);
    }

    #[test]
    fn processor_time_is_a_share_of_what_is_allowed() {
        let host = HostConfig { nano_cpus: Some(500_000_000), ..HostConfig::default() };
        let of = |nanos: u64| {
            stats(serde_json::json!({"cpu_stats": {"cpu_usage": {"total_usage": nanos}, "online_cpus": 4}}))
        };
        let (mut look, begin) = (Look::default(), Instant::now());
        assert_eq!(look.processor(begin, &of(0), &host), None, "one reading is no rate");
        let used = look.processor(begin + Duration::from_secs(2), &of(800_000_000), &host).unwrap().used;
        let soon = begin + Duration::from_millis(2_500);
        assert_eq!(look.processor(soon, &of(900_000_000), &host), None, "too short to be a rate");
        assert_eq!(used, 800, "0.8 s of the 1 s that half a processor gives in 2 s");
        let quota = HostConfig { cpu_quota: Some(150_000), ..HostConfig::default() };
        assert_eq!(allowed_processors(&quota, 4).to_string(), "1.5");
        assert_eq!(allowed_processors(&HostConfig::default(), 4).to_string(), "4");
        let more = HostConfig { nano_cpus: Some(8_000_000_000), ..HostConfig::default() };
        assert_eq!(allowed_processors(&more, 4).to_string(), "4", "more than there are is all of them");
    }
}
