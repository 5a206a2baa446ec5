//! Steps that judge: verify a version that was started, and watch it.

use std::time::Duration;

use mainstay_core::event::{Fact, Progress, ProgressUnit};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::{Plan, ServicePlan};
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;
use mainstay_core::verdict::{Cause, Failure};
use mainstay_core::watch::{ExpectedCheck, Mode};
use mainstay_runner::{Context, Permit};

use super::containers::{gone, present};
use super::diagnose::ended;
use super::patience::answers;
use super::trouble::engine_step;
use super::{Done, Host, now};
use crate::clock::{Moment, millis};
use crate::compose::Compose;
use crate::discover::{CONFIG_HASH, ListedContainer};
use crate::engine::Engine;
use crate::functional::{self, Asking};
use crate::images;
use crate::watch::meter::Pace;
use crate::watch::{self, End, Setup, Subject};

/// How long the measurement of the downtime may take to see the answer that verification saw.
const METER_LIMIT: Duration = Duration::from_secs(5);

/// The note in the run's directory of when the present step was begun.
const NOTE: &str = "begun";

/// However late a run is resumed, a version that works gets the time to show it.
const LEAST_MS: u64 = 10_000;

impl Host {
    /// Health, inside, outside: does the version that was started work?
    pub(super) fn verify(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        let (plan, step) = (context.plan, permit.step());
        let anew = self.start_anew(permit, context)?;
        let begun = self.begun(permit, context);
        let spent = if anew { 0 } else { now().since(begun) };
        let limit = Duration::from_millis(
            plan.limits.startup_ms.saturating_sub(spent).max(LEAST_MS.min(plan.limits.startup_ms)),
        );
        // Log lines of the start itself count; it happened in the step before this one.
        let starting = context.state.timings().last().map_or(0, |(_, took)| *took);
        let since = Timestamp(begun.0 - 1_000 - i64::try_from(starting).unwrap_or(0));
        let end = self.observe(step, Mode::Start, limit, since, context)?;
        let seen = match end {
            End::Good(seen) => seen,
            End::Bad(failure) => return Err(failure),
            End::Interrupted(_) => return Err(interrupted()),
        };
        self.warned = seen.warnings.iter().map(|finding| finding.message.clone()).collect();
        seen.warnings.into_iter().for_each(|finding| context.observe(finding));
        let observations = seen.remarks;
        let startup_ms = now().since(begun);
        let downtime_ms = self.downtime();
        self.warn_of_drift(context);
        Ok(Fact::Verified { startup_ms, downtime_ms, observations })
    }

    /// Stays and looks until the window ends. The deadline is that of the first begin, also after a restart; but what
    /// is kept has been looked at since.
    pub(super) fn watch(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        let anew = self.start_anew(permit, context)?;
        self.pace(Pace::Loose);
        if anew {
            // As after any start; what is asked of it then is that it comes up.
            let startup = Duration::from_millis(context.plan.limits.startup_ms);
            if let End::Bad(failure) = self.observe(Step::Watch, Mode::Start, startup, now(), context)? {
                return Err(failure);
            }
        }
        let window = context.plan.limits.watch_ms;
        let begun = self.begun(permit, context);
        let left = window.saturating_sub(now().since(begun));
        let limit = Duration::from_millis(left.max(LEAST_MS).min(window));
        let before = context.plan.baseline.before(context.state.measured());
        let end = self.observe(Step::Watch, Mode::Watch, limit, now(), context)?;
        let watched_ms = now().since(begun);
        let (seen, cut_short) = match end {
            End::Good(seen) => (seen, false),
            End::Interrupted(seen) => (seen, true),
            End::Bad(failure) => return Err(failure),
        };
        let new = seen.warnings.into_iter().filter(|finding| !self.warned.contains(&finding.message));
        new.for_each(|finding| context.observe(finding));
        self.warn_of_drift(context);
        Ok(Fact::Watched {
            watched_ms,
            cut_short,
            early: seen.early,
            observations: seen.remarks,
            before: Some(Box::new(before)),
            during: Some(Box::new(seen.sample)),
        })
    }

    /// When the step was first begun, on this process's line of time. Another process of the same boot has noted it so that
    /// no clock that was set meanwhile matters; after a boot the wall clock is all there is.
    fn begun(&self, permit: &Permit, context: &Context<'_>) -> Timestamp {
        let (name, moment) = (permit.step().name(), Moment::now());
        if permit.again() {
            let note = self.run.read(NOTE).ok().and_then(|note| String::from_utf8(note).ok());
            let noted = note.as_deref().and_then(|note| Moment::read(note.strip_prefix(name)?.trim()));
            let since = moment.zip(noted).and_then(|(now, noted)| now.since(&noted));
            return since.map_or(context.begun_at, |since| now().minus(since));
        }
        if let Some(moment) = moment.filter(|_| !self.once_more) {
            // Where it can't be written, the wall clock has to do.
            let _ = self.run.write(NOTE, format!("{name} {}\n", moment.written()).as_bytes());
        }
        context.begun_at
    }

    /// A power cut, or an engine that was restarted, may have stopped the containers, which is nothing that their version did:
    /// they are started, and have the time of a start. Whether this step was cut off, so that this may be so.
    fn start_anew(&mut self, permit: &Permit, context: &mut Context<'_>) -> Result<bool, Box<Failure>> {
        if !(permit.again() || self.once_more) {
            return Ok(false);
        }
        self.start_containers(context)?;
        Ok(true)
    }

    fn observe(
        &self,
        step: Step,
        mode: Mode,
        limit: Duration,
        since: Timestamp,
        context: &mut Context<'_>,
    ) -> Result<End, Box<Failure>> {
        let (plan, state) = (context.plan, context.state);
        let subjects = self.subjects(plan).map_err(engine_step)?;
        // Of what isn't there nothing is missing.
        let without = |service: &&ServicePlan| !subjects.iter().any(|s| s.service == service.name);
        let missing = plan.unit.services.iter().filter(|s| !s.containers.is_empty()).find(without);
        if let Some(service) = missing {
            return Err(engine_step(gone(&service.name)));
        }
        let checks = self.checks(step, context)?;
        let measured = state.measured();
        let before = plan.baseline.before(measured);
        let engine = &self.engine;
        let setup = Setup {
            engine,
            plan,
            subjects: &subjects,
            checks: &checks,
            measured,
            mode,
            limit,
            since,
            before,
        };
        let total = u64::try_from(limit.as_millis()).ok();
        let mut tell = |elapsed: Duration, missing: &[String]| {
            let what = missing.first().cloned().unwrap_or_else(|| "all is well".to_owned());
            let done = millis(elapsed);
            context.progress(&Progress::of(step, what, done, total, ProgressUnit::Millis));
        };
        let stop = || Self::cancelled(&self.interrupt, state);
        let end = self.runtime.block_on(watch::observe(&setup, &mut tell, &stop)).map_err(engine_step)?;
        Ok(match end {
            // What it saw may be the engine's silence, which says nothing of the version.
            End::Bad(failure) if !ended(&failure) && !self.runtime.block_on(answers(engine)) => {
                let what = "the engine stopped answering while a version was judged";
                return Err(engine_step(Problem::new("engine-unreachable", what)));
            }
            End::Bad(failure) => {
                let known = subjects.into_iter().map(|s| (s.service, s.container)).collect();
                End::Bad(self.diagnosed(plan, known, failure))
            }
            end => end,
        })
    }

    /// The functional checks that are asked in a step.
    fn checks(
        &self,
        step: Step,
        context: &Context<'_>,
    ) -> Result<Vec<(ExpectedCheck, Asking)>, Box<Failure>> {
        let tier = context.state.turned_back().map(|(tier, _)| tier);
        let measured = context.state.measured();
        let when = if step == Step::VerifyOld { "old" } else { "new" };
        let operator = self.operator.as_ref();
        let all = functional::prepare(&self.engine, context.plan, &self.run, operator, when);
        let expected = |mut asking: Asking| {
            if step == Step::Watch {
                asking.check = asking.check.watched();
            }
            Some((ExpectedCheck::of(&asking.check, step, tier, measured)?, asking))
        };
        Ok(all.map_err(engine_step)?.into_iter().filter_map(expected).collect())
    }

    /// The containers of the unit, as they are now.
    pub(super) fn subjects(&self, plan: &Plan) -> Result<Vec<Subject>, Problem> {
        let listed = self.runtime.block_on(present(&self.engine, plan))?;
        let subject =
            |(service, listed): (String, ListedContainer)| Subject { service, container: listed.container };
        Ok(listed.into_iter().map(subject).collect())
    }

    /// The operator's next plain `up -d` must change nothing; anything else is said, once.
    fn warn_of_drift(&mut self, context: &mut Context<'_>) {
        for finding in self.runtime.block_on(drift(&self.engine, context.plan)) {
            if !self.warned.contains(&finding.message) {
                self.warned.push(finding.message.clone());
                context.observe(finding);
            }
        }
    }

    fn downtime(&self) -> Option<u64> {
        let meter = self.meter.as_ref()?;
        self.runtime.block_on(meter.next_good(METER_LIMIT));
        meter.take()
    }
}

fn interrupted() -> Box<Failure> {
    let problem = Problem::new("interrupted", "the run was interrupted before the new version was verified");
    Box::new(Failure::new(problem, Cause::Interrupted))
}

/// Why Compose would create containers again: they don't carry the hash that it expects, or the name of their image means
/// another one by now.
async fn drift(engine: &Engine, plan: &Plan) -> Vec<Finding> {
    let compose = Compose::for_project(&plan.unit.project).on_host(engine.host_for_children());
    let (hashes, listed) = tokio::join!(compose.config_hashes(), present(engine, plan));
    let (Ok(hashes), Ok(listed)) = (hashes, listed) else { return Vec::new() };
    let mut findings = Vec::new();
    for (service, ListedContainer { container, image_id, .. }) in listed {
        let answer =
            engine.call("inspect a container", engine.docker().inspect_container(&container.id, None));
        let config = answer.await.ok().and_then(|answer| answer.config).unwrap_or_default();
        let again = |evidence: String, advice: &str| {
            let message = format!("the next `up -d` would create {} again", container.name);
            Finding::new("drift", Severity::Warning, message).evidence(evidence).advice(advice)
        };
        let has = config.labels.as_ref().and_then(|labels| labels.get(CONFIG_HASH));
        let image = config.image.unwrap_or_default();
        let meant = images::inspect(engine.docker(), &image).await.ok().map(|found| found.id);
        match (has, hashes.get(&service), meant) {
            (Some(has), Some(wants), _) if has != wants => findings.push(again(
                format!("Compose expects configuration {wants}, the container has {has}"),
                "see what differs: `docker compose config`",
            )),
            (_, _, Some(meant)) if meant != image_id => findings.push(again(
                format!("{image} means {meant} now, the container has {image_id}"),
                "somebody moved the tag meanwhile: `mainstay update` takes the version that it means now",
            )),
            _ => {}
        }
    }
    findings
}
