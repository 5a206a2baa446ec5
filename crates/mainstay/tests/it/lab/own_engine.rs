//! An engine of a test's own, beside the one that all use: to be restarted, to die, and to have a full disk.
//!
//! It has a directory, a socket and a bridge of its own, and leaves the packet filter to the other one. Threads
//! that shall use it say so. It and everything that it has started end with the value.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::disk::Disk;
use super::engine;
use super::process::bounded;

/// What the smallest disk holds that such an engine and two small images need, and some room.
const DISK: u64 = 256 << 20;
/// It starts within a second or two.
const PATIENCE: Duration = Duration::from_secs(45);

/// The engine. This thread uses it as long as it lives.
pub struct OwnEngine {
    // Before the directory that it is mounted in.
    _disk: Disk,
    directory: TempDir,
    number: u8,
    live_restore: bool,
    daemon: Option<Child>,
}

impl OwnEngine {
    /// Starts one. `number` tells it from those beside it, and `live_restore` whether containers survive it.
    pub fn start(number: u8, live_restore: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let disk = Disk::of(&data, DISK);
        let mut own = Self { _disk: disk, directory, number, live_restore, daemon: None };
        own.make_bridge();
        own.begin();
        engine::have_this_thread_use(Some(&own.socket()));
        own
    }

    /// A bridge of its own: an engine that is to have none removes `docker0`, which is that of the other one. So does one that
    /// is started again and was given pools of addresses; it finds out by itself which are taken.
    fn bridge(&self) -> String {
        format!("own-engine-{}", self.number)
    }

    fn make_bridge(&self) {
        let (bridge, address) = (self.bridge(), format!("10.{}.255.1/24", 214 + self.number));
        // One that an ended test has left does as well.
        let _ = ip(&["link", "add", "name", &bridge, "type", "bridge"]);
        let _ = ip(&["addr", "add", &address, "dev", &bridge]);
        assert_eq!(ip(&["link", "set", &bridge, "up"]), Some(0), "{bridge}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    /// Where images and containers are.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Starts the daemon, and waits until it answers.
    pub fn begin(&mut self) {
        // As after a boot; an engine that was killed has left it.
        for left in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.path(left));
        }
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut daemon = Command::new("/usr/sbin/dockerd");
        daemon.arg("--host").arg(format!("unix://{}", self.socket().display()));
        daemon.arg("--data-root").arg(self.data()).arg("--exec-root").arg(self.path("exec"));
        daemon.arg("--pidfile").arg(self.path("pid"));
        daemon.arg("--bridge").arg(self.bridge()).args(["--iptables=false", "--ip6tables=false"]);
        if self.live_restore {
            daemon.arg("--live-restore");
        }
        daemon.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(daemon.spawn().unwrap());
        let until = Instant::now() + PATIENCE;
        while !self.answers() {
            let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
            let end = || log().lines().rev().take(40).collect::<Vec<_>>().join("\n");
            assert!(
                Instant::now() < until,
                "an engine of our own does not start; its log from its end:\n{}",
                end()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let mut ask = Command::new("docker");
        ask.arg("--host").arg(format!("unix://{}", self.socket().display())).arg("version");
        bounded(ask).code == Some(0)
    }

    /// Ends the daemon in order, or kills it.
    pub fn end(&mut self, signal: Signal) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = kill_process(Pid::from_child(&daemon), signal);
            let until = Instant::now() + PATIENCE;
            while daemon.try_wait().unwrap().is_none() {
                if Instant::now() > until {
                    let _ = daemon.kill();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        engine::have_this_thread_use(None);
        self.end(Signal::TERM);
        // A daemon that was killed has left its containerd, and those their containers.
        for pid in processes_of(self.directory.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
        unmount_below(self.directory.path());
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

/// `ip`, and its exit status.
fn ip(args: &[&str]) -> Option<i32> {
    let mut command = Command::new("ip");
    command.args(args);
    bounded(command).code
}

/// Processes that were started with a path below a directory.
fn processes_of(directory: &Path) -> Vec<Pid> {
    let directory = directory.to_str().unwrap();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(directory)
    };
    pids.filter(own).filter_map(Pid::from_raw).collect()
}

/// Mounts that daemon and containers have left below a directory, innermost first.
fn unmount_below(directory: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    let own: Vec<&Path> = points.filter(|at| at.starts_with(directory)).collect();
    for at in own.iter().rev() {
        let mut unmount = Command::new("umount");
        unmount.arg("-l").arg(at);
        let _ = bounded(unmount);
    }
}
