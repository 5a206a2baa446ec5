//! Whether a series rises, how fast, and when it will reach a limit.
//!
//! Invariant: a series that has levelled off, or that goes up and down, does not rise. The slope is Theil's and Sen's: the
//! median of the slopes between all pairs of points, which up to 29 % of wild points can't move; whether it is more
//! than chance is asked by the test of Mann and Kendall. What it does not do: know what the numbers mean.
//!
//! - H. Theil, "A rank-invariant method of linear and polynomial regression analysis", 1950
//! - P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968
//! - H. B. Mann, "Nonparametric tests against trend", 1945

use super::Millis;

/// One point: when, and how much.
pub type Point = (Millis, u64);

/// A third of a series with fewer points than these says nothing: five can't be significant at all.
const FEWEST: usize = 6;
/// More points than these of a third are thinned out: every pair is looked at.
const MOST: usize = 150;
/// One in a hundred series without a trend looks like it has one.
const SIGNIFICANT: f64 = 2.326;
/// What grew steadily in the middle of the time and at its end this much slower has begun to level off. A logarithm
/// falls to 0.58, a square root to 0.77.
const LEVELLING: f64 = 0.7;
/// What is given back now and then goes up most of the time, too; what it falls to has to rise at least this much of
/// what the slope says.
const FLOOR: f64 = 0.5;
/// No further ahead than so many times what was seen: 24 hours for half an hour.
const FORESIGHT: u64 = 48;
/// And never further than this.
const FURTHEST: Millis = 24 * 3_600_000;

/// How far ahead a series that was observed for so long may be extended.
#[must_use]
pub fn horizon(observed: Millis) -> Millis {
    observed.saturating_mul(FORESIGHT).min(FURTHEST)
}

/// How long until a series that rises steadily reaches the limit; `None` if it doesn't rise, or levels off. The
/// first third is left out: programs that start take what they need.
#[must_use]
pub fn reaches(points: &[Point], limit: u64) -> Option<Millis> {
    let (first, last) = (points.first()?, points.last()?);
    let third = last.0.checked_sub(first.0)? / 3;
    let since = |at: Millis| points.partition_point(|(time, _)| *time < at);
    let (begin, turn) = (since(first.0 + third), since(first.0 + 2 * third));
    let (middle, late) = (thinned(&points[begin..turn]), thinned(&points[turn..]));
    if middle.len() < FEWEST || late.len() < FEWEST || !rises(&middle) || !rises(&late) {
        return None;
    }
    let (earlier, now) = (slope(&middle)?, slope(&late)?);
    let floors = to_float(floor(&late)) - to_float(floor(&middle));
    if now <= 0.0 || now < LEVELLING * earlier || floors < FLOOR * now * to_float(third) {
        return None;
    }
    let left = to_float(limit.saturating_sub(last.1)) / now;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and cut to a number that fits"
    )]
    Some(left.min(1e15) as Millis)
}

/// The median of the slopes between all pairs of points, a millisecond.
#[must_use]
pub fn slope(points: &[Point]) -> Option<f64> {
    let mut slopes: Vec<f64> = pairs(points)
        .filter(|((from, _), (to, _))| to > from)
        .map(|((from, a), (to, b))| (to_float(*b) - to_float(*a)) / to_float(to - from))
        .collect();
    let middle = slopes.len().checked_sub(1)? / 2;
    let even = slopes.len().is_multiple_of(2);
    let (_, median, after) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    let next = after.iter().copied().min_by(f64::total_cmp).filter(|_| even);
    Some(next.map_or(*median, |next| f64::midpoint(*median, next)))
}

/// Whether more pairs of points go up than chance explains.
#[must_use]
pub fn rises(points: &[Point]) -> bool {
    let up: f64 = pairs(points).map(|((_, a), (_, b))| f64::from(i8::from(b > a) - i8::from(b < a))).sum();
    let n = count(points.len());
    let mut values: Vec<u64> = points.iter().map(|(_, value)| *value).collect();
    values.sort_unstable();
    // Equal values make the sum smaller, and its variance too.
    let of = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let tied: f64 = values.chunk_by(|a, b| a == b).map(|equal| of(count(equal.len()))).sum();
    let variance = (of(n) - tied) / 18.0;
    variance > 0.0 && (up - 1.0) / variance.sqrt() > SIGNIFICANT
}

/// What one in ten points is below of.
fn floor(points: &[Point]) -> u64 {
    let mut values: Vec<u64> = points.iter().map(|(_, value)| *value).collect();
    values.sort_unstable();
    values.get(values.len() / 10).copied().unwrap_or(0)
}

fn pairs(points: &[Point]) -> impl Iterator<Item = (&Point, &Point)> {
    points.iter().enumerate().flat_map(|(n, a)| points[n + 1..].iter().map(move |b| (a, b)))
}

fn thinned(points: &[Point]) -> Vec<Point> {
    points.iter().step_by(points.len() / MOST + 1).copied().collect()
}

#[expect(clippy::cast_precision_loss, reason = "15 digits are enough for bytes and milliseconds")]
fn to_float(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "a number of points")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests;
