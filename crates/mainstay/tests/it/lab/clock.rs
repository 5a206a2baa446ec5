//! A clock for the command under test alone, which can be set: libfaketime stands between it and the system's.
//!
//! The monotonic clock is left as it is, as the kernel does when somebody sets the time. The engine's clock can't be set
//! like this; only that of the command jumps.

use std::path::PathBuf;
use std::process::Command;

use super::Lab;

/// Where Debian has the library, by architecture.
const LIBRARY: &str = "/usr/lib/ARCH-linux-gnu/faketime/libfaketime.so.1";

/// The clock.
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// It shows the time as it is.
    pub fn of(lab: &Lab) -> Self {
        let clock = Self { file: lab.home().join("clock") };
        clock.set(0);
        clock
    }

    /// It shows so many hours more, or less.
    pub fn set(&self, hours: i32) {
        // Never half written: it is read at every question.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{hours:+}h\n")).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    /// Has a command use it.
    pub fn give_to(&self, command: &mut Command) {
        let library = LIBRARY.replace("ARCH", std::env::consts::ARCH);
        assert!(std::path::Path::new(&library).exists(), "{library} is installed by script/bootstrap --test");
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.envs([("FAKETIME_NO_CACHE", "1"), ("DONT_FAKE_MONOTONIC", "1")]);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
