//! The profiles of a unit's images in its plan: what they ask, which of them are in force, what they run around a backup.
//!
//! Invariant: what a profile asks and the service does not answer well now is not in the plan, and a note says so.

use std::collections::BTreeMap;

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::functional::{Bounds, Kind};
use mainstay_core::plan::Probes;
use mainstay_core::problem::Problem;
use mainstay_core::profiles::{self, Live};

use super::{HookWish, HookWishes};
use crate::discover::Found;
use crate::engine::Engine;
use crate::functional::{self, Ask, CheckWishes, Command, Figure, Known, Planned, Spec, usual_limit_ms};
use crate::survey::{self, Hidden, ProfileFacts, ProfileWish, Survey};

/// The id of what is noted about a profile.
const ID: &str = "profile";
/// A figure is asked for so often while a version is watched, in milliseconds: counting is work for the service.
const FIGURES_EVERY_MS: u64 = 60_000;
/// And whether it is ready.
const READY_EVERY_MS: u64 = 30_000;
/// Preparing may mean that all of the data is written once, in milliseconds; what is longer, an operator says (`hook_timeout`).
const PREPARING_MS: u64 = 20 * 60_000;

/// Which profiles the services of a project are to have.
#[derive(Clone, Debug, Default)]
pub struct ProfileWishes {
    /// Services that are named.
    pub by_service: BTreeMap<String, ProfileWish>,
    /// All others.
    pub others: ProfileWish,
}

impl ProfileWishes {
    fn of(&self, service: &str) -> ProfileWish {
        self.by_service.get(service).copied().unwrap_or(self.others)
    }
}

/// Finds the profile of each service.
pub(super) async fn recognise(
    engine: &Engine,
    survey: &mut Survey,
    wishes: &ProfileWishes,
    hooks: &HookWishes,
) {
    for facts in &mut survey.unit {
        let own_hooks = hooks.are_said(&facts.name);
        facts.profile = survey::recognise(engine, facts, wishes.of(&facts.name), own_hooks).await;
    }
}

/// What the profiles ask; the figures only where there is something to count.
pub(super) fn asked(survey: &Survey, figures: bool) -> Vec<Known> {
    let mut all = Vec::new();
    for (service, facts) in known(survey) {
        let profile = facts.profile;
        let of = |spec| Known { service: service.to_owned(), profile: profile.name, spec };
        all.push(of(spec(&profile.ready, None)));
        if figures && survey.keeps_data(service) {
            all.extend(profile.figures.iter().map(|figure| of(spec(&figure.ask, Some(figure.min_ratio)))));
        }
    }
    all
}

fn spec(ask: &profiles::Ask, min_ratio: Option<f64>) -> Spec {
    let words = ["sh", "-c", ask.command].map(str::to_owned).into();
    let bounds = Bounds { min_ratio, ..Bounds::default() };
    Spec {
        name: ask.name.to_owned(),
        required: true,
        timeout_ms: usual_limit_ms(Kind::Command),
        every_ms: Some(if min_ratio.is_some() { FIGURES_EVERY_MS } else { READY_EVERY_MS }),
        ask: Ask::Command(Command { words, ..Command::default() }),
        figure: min_ratio.map(|_| Figure { json: None, bounds }),
    }
}

/// Asks only whether the services are ready, as their profiles do.
pub(super) async fn ready(
    engine: &Engine,
    found: &Found,
    unit: &[String],
    survey: &mut Survey,
) -> Result<(), Problem> {
    let known = asked(survey, false);
    let (own, nowhere) = (CheckWishes::default(), Probes::default());
    let (good, _) = functional::look(engine, found, unit, &own, &known, &nowhere).await?;
    rely(survey, &good);
    Ok(())
}

/// Puts the profiles in force whose services said that they are ready.
pub(super) fn rely(survey: &mut Survey, good: &[Planned]) {
    for facts in &mut survey.unit {
        if let Some(known) = &mut facts.profile {
            let ready =
                |planned: &Planned| planned.is(&facts.name, known.profile.ready.name) && planned.is_good();
            known.in_force |= good.iter().any(ready);
        }
    }
}

/// The checks without those of profiles that are not in force.
pub(super) fn relied_on(survey: &Survey, mut good: Vec<Planned>) -> Vec<Planned> {
    let in_force = |service: &str| known(survey).any(|(name, facts)| name == service && facts.in_force);
    good.retain(|planned| planned.check.profile.is_none() || in_force(&planned.check.service));
    good
}

/// What could not be asked, a note a service.
pub(super) fn notes(survey: &Survey, bad: &[Planned]) -> Vec<Finding> {
    let of = |(service, facts): (&str, &ProfileFacts)| {
        let own: Vec<&Planned> = bad.iter().filter(|planned| planned.check.service == service).collect();
        let names: Vec<&str> = own.iter().map(|planned| planned.check.name.as_str()).collect();
        let (first, profile) = (names.first()?, facts.profile.name);
        let message = if facts.in_force {
            format!("{service}: of the profile {profile} this is not asked: {}", names.join(", "))
        } else {
            format!(
                "{service}: the profile {profile} is not in force, for the service is not ready as it asks"
            )
        };
        let advice = format!(
            "write the check yourself, with what it needs (a login): `name = \"{first}\"` in mainstay.toml; or take the \
             profile away: `profile = \"none\"`"
        );
        let answers = own.iter().map(|planned| format!("{}: {}", planned.check.name, planned.said()));
        Some(answers.fold(Finding::new(ID, Severity::Note, message), Finding::evidence).advice(advice))
    };
    known(survey).filter_map(of).collect()
}

/// The commands around a backup of services that run on, with those of profiles where the operator says nothing.
pub(super) fn prepared(survey: &Survey, wishes: &HookWishes) -> HookWishes {
    let mut wishes = wishes.clone();
    for (service, facts) in known(survey).filter(|(_, facts)| facts.in_force && !facts.own_hooks) {
        let Live::Prepared { before } = &facts.profile.live else { continue };
        let line = |line: &str| Hidden(["sh", "-c", line].map(str::to_owned).into());
        let wish = HookWish {
            before: Some(line(before)),
            profile: Some(facts.profile.name),
            timeout_ms: wishes.of(service).timeout_ms.max(PREPARING_MS),
            ..wishes.of(service).clone()
        };
        wishes.by_service.insert(service.to_owned(), wish);
    }
    wishes
}

fn known(survey: &Survey) -> impl Iterator<Item = (&str, &ProfileFacts)> {
    survey.unit.iter().filter_map(|facts| Some((facts.name.as_str(), facts.profile.as_ref()?)))
}
