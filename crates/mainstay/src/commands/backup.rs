//! `backup`: data and configuration while the service runs, read back; and what is done with backups.

use mainstay_core::problem::Problem;
use mainstay_host::plan;

use super::app::App;
use super::{export, run};
use crate::cli::{BackupAction, BackupArgs, ServiceArgs};
use crate::exit::Stop;

/// Backs a service up, or does what the subcommand says.
pub fn backup(app: &mut App, args: &BackupArgs) -> Result<u8, Stop> {
    match (&args.action, args.service()) {
        (Some(BackupAction::Export(args)), _) => export::export(app, args),
        (None, Some(service)) => make(app, &service),
        (None, None) => Err(Problem::new("usage", "it isn't said of which service")
            .advise("`mainstay backup SERVICE`; `mainstay status` lists the services")
            .into()),
    }
}

fn make(app: &mut App, args: &ServiceArgs) -> Result<u8, Stop> {
    let ready = run::ready(app, &format!("backup {}", args.service))?;
    let found = app.find(&ready.engine, &args.service).map_err(Stop::untouched)?;
    let wishes = app.wishes(&found, args).map_err(Stop::untouched)?;
    let draft = app.wait(plan::backup(&ready.engine, &found, &wishes)).map_err(Stop::untouched)?;
    // A backup changes nothing of the service: there is nothing to ask.
    run::carry_out(app, ready, &draft, true)
}
