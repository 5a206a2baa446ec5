//! One probe: how it answered so far, and when that is bad.

use super::{Expectation, Millis, Mode, Patience, Place};
use crate::problem::Problem;
use crate::verdict::DataDoubt;

#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    failing_since: Option<Millis>,
    in_a_row: u32,
    failures: u32,
    ever_ok: bool,
    last: String,
}

impl Probe {
    pub fn see(&mut self, at: Millis, ok: bool, detail: String) {
        self.last = detail;
        if ok {
            self.failing_since = None;
            self.in_a_row = 0;
            self.ever_ok = true;
        } else {
            self.failing_since.get_or_insert(at);
            self.in_a_row += 1;
            self.failures += u32::from(self.ever_ok);
        }
    }

    pub fn answers(&self) -> bool {
        self.ever_ok && self.failing_since.is_none()
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
        let apart = place == Place::Outside && others && expected.inside;
        let doubt = if apart { DataDoubt::Unrelated } else { DataDoubt::Possible };
        Some((Problem::new("version-no-answer", what).because(&self.last), doubt))
    }

    pub fn remarks(&self, place: Place) -> Option<String> {
        (self.failures > 0).then(|| format!("{} missed answer(s) {}", self.failures, describe(place)))
    }

    pub fn evidence(&self, place: Place) -> String {
        format!(
            "asked {}: {}",
            describe(place),
            if self.last.is_empty() { "nothing yet" } else { &self.last }
        )
    }
}

pub(super) fn describe(place: Place) -> &'static str {
    match place {
        Place::Inside => "from inside",
        Place::Outside => "from outside",
    }
}
