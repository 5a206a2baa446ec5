//! What every command has: options, renderer, runtime, state directory, signals.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use mainstay_core::baseline::Sample;
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_host::discover::{self, Found};
use mainstay_host::engine::Engine;
use mainstay_host::files::RunDir;
use mainstay_host::functional::all_ended;
use mainstay_host::plan::Wishes;
use mainstay_host::steps::{now, vault_problem};
use mainstay_runner::{Held, Lock, LockError};
use mainstay_vault::Vault;
use tokio::runtime::Runtime;

use crate::cli::{Global, ProbeArgs, ServiceArgs, UpdateArgs};
use crate::config::{QuiesceMode, Settings};
use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::render::json::Json;
use crate::render::terminal::Terminal;
use crate::render::{Show, words};
use crate::repository::Repositories;
use crate::resolver::Resolver;
use crate::state::StateDir;

/// What every command has.
pub struct App {
    /// Options of every command.
    pub global: Global,
    /// Who shows what happens.
    pub show: Box<dyn Show>,
    /// Where asynchronous work runs.
    pub runtime: Runtime,
    /// Where everything of ours is kept.
    pub state: StateDir,
    /// The signals.
    pub interrupt: Interrupt,
}

impl App {
    /// Sets everything up. An error comes with the renderer, so that it can be shown.
    pub fn new(global: Global) -> Result<Self, (Box<dyn Show>, Stop)> {
        let show: Box<dyn Show> =
            if global.json { Box::new(Json::default()) } else { Box::new(Terminal::default()) };
        let interrupt = match Interrupt::install() {
            Ok(interrupt) => interrupt,
            Err(problem) => return Err((show, problem.into())),
        };
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                let problem = Problem::new("state-runtime", "no threads can be started").because(error);
                return Err((show, problem.into()));
            }
        };
        let state = StateDir::locate(&global);
        Ok(Self { global, show, runtime, state, interrupt })
    }

    /// Waits for work that changes nothing; a signal ends the wait.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let interrupted = async {
            while !self.interrupt.came() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(Problem::new("interrupted", "interrupted before anything was changed"))
        };
        self.runtime.block_on(async {
            let stopped = tokio::select! {
                done = work => return done,
                stopped = interrupted => stopped,
            };
            // What was being asked in a container is not left there.
            all_ended().await;
            stopped
        })
    }

    /// Connects to the engine.
    pub fn engine(&self) -> Result<Engine, Problem> {
        self.wait(Engine::connect(self.global.host.as_deref()))
    }

    /// Finds a service.
    pub fn find(&self, engine: &Engine, service: &str) -> Result<Found, Problem> {
        self.wait(discover::discover(engine, service, &self.global.files))
    }

    /// What flags and configuration say about a service.
    pub fn wishes(&self, found: &Found, args: &ServiceArgs) -> Result<Wishes, Problem> {
        let mut wishes = self.probe_wishes(found, &args.probes)?;
        wishes.forced.clone_from(&args.force);
        Ok(wishes)
    }

    /// As [`App::wishes`], with the flags of an update.
    pub fn update_wishes(&self, found: &Found, args: &UpdateArgs) -> Result<Wishes, Problem> {
        let mut wishes = self.wishes(found, &args.service)?;
        let millis = |flag: Option<crate::span::Span>| flag.map(crate::span::Span::millis);
        wishes.watch_ms = millis(args.watch).or(wishes.watch_ms);
        wishes.startup_ms = millis(args.startup).or(wishes.startup_ms);
        wishes.probe_grace_ms = millis(args.probe_grace).or(wishes.probe_grace_ms);
        wishes.probe_interval_ms = millis(args.probe_interval).or(wishes.probe_interval_ms);
        wishes.keep_image_copy = args.keep_image_copy.unwrap_or(wishes.keep_image_copy);
        Ok(wishes)
    }

    /// As [`App::wishes`], with the flags of a backup.
    pub fn backup_wishes(
        &self,
        found: &Found,
        args: &ServiceArgs,
        quiesce: Option<QuiesceMode>,
    ) -> Result<Wishes, Problem> {
        let mut wishes = self.wishes(found, args)?;
        let project = &found.project;
        let settings = Settings::of(&project.directory, &project.name, &found.service, &args.probes)?;
        wishes.still = settings.still(quiesce);
        Ok(wishes)
    }

    /// What flags and configuration say about asking a service.
    pub fn probe_wishes(&self, found: &Found, flags: &ProbeArgs) -> Result<Wishes, Problem> {
        let project = &found.project;
        let settings = Settings::of(&project.directory, &project.name, &found.service, flags)?;
        let millis = |span: Option<crate::span::Span>| span.map(crate::span::Span::millis);
        Ok(Wishes {
            logs: settings.log_rules()?,
            early_keep_ms: millis(settings.early_keep),
            earlier: self.earlier(found),
            url: settings.url,
            ca: settings.ca,
            resolve: settings.resolve,
            resolver: settings.resolver.map(Resolver::address),
            port: settings.port,
            path: settings.path,
            from: settings.from,
            dependents: settings.dependents,
            watch_ms: millis(settings.watch),
            startup_ms: millis(settings.startup),
            probe_grace_ms: millis(settings.probe_grace),
            probe_interval_ms: millis(settings.probe_interval),
            answer_ms: millis(settings.slow),
            keep_image_copy: settings.keep_image_copy.unwrap_or_default(),
            still: None,
            added_before: self.added_before(found),
            hooks: Settings::hooks(&project.directory, &project.name)?,
            checks: Settings::checks(&project.directory, &project.name)?,
            profiles: Settings::profiles(&project.directory, &project.name)?,
            forced: Vec::new(),
            repository: Repositories::of(&self.global, &self.state, Some(&project.directory))?
                .access
                .location
                .path()
                .map(Path::to_owned),
            state: Some(self.state.path().to_owned()),
        })
    }

    /// What the newest backups of a service added to the repository. Without a journal there is no experience,
    /// which is no reason not to go on.
    fn added_before(&self, found: &Found) -> Option<u64> {
        let journal = self.state.existing_journal().ok()??;
        let runs = journal.runs().ok()?;
        let own = runs.iter().filter(|r| r.project == found.project.name && r.service == found.service);
        own.filter(|run| run.ended_at.is_some()).find_map(|run| {
            let (_, state) = journal.replay(&run.id).ok()?;
            let steps = [Step::BackUpLive, Step::BackUpStill, Step::BackUpCutover, Step::BackUpSafety];
            let mut records = steps.into_iter().flat_map(|step| state.backups(step)).peekable();
            records.peek()?;
            Some(records.map(|record| record.added_bytes).sum())
        })
    }

    /// What the last runs saw of a service: of a version that was kept while it was watched, else of the one before.
    fn earlier(&self, found: &Found) -> Option<Sample> {
        const RUNS: usize = 3;
        let journal = self.state.existing_journal().ok()??;
        let runs = journal.runs().ok()?;
        let own = runs.iter().filter(|r| r.project == found.project.name && r.service == found.service);
        let states = own.filter(|run| run.ended_at.is_some()).filter_map(|run| journal.replay(&run.id).ok());
        states.filter_map(|(_, state)| state.seen().cloned()).take(RUNS).reduce(|all, one| all.worst(&one))
    }

    /// Takes the lock of the engine, or says who has it.
    pub fn lock(&self, engine: &Engine, doing: &str) -> Result<Lock, Problem> {
        Lock::take(self.state.lock_dir(), engine.id(), &Held::here(doing, now())).map_err(|error| match error
        {
            LockError::Held(Some(held)) => Problem::new("locked", "another run is at work on this engine")
                .because(format!("{}, process {}, since {}", held.doing, held.pid, words::moment(held.since)))
                .advise("wait until it has ended"),
            LockError::Held(None) => Problem::new("locked", "another run is at work on this engine")
                .advise("wait until it has ended"),
            LockError::File { path, source } => {
                Problem::new("lock-unusable", format!("the lock file {} can't be used", path.display()))
                    .because(source)
                    .advise("run as root, or as the user who ran mainstay before")
            }
        })
    }

    /// The repositories of a project, or of the host.
    pub fn repositories(&self, project_dir: Option<&Path>) -> Result<Repositories, Problem> {
        let named = self.global.files.first().and_then(|file| file.parent());
        Repositories::of(&self.global, &self.state, project_dir.or(named))
    }

    /// The repositories of a run that was cut off; see [`Repositories::of_run`].
    pub fn repositories_of_run(
        &self,
        project_dir: &Path,
        run: &RunDir,
    ) -> Result<(Repositories, Option<Problem>), Problem> {
        Repositories::of_run(&self.global, &self.state, project_dir, run)
    }

    /// The repository of a project, or of the host, if there is one.
    pub fn vault(&self, project_dir: Option<&Path>) -> Result<Option<Vault>, Problem> {
        let access = self.repositories(project_dir)?.access;
        Vault::open_at(&access).map_err(|e| vault_problem("the backup repository can't be used", &e))
    }
}
