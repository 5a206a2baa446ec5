//! `update`: back up, edit, pull, replace, verify, watch, and roll back by itself if it turns out bad.

use mainstay_core::problem::{Problem, ServiceState};
use mainstay_host::discover::Found;
use mainstay_host::engine::Engine;
use mainstay_host::plan::{self, Draft, Update};

use super::app::App;
use super::run;
use crate::cli::UpdateArgs;
use crate::exit::{DONE, Stop};
use crate::render::Ending;

/// Updates a service.
pub fn update(app: &mut App, args: &UpdateArgs) -> Result<u8, Stop> {
    let wanted = wanted(args)?;
    let ready = run::ready(app, &format!("update {}", args.service.service), args.service.yes)?;
    match draft(app, &ready.engine, args, &wanted) {
        Ok((_, draft)) => run::carry_out(app, ready, &draft, args.service.yes),
        Err(stop) if stop.problem.code == "same-version" => Ok(nothing_to_do(app, &stop)),
        Err(stop) => Err(stop),
    }
}

/// Plans an update; shared with `plan`.
pub fn draft(app: &App, engine: &Engine, args: &UpdateArgs, wanted: &Update) -> Result<(Found, Draft), Stop> {
    let found = app.find(engine, &args.service.service).map_err(Stop::untouched)?;
    let wishes = app.update_wishes(&found, args).map_err(Stop::untouched)?;
    let draft = app.wait(plan::update(engine, &found, &wishes, wanted)).map_err(Stop::untouched)?;
    Ok((found, draft))
}

/// What to update to.
pub fn wanted(args: &UpdateArgs) -> Result<Update, Stop> {
    let Some(to) = args.to.clone() else {
        return Err(Stop::untouched(
            Problem::new("usage", "the tag to update to is missing").advise("name it: `--to TAG`"),
        ));
    };
    Ok(Update { to, new_secrets: args.new_secret.clone(), set: args.set.clone() })
}

/// The version runs already: said, and well.
pub fn nothing_to_do(app: &mut App, stop: &Stop) -> u8 {
    app.show.say(&format!("Nothing to do: {}", stop.problem.what));
    app.show.ended(&Ending {
        word: "nothing-to-do",
        exit_code: DONE,
        problem: None,
        service: Some(ServiceState::Untouched),
    });
    DONE
}
