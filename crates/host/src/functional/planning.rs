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
    let own = own(unit, wishes, known, probes);
    let mut asked = Vec::new();
    for (service, spec, profile) in &own {
        usable(service, spec)?;
        let name = name(service, spec, &own);
        let place = Place {
            engine: engine.clone(),
            project: found.project.clone(),
            service: service.clone(),
            operator: None,
            screenshot: None,
            one_at_a_time: profile.is_some(),
        };
        asked.push(planned(place, spec.clone(), name, *profile));
    }
    let of_use = |planned: &Planned| planned.check.profile.is_none() || planned.is_good();
    Ok(join_all(asked).await.into_iter().partition(of_use))
}

/// As a plan has them: each with its position.
pub(crate) fn numbered(mut checks: Vec<Planned>) -> Vec<Planned> {
    for (index, planned) in checks.iter_mut().enumerate() {
        planned.check.index = index;
    }
    checks
}

/// The checks of the services in `unit` where data is restored. What is about to be replaced isn't asked, and as there is no
/// second way, none decides; one that can't be asked is left out, and a finding says so.
pub(crate) fn unasked(
    unit: &[String],
    wishes: &CheckWishes,
    probes: &Probes,
) -> (Vec<Planned>, Vec<Finding>) {
    let (mut checks, mut findings) = (Vec::new(), Vec::new());
    let own = own(unit, wishes, &[], probes);
    for (service, spec, _) in &own {
        if matches!(spec.ask, Ask::Question { .. }) {
            continue;
        }
        if let Err(problem) = usable(service, spec) {
            let finding = Finding::new(ID, Severity::Warning, problem.what);
            findings.push(problem.causes.iter().fold(finding, Finding::evidence));
            continue;
        }
        let name = name(service, spec, &own);
        let spec = Spec { required: false, ..spec.clone() };
        let check = Check { index: checks.len(), ..check(service, &spec, name, None, Before::NotAsked) };
        checks.push(Planned { check, answer: None, spec });
    }
    (checks, findings)
}

/// A check, with its service and the profile that it is of, if it isn't the operator's.
type Own = (String, Spec, Option<&'static str>);

/// The operator's checks, and those of profiles whose names the operator has not used.
fn own(unit: &[String], wishes: &CheckWishes, known: &[Known], probes: &Probes) -> Vec<Own> {
    let mut all = Vec::new();
    for service in unit {
        let specs = wishes.by_service.get(service).unwrap_or(&wishes.others);
        all.extend(specs.iter().map(|spec| (service.clone(), complete(spec, service, probes), None)));
        let hidden = |known: &Known| specs.iter().any(|spec| spec.name == known.spec.name);
        let rest = known.iter().filter(|known| known.service == *service && !hidden(known));
        all.extend(rest.map(|known| (service.clone(), known.spec.clone(), Some(known.profile))));
    }
    all
}

/// A name that no other check of the unit has.
fn name(service: &str, spec: &Spec, all: &[Own]) -> String {
    let shared = all.iter().filter(|(_, other, _)| other.name == spec.name).count() > 1;
    if shared { format!("{} of {service}", spec.name) } else { spec.name.clone() }
}

fn check(service: &str, spec: &Spec, name: String, profile: Option<&str>, before: Before) -> Check {
    Check {
        service: service.to_owned(),
        name,
        kind: spec.kind(),
        required: spec.required,
        shown: spec.shown(),
        timeout_ms: spec.timeout_ms,
        every_ms: spec.every_ms,
        figure: spec.figure.as_ref().map(|figure| figure.bounds.clone()),
        before,
        profile: profile.map(str::to_owned),
        index: 0,
    }
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
    let check = check(&place.service, &spec, name, profile, before);
    Planned { check, answer, spec }
}

/// With the port that the service was found to listen on, where the check names none, and the address, DNS server and
/// authority by which its URL is asked.
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
        target.resolver = target.resolver.or(outside.resolver);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functional::Http;

    #[test]
    fn a_url_is_asked_as_the_service_is() {
        let outside = mainstay_core::plan::OutsideProbe {
            url: "https://app.test/".to_owned(),
            ca: Some("/ca.pem".into()),
            resolve: Some([127, 0, 0, 1].into()),
            resolver: Some(([127, 0, 0, 1], 53).into()),
            detected_from: String::new(),
            baseline_status: None,
            baseline_redirect: None,
            baseline_http: None,
            baseline_certificate_ms: None,
        };
        let probes = Probes { outside: Some(outside.clone()), ..Probes::default() };
        let completed = |at: &str| {
            let target = Target { at: at.to_owned(), ..Target::default() };
            let ask = Ask::Http(Box::new(Http { target, ..Http::default() }));
            let spec = Spec {
                name: "x".to_owned(),
                required: true,
                timeout_ms: 1,
                every_ms: None,
                figure: None,
                ask,
            };
            match complete(&spec, "app", &probes).ask {
                Ask::Http(http) => http.target,
                _ => panic!(),
            }
        };
        let own = completed("https://app.test/x");
        assert_eq!(
            (own.resolve, own.resolver, own.ca),
            (outside.resolve, outside.resolver, outside.ca.clone())
        );
        let other = completed("https://other.test/x");
        assert_eq!(
            (other.resolve, other.resolver),
            (None, outside.resolver),
            "the address is that of its host alone"
        );
        assert_eq!(completed("/x").resolver, None);
    }
}
