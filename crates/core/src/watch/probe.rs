//! One probe: how it answered so far, and when that is bad.

use std::collections::BTreeSet;

use super::{Expectation, Millis, Mode, Patience, Place};
use crate::problem::Problem;
use crate::verdict::DataDoubt;

/// Remarks that are kept.
const KEPT_REMARKS: usize = 3;

#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    failing_since: Option<Millis>,
    in_a_row: u32,
    failures: u32,
    ever_ok: bool,
    last: String,
    /// How long each good answer took.
    took: Vec<Millis>,
    remarks: BTreeSet<String>,
    /// Why it can't be asked at present, if it can't.
    unaskable: Option<String>,
}

impl Probe {
    pub fn see(&mut self, at: Millis, ok: bool, millis: Millis, detail: String) {
        self.last = detail;
        self.unaskable = None;
        if ok {
            self.took.push(millis);
            self.failing_since = None;
            self.in_a_row = 0;
            self.ever_ok = true;
        } else {
            // It was bad when it was asked, not only when a question without an answer was given up.
            self.failing_since.get_or_insert(at.saturating_sub(millis));
            self.in_a_row += 1;
            self.failures += u32::from(self.ever_ok);
        }
    }

    /// It can't be asked, which says nothing about the service.
    pub fn unaskable(&mut self, why: String) {
        (self.failing_since, self.in_a_row) = (None, 0);
        self.remark([format!("it could not be asked: {why}")]);
        self.unaskable = Some(why);
    }

    /// Keeps what is worth a remark, once each, and not without end.
    pub fn remark(&mut self, remarks: impl IntoIterator<Item = String>) {
        for remark in remarks {
            if self.remarks.len() < KEPT_REMARKS {
                self.remarks.insert(remark);
            }
        }
    }

    pub fn answers(&self) -> bool {
        self.unaskable.is_some() || (self.ever_ok && self.failing_since.is_none())
    }

    pub fn missing(&self, place: Place) -> String {
        let last = if self.last.is_empty() { "not asked yet" } else { &self.last };
        format!("no good answer {}: {last}", describe(place))
    }

    /// `others` says whether all other probes answer: an answer from inside and none from outside is no matter
    /// of the data.
    pub fn bad(
        &self,
        now: Millis,
        place: Place,
        expected: &Expectation,
        patience: Patience,
        others: bool,
    ) -> Option<(Problem, DataDoubt)> {
        let since = self.failing_since.filter(|_| expected.mode == Mode::Watch)?;
        if now < since + patience.grace_ms || self.in_a_row < patience.failures {
            return None;
        }
        let what = match (now - since) / 1000 {
            0 => format!("no good answer {}", describe(place)),
            seconds => format!("no good answer {} for {seconds} s", describe(place)),
        };
        let apart = place != Place::Inside && others && expected.inside;
        let doubt = if apart { DataDoubt::Unrelated } else { DataDoubt::Possible };
        Some((Problem::new("version-no-answer", what).because(&self.last), doubt))
    }

    pub fn remarks(&self, place: Place, answer_ms: Millis) -> Vec<String> {
        let from = describe(place);
        let mut remarks = Vec::new();
        if self.failures > 0 {
            remarks.push(format!("{} missed answer(s) {from}", self.failures));
        }
        let slow = self.took.iter().filter(|took| **took > answer_ms).count();
        if slow > 0 {
            let (all, slowest) = (self.took.len(), self.took.iter().max().copied().unwrap_or_default());
            remarks.push(format!(
                "{slow} of {all} answers {from} took longer than {}, the slowest {}",
                seconds(answer_ms),
                seconds(slowest)
            ));
        }
        remarks.extend(self.remarks.iter().map(|remark| format!("asked {from}: {remark}")));
        remarks
    }

    /// The last answer, if it was a good one.
    pub fn told(&self, place: Place) -> Option<String> {
        self.answers().then(|| self.evidence(place)).filter(|_| !self.last.is_empty())
    }

    pub fn evidence(&self, place: Place) -> String {
        format!(
            "asked {}: {}",
            describe(place),
            if self.last.is_empty() { "nothing yet" } else { &self.last }
        )
    }
}

fn seconds(millis: Millis) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

pub(super) fn describe(place: Place) -> &'static str {
    match place {
        Place::Inside => "from inside",
        Place::Outside => "from outside",
        Place::Neighbour => "from a neighbour in the network",
    }
}
