//! How fast work on data goes, and how long the rest may take.
//!
//! Smoothed over a few seconds, on the monotonic clock; the beginning of a phase begins anew. Decides nothing.

use std::time::{Duration, Instant};

use mainstay_core::event::{Progress, ProgressUnit};
use mainstay_core::step::Step;
use mainstay_vault::Phase;

/// What lies this long back weighs a third of what is measured now.
const MEMORY: Duration = Duration::from_secs(3);
/// Measured more often than this, a rate says nothing.
const SHORTEST: Duration = Duration::from_millis(50);

/// Makes progress with a rate from what the vault tells.
#[derive(Debug, Default)]
pub struct Rate {
    phase: Option<Phase>,
    at: Option<(Instant, u64)>,
    bytes_per_second: Option<f64>,
    /// What there is to read, where the vault can't know it yet: at the first backup.
    expected: Option<u64>,
}

impl Rate {
    /// Of a backup of data that held so many bytes when it was looked at.
    #[must_use]
    pub fn of_backup(bytes: u64) -> Self {
        Self { expected: Some(bytes), ..Self::default() }
    }

    /// How far `step` is with `name`, given what the vault tells now.
    pub fn progress(&mut self, step: Step, name: &str, told: &mainstay_vault::Progress) -> Progress {
        self.measure(told, Instant::now());
        let doing = match told.phase {
            Phase::BackingUp => "reading",
            Phase::ReadingBack => "reading back",
            Phase::Restoring => "restoring",
            Phase::Comparing => "comparing",
            Phase::Pruning => "pruning",
            Phase::Copying => "copying",
        };
        let rate = self.bytes_per_second.filter(|rate| *rate >= 1.0);
        let expected = self.expected.filter(|_| told.phase == Phase::BackingUp);
        // What has grown since is more than was expected: then the rest isn't known.
        let total = told.bytes_total.or(expected).filter(|total| *total >= told.bytes_done);
        let rest = total.map(|total| total - told.bytes_done);
        Progress {
            files: Some(told.files_done),
            bytes_per_second: rate.map(whole),
            seconds_left: rest.zip(rate).map(|(rest, rate)| whole((rest as f64 / rate).ceil())),
            ..Progress::of(step, format!("{doing} {name}"), told.bytes_done, total, ProgressUnit::Bytes)
        }
    }

    fn measure(&mut self, told: &mainstay_vault::Progress, now: Instant) {
        let went_back = self.at.is_some_and(|(_, bytes)| bytes > told.bytes_done);
        if self.phase != Some(told.phase) || went_back {
            let at = Some((now, told.bytes_done));
            *self = Self { phase: Some(told.phase), at, bytes_per_second: None, expected: self.expected };
            return;
        }
        let Some((since, bytes)) = self.at else { return };
        let span = now.saturating_duration_since(since);
        if span < SHORTEST {
            return;
        }
        let fresh = (told.bytes_done - bytes) as f64 / span.as_secs_f64();
        let keep = (-span.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.bytes_per_second =
            Some(self.bytes_per_second.map_or(fresh, |old| old * keep + fresh * (1.0 - keep)));
        self.at = Some((now, told.bytes_done));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is out of range is clamped"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(phase: Phase, bytes_done: u64) -> mainstay_vault::Progress {
        mainstay_vault::Progress { phase, bytes_done, bytes_total: Some(10_000), files_done: 3 }
    }

    /// After `seconds` with 1000 bytes a second.
    fn steady(rate: &mut Rate, began: Instant, seconds: u64) {
        for second in 0..=seconds {
            let at = began + Duration::from_secs(second);
            rate.measure(&told(Phase::BackingUp, second * 1000), at);
        }
    }

    #[test]
    fn a_steady_rate_is_told_with_what_is_left() {
        let mut rate = Rate::default();
        steady(&mut rate, Instant::now() - Duration::from_secs(4), 4);
        assert_eq!(rate.bytes_per_second.map(f64::round), Some(1000.0));
        let mut after = Rate { at: None, ..rate };
        let progress = after.progress(Step::BackUpLive, "data", &told(Phase::BackingUp, 4000));
        assert_eq!((progress.bytes_per_second, progress.seconds_left), (Some(1000), Some(6)));
        assert_eq!((progress.files, progress.what.as_str()), (Some(3), "reading data"));
    }

    #[test]
    fn a_first_backup_has_as_much_to_read_as_was_counted_before() {
        let unknown =
            |phase, bytes_done| mainstay_vault::Progress { bytes_total: None, ..told(phase, bytes_done) };
        let mut rate = Rate::of_backup(8_000);
        let total = |rate: &mut Rate, told| rate.progress(Step::BackUpLive, "data", &told).total;
        assert_eq!(total(&mut rate, unknown(Phase::BackingUp, 4_000)), Some(8_000));
        assert_eq!(total(&mut rate, told(Phase::BackingUp, 4_000)), Some(10_000), "the vault knows better");
        assert_eq!(total(&mut rate, unknown(Phase::BackingUp, 9_000)), None, "the data has grown");
        assert_eq!(total(&mut rate, unknown(Phase::ReadingBack, 10)), None, "another amount is read back");
    }

    #[test]
    fn a_change_of_pace_shows_within_seconds_and_not_at_once() {
        let (mut rate, began) = (Rate::default(), Instant::now());
        steady(&mut rate, began, 4);
        rate.measure(&told(Phase::BackingUp, 4000), began + Duration::from_secs(5));
        let slower = rate.bytes_per_second.unwrap();
        assert!((500.0..900.0).contains(&slower), "{slower}");
        rate.measure(&told(Phase::BackingUp, 4000), began + Duration::from_secs(25));
        assert!(rate.bytes_per_second.unwrap() < 5.0);
    }

    #[test]
    fn each_phase_has_a_rate_of_its_own_and_none_at_first() {
        let (mut rate, began) = (Rate::default(), Instant::now());
        steady(&mut rate, began, 2);
        rate.measure(&told(Phase::ReadingBack, 0), began + Duration::from_secs(3));
        assert_eq!(rate.bytes_per_second, None);
        let progress = rate.progress(Step::BackUpLive, "data", &told(Phase::ReadingBack, 0));
        assert_eq!((progress.bytes_per_second, progress.seconds_left), (None, None));
    }
}
