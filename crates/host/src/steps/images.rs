//! Steps on images: keep the old one, by a tag and as a file, pull the new one, point a moved tag back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mainstay_core::event::{Fact, Progress, ProgressUnit, PulledImage};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::image::{self, ImageConfig};
use mainstay_core::plan::{Plan, ServicePlan};
use mainstay_core::problem::Problem;
use mainstay_core::profiles;
use mainstay_core::step::Step;
use mainstay_core::verdict::Tier;
use mainstay_runner::{Context, Permit};

use super::trouble::engine_step;
use super::{Done, Host};
use crate::engine::Engine;
use crate::images::{self, Copying, Reference};
use crate::survey;

/// How often it is told how far a copy is.
const TELL_EVERY: Duration = Duration::from_millis(200);

impl Host {
    /// Gives each old image a tag of our own, so that nothing prunes it; and a copy, where that is planned, because what
    /// is forced removes it all the same.
    pub(super) fn keep_image(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        for service in &context.plan.unit.services {
            if let Some(id) = &service.from.id {
                let kept = images::keep(self.engine.docker(), id, &service.keep_tag);
                self.runtime.block_on(kept).map_err(engine_step)?;
            }
        }
        if context.plan.keep_image_copy {
            let services = context.plan.unit.services.iter();
            let images = services.filter_map(|s| Some((s.from.id.as_ref()?, &s.from.reference)));
            for image in images.collect::<BTreeMap<_, _>>() {
                self.copy_image(image, permit.run(), context).map_err(engine_step)?;
            }
        }
        Ok(Fact::Nothing)
    }

    fn copy_image(
        &self,
        (id, reference): (&String, &String),
        run: &str,
        context: &mut Context<'_>,
    ) -> Result<(), Problem> {
        let docker = self.engine.docker();
        let bytes = self.runtime.block_on(images::inspect(docker, id))?.size_bytes;
        let state = context.state;
        let cancelled = || Self::cancelled(self.interrupt(), state);
        let (mut at, mut done, mut told) = (Copying::Writing, 0_u64, Instant::now());
        let mut tell = |now_at: Copying, more: u64| {
            done = if now_at == at { done + more } else { more };
            if now_at == at && told.elapsed() < TELL_EVERY {
                return;
            }
            (at, told) = (now_at, Instant::now());
            let doing = match at {
                Copying::Writing => "copying",
                Copying::ReadingBack => "reading back the copy of",
            };
            let what = format!("{doing} {reference}");
            let total = Some(bytes).filter(|total| *total >= done);
            context.progress(&Progress::of(Step::KeepImage, what, done, total, ProgressUnit::Bytes));
        };
        let copies = self.image_copies();
        let saved = images::save_copy(docker, id, (&copies, run), &mut tell, &cancelled);
        self.runtime.block_on(saved)
    }

    /// Pulls exactly the planned digests and compares each new image with the old one.
    pub(super) fn pull_image(&mut self, context: &mut Context<'_>) -> Done {
        let plan = context.plan;
        let mut pulled = Vec::new();
        for service in &plan.unit.services {
            let id = self.pull_one(service, context).map_err(engine_step)?;
            let compared = compare(&self.engine, plan, service, &id);
            let findings = self.runtime.block_on(compared).map_err(engine_step)?;
            let refused = findings.iter().find(|f| f.refuses(&plan.forced)).cloned();
            findings.into_iter().for_each(|finding| context.observe(finding));
            if let Some(finding) = refused {
                let problem = Problem::new(&finding.check, finding.message.clone());
                return Err(engine_step(finding.advice.iter().fold(problem, Problem::advise)));
            }
            pulled.push(PulledImage { service: service.name.clone(), id });
        }
        Ok(Fact::Pulled { images: pulled })
    }

    fn pull_one(&self, service: &ServicePlan, context: &mut Context<'_>) -> Result<String, Problem> {
        if service.to.digest.is_none()
            && let Some(id) = &service.to.id
        {
            return Ok(id.clone()); // built here: no registry has it
        }
        let reference = Reference::parse(&service.to.reference)?;
        let state = context.state;
        let cancelled = || Self::cancelled(self.interrupt(), state);
        let what = service.to.reference.clone();
        let mut progress = |layer: images::LayerProgress| {
            context.progress(&Progress::of(
                Step::PullImage,
                format!("{what} {} {}", layer.layer, layer.status),
                layer.done,
                layer.total,
                ProgressUnit::Bytes,
            ));
        };
        let digest = service.to.digest.as_deref();
        let pull = images::pull(self.engine.docker(), &reference, digest, &mut progress, &cancelled);
        self.runtime.block_on(pull)
    }

    /// Lets each reference mean the old image again; does nothing where it does. Where the containers were never touched, a tag
    /// that can't be put back is no reason to call a person.
    pub(super) fn restore_tag(&mut self, context: &mut Context<'_>) -> Done {
        let untouched = matches!(context.state.turned_back(), Some((Tier::Files, _)));
        for service in &context.plan.unit.services {
            let Some(id) = &service.from.id else { continue };
            match self.restore_one(service, id, context) {
                Err(problem) if untouched => {
                    let reference = &service.from.reference;
                    let message = format!("{reference} may mean another image than the one that runs");
                    context.observe(
                        Finding::new("image-drift", Severity::Warning, message)
                            .evidence(problem.to_string())
                            .advice(format!("point it back: `docker tag {id} {reference}`")),
                    );
                }
                restored => restored.map_err(engine_step)?,
            }
        }
        Ok(Fact::Nothing)
    }

    fn restore_one(&self, service: &ServicePlan, id: &str, context: &mut Context<'_>) -> Result<(), Problem> {
        self.have_old_image(service, context)?;
        let reference = Reference::parse(&service.from.reference)?;
        self.runtime.block_on(images::restore_tag(self.engine.docker(), &reference, id))?;
        Ok(())
    }
}

async fn compare(
    engine: &Engine,
    plan: &Plan,
    service: &ServicePlan,
    new: &str,
) -> Result<Vec<Finding>, Problem> {
    let Some(old) = &service.from.id else { return Ok(Vec::new()) };
    let docker = engine.docker();
    let (old, new) = (images::inspect(docker, old).await?, images::inspect(docker, new).await?);
    let mounted: Vec<String> = plan.data.iter().map(|mount| mount.destination.clone()).collect();
    let port = plan.probes.inside.as_ref().filter(|p| p.service == service.name).map(|p| p.port);
    let mut findings = image::compare(&old, &new, &mounted, port);
    findings.extend(jump(service, &old, &new));
    Ok(findings)
}

/// Whether the new image, which knows its version exactly, can't work on the data of the old one.
fn jump(service: &ServicePlan, old: &ImageConfig, new: &ImageConfig) -> Option<Finding> {
    let known = service.profile.as_ref().filter(|known| known.in_force && known.keeps_data)?;
    let profile = profiles::named(&known.name)?;
    let (from, to) = (&service.from.reference, &service.to.reference);
    let refusal = survey::refusal(profile, known.recognised_by.is_none(), (from, old), (to, Some(new)))?;
    Some(refusal.finding(&service.name))
}
