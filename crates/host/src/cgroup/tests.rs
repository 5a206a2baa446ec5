//! Both versions of control groups, from directories with files as the kernel writes them: those of version 2 after
//! `Documentation/admin-guide/cgroup-v2.rst`.

use super::*;

fn files(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn group(root: &Path) -> Option<Group> {
    Group::of(&root.join("process"), root, "abc")
}

const FIRST: &[(&str, &str)] = &[
    (
        "process/cgroup",
        "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n8:pids:/docker/abc\n0::/docker/abc\n",
    ),
    ("memory/docker/abc/memory.usage_in_bytes", "10000000\n"),
    ("memory/docker/abc/memory.limit_in_bytes", "67108864\n"),
    ("memory/docker/abc/memory.max_usage_in_bytes", "12000000\n"),
    (
        "memory/docker/abc/memory.stat",
        "cache 5000000\nrss 4096000\ninactive_file 1\nactive_file 2\nhierarchical_memory_limit 67108864\n\
         total_cache 5000000\ntotal_inactive_file 3000000\ntotal_active_file 2\n",
    ),
    ("memory/docker/abc/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ("cpuacct/docker/abc/cpuacct.usage", "7000000000\n"),
    ("pids/docker/abc/pids.current", "5\n"),
    ("pids/docker/abc/pids.max", "100\n"),
];

const SECOND: &[(&str, &str)] = &[
    ("process/cgroup", "0::/system.slice/docker-abc.scope\n"),
    ("system.slice/docker-abc.scope/memory.current", "10000000\n"),
    ("system.slice/docker-abc.scope/memory.max", "67108864\n"),
    ("system.slice/docker-abc.scope/memory.peak", "12000000\n"),
    (
        "system.slice/docker-abc.scope/memory.stat",
        "anon 6000000\nfile 4000000\nkernel 300000\nkernel_stack 16384\nslab 250000\nfile_mapped 0\n\
         inactive_anon 5900000\nactive_anon 100000\ninactive_file 3000000\nactive_file 1000000\nunevictable 0\n",
    ),
    (
        "system.slice/docker-abc.scope/memory.events",
        "low 0\nhigh 0\nmax 19\noom 3\noom_kill 2\noom_group_kill 0\n",
    ),
    (
        "system.slice/docker-abc.scope/cpu.stat",
        "usage_usec 7000000\nuser_usec 5000000\nsystem_usec 2000000\nnr_periods 40\nnr_throttled 3\n\
         throttled_usec 120000\nnr_bursts 0\nburst_usec 0\n",
    ),
    ("system.slice/docker-abc.scope/pids.current", "5\n"),
    ("system.slice/docker-abc.scope/pids.max", "100\n"),
];

#[test]
fn both_versions_tell_the_same() {
    for layout in [FIRST, SECOND] {
        let root = tempfile::tempdir().unwrap();
        files(root.path(), layout);
        let group = group(root.path()).unwrap();
        let taken = group.read().unwrap();
        assert_eq!((taken.memory, taken.memory_limit), (Some(7_000_000), Some(64 << 20)), "{layout:?}");
        assert_eq!(taken.cpu_nanos, Some(7_000_000_000), "{layout:?}");
        assert_eq!((taken.pids, taken.pids_limit), (Some(5), Some(100)), "{layout:?}");
        assert_eq!((group.peak(), group.kills()), (Some(12_000_000), Some(2)), "{layout:?}");
        assert!(taken.processors > Some(0), "{taken:?}");
        assert!(Group::of(&root.path().join("process"), root.path(), "other").is_none(), "another's");
    }
}

#[test]
fn without_limits_that_of_the_host_counts() {
    let limits: [&[(&str, &str)]; 2] = [
        &[
            ("memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n"),
            ("pids/docker/abc/pids.max", "max\n"),
        ],
        &[
            ("system.slice/docker-abc.scope/memory.max", "max\n"),
            ("system.slice/docker-abc.scope/pids.max", "max\n"),
        ],
    ];
    for (layout, limits) in [FIRST, SECOND].into_iter().zip(limits) {
        let root = tempfile::tempdir().unwrap();
        files(root.path(), layout);
        files(root.path(), limits);
        let taken = group(root.path()).unwrap().read().unwrap();
        let host = named(Path::new("/proc/meminfo"), "MemTotal:").map(|kib| kib << 10);
        assert_eq!((taken.memory_limit, taken.pids_limit), (host, None), "{layout:?}");
    }
}

/// A kernel before 5.19 tells no peak, one before 4.13 no kills.
#[test]
fn what_an_older_kernel_does_not_tell_is_not_known() {
    for layout in [FIRST, SECOND] {
        let root = tempfile::tempdir().unwrap();
        let older = |(name, _): &&(&str, &str)| {
            !["memory.peak", "max_usage_in_bytes", "events", "oom_control"]
                .iter()
                .any(|new| name.ends_with(new))
        };
        files(root.path(), &layout.iter().filter(older).copied().collect::<Vec<_>>());
        let group = group(root.path()).unwrap();
        assert_eq!((group.peak(), group.kills()), (None, None), "{layout:?}");
        assert!(group.read().is_some(), "{layout:?}");
    }
}

#[test]
fn what_cannot_be_read_is_told_as_nothing() {
    let root = tempfile::tempdir().unwrap();
    assert!(group(root.path()).is_none());
    files(root.path(), &[("process/cgroup", "0::/docker/abc\n")]);
    let group = group(root.path()).unwrap();
    assert!(group.read().is_none(), "the group is not mounted there");
}
