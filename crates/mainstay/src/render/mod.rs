//! Renderers: they depend on events, never the reverse.
//!
//! [`words`] turns plans, steps, facts and findings into lines of text; [`terminal`] gives them colours and
//! progress bars; [`json`] writes one event a line. Nothing else in mainstay prints.

pub mod json;
pub mod table;
pub mod terminal;
pub mod words;

use mainstay_core::diagnosis::Diagnosis;
use mainstay_core::finding::Finding;
use mainstay_core::plan::Plan;
use mainstay_core::problem::{Problem, ServiceState};
use mainstay_runner::Observer;

/// How a command that was refused, or that failed before a run, ends.
#[derive(Debug)]
pub struct Ending<'a> {
    /// One word: `refused`, `failed`, `done`, …
    pub word: &'a str,
    /// The exit status that the process is about to have.
    pub exit_code: u8,
    /// Why, if it is not good.
    pub problem: Option<&'a Problem>,
    /// In what state the service is, where the command was about one.
    pub service: Option<ServiceState>,
}

/// Somebody who shows what happens.
pub trait Show: Observer {
    /// The plan of a run, before it begins.
    fn plan(&mut self, plan: &Plan, run: Option<&str>, estimate: &[String]);
    /// What a check found, outside of a run.
    fn findings(&mut self, findings: &[Finding]);
    /// What is the matter with a service, outside of a run.
    fn diagnosis(&mut self, found: &[Diagnosis]);
    /// A listing: rows of cells, the first one the heading. `name` and the heading name the JSON's keys.
    fn table(&mut self, name: &str, heading: &[&str], rows: &[Vec<String>]);
    /// Work outside of a run, whose progress was shown, has ended.
    fn progress_ended(&mut self);
    /// A remark.
    fn say(&mut self, text: &str);
    /// What has to be done before somebody else writes on the terminal in the middle of a step; `None` where nobody may.
    fn clear_the_way(&self) -> Option<Box<dyn Fn() + Send + Sync>> {
        None
    }
    /// The end of the command.
    fn ended(&mut self, ending: &Ending<'_>);
}
