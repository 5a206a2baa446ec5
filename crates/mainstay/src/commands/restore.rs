//! `restore`: the data of a backup in place, after a safety snapshot of what is there; or elsewhere.

use std::path::Path;
use std::sync::Mutex;

use mainstay_core::event::BackupRecord;
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_host::plan;
use mainstay_host::steps::{Rate, vault_problem};
use mainstay_vault::{Kind, Listed, Monitor, Progress, Vault, VaultError};

use super::app::App;
use super::run;
use crate::cli::RestoreArgs;
use crate::exit::{DONE, Stop};
use crate::interrupt::Interrupt;
use crate::render::{Show, words};

/// Restores a backup.
pub fn restore(app: &mut App, args: &RestoreArgs) -> Result<u8, Stop> {
    match &args.to {
        Some(directory) => elsewhere(app, args, directory),
        None => in_place(app, args),
    }
}

fn in_place(app: &mut App, args: &RestoreArgs) -> Result<u8, Stop> {
    let ready = run::ready(app, &format!("restore {}", args.service.service))?;
    let found = app.find(&ready.engine, &args.service.service).map_err(Stop::untouched)?;
    let wishes = app.wishes(&found, &args.service).map_err(Stop::untouched)?;
    let id = format!("{}/{}", found.project.name, found.service);
    let vault = open(app).map_err(Stop::untouched)?;
    let chosen = choose(&vault, &id, args).map_err(Stop::untouched)?;
    let records = chosen.iter().map(|s| record(&vault, s)).collect::<Result<Vec<_>, _>>();
    let records = records.map_err(Stop::untouched)?;
    drop(vault);
    let unit = unit(&ready, &chosen, &found.service);
    let draft =
        app.wait(plan::restore(&ready.engine, &found, &unit, &wishes, records)).map_err(Stop::untouched)?;
    run::carry_out(app, ready, &draft, args.service.yes)
}

/// The services that the run of the backup treated as one; just this one if the journal knows no more.
fn unit(ready: &run::Ready, chosen: &[Listed], service: &str) -> Vec<String> {
    let run = chosen.first().map(|s| s.tags.run.as_str()).unwrap_or_default();
    match ready.journal.replay(run) {
        Ok((plan, _)) => plan.unit.names().map(str::to_owned).collect(),
        Err(_) => vec![service.to_owned()],
    }
}

fn elsewhere(app: &mut App, args: &RestoreArgs, directory: &Path) -> Result<u8, Stop> {
    let name = &args.service.service;
    let vault = open(app)?;
    let id = if name.contains('/') { name.clone() } else { only_project(&vault, name)? };
    let chosen = choose(&vault, &id, args)?;
    for snapshot in &chosen {
        let target = match chosen.as_slice() {
            [_] => directory.to_owned(),
            _ => directory.join(snapshot.tags.mount.trim_start_matches('/').replace('/', "-")),
        };
        let interrupt = app.interrupt.clone();
        let fresh = Fresh::look(&target);
        let restored = watching(&mut *app.show, &interrupt, &snapshot.tags.mount, |watch| {
            vault.restore_to(&snapshot.id, &target, watch)
        });
        let restored = restored.map_err(|e| {
            if matches!(e, VaultError::Cancelled) {
                fresh.clear(&target);
            }
            vault_problem(
                &format!("{} could not be restored to {}", snapshot.tags.mount, target.display()),
                &e,
            )
        })?;
        app.show.say(&format!(
            "{} of {}: {} files, {} in {}, compared with the manifest",
            snapshot.tags.mount,
            id,
            restored.files,
            words::bytes(restored.bytes),
            target.display()
        ));
    }
    Ok(DONE)
}

/// What was at the target of a restoration before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    /// Nothing.
    Absent,
    /// An empty directory.
    Empty,
    /// Something, or nobody can say: never to be cleared.
    Other,
}

impl Fresh {
    fn look(target: &Path) -> Self {
        match std::fs::read_dir(target).map(|mut list| list.next().is_none()) {
            Ok(true) => Self::Empty,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::Absent,
            _ => Self::Other,
        }
    }

    /// Takes away what an interrupted restoration wrote. What can't be removed stays, and is seen.
    fn clear(self, target: &Path) {
        if self == Self::Other {
            return;
        }
        let entries = std::fs::read_dir(target).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _ = if directory { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
        if self == Self::Absent {
            let _ = std::fs::remove_dir(target);
        }
    }
}

/// Runs work of the vault in a thread of its own while its progress is shown by this one.
fn watching<T: Send>(
    show: &mut dyn Show,
    interrupt: &Interrupt,
    name: &str,
    work: impl FnOnce(&Watch<'_>) -> Result<T, VaultError> + Send,
) -> Result<T, VaultError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let watch = Watch { interrupt, sender: Mutex::new(sender) };
    let result = std::thread::scope(|scope| {
        let worker = scope.spawn(move || work(&watch));
        let mut rate = Rate::default();
        // Ends when the worker drops its end.
        for told in receiver {
            show.progress(&rate.progress(Step::RestoreData, name, &told));
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    show.progress_ended();
    result
}

struct Watch<'a> {
    interrupt: &'a Interrupt,
    sender: Mutex<std::sync::mpsc::Sender<Progress>>,
}

impl Monitor for Watch<'_> {
    fn progress(&self, progress: Progress) {
        if let Ok(sender) = self.sender.lock() {
            // Lossy: nobody may be there to hear it.
            let _ = sender.send(progress);
        }
    }

    fn cancelled(&self) -> bool {
        self.interrupt.came()
    }
}

fn open(app: &App) -> Result<Vault, Problem> {
    app.vault()?.ok_or_else(|| {
        Problem::new("unknown-backup", "there are no backups yet")
            .advise("make one: `mainstay backup SERVICE`")
    })
}

/// `project/service` of the only project that has backups of a service of this name.
fn only_project(vault: &Vault, service: &str) -> Result<String, Problem> {
    let all = vault.snapshots().map_err(|e| vault_problem("the backups can't be listed", &e))?;
    let own = all.iter().filter(|s| s.tags.service == service);
    let mut ids: Vec<String> = own.map(|s| format!("{}/{}", s.tags.project, s.tags.service)).collect();
    ids.sort();
    ids.dedup();
    match ids.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Problem::new("unknown-backup", format!("there is no backup of a service {service}"))
            .advise("`mainstay backups` lists them")),
        many => Err(Problem::new(
            "ambiguous-service",
            format!("{} projects have backups of {service}", many.len()),
        )
        .because(format!("candidates: {}", many.join(", ")))
        .advise("name the project too: PROJECT/SERVICE")),
    }
}

/// The snapshots of one run and one kind, one a mount.
fn choose(vault: &Vault, id: &str, args: &RestoreArgs) -> Result<Vec<Listed>, Problem> {
    let kinds: Vec<Kind> = match args.kind.as_deref() {
        None => vec![Kind::Cutover, Kind::Manual, Kind::Live],
        Some("cutover") => vec![Kind::Cutover],
        Some("live") => vec![Kind::Live],
        Some("safety") => vec![Kind::Safety],
        Some("manual") => vec![Kind::Manual],
        Some(other) => {
            return Err(Problem::new("usage", format!("there is no kind of backup called {other}"))
                .advise("kinds are cutover, live, safety and manual"));
        }
    };
    let all = vault.snapshots().map_err(|e| vault_problem("the backups can't be listed", &e))?;
    let own: Vec<&Listed> = all
        .iter()
        .filter(|s| format!("{}/{}", s.tags.project, s.tags.service) == id && kinds.contains(&s.tags.kind))
        .filter(|s| args.run.as_deref().is_none_or(|run| s.tags.run.starts_with(run)))
        .collect();
    // Newest first: the first one names the run.
    let run = own.first().map(|s| s.tags.run.clone()).ok_or_else(|| {
        Problem::new("unknown-backup", format!("there is no such backup of {id}"))
            .advise("`mainstay backups` lists them")
    })?;
    let kind = kinds.into_iter().find(|k| own.iter().any(|s| s.tags.run == run && s.tags.kind == *k));
    let mut chosen: Vec<Listed> = Vec::new();
    for snapshot in own {
        let wanted = snapshot.tags.run == run && Some(snapshot.tags.kind) == kind;
        if wanted && !chosen.iter().any(|c| c.tags.mount == snapshot.tags.mount) {
            chosen.push(snapshot.clone());
        }
    }
    Ok(chosen)
}

/// A backup as plans name it.
fn record(vault: &Vault, snapshot: &Listed) -> Result<BackupRecord, Problem> {
    // Reading the manifest proves that there is one, before anything is stopped.
    vault
        .manifest(&snapshot.id)
        .map_err(|e| vault_problem(&format!("the backup {} can't be used", snapshot.id.short()), &e))?;
    Ok(BackupRecord {
        mount: snapshot.tags.mount.clone(),
        snapshot: snapshot.id.to_string(),
        files: snapshot.files,
        bytes: snapshot.bytes,
        added_bytes: 0,
        changed_while_reading: 0,
        manifest: snapshot.manifest.clone(),
    })
}
