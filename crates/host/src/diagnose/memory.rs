//! The most memory that a container has used since its start, from its control group; gone with its process.

use std::path::Path;

/// Both generations of control groups, and where they keep the figure.
pub(super) fn peak(pid: u32, id: &str) -> Option<u64> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    candidates(&groups, id).iter().find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok())
}

fn candidates(groups: &str, id: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines().filter(|line| line.contains(id)) {
        let mut parts = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if controllers.split(',').any(|name| name == "memory") {
            files.push(format!("/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes"));
        } else if controllers.is_empty() {
            for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                files.push(format!("{root}{path}/memory.peak"));
            }
        }
    }
    files.retain(|file| Path::new(file).is_absolute());
    files
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn the_figure_is_where_the_generation_keeps_it() {
        let first = candidates("9:memory:/docker/abc\n8:cpu,cpuacct:/docker/abc\n", "abc");
        assert_eq!(first, ["/sys/fs/cgroup/memory/docker/abc/memory.max_usage_in_bytes"]);
        let second = candidates("0::/system.slice/docker-abc.scope\n", "abc");
        assert_eq!(second[0], "/sys/fs/cgroup/system.slice/docker-abc.scope/memory.peak");
        assert!(candidates("0::/user.slice\n", "abc").is_empty(), "another process has this number");
    }
}
