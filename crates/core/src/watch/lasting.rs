//! What figures say that only count when they last: now, at the end of the window, and for the report.
//!
//! Invariant: nothing is decided here that [`super::logs`], [`super::resources`] and [`super::latency`] don't say; this is the
//! order in which they are asked.

use super::check::Asked;
use super::container::Container;
use super::dependent::Dependent;
use super::{Judge, Judgement, Millis, Mode, Place, certificate, latency, resources};
use crate::baseline::Sample;
use crate::finding::{Finding, Severity};
use crate::problem::Problem;
use crate::verdict::{DataDoubt, Failure};

/// Figures that last are spoken of after this long, or a third of the window.
const WORRY: Millis = 600_000;

impl Judge {
    pub(super) fn figures_decide(&self, now: Millis) -> Option<(Problem, DataDoubt)> {
        if let Some(line) = &self.fatal {
            let problem = Problem::new("version-log-fatal", "its log shows a line that `log_fatal` names");
            let problem = problem
                .because(line)
                .advise("if a good version prints it, too, change `log_fatal` in mainstay.toml");
            return Some((problem, DataDoubt::Possible));
        }
        let expected = &self.expected;
        let left = expected.watch_ms.saturating_sub(now);
        let watching = expected.mode == Mode::Watch;
        watching
            .then(|| resources::bad(&self.figures, &expected.before, now, expected.grace_ms, left))
            .flatten()
    }

    /// What the end of the window says: figures that are only judged when they last.
    #[must_use]
    pub fn at_the_end(&self, now: Millis) -> Option<Failure> {
        if let Some(problem) = self.dependents.values().find_map(Dependent::never_well) {
            return Some(self.failure(problem, self.doubt_by_dependent()));
        }
        if let Some((problem, doubt)) = self.checks.iter().find_map(Asked::lasting) {
            return Some(self.failure(problem, doubt));
        }
        let (figures, before) = (&self.figures, &self.expected.before);
        let lasting = figures.logs.last(now);
        let lasting = lasting.or_else(|| resources::last(figures, before, now));
        let (problem, doubt) = lasting.or_else(|| latency::last(figures, before, now))?;
        Some(self.failure(problem, doubt))
    }

    /// What would decide if the window ended now, once enough of it is over to say so; for people.
    #[must_use]
    pub fn worry(&self, now: Millis) -> Option<String> {
        let enough = now >= WORRY.min(self.expected.watch_ms / 3) && self.expected.mode == Mode::Watch;
        let failure = enough.then(|| self.at_the_end(now)).flatten()?;
        Some(format!("if it stays so, it is rolled back at the end: {}", failure.problem.what))
    }

    /// Worth reporting although it did not decide, for people.
    #[must_use]
    pub fn remarks(&self, now: Millis) -> Vec<String> {
        // From outside alone: there it is of interest what was spoken.
        let outside = self.probes.get(&Place::Outside).and_then(|probe| probe.told(Place::Outside));
        let told = outside.into_iter().chain(self.checks.iter().filter_map(Asked::told));
        told.chain(self.trouble(now)).collect()
    }

    /// What was not as it should be.
    pub(super) fn trouble(&self, now: Millis) -> Vec<String> {
        let mut remarks: Vec<String> = self.containers.values().flat_map(Container::remarks).collect();
        let slow = self.expected.answer_ms;
        remarks.extend(self.probes.iter().flat_map(|(place, probe)| probe.remarks(*place, slow)));
        remarks.extend(self.dependents.values().flat_map(Dependent::remarks));
        remarks.extend(self.checks.iter().filter_map(Asked::recovered));
        remarks.extend(self.figures.logs.remarks(now));
        remarks.extend(resources::remarks(&self.figures, &self.expected.before));
        remarks
    }

    /// Worth a warning although it did not decide.
    #[must_use]
    pub fn warnings(&self, now: Millis) -> Vec<Finding> {
        let found =
            |check, advice| move |what: String| Finding::new(check, Severity::Warning, what).advice(advice);
        let alerts = self.figures.logs.alerts().into_iter();
        let alerts = alerts.map(found("log-alert", "a line that `log_alert` in mainstay.toml names"));
        let rooms = resources::rooms(&self.figures, now).into_iter();
        let rooms = rooms.map(found("disk-fills-up", "make room, or move the data"));
        let certificate = certificate::finding(self.certificate.as_ref(), self.expected.certificate_ms);
        self.checks.iter().filter_map(Asked::finding).chain(alerts).chain(rooms).chain(certificate).collect()
    }

    /// Whether everything was good all the time, and there is nothing to report: then no more is expected of waiting.
    #[must_use]
    pub fn calm(&mut self, now: Millis) -> bool {
        self.trouble(now).is_empty()
            && self.warnings(now).is_empty()
            && self.judge(now) == Judgement::Good
            && self.at_the_end(now).is_none()
    }

    /// The figures of the time until now.
    #[must_use]
    pub fn sample(&self, now: Millis) -> Sample {
        self.figures.sample(now)
    }
}
