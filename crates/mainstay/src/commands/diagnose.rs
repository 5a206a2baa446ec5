//! `diagnose`: why a service is not well.

use std::path::PathBuf;
use std::time::Duration;

use mainstay_core::diagnosis;
use mainstay_host::diagnose::{Patient, gather};
use mainstay_host::discover::Found;
use mainstay_host::plan;

use super::app::App;
use crate::cli::CheckArgs;
use crate::exit::{DONE, Stop, WARNINGS};
use crate::render::words;

/// How long gathering may take; what is not known then is left out.
const LIMIT: Duration = Duration::from_secs(10);

/// Gathers facts about a service, and shows what the rules find in them.
pub fn diagnose(app: &mut App, args: &CheckArgs) -> Result<u8, Stop> {
    let engine = app.engine()?;
    let found = app.find(&engine, &args.service)?;
    let wishes = app.probe_wishes(&found, &args.probes)?;
    let probes = app.wait(plan::detected(&engine, &found, &wishes))?;
    let patient = Patient::found(&found, probes, before(app, &found));
    let facts = app.wait(async { Ok(gather(&engine, &patient, LIMIT).await) })?;
    let diagnosis = diagnosis::diagnose(&facts);
    app.show.diagnosis(&diagnosis);
    let name = format!("{}/{}", found.project.name, found.service);
    if diagnosis.is_empty() {
        app.show.say(&format!("{name}: nothing found"));
        return Ok(DONE);
    }
    app.show.say(&format!("{name}: {} found, most telling first", words::count(diagnosis.len(), "cause")));
    Ok(WARNINGS)
}

/// The directory of the newest run that saved this service's containers. Without a journal there is none, which
/// is no reason not to diagnose.
fn before(app: &App, found: &Found) -> Option<PathBuf> {
    let journal = app.state.existing_journal().ok()??;
    let runs = journal.runs().ok()?;
    let own = runs.iter().filter(|r| r.project == found.project.name && r.service == found.service);
    own.map(|run| app.state.path().join("runs").join(&run.id)).find(|dir| dir.join("configuration").is_dir())
}
