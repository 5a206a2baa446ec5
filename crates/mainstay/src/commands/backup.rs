//! `backup`: data and configuration while the service runs, or stands still for it, read back.

use mainstay_host::plan;

use super::app::App;
use super::run;
use crate::cli::BackupArgs;
use crate::exit::Stop;

/// Backs a service up.
pub fn backup(app: &mut App, args: &BackupArgs) -> Result<u8, Stop> {
    let ready = run::ready(app, &format!("backup {}", args.service.service))?;
    let found = app.find(&ready.engine, &args.service.service).map_err(Stop::untouched)?;
    let wishes = app.backup_wishes(&found, args).map_err(Stop::untouched)?;
    let draft = app.wait(plan::backup(&ready.engine, &found, &wishes)).map_err(Stop::untouched)?;
    // A backup changes nothing of the service, and what disturbs it was asked for by name: there is nothing to ask.
    run::carry_out(app, ready, &draft, true)
}
