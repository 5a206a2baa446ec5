//! `backup`: data and configuration while the service runs, read back.

use mainstay_host::plan;

use super::app::App;
use super::run;
use crate::cli::ServiceArgs;
use crate::exit::Stop;

/// Backs a service up.
pub fn backup(app: &mut App, args: &ServiceArgs) -> Result<u8, Stop> {
    let ready = run::ready(app, &format!("backup {}", args.service))?;
    let found = app.find(&ready.engine, &args.service).map_err(Stop::untouched)?;
    let wishes = app.wishes(&found, args).map_err(Stop::untouched)?;
    let draft = app.wait(plan::backup(&ready.engine, &found, &wishes)).map_err(Stop::untouched)?;
    // A backup changes nothing of the service: there is nothing to ask.
    run::carry_out(app, ready, &draft, true)
}
