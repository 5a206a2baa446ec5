//! Functional checks: what the operator wants asked of a service, beyond whether it answers.
//!
//! Invariant: a check that was bad before the update can't condemn, and what it counts or complains of is compared
//! with what it was before. A plan has checks as they may be shown; what is really sent, which may hold a secret, lies
//! in the run's directory. It asks nothing itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::baseline::Measured;
use crate::verdict::DataDoubt;

mod bounds;
mod page;

pub use bounds::Bounds;
pub use page::{Page, new_errors};

/// What users may leave of what a profile counts, while a version is watched.
const LEFT_TO_USERS: f64 = 0.5;

/// A functional check, as the plan has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The service whose check it is.
    pub service: String,
    /// Its name; no other check of the unit has it.
    pub name: String,
    /// What kind of check it is.
    pub kind: Kind,
    /// Whether a failure decides. A failure of one that is only wanted is reported.
    pub required: bool,
    /// What is asked, for people, without secrets.
    pub shown: String,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often it is asked while the version is watched, in milliseconds; `None`: as often as probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// What the figure may be afterwards, where the check gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<Bounds>,
    /// What it said when the plan was made.
    #[serde(default)]
    pub before: Before,
    /// The profile that it is of; `None` for one that the operator wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Its position among the plan's checks; names what is stored.
    pub index: usize,
}

/// The kinds of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An HTTP request, inside the network or as users send it.
    Http,
    /// A command in the container.
    Command,
    /// A command on this host.
    HostCommand,
    /// A page in a real browser.
    Browser,
    /// A question to the operator.
    Question,
}

impl Kind {
    /// For people: the word of `mainstay.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Command => "command",
            Self::HostCommand => "host_command",
            Self::Browser => "browser",
            Self::Question => "question",
        }
    }
}

/// What a check said of the old version, when the plan was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "was")]
pub enum Before {
    /// Nobody asked: questions are for the new version alone.
    #[default]
    NotAsked,
    /// It was good.
    Good {
        /// What it counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        figure: Option<f64>,
    },
    /// It was bad already.
    Bad,
}

impl Check {
    /// Whether a failure of a new version, or of the old one on its way back, decides.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.required && self.before != Before::Bad
    }

    /// The check while a version is watched. Users change then what a figure counts, and a profile knows nothing of them: its
    /// figure is bad only where most of what was there is gone, and decides only if it doesn't fall that far by itself.
    #[must_use]
    pub fn watched(mut self) -> Self {
        if let (Some(_), Some(bounds)) = (&self.profile, &mut self.figure) {
            self.required &= bounds.min_ratio.is_some_and(|ratio| ratio > LEFT_TO_USERS);
            bounds.min_ratio = bounds.min_ratio.map(|ratio| ratio.min(LEFT_TO_USERS));
        }
        self
    }

    /// Where the run's directory keeps what is really asked.
    #[must_use]
    pub fn stored(&self) -> PathBuf {
        Path::new("checks").join(self.index.to_string())
    }

    /// Where the run's directory keeps the picture of a page: `when` is `before`, `new` or `old`.
    #[must_use]
    pub fn screenshot(&self, when: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = self.name.chars().map(plain).take(40).collect();
        Path::new("screenshots").join(format!("{}-{name}-{when}.png", self.index))
    }
}

/// What came of asking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Whether it was as the check expects, apart from what can only be told by comparing.
    pub good: bool,
    /// What came back, for people, without secrets.
    pub detail: String,
    /// What it counted, where that was asked for.
    pub figure: Option<f64>,
    /// What a page complained of: errors on its console, exceptions, requests that failed.
    pub complaints: Vec<String>,
    /// It is not asked again: the operator has answered.
    pub last: bool,
    /// It says nothing about the service: asking was disturbed.
    pub void: bool,
}

/// An answer, compared with what was before.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Whether it is good.
    pub good: bool,
    /// What was seen, for people.
    pub detail: String,
    /// What a bad one says about the data.
    pub doubt: DataDoubt,
    /// Whether no other answer is going to come.
    pub last: bool,
    /// It is good, and somebody should look at it all the same.
    pub odd: bool,
}

/// Compares an answer with what the old version said, when the plan was made and just before the cutover.
#[must_use]
pub fn judge(check: &Check, measured: Option<&Measured>, answer: Answer) -> Judged {
    let mut judged = Judged {
        good: answer.good,
        detail: answer.detail,
        doubt: DataDoubt::Possible,
        last: answer.last,
        odd: false,
    };
    if let (true, Some(bounds), Some(now)) = (judged.good, &check.figure, answer.figure) {
        let (fits, detail) = bounds.judge(&figures_before(check, measured), now);
        judged.good = fits.is_ok();
        judged.odd = fits == Ok(bounds::Fit::Odd);
        judged.detail = detail;
        // A figure that fell is what data that is gone looks like.
        judged.doubt = DataDoubt::Certain;
    }
    // Without a page from before nobody can say what is new.
    let page = measured.and_then(|m| m.pages.iter().find(|page| page.check == check.name));
    if let (true, Some(page)) = (judged.good, page) {
        let new = new_errors(&page.complaints, &answer.complaints);
        if let Some(first) = new.first() {
            judged.good = false;
            let more = if new.len() > 1 { format!(" (and {} more)", new.len() - 1) } else { String::new() };
            judged.detail = format!("not there before the update: {first}{more}");
        }
    }
    judged
}

/// What the check counted of the old version, oldest first.
fn figures_before(check: &Check, measured: Option<&Measured>) -> Vec<f64> {
    let planned = match check.before {
        Before::Good { figure } => figure,
        Before::NotAsked | Before::Bad => None,
    };
    let own = measured.and_then(|m| m.figures.iter().find(|figure| figure.check == check.name));
    planned.into_iter().chain(own.map(|figure| figure.value)).collect()
}

#[cfg(test)]
mod tests;
