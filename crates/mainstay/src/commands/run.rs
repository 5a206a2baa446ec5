//! From a draft to the end of its run: show, ask, journal, perform.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use mainstay_core::event::Event;
use mainstay_core::plan::{Kind, Plan};
use mainstay_core::problem::{Problem, ServiceState};
use mainstay_core::state::OnResume;
use mainstay_core::step::Step;
use mainstay_core::verdict::Tier;
use mainstay_host::engine::Engine;
use mainstay_host::files::RunDir;
use mainstay_host::functional::Operator;
use mainstay_host::plan::Draft;
use mainstay_host::steps::{Host, now, vault_problem};
use mainstay_runner::{Journal, Lock, RunError, RunSummary};
use mainstay_vault::{Access, Vault};

use super::app::App;
use super::choose::Watch;
use super::{copy, housekeeping, resume};
use crate::cli::ResumeArgs;
use crate::exit::{NEEDS_PERSON, Stop};
use crate::operator;
use crate::render::words;
use crate::repository::{self, Repositories};
use crate::state::journal_problem;

/// What is held while a run is prepared and performed.
pub struct Ready {
    /// The engine.
    pub engine: Engine,
    /// The journal.
    pub journal: Journal,
    /// One run at a time.
    pub lock: Lock,
}

/// Connects, opens the journal, takes the lock. While another run is unfinished, it offers to bring that to its end
/// first, and refuses where nobody is to be asked, or the answer is no.
pub fn ready(app: &mut App, doing: &str, yes: bool) -> Result<Ready, Stop> {
    loop {
        let engine = app.engine().map_err(Stop::untouched)?;
        let lock = app.lock(&engine, doing).map_err(Stop::untouched)?;
        let journal = app.state.journal().map_err(Stop::untouched)?;
        let Some(run) = journal.unfinished().map_err(|e| Stop::untouched(journal_problem(&e)))? else {
            return Ok(Ready { engine, journal, lock });
        };
        let problem = Problem::new("unfinished-run", format!("run {run} was cut off and has not ended"))
            .because("a service may be half updated")
            .advise(format!("bring it to an end: `mainstay resume {run}`"));
        let question = format!("{}; bring it to its end now?", problem.what);
        if yes || !can_ask(app) || !asked(app, &question).unwrap_or(false) {
            return Err(Stop::untouched(problem));
        }
        // It takes the lock itself.
        drop((lock, journal));
        let args = ResumeArgs { run: Some(run), on_resume: None, wait_engine: None };
        if resume::resume(app, &args)? == NEEDS_PERSON {
            let problem =
                Problem::new("needs-person", "the run that was cut off has ended, and needs a person")
                    .advise("look at what it says before anything else is begun");
            return Err(Stop { code: NEEDS_PERSON, ..Stop::from(problem) });
        }
    }
}

/// Shows the draft, refuses or asks, and performs it.
pub fn carry_out(app: &mut App, ready: Ready, draft: &Draft, yes: bool) -> Result<u8, Stop> {
    let run = new_id();
    let estimate = estimate(&ready.journal, &draft.plan);
    app.show.plan(&draft.plan, Some(&run), &estimate);
    if let Some(problem) = draft.refusal() {
        return Err(Stop::untouched(problem));
    }
    if !yes {
        ask(app, &draft.plan).map_err(Stop::untouched)?;
    }
    let repositories = repositories(app, &draft.plan).map_err(Stop::untouched)?;
    read_back(app, &draft.plan, &repositories.access).map_err(Stop::untouched)?;
    let directory = RunDir::create(app.state.path(), &run).map_err(|e| Stop::untouched(e.into()))?;
    draft.store(&directory).map_err(|e| Stop::untouched(e.into()))?;
    let place = repositories.access.location.to_string();
    directory.write(repository::BEGUN, place.as_bytes()).map_err(|e| Stop::untouched(e.into()))?;
    let Ready { engine, mut journal, lock } = ready;
    let entry = journal.start(&run, &draft.plan, now()).map_err(|e| Stop::untouched(journal_problem(&e)))?;
    app.show.entry(&entry);
    let operator = if yes { None } else { operator::at_terminal(&*app.show) };
    let of = Of { run: &run, directory, access: &repositories.access, on_resume: OnResume::Continue };
    let code = perform(app, (engine, operator), &mut journal, &lock, of)?;
    // Others may begin a run: what comes now touches no service.
    drop(lock);
    Ok(copy::afterwards(app, &repositories, code))
}

/// The repositories of a run that is about to begin; the undoing of a run uses the one that the run used.
fn repositories(app: &App, plan: &Plan) -> Result<Repositories, Problem> {
    let configured = app.repositories(Some(&plan.unit.project.directory))?;
    match &plan.kind {
        Kind::Rollback { of, .. } => match RunDir::open(app.state.path(), of) {
            Ok(directory) => configured.begun_with(&directory),
            Err(_) => Ok(configured),
        },
        _ => Ok(configured),
    }
}

/// Before the service is stopped for a backup to be put in place: the backup must be good. It may have rotted since it
/// was made.
fn read_back(app: &App, plan: &Plan, access: &Access) -> Result<(), Problem> {
    let (Kind::Restore { backups } | Kind::Rollback { backups, tier: Tier::Full, .. }) = &plan.kind else {
        return Ok(());
    };
    let unusable = |e| vault_problem("the backup repository can't be used", &e);
    let Some(vault) = Vault::open_at(access).map_err(unusable)? else { return Ok(()) };
    for backup in backups {
        let bad = |e| vault_problem(&format!("the backup of {} can't be put in place", backup.mount), &e);
        let id = backup.snapshot.parse().map_err(bad)?;
        vault.verify(&id, &Watch(app.interrupt.clone())).map_err(bad)?;
    }
    Ok(())
}

/// A run that the journal holds, and what it needs besides.
pub struct Of<'a> {
    /// Its id.
    pub run: &'a str,
    /// Its directory.
    pub directory: RunDir,
    /// The repository that it was begun with.
    pub access: &'a Access,
    /// Whether it may go on forward: a fresh one may.
    pub on_resume: OnResume,
}

/// Performs a run to its end, with whoever can be asked meanwhile.
pub fn perform(
    app: &mut App,
    (engine, operator): (Engine, Option<Operator>),
    journal: &mut Journal,
    _lock: &Lock,
    of: Of<'_>,
) -> Result<u8, Stop> {
    let Of { run, directory, access, on_resume } = of;
    let handle = app.runtime.handle().clone();
    let mut host = Host::new(engine.clone(), handle, access.clone(), directory, app.interrupt.flag())
        .with_operator(operator);
    let conclusion =
        mainstay_runner::resume(journal, run, &mut host, &mut *app.show, on_resume).map_err(|error| {
            Stop { problem: run_problem(run, &error), code: NEEDS_PERSON, service: Some(ServiceState::Down) }
        })?;
    housekeeping::after_run(app, &engine, journal, run, &conclusion, host.repository());
    Ok(conclusion.exit_code())
}

fn run_problem(run: &str, error: &RunError) -> Problem {
    let problem = match error {
        RunError::Journal(error) => journal_problem(error),
        RunError::Order(error) => Problem::new("run-order", "a step out of order was stopped").because(error),
    };
    problem.advise(format!("nothing was begun after that; then: `mainstay resume {run}`"))
}

fn ask(app: &mut App, plan: &Plan) -> Result<(), Problem> {
    let declined = || Problem::new("declined", "not begun");
    if !can_ask(app) {
        return Err(Problem::new("usage", "there is nobody to ask whether to go on")
            .advise("look at the plan, then say `--yes`"));
    }
    let question = format!("{} {}?", plan.kind.word(), plan.unit.id());
    match asked(app, &question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(declined()),
        Err(error) => Err(declined().because(error)),
    }
}

fn can_ask(app: &App) -> bool {
    !app.global.json && std::io::stdin().is_terminal()
}

fn asked(app: &App, question: &str) -> std::io::Result<bool> {
    let mut err = std::io::stderr();
    let _ = write!(err, "\n{question} [y/N] ");
    let _ = err.flush();
    let answer = answer(app)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A line from the terminal. Read by a thread of its own, because a signal does not end the reading; what it
/// leaves behind ends with the process.
fn answer(app: &App) -> std::io::Result<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        // Nobody listens any more where a signal came first.
        let _ = sender.send(read.map(|_| line));
    });
    while !app.interrupt.came() {
        if let Ok(read) = receiver.recv_timeout(Duration::from_millis(50)) {
            return read;
        }
    }
    let _ = writeln!(std::io::stderr()); // the question's line has no end yet
    Ok(String::new())
}

/// The time of its start and a random part, so that ids sort by age.
fn new_id() -> String {
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let mut random = [0_u8; 2];
    let read = std::fs::File::open("/dev/urandom")
        .and_then(|mut source| std::io::Read::read_exact(&mut source, &mut random));
    if read.is_err() {
        random = (std::process::id() as u16).to_be_bytes();
    }
    format!("{time}-{:02x}{:02x}", random[0], random[1])
}

/// What the last runs of the same service took, for people.
pub fn estimate(journal: &Journal, plan: &Plan) -> Vec<String> {
    let Ok(runs) = journal.runs() else { return Vec::new() };
    let own = |run: &&RunSummary| {
        run.project == plan.unit.project.name && run.service == plan.unit.service && run.ended_at.is_some()
    };
    let Some(last) = runs.iter().filter(own).find(|run| run.kind == plan.kind.word()) else {
        return Vec::new();
    };
    let Ok((_, state)) = journal.replay(&last.id) else { return Vec::new() };
    let took = |wanted: &[Step]| -> u64 {
        state.timings().iter().filter(|(step, _)| wanted.contains(step)).map(|(_, millis)| millis).sum()
    };
    let down = took(&[Step::CreateContainers, Step::BackUpCutover, Step::StartNew]);
    let mut lines =
        vec![format!("live backup {}, as in run {}", words::millis(took(&[Step::BackUpLive])), last.id)];
    if down > 0 {
        lines.push(format!("cutover {}, until the new version starts", words::millis(down)));
    }
    let still = took(&[Step::Stop, Step::BackUpStill, Step::StartOld, Step::VerifyOld]);
    if plan.still.is_some() && still > 0 {
        lines.push(format!("the service stands still for at most {}", words::millis(still)));
    }
    if let Some(downtime) = downtime(journal, &last.id) {
        lines.push(format!("downtime as seen from outside {}", words::millis(downtime)));
    }
    lines
}

fn downtime(journal: &Journal, run: &str) -> Option<u64> {
    use mainstay_core::event::{Fact, Outcome};
    journal.entries(run).ok()?.into_iter().find_map(|entry| match entry.event {
        Event::StepEnded {
            step: Step::VerifyNew,
            outcome: Outcome::Done { fact: Fact::Verified { downtime_ms, .. } },
        } => downtime_ms,
        _ => None,
    })
}
