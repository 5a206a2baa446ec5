//! Looks at a service as an update would: facts, answers of the probes, findings.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{InsideProbe, OutsideProbe, Probes, Protocol, Room};
use mainstay_core::problem::Problem;

use super::{Wishes, beside, profiles};
use crate::checks::{self, Asked, Wanted};
use crate::discover::{self, Found};
use crate::engine::Engine;
use crate::files::ImageCopies;
use crate::functional::{self, Planned};
use crate::probes::{self, Answer};
use crate::survey::{self, Options, Survey};

/// A question before the update may take this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug)]
pub struct Looked {
    /// Facts.
    pub survey: Survey,
    /// The probes that answered well, with what they answered: only these can judge a new version.
    pub probes: Probes,
    /// What else was asked; only where containers are going to be made again.
    pub checks: Vec<Planned>,
    /// What is needed on disks, and what there is.
    pub room: Vec<Room>,
    /// What the checks say, most severe first.
    pub findings: Vec<Finding>,
}

/// Surveys the unit, asks the probes and runs the checks.
///
/// # Errors
///
/// Those of the engine.
pub async fn look(
    engine: &Engine,
    found: &Found,
    unit: &[String],
    wishes: &Wishes,
    wanted: &Wanted,
) -> Result<Looked, Problem> {
    let options = Options { repository: wishes.repository.clone(), state: wishes.state.clone() };
    let mut survey = survey::survey(engine, found, &found.service, unit, &options).await?;
    let mut probes = wished(&survey.probes, &survey.service, wishes);
    let mut notes = Vec::new();
    let mut inside = ask_inside(engine, &survey, probes.inside.as_ref()).await;
    if let (Some(answer), Some(probe)) = (&inside, &mut probes.inside)
        && needs_tcp(answer, probe, wishes)
    {
        let as_tcp = InsideProbe { protocol: Protocol::Tcp, ..probe.clone() };
        if let Some(tcp) = ask_inside(engine, &survey, Some(&as_tcp)).await.filter(|a| a.ok) {
            notes.push(not_http(probe));
            *probe = as_tcp;
            inside = Some(tcp);
            probes.outside = probes.outside.filter(|o| !o.detected_from.starts_with("published port"));
        }
    }
    let outside = match &probes.outside {
        Some(probe) => Some(probes::outside(probe, PATIENCE).await),
        None => None,
    };
    let asked = Asked { inside, outside };
    let image_copies = image_copies(&survey, wishes, wanted);
    let wanted = Wanted { added_before: wishes.added_before, image_copies, ..wanted.clone() };
    let mut probes = with_baseline(probes, &asked);
    let mut checks = Vec::new();
    if wanted.recreate || wanted.backup {
        profiles::recognise(engine, &mut survey, &wishes.profiles, &wishes.hooks).await;
    }
    if wanted.recreate {
        let known = profiles::asked(&survey, true);
        let (good, bad) = functional::look(engine, found, unit, &wishes.checks, &known, &probes).await?;
        profiles::rely(&mut survey, &good);
        notes.extend(profiles::notes(&survey, &bad));
        checks = functional::numbered(profiles::relied_on(&survey, good));
    } else if wanted.backup {
        profiles::ready(engine, found, unit, &mut survey).await?;
    }
    let mut findings = checks::run(&survey, &asked, &wanted);
    findings.extend(notes);
    let room = checks::room(&survey, &wanted);
    if wanted.recreate {
        let (neighbour, untold) = beside::neighbour(engine, &survey, wishes, probes.inside.as_ref()).await?;
        let (dependents, left_out) = beside::dependents(engine, found, &survey, wishes).await?;
        (probes.neighbour, probes.dependents) = (neighbour, dependents);
        findings.extend(untold.into_iter().chain(left_out));
    }
    findings.extend(checks.iter().filter_map(Planned::finding));
    Ok(Looked { probes, survey, checks, room, findings })
}

/// Bytes that copies of the images that run may take, with a tenth for the archive around them; those that are there
/// take no more.
fn image_copies(survey: &Survey, wishes: &Wishes, wanted: &Wanted) -> u64 {
    let update = wanted.recreate && wanted.backup;
    let Some(state) = wishes.state.as_ref().filter(|_| wishes.keep_image_copy && update) else { return 0 };
    let copies = ImageCopies::of(state);
    let images = survey.unit.iter().filter_map(|service| service.image.as_ref());
    let images: BTreeMap<&str, u64> = images.map(|image| (image.id.as_str(), image.size)).collect();
    let new = images.into_iter().filter(|(id, _)| !copies.path(id).exists());
    new.map(|(_, size)| size.saturating_add(size / 10)).sum()
}

/// How a service can be asked, as far as its containers, and the operator, tell. Asks nobody.
///
/// # Errors
///
/// Those of the engine.
pub async fn detected(engine: &Engine, found: &Found, wishes: &Wishes) -> Result<Probes, Problem> {
    let listed = discover::list(engine).await?;
    let own = listed.iter().find(|l| l.project.name == found.project.name && l.service == found.service);
    let probes = match own {
        Some(listed) => survey::probes_of(engine, listed).await?,
        None => Probes::default(),
    };
    Ok(wished(&probes, &found.service, wishes))
}

/// The detected probes, with what the operator said instead.
pub(super) fn wished(detected: &Probes, service: &str, wishes: &Wishes) -> Probes {
    let mut probes = detected.clone();
    if let Some(port) = wishes.port {
        let protocol = if wishes.path.is_some() { Protocol::Http } else { survey::protocol(port) };
        let service = probes.inside.as_ref().map_or(service, |p| p.service.as_str()).to_owned();
        probes.inside = Some(InsideProbe {
            service,
            port,
            protocol,
            path: "/".to_owned(),
            detected_from: "the operator".to_owned(),
            baseline_status: None,
        });
    }
    if let (Some(path), Some(probe)) = (&wishes.path, &mut probes.inside) {
        probe.path.clone_from(path);
        probe.protocol = Protocol::Http;
    }
    match wishes.url.as_deref() {
        Some("none") => probes.outside = None,
        Some(url) => {
            probes.outside = Some(OutsideProbe {
                url: url.to_owned(),
                ca: None,
                resolve: None,
                resolver: None,
                detected_from: "the operator".to_owned(),
                baseline_status: None,
                baseline_redirect: None,
                baseline_http: None,
                baseline_certificate_ms: None,
            });
        }
        None => {}
    }
    if let Some(probe) = &mut probes.outside {
        probe.ca.clone_from(&wishes.ca);
        probe.resolve = wishes.resolve;
        probe.resolver = wishes.resolver;
    }
    probes
}

async fn ask_inside(engine: &Engine, survey: &Survey, probe: Option<&InsideProbe>) -> Option<Answer> {
    let probe = probe?;
    let container = survey.of(&probe.service)?.containers.iter().find(|c| c.running)?;
    Some(probes::inside(engine, &container.id, probe, PATIENCE).await)
}

/// HTTP was only a guess, and what answered, if anything, did not speak it.
fn needs_tcp(answer: &Answer, probe: &InsideProbe, wishes: &Wishes) -> bool {
    let guessed = wishes.path.is_none() && wishes.url.as_deref().is_none_or(|url| url == "none");
    !answer.ok && answer.status.is_none() && probe.protocol == Protocol::Http && guessed
}

fn not_http(probe: &InsideProbe) -> Finding {
    let message =
        format!("port {} of {} takes connections and does not speak HTTP", probe.port, probe.service);
    Finding::new("inside", Severity::Note, message)
        .advice("only the connection is tried; name a URL or path if there is something better to ask")
}

/// Probes that answered well, with their status; a probe that was bad before can't judge a new version.
fn with_baseline(probes: Probes, asked: &Asked) -> Probes {
    let good = |answer: &Option<Answer>| answer.as_ref().filter(|a| a.ok).map(|a| a.status);
    let inside = good(&asked.inside)
        .and_then(|status| probes.inside.map(|p| InsideProbe { baseline_status: status, ..p }));
    let outside = asked.outside.as_ref().filter(|answer| answer.ok);
    let outside = probes.outside.zip(outside).map(|(probe, answer)| OutsideProbe {
        baseline_status: answer.status,
        baseline_redirect: answer.figures.redirects.last().cloned(),
        baseline_http: answer.figures.http.clone(),
        baseline_certificate_ms: answer.certificate.as_ref().map(|c| c.not_after_ms),
        ..probe
    });
    Probes { inside, outside, ..Probes::default() }
}
