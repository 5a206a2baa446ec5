//! How fast the service answers, against how fast the old version did.
//!
//! Invariant: slow answers count only where they are many, go on to the end, and take noticeably longer: neither one
//! pause nor a few milliseconds can condemn. What it does not do: say whether an answer is good ([`super::probe`]).

use super::{Figures, Millis, probe};
use crate::baseline::{Latency, Sample};
use crate::problem::Problem;
use crate::verdict::DataDoubt;

/// Answers count as slow above so many times what 95 of 100 took before,
const TIMES: u64 = 2;
/// and only if it is so much more that somebody may notice, in milliseconds.
const NOTICEABLE_MS: u64 = 100;
/// Fewer answers than these before say nothing.
const FEWEST: usize = 5;
/// So many of a hundred answers have to be slow, for so many were slower than 95 of 100 before,
const SHARE: usize = 5;
/// and so many at the least.
const SLOW: usize = 3;
/// If none of `n` answers was slow, up to `3 / n` of all may be (the rule of three, at 95 %).
const RULE_OF_THREE: usize = 3;

/// The times of the good answers at one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    times: Vec<(Millis, u64)>,
}

impl Answers {
    pub fn see(&mut self, at: Millis, millis: u64) {
        self.times.push((at, millis));
    }

    pub fn count(&self) -> usize {
        self.times.len()
    }

    pub fn latency(&self) -> Latency {
        self.since(0)
    }

    fn since(&self, begin: Millis) -> Latency {
        let mut times: Vec<u64> =
            self.times.iter().filter(|(at, _)| *at >= begin).map(|(_, took)| *took).collect();
        times.sort_unstable();
        let rank = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1));
        Latency {
            count: times.len(),
            p50_ms: rank(50).copied().unwrap_or(0),
            p95_ms: rank(95).copied().unwrap_or(0),
        }
    }

    /// What the answers of the last third took, if too many of them were slow.
    fn slow(&self, before: Latency, now: Millis) -> Option<Latency> {
        let begin = now - now / 3;
        let allowed = (TIMES * before.p95_ms).max(before.p95_ms + NOTICEABLE_MS);
        let late = self.since(begin);
        let slow = self.times.iter().filter(|(at, took)| *at >= begin && *took > allowed).count();
        let known = before.count >= FEWEST && slow * before.count >= late.count * RULE_OF_THREE;
        (known && slow >= SLOW && slow * 100 >= late.count * SHARE).then_some(late)
    }
}

/// What decides at the end of the window.
pub(super) fn last(figures: &Figures, before: &Sample, now: Millis) -> Option<(Problem, DataDoubt)> {
    figures.answers.iter().find_map(|(place, answers)| {
        let place = probe::describe(*place);
        let was = *before.answers.get(place)?;
        let late = answers.slow(was, now)?;
        let what = format!(
            "answers {place} are more than {TIMES} times as slow as before, to the end of the window"
        );
        let during = format!("95 of 100 came within {} ms, half within {} ms", late.p95_ms, late.p50_ms);
        let before = format!("before the update: {} ms and {} ms", was.p95_ms, was.p50_ms);
        let problem = Problem::new("version-slow", what).because(during).because(before);
        let problem =
            problem.advise("look at what it waits for; if caches have to fill first, watch it for longer");
        Some((problem, DataDoubt::Unrelated))
    })
}

#[cfg(test)]
mod tests;
