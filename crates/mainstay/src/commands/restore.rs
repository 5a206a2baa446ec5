//! `restore`: the data of a backup in place, after a safety snapshot of what is there; or elsewhere.

use std::path::Path;
use std::sync::Mutex;

use mainstay_core::event::BackupRecord;
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_host::plan;
use mainstay_host::steps::{Rate, vault_problem};
use mainstay_vault::{Listed, Monitor, Progress, Vault, VaultError};

use super::app::App;
use super::choose::{choose, directory_name, id, no_compose_file, open};
use super::{one_path, run};
use crate::cli::RestoreArgs;
use crate::exit::{DONE, Stop};
use crate::interrupt::Interrupt;
use crate::render::{Show, words};

/// Restores a backup.
pub fn restore(app: &mut App, args: &RestoreArgs) -> Result<u8, Stop> {
    match (&args.to, &args.only) {
        (Some(directory), Some(path)) => one_path::restore(app, args, path, directory),
        (Some(directory), None) => elsewhere(app, args, directory),
        (None, None) => in_place(app, args),
        (None, Some(path)) => Err(Problem::new(
            "usage",
            format!("{} alone can't be put back in place", path.display()),
        )
        .because("for that the service has to stand still, and all of its data to be saved before")
        .advise("restore it beside with `--to DIR`, look at it, and copy it yourself; or leave `--only` out to put everything back")
        .into()),
    }
}

fn in_place(app: &mut App, args: &RestoreArgs) -> Result<u8, Stop> {
    let ready = run::ready(app, &format!("restore {}", args.service.service), args.service.yes)?;
    let found = app.find(&ready.engine, &args.service.service).map_err(Stop::untouched)?;
    let wishes = app.wishes(&found, &args.service).map_err(Stop::untouched)?;
    let id = format!("{}/{}", found.project.name, found.service);
    let vault = open(app, Some(&found.project.directory)).map_err(Stop::untouched)?;
    let chosen = choose(app, &vault, &id, &args.choice).map_err(Stop::untouched)?;
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
    no_compose_file(app)?;
    let vault = open(app, None)?;
    let id = id(&vault, name)?;
    let chosen = choose(app, &vault, &id, &args.choice)?;
    for snapshot in &chosen {
        let target = match chosen.as_slice() {
            [_] => directory.to_owned(),
            _ => directory.join(directory_name(&snapshot.tags.mount)),
        };
        let interrupt = app.interrupt.clone();
        let restored = watching(&mut *app.show, &interrupt, &snapshot.tags.mount, |watch| {
            vault.restore_to(&snapshot.id, &target, watch)
        });
        let restored = restored.map_err(|e| {
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

/// Runs work of the vault in a thread of its own while its progress is shown by this one.
fn watching<T: Send>(
    show: &mut dyn Show,
    interrupt: &Interrupt,
    name: &str,
    work: impl FnOnce(&Told<'_>) -> Result<T, VaultError> + Send,
) -> Result<T, VaultError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let watch = Told { interrupt, sender: Mutex::new(sender) };
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

struct Told<'a> {
    interrupt: &'a Interrupt,
    sender: Mutex<std::sync::mpsc::Sender<Progress>>,
}

impl Monitor for Told<'_> {
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
