//! `inside` and `url`: what the probes said before the update. The state before has to be good to be
//! comparable. One fault needs one `--force`: a certificate that is refused is the certificate check's to
//! report, and a container that does not run is `state`'s.

use mainstay_core::finding::{Finding, Severity};

use super::Input;
use crate::probes::Answer;
use crate::survey::Survey;

pub(super) const INSIDE: &str = "inside";
pub(super) const URL: &str = "url";

pub(super) fn inside(input: &Input<'_>) -> Vec<Finding> {
    let survey = input.survey;
    let Some(probe) = &survey.probes.inside else { return unknown(survey).into_iter().collect() };
    let Some(answer) = &input.asked.inside else { return Vec::new() };
    let service = &probe.service;
    let container = survey.of(service).and_then(|s| s.containers.first());
    if container.is_some_and(|c| c.status != "running") {
        return Vec::new();
    }
    let found = if answer.ok {
        poor(INSIDE, service, "inside its network", answer).map(|finding| {
            finding.advice(format!("name a path that answers 200: `path = …` for {service} in mainstay.toml"))
        })
    } else {
        let message = format!("{service} does not answer inside its network");
        let container = container.map_or(service.as_str(), |c| &c.name);
        Some(Finding::new(INSIDE, Severity::Required, message).advice(format!(
            "see what it listens on: `docker logs --tail 50 {container}`; where another port or path is right, \
             say so: `port = …`, `path = …` for {service} in mainstay.toml"
        )))
    };
    let seen =
        format!("port {} (from {}), path {}: {}", probe.port, probe.detected_from, probe.path, answer.detail);
    found.map(|f| f.evidence(seen)).into_iter().collect()
}

pub(super) fn url(input: &Input<'_>) -> Vec<Finding> {
    let (Some(probe), Some(answer)) = (&input.survey.probes.outside, &input.asked.outside) else {
        return Vec::new();
    };
    let untrusted = answer.certificate.as_ref().is_some_and(|c| c.trouble.is_some());
    if untrusted {
        return Vec::new();
    }
    let service = &input.survey.service;
    let shown = crate::probes::shown(&probe.url);
    let found = if answer.ok {
        poor(URL, service, &format!("at {shown}"), answer).map(|finding| {
            finding.advice("name a URL that answers 200: `--url URL`, or `url = …` in mainstay.toml")
        })
    } else {
        let message = format!("{service} does not answer at {shown}");
        Some(Finding::new(URL, Severity::Required, message).advice(format!(
            "see what its users get: `curl -sv {shown}`; where another URL is right, say so: `--url URL`, or \
             `url = …` in mainstay.toml"
        )))
    };
    let seen = format!("{shown} (from {}): {}", probe.detected_from, answer.detail);
    found.map(|f| f.evidence(seen)).into_iter().collect()
}

/// An answer that counts, but that a broken version may give as well.
fn poor(id: &str, service: &str, place: &str, answer: &Answer) -> Option<Finding> {
    let status = answer.status.filter(|s| *s >= 400)?;
    let message =
        format!("{service} answers {place} with HTTP {status}: no more can be expected of a new version");
    Some(Finding::new(id, Severity::Note, message))
}

/// Nobody can be asked; the worse where the container has no health check either.
fn unknown(survey: &Survey) -> Option<Finding> {
    if survey.probes.outside.is_some() || survey.containers().next().is_none() {
        return None;
    }
    let service = &survey.service;
    let checked = survey.containers().any(|(_, c)| c.health.is_some());
    let (severity, rest) = if checked {
        (Severity::Note, "its health check alone tells whether it works")
    } else {
        (
            Severity::Warning,
            "and no health check: whether a new version works can't be told from whether it runs",
        )
    };
    Some(
        Finding::new(
            INSIDE,
            severity,
            format!("{service} has no port or URL that it could be asked at; {rest}"),
        )
        .evidence("no exposed or published TCP port, no label or variable of a reverse proxy")
        .advice("say where it can be asked: `port = …` or `url = …` in mainstay.toml"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, answer, container};
    use super::*;
    use crate::survey::{ContainerFacts, HealthFacts};

    #[test]
    fn a_bad_answer_refuses_and_shows_what_came() {
        let mut case = Case::of(vec![container("web-1")]);
        case.asked.inside = Some(answer(false, None, "connection refused by 172.18.0.2:8080"));
        case.asked.outside = Some(answer(false, Some(502), "HTTP 502 in 3 ms"));
        let inside = case.check(inside).remove(0);
        assert_eq!(
            (inside.severity, inside.message.as_str()),
            (Severity::Required, "web does not answer inside its network")
        );
        assert_eq!(inside.evidence, ["port 8080 (from test), path /: connection refused by 172.18.0.2:8080"]);
        let url = case.check(url).remove(0);
        assert_eq!(url.severity, Severity::Required);
        assert!(url.evidence[0].contains("HTTP 502") && !format!("{url:?}").contains("hunter2"), "{url:?}");
    }

    #[test]
    fn what_does_not_run_is_for_the_state_to_report() {
        let mut case = Case::of(vec![ContainerFacts { status: "paused".into(), ..container("web-1") }]);
        case.asked.inside = Some(answer(false, None, "the container is paused"));
        assert_eq!(case.check(inside), []);
    }

    #[test]
    fn good_answers_are_silent_and_poor_ones_are_noted() {
        let mut case = Case::of(vec![container("web-1")]);
        assert_eq!((case.check(inside), case.check(url)), (vec![], vec![]), "nobody was asked");
        case.asked.inside = Some(answer(true, Some(200), "HTTP 200 in 3 ms"));
        case.asked.outside = Some(answer(true, Some(302), "HTTP 302 in 3 ms"));
        assert_eq!((case.check(inside), case.check(url)), (vec![], vec![]));
        case.asked.outside = Some(answer(true, Some(404), "HTTP 404 in 3 ms"));
        assert_eq!(case.check(url)[0].severity, Severity::Note);
    }

    #[test]
    fn a_service_that_nobody_can_ask_is_told() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.probes = Default::default();
        assert_eq!(case.check(inside)[0].severity, Severity::Warning);
        let health = Some(HealthFacts { status: "healthy".into(), ..HealthFacts::default() });
        case.survey.unit[0].containers = vec![ContainerFacts { health, ..container("web-1") }];
        assert_eq!(case.check(inside)[0].severity, Severity::Note);
    }
}
