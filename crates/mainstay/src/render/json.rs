//! One JSON event a line, versioned; the last line is `run.ended` with the verdict and the exit status.

use std::io::Write as _;

use mainstay_core::diagnosis::Diagnosis;
use mainstay_core::event::{Entry, Event, Progress};
use mainstay_core::finding::Finding;
use mainstay_core::plan::Plan;
use mainstay_runner::Observer;
use serde_json::{Value, json};

use super::{Ending, Show};
use crate::exit::{DONE, WARNINGS};

/// The version of the lines' format.
const VERSION: u64 = 1;

/// Writes to standard output.
#[derive(Debug, Default)]
pub struct Json {
    ended: bool,
    /// The end of a run, which has to be the last line, while something is still done after it.
    last: Option<Value>,
}

impl Json {
    fn line(&mut self, mut value: Value) {
        value["v"] = VERSION.into();
        // A closed pipe must not stop a run in the middle: what can't be shown is still in the journal.
        let _ = writeln!(std::io::stdout().lock(), "{value}");
    }
}

impl Observer for Json {
    fn entry(&mut self, entry: &Entry) {
        let mut value = serde_json::to_value(entry).unwrap_or_default();
        if let Event::RunEnded { conclusion } = &entry.event {
            value["verdict"] = conclusion.word().into();
            value["exit_code"] = conclusion.exit_code().into();
            value["service"] = serde_json::to_value(conclusion.service()).unwrap_or_default();
            self.last = Some(value);
            return;
        }
        self.line(value);
    }

    fn progress(&mut self, progress: &Progress) {
        let mut value = serde_json::to_value(progress).unwrap_or_default();
        value["event"] = "progress".into();
        self.line(value);
    }

    fn observed(&mut self, _: &Finding) {
        // It comes as an entry when the step has ended.
    }
}

impl Show for Json {
    fn plan(&mut self, plan: &Plan, run: Option<&str>, estimate: &[String]) {
        self.line(json!({ "event": "plan", "run": run, "plan": plan, "estimate": estimate }));
    }

    fn findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            self.line(json!({ "event": "finding", "finding": finding }));
        }
    }

    fn diagnosis(&mut self, found: &[Diagnosis]) {
        for diagnosis in found {
            self.line(json!({ "event": "diagnosis", "diagnosis": diagnosis }));
        }
    }

    fn table(&mut self, name: &str, heading: &[&str], rows: &[Vec<String>]) {
        for row in rows {
            let mut value = json!({ "event": name });
            for (key, cell) in heading.iter().zip(row) {
                value[key.to_lowercase().replace(' ', "_")] = cell.as_str().into();
            }
            self.line(value);
        }
    }

    fn progress_ended(&mut self) {}

    fn say(&mut self, text: &str) {
        self.line(json!({ "event": "note", "text": text }));
    }

    fn ended(&mut self, ending: &Ending<'_>) {
        if let Some(mut value) = self.last.take() {
            // Nothing after a run makes it worse than this.
            if ending.exit_code == WARNINGS && value["exit_code"] == DONE {
                value["exit_code"] = WARNINGS.into();
                value["verdict"] = ending.word.into();
            }
            self.ended = true;
            self.line(value);
        } else if !self.ended {
            self.ended = true;
            self.line(json!({
                "event": "run.ended",
                "verdict": ending.word,
                "exit_code": ending.exit_code,
                "problem": ending.problem,
                "service": ending.service,
            }));
        }
    }
}
