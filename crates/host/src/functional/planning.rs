//! Functional checks in the plan: which there are, and what each says of the version that runs now.
//!
//! A check that is bad already can't condemn a new version; a finding says so. Questions aren't asked beforehand. A profile's check
//! that is bad is none at all: what it takes for granted is not so here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::future::join_all;
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::functional::{Answer, Before, Check};
use mainstay_core::plan::{Plan, Probes};
use mainstay_core::problem::Problem;

use super::spec::{Ask, Spec, Target};
use super::{Place, ask};
use crate::discover::Found;
use crate::engine::Engine;
use crate::survey::Hidden;

const ID: &str = "functional";

/// The functional checks of a project's services.
#[derive(Clone, Debug, Default)]
pub struct CheckWishes {
    /// Services that are named.
    pub by_service: BTreeMap<String, Vec<Spec>>,
    /// All others.
    pub others: Vec<Spec>,
}

/// A check that the profile of a service's image has.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) service: String,
    pub(crate) profile: &'static str,
    pub(crate) spec: Spec,
}

/// A check that was asked before anything is changed.
#[derive(Debug)]
pub struct Planned {
    /// As the plan has it.
    pub check: Check,
    /// What it said; `None` for a question.
    pub answer: Option<Answer>,
    spec: Spec,
}

impl Planned {
    /// Whether it is the service's check of this name.
    pub(crate) fn is(&self, service: &str, name: &str) -> bool {
        self.check.service == service && self.spec.name == name
    }

    /// Whether it was good.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self.check.before, Before::Good { .. })
    }

    /// What came back, for people.
    pub(crate) fn said(&self) -> &str {
        self.answer.as_ref().map_or("it was not asked", |answer| &answer.detail)
    }

    /// What it says against an update.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let answer = self.answer.as_ref().filter(|_| self.check.before == Before::Bad)?;
        let severity = if self.check.required { Severity::Warning } else { Severity::Note };
        let name = &self.check.name;
        let message =
            format!("the check {name} fails before the update: it can't tell whether a new version is good");
        let advice = format!("mend the service, or `name = \"{name}\"` in mainstay.toml");
        Some(Finding::new(ID, severity, message).evidence(&answer.detail).advice(advice))
    }
}

/// Asks the checks of the services in `unit`, all at once, and those that profiles have where the operator has none of the same
/// name. Returned beside them are those of profiles that are not good.
///
/// # Errors
///
/// `config-invalid` for a check that can't be asked at all.
pub(crate) async fn look(
    engine: &Engine,
    found: &Found,
    unit: &[String],
    wishes: &CheckWishes,
    known: &[Known],
    probes: &Probes,
) -> Result<(Vec<Planned>, Vec<Planned>), Problem> {
    let mut own = Vec::new();
    for service in unit {
        let specs = wishes.by_service.get(service).unwrap_or(&wishes.others);
        own.extend(specs.iter().map(|spec| (service, complete(spec, service, probes), None)));
        let hidden = |known: &Known| specs.iter().any(|spec| spec.name == known.spec.name);
        let rest = known.iter().filter(|known| known.service == *service && !hidden(known));
        own.extend(rest.map(|known| (service, known.spec.clone(), Some(known.profile))));
    }
    let mut asked = Vec::new();
    for (service, spec, profile) in &own {
        usable(service, spec)?;
        let shared = own.iter().filter(|(_, other, _)| other.name == spec.name).count() > 1;
        let name = if shared { format!("{} of {service}", spec.name) } else { spec.name.clone() };
        let place = Place {
            engine: engine.clone(),
            project: found.project.clone(),
            service: (*service).clone(),
            operator: None,
            screenshot: None,
        };
        asked.push(planned(place, spec.clone(), name, *profile));
    }
    let of_use = |planned: &Planned| planned.check.profile.is_none() || planned.is_good();
    let (mut good, bad): (Vec<_>, Vec<_>) = join_all(asked).await.into_iter().partition(of_use);
    for (index, planned) in good.iter_mut().enumerate() {
        planned.check.index = index;
    }
    Ok((good, bad))
}

async fn planned(place: Place, spec: Spec, name: String, profile: Option<&str>) -> Planned {
    let answer = match spec.ask {
        Ask::Question { .. } => None,
        _ => Some(ask(&place, &spec).await),
    };
    let bounds = spec.figure.as_ref().map(|figure| figure.bounds.clone());
    let allowed = |answer: &Answer| answer.figure.zip(bounds.as_ref()).is_none_or(|(f, b)| b.allows(f));
    let before = match &answer {
        None => Before::NotAsked,
        Some(answer) if answer.void => Before::NotAsked,
        Some(answer) if answer.good && allowed(answer) => Before::Good { figure: answer.figure },
        Some(_) => Before::Bad,
    };
    let check = Check {
        service: place.service,
        name,
        kind: spec.kind(),
        required: spec.required,
        shown: spec.shown(),
        timeout_ms: spec.timeout_ms,
        every_ms: spec.every_ms,
        figure: bounds,
        before,
        profile: profile.map(str::to_owned),
        index: 0,
    };
    Planned { check, answer, spec }
}

/// With the port that the service was found to listen on, where the check names none, and the address and authority
/// by which its URL is asked.
fn complete(spec: &Spec, service: &str, probes: &Probes) -> Spec {
    let mut spec = spec.clone();
    let target: &mut Target = match &mut spec.ask {
        Ask::Http(http) => &mut http.target,
        Ask::Browser(browser) => &mut browser.target,
        _ => return spec,
    };
    if target.inside() {
        let known = probes.inside.as_ref().filter(|probe| probe.service == service).map(|probe| probe.port);
        target.port = target.port.or(known);
    } else if let Some(outside) = &probes.outside {
        target.ca = target.ca.take().or_else(|| outside.ca.clone());
        let same = |a: &str, b: &str| {
            let host =
                |url: &str| url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
            host(a) == host(b)
        };
        target.resolve = target.resolve.or(outside.resolve.filter(|_| same(&target.at, &outside.url)));
    }
    spec
}

fn usable(service: &str, spec: &Spec) -> Result<(), Problem> {
    let target = match &spec.ask {
        Ask::Http(http) => Some(&http.target),
        Ask::Browser(browser) => Some(&browser.target),
        _ => None,
    };
    let portless = target.is_some_and(|target| target.inside() && target.port.is_none());
    let fault = match spec.check() {
        Err(why) => Some(why),
        Ok(()) if portless => Some(format!("the port that {service} listens on inside is not known")),
        Ok(()) => None,
    };
    let Some(why) = fault else { return Ok(()) };
    let what = format!("the check {} of {service} can't be asked", spec.name);
    let problem = Problem::new("config-invalid", what).because(why);
    Err(if portless { problem.advise("say it: `port = …` with the check") } else { problem }
        .advise("`mainstay config-schema` prints what can stand there"))
}

/// Puts the checks into the plan as they may be shown; returned is what they really ask.
pub(crate) fn add(plan: &mut Plan, checks: Vec<Planned>) -> Vec<(PathBuf, Hidden<Vec<u8>>)> {
    let mut stored = Vec::new();
    for planned in checks {
        let bytes = serde_json::to_vec(&planned.spec).unwrap_or_default();
        stored.push((planned.check.stored(), Hidden(bytes)));
        plan.checks.push(planned.check);
    }
    stored
}
