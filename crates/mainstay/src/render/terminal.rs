//! For people: a line a step, colours and a progress bar on a terminal, plain lines when piped.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use mainstay_core::diagnosis::Diagnosis;
use mainstay_core::event::{Entry, Event, Outcome, Progress};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{Kind, Plan};
use mainstay_core::step::{Phase, Step};
use mainstay_core::time::Timestamp;
use mainstay_runner::Observer;

use super::{Ending, Show, table, words};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Writes to standard output; progress bars go to standard error.
#[derive(Debug, Default)]
pub struct Terminal {
    phase: Option<Phase>,
    step_began: Option<Timestamp>,
    bar: Bar,
    plan: Option<Box<Plan>>,
}

/// The line that moves, if there is one. Whoever asks a question takes it away.
#[derive(Clone, Debug, Default)]
struct Bar(Arc<Mutex<Option<ProgressBar>>>);

impl Bar {
    fn lock(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, bar: Option<ProgressBar>) {
        *self.lock() = bar;
    }

    fn clear(&self) {
        if let Some(bar) = self.lock().take() {
            bar.finish_and_clear();
        }
    }
}

/// A line on standard error that moves, if that is a terminal.
fn bar(name: &'static str) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_message(name);
    bar.enable_steady_tick(Duration::from_millis(120));
    Some(bar)
}

impl Terminal {
    fn line(&self, text: &str) {
        let write = || {
            // A closed pipe must not stop a run in the middle: what can't be shown is still in the journal.
            let _ = writeln!(anstream::stdout().lock(), "{text}");
        };
        match &*self.bar.lock() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn lines(&self, lines: &[String]) {
        for line in lines {
            self.line(line);
        }
    }

    fn begin(&mut self, step: Step, at: Timestamp) {
        // A backup that stops the service starts it again, which is no way back.
        let backup = self.plan.as_ref().is_some_and(|p| p.kind == Kind::Backup);
        let phase = match step.phase() {
            Phase::RollBack if backup => Phase::BackUp,
            phase => phase,
        };
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            self.line(&format!("{BOLD}{phase}{BOLD:#}"));
        }
        self.step_began = Some(at);
        self.bar.set(bar(step.name()));
    }

    fn end(&mut self, step: Step, outcome: &Outcome, at: Timestamp) {
        self.bar.clear();
        let took = self.step_began.take().map_or(String::new(), |began| words::millis(at.since(began)));
        match outcome {
            Outcome::Done { fact } => {
                let remarks = words::fact(fact);
                let tail =
                    if remarks.is_empty() { String::new() } else { format!(": {}", remarks.join(", ")) };
                self.line(&format!("  {GOOD}✓{GOOD:#} {}{tail} {DIM}· {took}{DIM:#}", words::step(step)));
                for line in words::figures(fact) {
                    self.line(&format!("    {DIM}{line}{DIM:#}"));
                }
            }
            Outcome::Failed { failure } => {
                self.line(&format!("  {BAD}✗ {step}{BAD:#} {DIM}· {took}{DIM:#}"));
                for line in words::problem(&failure.problem) {
                    self.line(&format!("    {line}"));
                }
                for line in &failure.evidence {
                    self.line(&format!("    {DIM}seen     {line}{DIM:#}"));
                }
                for diagnosis in &failure.diagnosis {
                    self.found("    ", diagnosis);
                }
            }
        }
    }

    fn found(&self, indent: &str, diagnosis: &Diagnosis) {
        self.line(&format!("{indent}{ODD}! {}{ODD:#} {DIM}[{}]{DIM:#}", diagnosis.what, diagnosis.id));
        for line in &diagnosis.evidence {
            self.line(&format!("{indent}  {DIM}seen     {line}{DIM:#}"));
        }
        for advice in &diagnosis.advice {
            self.line(&format!("{indent}  do next  {advice}"));
        }
    }

    fn finding(&self, finding: &Finding) {
        let (style, mark) = match finding.severity {
            Severity::Note => (DIM, "·"),
            Severity::Warning => (ODD, "!"),
            Severity::Required => (BAD, "✗"),
        };
        self.line(&format!("  {style}{mark} {}{style:#} {DIM}[{}]{DIM:#}", finding.message, finding.check));
        for line in &finding.evidence {
            self.line(&format!("    {DIM}seen     {line}{DIM:#}"));
        }
        if let Some(advice) = &finding.advice {
            self.line(&format!("    do next  {advice}"));
        }
    }
}

impl Observer for Terminal {
    fn entry(&mut self, entry: &Entry) {
        match &entry.event {
            Event::RunStarted { plan } => self.plan = Some(plan.clone()),
            Event::StepStarted { step } => self.begin(*step, entry.at),
            Event::StepEnded { step, outcome } => self.end(*step, outcome, entry.at),
            // Shown when it was seen.
            Event::Observed { .. } | Event::Unknown => {}
            Event::Interrupted { signal } => {
                self.line(&format!(
                    "{ODD}{signal}: stopping in order; the service is not left half done{ODD:#}"
                ));
            }
            Event::Resumed => self.line(&format!("{ODD}going on with a run that was cut off{ODD:#}")),
            Event::RunEnded { conclusion } => {
                let Some(plan) = &self.plan else { return };
                let style = match conclusion.exit_code() {
                    0 => GOOD,
                    1 | 5 => BAD,
                    _ => ODD,
                };
                for (n, line) in words::conclusion(plan, conclusion).iter().enumerate() {
                    self.line(&if n == 0 { format!("{style}{line}{style:#}") } else { line.clone() });
                }
            }
        }
    }

    fn progress(&mut self, progress: &Progress) {
        // Outside of a run no step has begun.
        if self.step_began.is_none() && self.bar.lock().is_none() {
            self.bar.set(bar(progress.step.name()));
        }
        if let Some(bar) = &*self.bar.lock() {
            bar.set_message(format!("{}: {}", progress.step, words::progress(progress)));
        }
    }

    fn observed(&mut self, finding: &Finding) {
        self.finding(finding);
    }
}

impl Show for Terminal {
    fn plan(&mut self, plan: &Plan, run: Option<&str>, estimate: &[String]) {
        let run = run.map(|run| format!(" {DIM}run {run}{DIM:#}")).unwrap_or_default();
        self.line(&format!("{BOLD}{} {}{BOLD:#}{run}", plan.kind.word(), plan.unit.id()));
        self.lines(&words::plan(plan, estimate));
        self.findings(&plan.findings);
        self.plan = Some(Box::new(plan.clone()));
    }

    fn findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            self.finding(finding);
        }
    }

    fn diagnosis(&mut self, found: &[Diagnosis]) {
        for diagnosis in found {
            self.found("  ", diagnosis);
        }
    }

    fn table(&mut self, _: &str, heading: &[&str], rows: &[Vec<String>]) {
        for (n, line) in table::lines(heading, rows).iter().enumerate() {
            self.line(&if n == 0 { format!("{BOLD}{line}{BOLD:#}") } else { line.clone() });
        }
    }

    fn progress_ended(&mut self) {
        self.bar.clear();
    }

    fn say(&mut self, text: &str) {
        self.line(text);
    }

    fn clear_the_way(&self) -> Option<Box<dyn Fn() + Send + Sync>> {
        let bar = self.bar.clone();
        Some(Box::new(move || bar.clear()))
    }

    fn ended(&mut self, ending: &Ending<'_>) {
        let Some(problem) = ending.problem else { return };
        let write = |text: String| {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        };
        for (n, line) in words::problem(problem).iter().enumerate() {
            write(if n == 0 { format!("{BAD}error{BAD:#}: {line}") } else { line.clone() });
        }
        if let Some(service) = ending.service {
            write(format!("  state    {service}"));
        }
    }
}
