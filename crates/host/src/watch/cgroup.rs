//! What a container uses, out of its control group: at once, where engines take up to a second.
//!
//! Invariant: what can't be read is told as nothing, and the group is the container's, since its id stands in the
//! group's name. Both versions of control groups are known. It reads, and does no more.

use std::path::{Path, PathBuf};

use super::resources::Taken;

/// The directories in which the kernel tells about a container.
#[derive(Debug)]
pub(super) struct Group {
    unified: bool,
    memory: PathBuf,
    cpu: PathBuf,
    pids: PathBuf,
}

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
            (Some(memory), Some(cpu), Some(pids)) => Some(Self { unified: false, memory, cpu, pids }),
            _ => {
                let one = mounted.join(path("")?);
                Some(Self { unified: true, memory: one.clone(), cpu: one.clone(), pids: one })
            }
        }
    }

    /// What it uses now; `None` where the kernel tells nothing of its memory.
    pub fn read(&self) -> Option<Taken> {
        let (used, cache) = if self.unified {
            ("memory.current", "inactive_file")
        } else {
            ("memory.usage_in_bytes", "total_inactive_file")
        };
        let used = number(&self.memory.join(used))?;
        let cache = named(&self.memory.join("memory.stat"), cache).unwrap_or(0);
        let cpu = if self.unified {
            named(&self.cpu.join("cpu.stat"), "usage_usec").map(|micros| micros.saturating_mul(1_000))
        } else {
            number(&self.cpu.join("cpuacct.usage"))
        };
        Some(Taken {
            memory: Some(used.saturating_sub(cache)),
            memory_limit: named(Path::new("/proc/meminfo"), "MemTotal:").map(|kib| kib << 10),
            cpu_nanos: cpu,
            processors: processors(),
            pids: number(&self.pids.join("pids.current")),
            // `max` is no number.
            pids_limit: number(&self.pids.join("pids.max")),
        })
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
mod tests {
    use super::*;

    fn files(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn both_versions_tell_the_same() {
        let v1 = &[
            (
                "process/cgroup",
                "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n8:pids:/docker/abc\n0::/docker/abc\n",
            ),
            ("memory/docker/abc/memory.usage_in_bytes", "1000\n"),
            ("memory/docker/abc/memory.stat", "cache 500\ninactive_file 1\ntotal_inactive_file 300\n"),
            ("cpuacct/docker/abc/cpuacct.usage", "7000\n"),
            ("pids/docker/abc/pids.current", "5\n"),
            ("pids/docker/abc/pids.max", "100\n"),
        ];
        let v2 = &[
            ("process/cgroup", "0::/system.slice/docker-abc.scope\n"),
            ("system.slice/docker-abc.scope/memory.current", "1000\n"),
            ("system.slice/docker-abc.scope/memory.stat", "anon 600\ninactive_file 300\n"),
            ("system.slice/docker-abc.scope/cpu.stat", "usage_usec 7\nuser_usec 3\n"),
            ("system.slice/docker-abc.scope/pids.current", "5\n"),
            ("system.slice/docker-abc.scope/pids.max", "100\n"),
        ];
        for layout in [v1, v2] {
            let root = tempfile::tempdir().unwrap();
            files(root.path(), layout);
            let group = Group::of(&root.path().join("process"), root.path(), "abc").unwrap();
            let taken = group.read().unwrap();
            assert_eq!((taken.memory, taken.cpu_nanos), (Some(700), Some(7_000)), "{layout:?}");
            assert_eq!((taken.pids, taken.pids_limit), (Some(5), Some(100)), "{layout:?}");
            assert!(taken.memory_limit > Some(1 << 20) && taken.processors > Some(0), "{taken:?}");
            assert!(Group::of(&root.path().join("process"), root.path(), "other").is_none());
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_as_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert!(Group::of(&root.path().join("process"), root.path(), "abc").is_none());
        files(root.path(), &[("process/cgroup", "0::/docker/abc\n")]);
        let group = Group::of(&root.path().join("process"), root.path(), "abc").unwrap();
        assert!(group.read().is_none(), "the group is not mounted there");
    }
}
