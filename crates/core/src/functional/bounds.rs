//! What a figure may be after an update, given what it was before.
//!
//! Where nothing is said it may not fall; a rise is reported, because users may have written meanwhile. It takes no
//! figure itself.

use serde::{Deserialize, Serialize};

/// Limits of a figure. Ratios are of what it was before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// It has to be exactly what it was.
    #[serde(default)]
    pub equal: bool,
    /// Not less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Not more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Not less than this part of what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ratio: Option<f64>,
    /// Not more than this multiple of what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ratio: Option<f64>,
}

/// How a figure fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// As it should.
    Well,
    /// Nothing forbids it, and it is not what it was.
    Odd,
}

impl Bounds {
    /// What is wrong with the limits themselves, if something is.
    ///
    /// # Errors
    /// For people.
    pub fn check(&self) -> Result<(), String> {
        let all = [self.at_least, self.at_most, self.min_ratio, self.max_ratio];
        if all.iter().flatten().any(|limit| !limit.is_finite()) {
            return Err("a limit of a figure has to be a number".to_owned());
        }
        if self.equal && all.iter().any(Option::is_some) {
            return Err("`equal` leaves no room for other limits".to_owned());
        }
        let crossed = |low: Option<f64>, high: Option<f64>| low.zip(high).is_some_and(|(l, h)| l > h);
        if crossed(self.at_least, self.at_most) || crossed(self.min_ratio, self.max_ratio) {
            return Err("the lower limit of a figure is above its upper limit".to_owned());
        }
        Ok(())
    }

    /// Whether they say by how much the figure may change.
    #[must_use]
    pub fn says_how_much(&self) -> bool {
        [self.at_least, self.at_most, self.min_ratio, self.max_ratio].iter().any(Option::is_some)
    }

    /// Whether a figure of the old version, that nothing can be compared with yet, is within the fixed limits.
    #[must_use]
    pub fn allows(&self, figure: f64) -> bool {
        self.at_least.is_none_or(|limit| figure >= limit) && self.at_most.is_none_or(|limit| figure <= limit)
    }

    /// Whether the figure `now` fits, and the figures for people. `before` is what the old version gave, oldest first.
    pub(super) fn judge(&self, before: &[f64], now: f64) -> (Result<Fit, ()>, String) {
        let was: Vec<String> = before.iter().map(ToString::to_string).collect();
        let mut detail = match was.last() {
            Some(last) => format!("{now}, before the update {last}"),
            None => format!("{now}, and nothing to compare it with"),
        };
        let (low, high) = (before.iter().copied().reduce(f64::min), before.iter().copied().reduce(f64::max));
        let (Some(low), Some(high)) = (low, high) else {
            return (if self.allows(now) { Ok(Fit::Well) } else { Err(()) }, detail);
        };
        let moved = low < high;
        if moved {
            detail = format!("{now}, before the update {low} to {high}");
        }
        let plain = *self == Self::default();
        let lower = match self.min_ratio {
            Some(ratio) => Some(low * ratio),
            None if self.equal || plain => Some(low),
            None => None,
        };
        // What moves by itself is not pinned by its users to what it was.
        let upper = match self.max_ratio {
            Some(ratio) => Some(high * ratio),
            None if self.equal && !moved => Some(high),
            None => None,
        };
        if !self.allows(now) || lower.is_some_and(|l| now < l) || upper.is_some_and(|u| now > u) {
            return (Err(()), detail);
        }
        (Ok(if plain && now > high && !moved { Fit::Odd } else { Fit::Well }), detail)
    }
}
