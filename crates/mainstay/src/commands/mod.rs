//! The commands, one file each.

mod app;
mod backup;
mod backups;
mod check;
mod choose;
mod completions;
mod copy;
mod diagnose;
mod doctor;
mod export;
mod housekeeping;
mod one_path;
mod plan;
mod prune;
mod put_back_data;
mod restore;
mod resume;
mod rollback;
mod run;
mod runs;
mod show;
mod status;
mod update;
mod verify_backup;

use std::time::Duration;

use crate::cli::{Cli, Command};
use crate::exit::{DONE, Stop};
use crate::render::Ending;

use app::App;

/// Work that was given up is waited for so long at the end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the command and returns the exit status.
pub fn run(cli: Cli) -> u8 {
    if let Command::Completions { shell } = &cli.command {
        return completions::script(*shell);
    }
    if let Command::ConfigSchema = &cli.command {
        return completions::schema();
    }
    if let Command::PutBackData { data, list } = &cli.command {
        return put_back_data::put_back_data(data, list);
    }
    let mut app = match App::new(cli.global) {
        Ok(app) => app,
        Err((mut show, stop)) => {
            show.ended(&ending(&stop));
            return stop.code;
        }
    };
    let code = match dispatch(&mut app, cli.command) {
        Ok(code) => {
            let word = if code == DONE { "done" } else { "done-with-warnings" };
            app.show.ended(&Ending { word, exit_code: code, problem: None, service: None });
            code
        }
        Err(stop) => {
            app.show.ended(&ending(&stop));
            stop.code
        }
    };
    // A look at a mount that hangs was given up and may still wait: it must not keep the command.
    app.runtime.shutdown_timeout(LAST_WAIT);
    code
}

fn dispatch(app: &mut App, command: Command) -> Result<u8, Stop> {
    match command {
        Command::Status => status::status(app),
        Command::Check(args) => check::check(app, &args),
        Command::Diagnose(args) => diagnose::diagnose(app, &args),
        Command::Plan(args) => plan::plan(app, &args),
        Command::Update(args) => update::update(app, &args),
        Command::Backup(args) => backup::backup(app, &args),
        Command::Backups(args) => backups::backups(app, &args),
        Command::Copy => copy::copy(app),
        Command::Restore(args) => restore::restore(app, &args),
        Command::Rollback(args) => rollback::rollback(app, &args),
        Command::Runs(args) => runs::runs(app, &args),
        Command::Show(args) => show::show(app, &args),
        Command::Resume(args) => resume::resume(app, &args),
        Command::Prune(args) => prune::prune(app, &args),
        Command::VerifyBackup(args) => verify_backup::verify_backup(app, &args),
        Command::Doctor => doctor::doctor(app),
        Command::Completions { .. } | Command::ConfigSchema | Command::PutBackData { .. } => Ok(DONE),
    }
}

fn ending(stop: &Stop) -> Ending<'_> {
    Ending { word: stop.word(), exit_code: stop.code, problem: Some(&stop.problem), service: stop.service }
}
