//! Signals: the first one asks the run to stop in order, and is answered by phase (see `core/state.rs`).
//!
//! `restic unlock` sends SIGHUP to whoever has a lock on this host, to find out whether it lives. It asks for nothing:
//! a SIGHUP from a restic is no interruption.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mainstay_core::problem::Problem;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;

/// Remembers which signal asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    /// Where the system refuses to.
    pub fn install() -> Result<Self, Problem> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            let flag = Arc::clone(&interrupt.0);
            signal_hook::flag::register_usize(signal, flag, number(signal)).map_err(|e| refused(&e))?;
        }
        interrupt.listen_to_hangups().map_err(|e| refused(&e))?;
        Ok(interrupt)
    }

    /// The number behind the flag, for whoever looks at it while waiting.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// Whether one came.
    #[must_use]
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    fn listen_to_hangups(&self) -> std::io::Result<()> {
        let mut hangups = SignalsInfo::<WithOrigin>::new([SIGHUP])?;
        let flag = Arc::clone(&self.0);
        let listen = move || {
            for origin in hangups.forever() {
                // The terminal's own has no process.
                if !origin.process.is_some_and(|process| is_restic(process.pid)) {
                    flag.store(number(SIGHUP), Ordering::Relaxed);
                }
            }
        };
        std::thread::Builder::new().name("hangups".to_owned()).spawn(listen).map(drop)
    }
}

fn number(signal: i32) -> usize {
    usize::try_from(signal).unwrap_or_default()
}

fn refused(error: &std::io::Error) -> Problem {
    Problem::new("signals-refused", "the signals that end a run can't be taken over").because(error)
}

/// Whether the process is called `restic`, perhaps with a version behind.
fn is_restic(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("restic"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_restic_that_looks_whether_we_live_is_no_interruption() {
        let dir = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::install().unwrap();
        for (name, counts) in [("restic", false), ("restic_0.18", false), ("somebody", true)] {
            let script = dir.path().join(name);
            // As restic does, it goes on for a while.
            std::fs::write(&script, "#!/bin/sh\nkill -HUP $1\nsleep 0.3\n").unwrap();
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
            let pid = std::process::id().to_string();
            assert!(Command::new(&script).arg(pid).status().unwrap().success());
            let until = Instant::now() + Duration::from_secs(if counts { 10 } else { 0 });
            while !interrupt.came() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(interrupt.came(), counts, "{name}");
        }
    }
}
