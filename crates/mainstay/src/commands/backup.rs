//! `backup`: data and configuration while the service runs, or stands still for it, read back; and what is done with
//! backups.

use mainstay_core::problem::Problem;
use mainstay_host::plan;

use super::app::App;
use super::{export, run};
use crate::cli::{BackupAction, BackupArgs, ServiceArgs};
use crate::config::QuiesceMode;
use crate::exit::Stop;

/// Backs a service up, or does what the subcommand says.
pub fn backup(app: &mut App, args: &BackupArgs) -> Result<u8, Stop> {
    match (&args.action, args.service()) {
        (Some(BackupAction::Export(args)), _) => export::export(app, args),
        (None, Some(service)) => make(app, &service, args.quiesce),
        (None, None) => Err(Problem::new("usage", "it isn't said of which service")
            .advise("`mainstay backup SERVICE`; `mainstay status` lists the services")
            .into()),
    }
}

fn make(app: &mut App, args: &ServiceArgs, quiesce: Option<QuiesceMode>) -> Result<u8, Stop> {
    let ready = run::ready(app, &format!("backup {}", args.service), args.yes)?;
    let found = app.find(&ready.engine, &args.service).map_err(Stop::untouched)?;
    let wishes = app.backup_wishes(&found, args, quiesce).map_err(Stop::untouched)?;
    let draft = app.wait(plan::backup(&ready.engine, &found, &wishes)).map_err(Stop::untouched)?;
    // A backup changes nothing of the service, and what disturbs it was asked for by name: there is nothing to ask.
    run::carry_out(app, ready, &draft, true)
}
