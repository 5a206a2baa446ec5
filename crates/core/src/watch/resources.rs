//! What the containers use up, against their limits and against what the old version used.
//!
//! Invariant: what was as high before never counts. A level counts where it lasts, a rise where it is steady
//! ([`super::trend`]) and goes beyond anything seen before. What it does not do: measure.

use super::trend::{self, Point};
use super::{Figures, Millis};
use crate::baseline::{Amount, Resource, Sample};
use crate::problem::Problem;
use crate::verdict::DataDoubt;

/// Above this share of the limit, in percent, a resource decides when that lasts.
const FULL: u64 = 95;
/// Above this one a steady rise that will reach the limit while it is watched decides without waiting for it.
const NEARLY_FULL: u64 = 90;
/// Above this one throughout, it decides at the end.
const HIGH: u64 = 80;
/// Throughout means so many of a hundred points.
const THROUGHOUT: usize = 95;
/// With fewer points than these nothing is said.
const FEWEST: usize = 8;
/// A rise counts only beyond what was seen before, and so many percent.
const BEYOND: u64 = 110;
/// A disk with less room than so many percent is worth a warning.
const SCARCE: u64 = 5;

/// One look at a resource of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Of what.
    pub resource: Resource,
    /// How much is in use.
    pub used: u64,
    /// How much there is; 0 where that is not known.
    pub limit: u64,
}

/// All looks at one resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    points: Vec<Point>,
    limit: u64,
    full_since: Option<Millis>,
}

impl Series {
    pub fn see(&mut self, at: Millis, used: u64, limit: u64) {
        self.limit = limit;
        self.points.push((at, used));
        if over(used, limit, FULL) {
            self.full_since.get_or_insert(at);
        } else {
            self.full_since = None;
        }
    }

    pub fn amount(&self) -> Amount {
        let mut values: Vec<u64> = self.points.iter().map(|(_, used)| *used).collect();
        values.sort_unstable();
        let at = |n: usize| values.get(n).copied().unwrap_or(0);
        Amount {
            typical: at(values.len() / 2),
            highest: at(values.len().saturating_sub(1)),
            limit: self.limit,
        }
    }

    fn last(&self) -> Option<u64> {
        self.points.last().map(|(_, used)| *used)
    }

    fn throughout(&self) -> bool {
        let high = self.points.iter().filter(|(_, used)| over(*used, self.limit, HIGH)).count();
        self.points.len() >= FEWEST && high * 100 >= self.points.len() * THROUGHOUT
    }

    /// How long until a steady rise reaches the limit.
    fn reaches(&self) -> Option<Millis> {
        (self.limit > 0).then(|| trend::reaches(&self.points, self.limit)).flatten()
    }
}

fn over(used: u64, limit: u64, percent: u64) -> bool {
    limit > 0 && used.saturating_mul(100) > limit.saturating_mul(percent)
}

/// What decides at once: full for longer than the grace, or about to be.
pub(super) fn bad(
    figures: &Figures,
    before: &Sample,
    now: Millis,
    grace_ms: Millis,
    left_ms: Millis,
) -> Option<(Problem, DataDoubt)> {
    figures.resources.iter().find_map(|((name, resource), series)| {
        let used = series.last().filter(|used| over(*used, series.limit, NEARLY_FULL))?;
        let was = before.amount(name, *resource).map_or(0, |amount| amount.highest);
        if *resource == Resource::Cpu || over(was, series.limit, NEARLY_FULL) {
            return None;
        }
        let full = series.full_since.filter(|since| now >= since + grace_ms);
        let what = match (full, series.reaches()) {
            (Some(since), _) => {
                let seconds = (now - since) / 1000;
                format!(
                    "{name} uses more than {FULL} % of its limit of {} for {seconds} s",
                    resource.describe()
                )
            }
            (None, Some(left)) if left <= left_ms => {
                format!("{name} will reach its limit of {} in about {}", resource.describe(), span(left))
            }
            _ => return None,
        };
        Some((problem(*resource, what, used, series.limit, was), DataDoubt::Unrelated))
    })
}

/// What decides at the end of the window: high throughout, or rising so that the limit is reached soon.
pub(super) fn last(figures: &Figures, before: &Sample, now: Millis) -> Option<(Problem, DataDoubt)> {
    figures.resources.iter().find_map(|((name, resource), series)| {
        let was = before.amount(name, *resource).unwrap_or_default();
        let used = series.last()?;
        let what = if series.throughout() && !over(was.typical, series.limit, HIGH) {
            format!("{name} used more than {HIGH} % of its {} throughout", resource.describe())
        } else {
            let left = rising(*resource, series, was, now)?;
            format!(
                "{} of {name} rises steadily and will reach its limit in about {}",
                resource.describe(),
                span(left)
            )
        };
        Some((problem(*resource, what, used, series.limit, was.highest), DataDoubt::Unrelated))
    })
}

/// A steady rise beyond what was seen before that reaches the limit as far ahead as can be told.
fn rising(resource: Resource, series: &Series, was: Amount, now: Millis) -> Option<Millis> {
    let used = series.last()?;
    let beyond = used.saturating_mul(100) > was.highest.saturating_mul(BEYOND);
    if resource == Resource::Cpu || !beyond {
        return None;
    }
    series.reaches().filter(|left| *left <= trend::horizon(now))
}

/// Worth reporting although it decided nothing.
pub(super) fn remarks(figures: &Figures, before: &Sample) -> Vec<String> {
    let high = figures.resources.iter().filter_map(|((name, resource), series)| {
        let amount = series.amount();
        let was = before.amount(name, *resource).unwrap_or_default();
        // Processor time is there to be used; a peak says nothing.
        let worth = *resource != Resource::Cpu
            && over(amount.highest, series.limit, HIGH)
            && !over(was.highest, series.limit, HIGH);
        let (used, limit) = (resource.amount(amount.highest), resource.amount(series.limit));
        worth.then(|| format!("{name} used {used} of {limit} of its {}", resource.describe()))
    });
    high.collect()
}

/// Disks that fill up: never the version's fault for certain, and always worth a look.
pub(super) fn rooms(figures: &Figures, now: Millis) -> Vec<String> {
    let scarce = figures.rooms.iter().filter_map(|(mount, series)| {
        let (first, used) = (series.points.first()?.1, series.last()?);
        let free = series.limit.saturating_sub(used) >> 20;
        if over(used, series.limit, 100 - SCARCE) && !over(first, series.limit, 100 - SCARCE) {
            return Some(format!("the disk of {mount} has only {free} MiB left"));
        }
        let left = series.reaches().filter(|left| *left <= trend::horizon(now))?;
        Some(format!(
            "the disk of {mount} fills up: at this rate it is full in about {}, {free} MiB are left",
            span(left)
        ))
    });
    scarce.collect()
}

fn problem(resource: Resource, what: String, used: u64, limit: u64, was: u64) -> Problem {
    let code = match resource {
        Resource::Memory => "version-memory",
        Resource::Cpu => "version-cpu",
        Resource::Pids => "version-pids",
        Resource::Files => "version-files",
    };
    let figures = format!("{} of {}", resource.amount(used), resource.amount(limit));
    let before =
        if was == 0 { "not measured".to_owned() } else { format!("at most {}", resource.amount(was)) };
    let problem = Problem::new(code, what).because(figures).because(format!("before the update: {before}"));
    match resource {
        Resource::Memory => problem.advise("if it needs that much, raise its memory limit; without a limit of its own, the host's memory is the limit"),
        Resource::Cpu => problem.advise("if it needs that much, raise its limit of processor time, or watch it for longer"),
        Resource::Pids => problem.advise("if it needs that many, raise `pids_limit`"),
        Resource::Files => problem.advise("if it needs that many, raise `ulimits.nofile`"),
    }
}

/// For people, roughly.
fn span(millis: Millis) -> String {
    match millis / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests;
