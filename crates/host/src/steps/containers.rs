//! Steps on containers: have Compose make them, start and stop them through the engine.

use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::StopContainerOptionsBuilder;
use mainstay_core::event::Fact;
use mainstay_core::plan::{ContainerRef, Kind, Plan, ServicePlan};
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_core::verdict::{Cause, Failure, Tier};
use mainstay_runner::{Context, Permit};

use super::configuration::same_containers;
use super::trouble::{bad_version, engine_step};
use super::way_back::{ever_ran, files_are};
use super::{Done, Host, names};
use crate::compose::{self, Compose};
use crate::discover::{self, ListedContainer};
use crate::engine::Engine;
use crate::watch::meter::{Meter, Pace};

/// What Compose may take besides the time that the containers need to stop.
const COMPOSE_LIMIT: Duration = Duration::from_secs(180);
/// What the engine may take besides the grace period, to kill and to release what a container held.
const STOP_MARGIN: Duration = Duration::from_secs(60);
/// How long to wait for the first answer of the measurement of the downtime.
const METER_LIMIT: Duration = Duration::from_secs(1);

impl Host {
    /// Has Compose create the new containers; it stops and removes the old ones. The downtime begins. Files that
    /// somebody else changed since they were edited are nothing to create from, nor are other containers than those
    /// of the plan any to replace.
    pub(super) fn create_containers(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        files_are(&context.plan.edits, |edit, found| found.as_ref() == Some(&edit.after))
            .map_err(engine_step)?;
        let (engine, plan, again) = (&self.engine, context.plan, permit.again() || self.once_more);
        let ours =
            async { if again { all_there(engine, plan).await } else { same_containers(engine, plan).await } };
        self.runtime.block_on(ours).map_err(engine_step)?;
        self.measure(context.plan);
        let create = create(&self.engine, context.plan, self.run.path());
        let containers = self.runtime.block_on(create).map_err(engine_step)?;
        let wanted = |service: &ServicePlan| {
            let Some(Fact::Pulled { images }) = context.state.fact(Step::PullImage) else { return None };
            images.iter().find(|i| i.service == service.name).map(|i| i.id.clone())
        };
        has_images(context.plan, &containers, wanted).map_err(engine_step)?;
        Ok(created(containers, false))
    }

    /// Has Compose create the old containers again, without starting them. Whether something may have run since the
    /// data was looked at is asked before, for what is removed can't tell any more.
    pub(super) fn recreate_old(&mut self, context: &mut Context<'_>) -> Done {
        files_are(&context.plan.edits, |edit, found| *found == edit.before).map_err(engine_step)?;
        self.restore_tag(context)?; // somebody may have pruned the image since, and a pull takes its time
        let ran_meanwhile = self.may_have_run(context).map_err(engine_step)?;
        let create = create(&self.engine, context.plan, self.run.path());
        let containers = self.runtime.block_on(create).map_err(engine_step)?;
        has_images(context.plan, &containers, |service| service.from.id.clone()).map_err(engine_step)?;
        Ok(created(containers, ran_meanwhile))
    }

    /// Starts the unit's containers, whichever version they are, in start order.
    pub(super) fn start_containers(&mut self, context: &mut Context<'_>) -> Done {
        self.pace(Pace::Silent);
        let mut started = Ok(());
        for service in &context.plan.unit.services {
            let start = start(&self.engine, context.plan, service);
            started = started.and_then(|()| self.runtime.block_on(start));
        }
        self.pace(Pace::Close);
        started
            .map_err(|failure| self.diagnosed(context.plan, Vec::new(), failure))
            .map_err(|failure| self.runtime.block_on(refused(&self.engine, context.plan, failure)))
            .map(|()| Fact::Nothing)
    }

    /// Stops the unit's containers, in reverse start order, each with its own grace period.
    pub(super) fn stop(&mut self, context: &mut Context<'_>) -> Done {
        if !matches!(context.plan.kind, Kind::Update) {
            self.measure(context.plan);
        }
        let untouched = self.runtime.block_on(never_replaced(&self.engine, context)).map_err(engine_step)?;
        self.let_nothing_run_but(context.plan, untouched).map(|()| Fact::Nothing)
    }

    /// Stops what runs, in reverse start order. What was stopped may run again after a restart of the engine, by
    /// its restart policy, or because somebody started it: so whatever needs the service to stand still asks again.
    pub(super) fn let_nothing_run(&self, plan: &Plan) -> Result<(), Box<Failure>> {
        self.let_nothing_run_but(plan, false)
    }

    /// The same, where containers of the plan may run on.
    fn let_nothing_run_but(&self, plan: &Plan, planned_stay: bool) -> Result<(), Box<Failure>> {
        for service in plan.unit.services.iter().rev() {
            self.runtime.block_on(stop(&self.engine, plan, service, planned_stay)).map_err(engine_step)?;
        }
        Ok(())
    }

    pub(super) fn pace(&self, pace: Pace) {
        if let Some(meter) = &self.meter {
            meter.pace(pace);
        }
    }

    /// Before the first step: a process that was killed may have left Compose at work on the same containers.
    pub(super) fn wait_for_compose(&mut self, plan: &Plan) -> Result<(), Problem> {
        if !self.alone {
            self.runtime.block_on(compose::left_behind(self.run.path(), compose_limit(plan)))?;
            self.alone = true;
        }
        Ok(())
    }

    fn measure(&mut self, plan: &Plan) {
        if self.meter.is_none() {
            self.meter = Meter::start(&self.runtime, &self.engine, plan);
        }
        if let Some(meter) = &self.meter {
            self.runtime.block_on(meter.next_good(METER_LIMIT));
            let _before = meter.take();
        }
    }
}

async fn create(engine: &Engine, plan: &Plan, run: &Path) -> Result<Vec<(String, ListedContainer)>, Problem> {
    let services: Vec<String> = plan.unit.names().map(str::to_owned).collect();
    let compose = Compose::for_project(&plan.unit.project).on_host(engine.host_for_children());
    names::remove_leftovers(engine, plan, &present(engine, plan).await?).await?;
    compose.create_without_start(&services, compose_limit(plan), run).await?;
    let made = present(engine, plan).await?;
    if names::take(engine, plan, &made).await? { present(engine, plan).await } else { Ok(made) }
}

fn compose_limit(plan: &Plan) -> Duration {
    COMPOSE_LIMIT + Duration::from_millis(plan.unit.services.iter().map(|s| s.stop_grace_ms).sum())
}

/// The containers of the unit as they are now, each with its service.
pub(super) async fn present(engine: &Engine, plan: &Plan) -> Result<Vec<(String, ListedContainer)>, Problem> {
    let listed = discover::list(engine).await?;
    let mut found = Vec::new();
    for service in &plan.unit.services {
        let own =
            listed.iter().filter(|l| l.project.name == plan.unit.project.name && l.service == service.name);
        found.extend(own.flat_map(|l| l.containers.iter().cloned()).map(|c| (service.name.clone(), c)));
    }
    Ok(found)
}

/// Every service has containers still: Compose, cut off in the middle, leaves the old ones, the new ones, or both.
async fn all_there(engine: &Engine, plan: &Plan) -> Result<(), Problem> {
    let listed = present(engine, plan).await?;
    let without = |service: &&ServicePlan| !listed.iter().any(|(name, _)| *name == service.name);
    let mut missing = plan.unit.services.iter().filter(|service| !service.containers.is_empty());
    missing.find(without).map_or(Ok(()), |service| Err(gone(&service.name)))
}

/// A service that has no container any more works as little as one whose container failed.
pub(super) fn gone(service: &str) -> Problem {
    Problem::new("containers-changed", format!("{service} has no container any more"))
        .because("somebody else removed it")
}

/// Every service has containers, and each one was made from the image that was meant.
fn has_images(
    plan: &Plan,
    containers: &[(String, ListedContainer)],
    wanted: impl Fn(&ServicePlan) -> Option<String>,
) -> Result<(), Problem> {
    for service in &plan.unit.services {
        let own: Vec<_> = containers.iter().filter(|(name, _)| *name == service.name).collect();
        let wanted = wanted(service);
        let wrong = own.iter().find(|(_, c)| wanted.as_ref().is_some_and(|id| c.image_id != *id));
        if own.is_empty() {
            let what = format!("Compose made no container of {}", service.name);
            return Err(Problem::new("compose-create-failed", what)
                .advise("is the service in a profile, or scaled to 0?"));
        }
        if let Some((_, container)) = wrong {
            let what = format!("the container {} was made from another image", container.container.name);
            return Err(Problem::new("compose-create-failed", what)
                .because(format!("wanted {}, found {}", wanted.unwrap_or_default(), container.image_id))
                .advise("somebody moved the tag meanwhile; see `docker image inspect`"));
        }
    }
    Ok(())
}

fn created(containers: Vec<(String, ListedContainer)>, ran_meanwhile: bool) -> Fact {
    Fact::Created { containers: containers.into_iter().map(|(_, c)| c.container).collect(), ran_meanwhile }
}

/// What is made of a start that the engine refused: where no process of the unit ever ran, nothing can have
/// touched the data.
async fn refused(engine: &Engine, plan: &Plan, failure: Box<Failure>) -> Box<Failure> {
    let by_engine = matches!(failure.cause, Cause::Version(_));
    if !by_engine || something_ran(engine, plan).await {
        return failure;
    }
    Box::new(Failure { cause: Cause::NeverRan, ..*failure })
}

/// Whether any container of the unit ever ran, or can't be asked.
async fn something_ran(engine: &Engine, plan: &Plan) -> bool {
    let Ok(listed) = present(engine, plan).await else { return true };
    for (_, container) in listed {
        if ever_ran(engine, &container).await.unwrap_or(true) {
            return true;
        }
    }
    false
}

async fn start(engine: &Engine, plan: &Plan, service: &ServicePlan) -> Result<(), Box<Failure>> {
    let own =
        discover::containers_of(engine, &plan.unit.project.name, &service.name).await.map_err(engine_step)?;
    if own.is_empty() && !service.containers.is_empty() {
        return Err(engine_step(gone(&service.name)));
    }
    for ListedContainer { container: ContainerRef { id, name }, .. } in own {
        let what = format!("start the container {name}");
        // The engine answers with success where it runs already.
        let started = engine.call(&what, engine.docker().start_container(&id, None)).await;
        started.map_err(|problem| match problem.code.as_str() {
            // It answered and refused: entry point, port, device.
            "engine-refused" | "not-on-engine" => {
                let problem = Problem { code: "version-start-failed".to_owned(), ..problem };
                bad_version(problem.advise(
                    "see that the entry point, the ports and the devices that the service names are there",
                ))
            }
            _ => engine_step(problem),
        })?;
    }
    Ok(())
}

/// Where nothing of a new version ever ran, no data is moved: a unit of which Compose did not come to replace any container, for
/// want of room or of the image, is the way back itself and runs on. One that lost a part of it is started anew, in order.
async fn never_replaced(engine: &Engine, context: &Context<'_>) -> Result<bool, Problem> {
    if !matches!(context.state.turned_back(), Some((Tier::NeverStarted, _))) {
        return Ok(false);
    }
    let there = present(engine, context.plan).await?;
    let is_there = |id: &str| there.iter().any(|(_, listed)| listed.container.id == id);
    Ok(context.plan.unit.services.iter().flat_map(|s| &s.containers).all(|c| is_there(&c.id)))
}

async fn stop(
    engine: &Engine,
    plan: &Plan,
    service: &ServicePlan,
    planned_stay: bool,
) -> Result<(), Problem> {
    let own = discover::containers_of(engine, &plan.unit.project.name, &service.name).await?;
    let grace = Duration::from_millis(service.stop_grace_ms);
    for ListedContainer { container: ContainerRef { id, name }, state, .. } in own {
        let planned = service.containers.iter().any(|c| c.id == id);
        let stays = planned_stay && planned && state == "running";
        if stays || matches!(state.as_str(), "created" | "exited" | "dead") {
            continue;
        }
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let what = format!("stop the container {name}");
        let call = engine.docker().stop_container(&id, Some(options));
        match engine.call_within(grace + STOP_MARGIN, &what, call).await {
            Err(problem) if !crate::engine::is_not_found(&problem) => return Err(problem),
            _ => {}
        }
    }
    Ok(())
}
