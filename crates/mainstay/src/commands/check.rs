//! `check`: what would refuse an update, and why.

use mainstay_core::finding::Severity;
use mainstay_core::problem::Problem;
use mainstay_host::checks::Wanted;
use mainstay_host::plan;

use super::app::App;
use crate::cli::CheckArgs;
use crate::exit::{DONE, Stop, WARNINGS};
use crate::render::words;

/// Validates a service.
pub fn check(app: &mut App, args: &CheckArgs) -> Result<u8, Stop> {
    let engine = app.engine()?;
    let found = app.find(&engine, &args.service)?;
    let wishes = app.probe_wishes(&found, &args.probes)?;
    let unit = [found.service.clone()];
    let wanted = Wanted { backup: true, recreate: true, hooks: wishes.hooks.any(&unit), ..Wanted::default() };
    let looked = app.wait(plan::look(&engine, &found, &unit, &wishes, &wanted))?;
    for line in looked.room.iter().map(words::room) {
        app.show.say(&line);
    }
    for facts in &looked.survey.unit {
        if let Some(known) = &facts.profile {
            let known = known.planned(&looked.survey, &facts.name);
            app.show.say(&format!("{}: {}", facts.name, known.describe()));
        }
    }
    for line in looked.checks.iter().map(words::checks::asked) {
        app.show.say(&line);
    }
    app.show.findings(&looked.findings);
    let required = looked.findings.iter().filter(|f| f.severity == Severity::Required).count();
    let warnings = looked.findings.iter().filter(|f| f.severity == Severity::Warning).count();
    let name = format!("{}/{}", found.project.name, found.service);
    if required > 0 {
        let what = format!("{name} would be refused an update, by {required} finding(s)");
        return Err(Stop::untouched(Problem::new("check-failed", what).advise("see what each one advises")));
    }
    let tail = if warnings > 0 { format!(", {warnings} warning(s)") } else { String::new() };
    app.show.say(&format!("{name} can be updated{tail}"));
    Ok(if warnings > 0 { WARNINGS } else { DONE })
}
