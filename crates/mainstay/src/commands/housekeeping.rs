//! Removes what no longer has to be kept: old backups, and the directories and kept images of runs without backups, by
//! tag and as files.
//!
//! Invariant: never part of a run, and never its verdict: what fails here is a remark. What is removed was judged by
//! [`mainstay_vault::Retention`] and [`crate::keeping`] while the engine's lock was held, so that no run begins
//! meanwhile. After a run only its own services are judged.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mainstay_core::plan::Plan;
use mainstay_core::problem::Problem;
use mainstay_core::verdict::Conclusion;
use mainstay_host::engine::Engine;
use mainstay_host::files::{ImageCopies, RunDir};
use mainstay_host::images;
use mainstay_host::steps::{now_at_the_earliest, vault_problem};
use mainstay_runner::{Journal, RunSummary};
use mainstay_vault::{Judged, Listed, PruneOptions, Retention, SnapshotId, Vault, VaultError};

use super::app::App;
use super::choose::Watch;
use crate::config;
use crate::keeping::{self, Needed};
use crate::render::words;
use crate::state::journal_problem;

/// How often the repository is pruned where nothing was forgotten.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whose things are judged.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Everything.
    All,
    /// The service of this name, or `project/service`.
    Service(String),
    /// These services of a project.
    Unit(String, Vec<String>),
}

impl Scope {
    fn holds(&self, project: &str, service: &str) -> bool {
        match self {
            Self::All => true,
            Self::Service(wanted) => wanted == service || *wanted == format!("{project}/{service}"),
            Self::Unit(own, names) => own == project && names.iter().any(|name| name == service),
        }
    }
}

/// What is there, and what may go.
pub struct Judgement {
    /// The backups in scope.
    pub backups: Vec<Judged>,
    /// Runs whose directories and kept images may go, once the backups are gone.
    pub runs: Vec<RunSummary>,
}

impl Judgement {
    /// The backups that may go.
    pub fn forget(&self) -> Vec<SnapshotId> {
        self.backups.iter().filter(|j| j.kept.is_none()).map(|j| j.snapshot.id.clone()).collect()
    }
}

/// Judges everything in scope; removes nothing.
pub fn judge(listed: &[Listed], journal: &Journal, scope: &Scope) -> Result<Judgement, Problem> {
    let runs = journal.runs().map_err(|e| journal_problem(&e))?;
    let needed = Needed::by(journal, &runs).map_err(|e| journal_problem(&e))?;
    let protected = needed.of(listed);
    let rules = Rules::read(listed, journal, &runs, scope)?;
    let mut backups = Vec::new();
    for ((project, service), retention) in &rules.0 {
        let own = |s: &&Listed| s.tags.project == *project && s.tags.service == *service;
        let own: Vec<Listed> = listed.iter().filter(own).cloned().collect();
        backups.extend(retention.judge(&own, now_at_the_earliest().0, &protected));
    }
    backups.sort_by_key(|judged| std::cmp::Reverse(judged.snapshot.time));
    let goes: HashSet<&SnapshotId> =
        backups.iter().filter(|j| j.kept.is_none()).map(|j| &j.snapshot.id).collect();
    let stay = listed.iter().filter(|s| !goes.contains(&s.id)).map(|s| s.tags.run.clone());
    let staying: HashSet<String> = needed.runs.into_iter().chain(stay).collect();
    let in_scope: Vec<RunSummary> =
        runs.into_iter().filter(|run| scope.holds(&run.project, &run.service)).collect();
    let runs = keeping::leaving(&in_scope, &staying, |run| rules.of(run), now_at_the_earliest());
    let runs = runs.into_iter().cloned().collect();
    Ok(Judgement { backups, runs })
}

/// How long backups of each service are kept.
struct Rules(HashMap<(String, String), Retention>);

impl Rules {
    fn read(
        listed: &[Listed],
        journal: &Journal,
        runs: &[RunSummary],
        scope: &Scope,
    ) -> Result<Self, Problem> {
        let of_backups = listed.iter().map(|s| (&s.tags.project, &s.tags.service));
        let of_runs = runs.iter().map(|run| (&run.project, &run.service));
        let mut rules = HashMap::new();
        for (project, service) in of_backups.chain(of_runs) {
            let key = (project.clone(), service.clone());
            if !scope.holds(project, service) || rules.contains_key(&key) {
                continue;
            }
            let newest = runs.iter().find(|run| run.project == *project && run.service == *service);
            let directory = newest.and_then(|run| directory(journal, run));
            rules.insert(key, config::retention(directory.as_deref(), project, service)?);
        }
        Ok(Self(rules))
    }

    fn of(&self, run: &RunSummary) -> Retention {
        self.0.get(&(run.project.clone(), run.service.clone())).copied().unwrap_or_default()
    }
}

/// Where the project of a run has its configuration.
fn directory(journal: &Journal, run: &RunSummary) -> Option<PathBuf> {
    journal.replay(&run.id).ok().map(|(plan, _)| plan.unit.project.directory)
}

/// After a run has ended, whatever its verdict, except that a person is needed: then everything is kept.
pub fn after_run(
    app: &mut App,
    engine: &Engine,
    journal: &Journal,
    run: &str,
    conclusion: &Conclusion,
    vault: Option<&Vault>,
) {
    if app.interrupt.came() || matches!(conclusion, Conclusion::NeedsPerson { .. }) {
        return;
    }
    match tidy(app, engine, journal, run, vault) {
        Ok(0) => {}
        Ok(forgotten) => app.show.say(&format!("{} removed; `mainstay prune` says why", old(forgotten))),
        Err(problem) => {
            let causes: Vec<_> = problem.causes.iter().map(|cause| format!(": {cause}")).collect();
            app.show.say(&format!("warning: {}{}", problem.what, causes.concat()));
        }
    }
}

/// How many backups were removed.
fn tidy(
    app: &App,
    engine: &Engine,
    journal: &Journal,
    run: &str,
    vault: Option<&Vault>,
) -> Result<usize, Problem> {
    // A run that had no data to back up, or that was resumed after its backups, didn't open it.
    let (plan, _) = journal.replay(run).map_err(|e| journal_problem(&e))?;
    let opened = if vault.is_none() { app.vault(Some(&plan.unit.project.directory))? } else { None };
    let vault = vault.or(opened.as_ref());
    let names = plan.unit.names().map(str::to_owned).collect();
    let scope = Scope::Unit(plan.unit.project.name.clone(), names);
    let listed = vault.map_or_else(|| Ok(Vec::new()), Vault::snapshots);
    let listed = match listed {
        Err(VaultError::Locked { .. }) => return Ok(0),
        listed => listed.map_err(|e| vault_problem("old backups could not be looked for", &e))?,
    };
    let judgement = judge(&listed, journal, &scope)?;
    let mut forgotten = 0;
    if let Some(vault) = vault {
        let forget = judgement.forget();
        if !forget.is_empty() || is_due(vault, &listed) {
            let watch = Watch(app.interrupt.clone());
            match vault.forget_and_prune(&forget, &PruneOptions::default(), &watch) {
                Ok(pruned) => forgotten = pruned.forgotten.len(),
                // Somebody is at work: the next run does it.
                Err(VaultError::Locked { .. } | VaultError::InUse { .. } | VaultError::Cancelled) => {
                    return Ok(0);
                }
                Err(error) => return Err(vault_problem("old backups could not be removed", &error)),
            }
        } else {
            // What a killed process left would else stay until something is old enough to go. What can't go yet goes then.
            let _ = vault.tidy();
        }
    }
    remove_runs(app, engine, journal, &judgement.runs)?;
    remove_copies(app, journal)?;
    Ok(forgotten)
}

/// Whether a day has passed since the last prune, or since the first backup.
fn is_due(vault: &Vault, listed: &[Listed]) -> bool {
    let first = || {
        let first = listed.iter().map(|snapshot| snapshot.time).min()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(first).ok()?))
    };
    let since = vault.last_prune().or_else(first);
    since.is_some_and(|since| since.elapsed().is_ok_and(|passed| passed > DAY))
}

/// What went with runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removed {
    /// Directories of runs.
    pub directories: u64,
    /// Tags that kept images.
    pub tags: u64,
    /// Copies of images.
    pub copies: u64,
}

/// Removes the directories of `leaving`, after the tags of our own that keep their images and that no other run
/// names. A tag that can't go yet keeps its directory, so that the next time finds it.
pub fn remove_runs(
    app: &App,
    engine: &Engine,
    journal: &Journal,
    leaving: &[RunSummary],
) -> Result<Removed, Problem> {
    let has_directory = |run: &&RunSummary| RunDir::open(app.state.path(), &run.id).is_ok();
    let leaving: Vec<&RunSummary> = leaving.iter().filter(has_directory).collect();
    let mut removed = Removed::default();
    if leaving.is_empty() {
        return Ok(removed);
    }
    let runs = journal.runs().map_err(|e| journal_problem(&e))?;
    let goes: HashSet<&str> = leaving.iter().map(|run| &*run.id).collect();
    let mut named = HashSet::new();
    for run in runs.iter().filter(|run| !goes.contains(&*run.id)).filter(has_directory) {
        let (plan, _) = journal.replay(&run.id).map_err(|e| journal_problem(&e))?;
        named.extend(tags(&plan));
    }
    let present = app.wait(images::kept_tags(engine.docker()))?;
    for run in leaving {
        let (plan, _) = journal.replay(&run.id).map_err(|e| journal_problem(&e))?;
        if plan.engine != engine.id() {
            continue;
        }
        let mut all_gone = true;
        for tag in tags(&plan).filter(|tag| !named.contains(tag) && present.contains(tag)) {
            let gone = app.wait(images::drop_keep(engine.docker(), &tag))?;
            removed.tags += u64::from(gone);
            all_gone &= gone;
        }
        if all_gone {
            RunDir::remove(app.state.path(), &run.id)?;
            removed.directories += 1;
        }
    }
    Ok(removed)
}

/// Removes the copies of images that no run with a directory has kept, which is what keeps the tags, too, and what a
/// process that was killed has left of one.
pub fn remove_copies(app: &App, journal: &Journal) -> Result<u64, Problem> {
    let copies = ImageCopies::of(app.state.path());
    if copies.is_empty() {
        return Ok(0);
    }
    let runs = journal.runs().map_err(|e| journal_problem(&e))?;
    let mut needed = HashSet::new();
    for run in runs.iter().filter(|run| RunDir::open(app.state.path(), &run.id).is_ok()) {
        let (plan, _) = journal.replay(&run.id).map_err(|e| journal_problem(&e))?;
        if plan.keep_image_copy {
            needed.extend(plan.unit.services.into_iter().filter_map(|service| service.from.id));
        }
    }
    let at_work = runs.iter().filter(|run| run.ended_at.is_none()).map(|run| &*run.id).collect();
    Ok(copies.keep_only(&needed, &at_work)?)
}

fn tags(plan: &Plan) -> impl Iterator<Item = String> {
    plan.unit.services.iter().map(|service| service.keep_tag.clone())
}

/// `3 old backups`.
pub fn old(count: usize) -> String {
    words::count(count, "old backup")
}
