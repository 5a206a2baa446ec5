//! What a container's control group tells: what it uses now, the most that it has used, what the kernel killed in it.
//! At once, where engines take up to a second.
//!
//! Invariant: what can't be read is told as nothing, and the group is the container's, since its id stands in the
//! group's name. Both versions of control groups are known: `Documentation/admin-guide/cgroup-v1` and `cgroup-v2.rst` of
//! the kernel. It reads, and does no more.

use std::path::{Path, PathBuf};

/// Where control groups are mounted.
pub(crate) const MOUNTED: &str = "/sys/fs/cgroup";

/// What a container uses now, by its control group or by its engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Bytes, without caches that can be given back.
    pub memory: Option<u64>,
    /// How much there is: the group's limit, or the host's memory.
    pub memory_limit: Option<u64>,
    /// Processor time since it was started.
    pub cpu_nanos: Option<u64>,
    /// The host's processors.
    pub processors: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// How many there may be.
    pub pids_limit: Option<u64>,
}

/// The directories in which the kernel tells about a container.
#[derive(Debug)]
pub(crate) struct Group {
    names: &'static Names,
    memory: PathBuf,
    cpu: PathBuf,
    pids: PathBuf,
}

/// How the files of a version are called. Those of processes have the same names in both.
#[derive(Debug)]
struct Names {
    used: &'static str,
    limit: &'static str,
    /// The most that was used; version 2 has it since Linux 5.19.
    peak: &'static str,
    /// The line of `memory.stat` with the caches that can be given back.
    cache: &'static str,
    /// The file that counts what the kernel killed for want of memory, under `oom_kill`; since Linux 4.13.
    kills: &'static str,
    unified: bool,
}

const FIRST: Names = Names {
    used: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    cache: "total_inactive_file",
    kills: "memory.oom_control",
    unified: false,
};

const SECOND: Names = Names {
    used: "memory.current",
    limit: "memory.max",
    peak: "memory.peak",
    cache: "inactive_file",
    kills: "memory.events",
    unified: true,
};

impl Group {
    /// The control group of a process, if it is that of the container with this id.
    pub fn of(process: &Path, mounted: &Path, id: &str) -> Option<Self> {
        let text = std::fs::read_to_string(process.join("cgroup")).ok()?;
        let path = |controller: &str| {
            let mut parts = text.lines().map(|line| line.splitn(3, ':').skip(1));
            parts.find_map(|mut part| {
                let has = part.next()?.split(',').any(|name| name == controller);
                let path = part.next()?.trim_start_matches('/');
                (has && path.contains(id)).then(|| path.to_owned())
            })
        };
        let of = |controller: &str| Some(mounted.join(controller).join(path(controller)?));
        match (of("memory"), of("cpuacct"), of("pids")) {
            (Some(memory), Some(cpu), Some(pids)) => Some(Self { names: &FIRST, memory, cpu, pids }),
            _ => {
                let one = mounted.join(path("")?);
                Some(Self { names: &SECOND, memory: one.clone(), cpu: one.clone(), pids: one })
            }
        }
    }

    /// What it uses now; `None` where the kernel tells nothing of its memory.
    pub fn read(&self) -> Option<Taken> {
        let used = number(&self.memory.join(self.names.used))?;
        let cache = named(&self.memory.join("memory.stat"), self.names.cache).unwrap_or(0);
        let cpu = if self.names.unified {
            named(&self.cpu.join("cpu.stat"), "usage_usec").map(|micros| micros.saturating_mul(1_000))
        } else {
            number(&self.cpu.join("cpuacct.usage"))
        };
        // Without a limit the first version tells a number that no machine has, the second one `max`.
        let limit = number(&self.memory.join(self.names.limit));
        let all = named(Path::new("/proc/meminfo"), "MemTotal:").map(|kib| kib << 10);
        Some(Taken {
            memory: Some(used.saturating_sub(cache)),
            memory_limit: limit.into_iter().chain(all).min(),
            cpu_nanos: cpu,
            processors: processors(),
            pids: number(&self.pids.join("pids.current")),
            // `max` is no number.
            pids_limit: number(&self.pids.join("pids.max")),
        })
    }

    /// The most memory that it has used, caches included; gone with the container's process.
    pub fn peak(&self) -> Option<u64> {
        number(&self.memory.join(self.names.peak))
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub fn kills(&self) -> Option<u64> {
        named(&self.memory.join(self.names.kills), "oom_kill ")
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number after a name, in a file with one of each a line.
fn named(path: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let of = |line: &str| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok();
    text.lines().find_map(of)
}

/// The processors of this machine, whatever of them this process may use.
fn processors() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let own = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    u32::try_from(text.lines().filter(own).count()).ok()
}

#[cfg(test)]
mod tests;
