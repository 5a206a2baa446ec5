//! Time that doesn't jump.
//!
//! Invariant: all times of one process lie on one line, which begins at what the wall clock said at first and then goes on
//! by the monotonic clock: a wall clock that somebody sets changes no duration, no deadline and no order. Whatever is
//! compared with times of the engine is first told as the wall clock now shows it ([`on_the_wall`]).

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mainstay_core::time::Timestamp;

/// A duration in milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since then.
pub(crate) fn elapsed_ms(since: Instant) -> u64 {
    millis(since.elapsed())
}

/// The time, on the line of this process.
#[must_use]
pub fn now() -> Timestamp {
    static BEGINNING: OnceLock<(Timestamp, Instant)> = OnceLock::new();
    let (wall, began) = BEGINNING.get_or_init(|| (wall(), Instant::now()));
    wall.plus(elapsed_ms(*began))
}

/// The earlier one of this process's time and the wall clock's, for whoever removes what is old: a clock that was ahead when the
/// process began, or is now, removes nothing.
#[must_use]
pub fn now_at_the_earliest() -> Timestamp {
    now().min(wall())
}

/// What the wall clock shows, which may be anything.
fn wall() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// A moment of this process as the wall clock now has it.
pub(crate) fn on_the_wall(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_add(wall().0 - now().0))
}

/// A moment that other processes of the same boot can count from: the boot, and milliseconds since it, also those that
/// the machine slept (proc(5), `/proc/uptime`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    boot: String,
    millis: u64,
}

impl Moment {
    /// This one; `None` where the system doesn't say.
    pub(crate) fn now() -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = uptime.split(' ').next()?.parse().ok()?;
        Some(Self {
            boot: boot.trim().to_owned(),
            millis: millis(Duration::try_from_secs_f64(seconds).ok()?),
        })
    }

    /// Milliseconds since an earlier moment; `None` if that was before a boot.
    pub(crate) fn since(&self, earlier: &Self) -> Option<u64> {
        (self.boot == earlier.boot).then(|| self.millis.saturating_sub(earlier.millis))
    }

    /// To be written down.
    pub(crate) fn written(&self) -> String {
        format!("{} {}", self.boot, self.millis)
    }

    /// What was written down.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (boot, millis) = text.split_once(' ')?;
        Some(Self { boot: boot.to_owned(), millis: millis.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_counts_within_its_boot_alone() {
        let began = Moment::now().unwrap();
        assert_eq!(Moment::read(&began.written()), Some(began.clone()));
        let later = Moment { millis: began.millis + 1_500, ..began.clone() };
        assert_eq!((later.since(&began), began.since(&later)), (Some(1_500), Some(0)));
        let other = Moment { boot: "another boot".to_owned(), millis: began.millis + 1_500 };
        assert_eq!(other.since(&began), None);
        assert_eq!(Moment::read("torn"), None);
    }

    #[test]
    fn the_line_of_a_process_goes_on_and_is_near_the_wall_clock() {
        let (one, shown) = (now(), on_the_wall(now()));
        std::thread::sleep(Duration::from_millis(20));
        assert!(now().since(one) >= 20);
        assert!((shown.0 - one.0).abs() < 5_000, "{shown:?} {one:?}");
    }
}
