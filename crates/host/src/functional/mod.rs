//! Asks functional checks: HTTP, commands, pages in a browser, questions to the operator.
//!
//! Invariant: an answer comes within the check's limit and holds no secret, and a check that can't be asked is an
//! answer that isn't good, never an error. What was good or bad before is for `mainstay_core::functional` to compare.
//! It does not repeat anything: see [`crate::watch`].

mod asking;
mod browser;
mod commands;
mod devtools;
mod expect;
mod http;
mod operator;
mod planning;
mod spec;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mainstay_core::functional::{Answer, Kind};
use mainstay_core::plan::Project;

use crate::discover;
use crate::engine::Engine;
pub use crate::exec::all_ended;
use crate::files::RunDir;

pub(crate) use asking::{Asking, prepare};
pub use operator::{Operator, Question};
pub use planning::{CheckWishes, Planned};
pub(crate) use planning::{Known, add, look, numbered, unasked};
pub(crate) use spec::shown_command;
pub use spec::{Ask, Browser, Command, Figure, Http, Spec, Target, Text, Unattended};

/// Where a check is asked.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) engine: Engine,
    pub(crate) project: Project,
    pub(crate) service: String,
    /// Who answers questions; `None` where there is nobody.
    pub(crate) operator: Option<Operator>,
    /// Where the picture of a page is to be put: a run's directory, and the file in it.
    pub(crate) screenshot: Option<(RunDir, PathBuf)>,
    /// Whether it waits for others that are so, too. What profiles ask starts clients inside the containers, within their
    /// memory limits: several at once could be too much for a database.
    pub(crate) one_at_a_time: bool,
}

/// Whoever asks one at a time has this.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Place {
    /// The id of the first container of the service that runs.
    async fn container(&self) -> Result<String, String> {
        let own = discover::containers_of(&self.engine, &self.project.name, &self.service).await;
        let running = own.map_err(|problem| problem.to_string())?.into_iter().find(|c| c.state == "running");
        running.map(|c| c.container.id).ok_or_else(|| format!("{} has no container that runs", self.service))
    }
}

/// Asks once.
pub(crate) async fn ask(place: &Place, spec: &Spec) -> Answer {
    let limit = Duration::from_millis(spec.timeout_ms);
    let _turn = if place.one_at_a_time { Some(TURN.lock().await) } else { None };
    let mut answer = match &spec.ask {
        Ask::Question { text, unattended } => operator::ask(place, text, *unattended, limit).await,
        // A command has its own limit: it has to be killed, not only left.
        Ask::Command(_) | Ask::HostCommand(_) => answered(place, spec, limit).await,
        _ => match tokio::time::timeout(limit, answered(place, spec, limit)).await {
            Ok(answer) => answer,
            Err(_) => bad(format!("no answer within {} s", limit.as_secs_f64())),
        },
    };
    answer.detail = spec.hide(&answer.detail);
    for complaint in &mut answer.complaints {
        *complaint = spec.hide(complaint);
    }
    answer
}

async fn answered(place: &Place, spec: &Spec, limit: Duration) -> Answer {
    let began = Instant::now();
    if let Ask::Browser(page) = &spec.ask {
        return browser::look(place, page, limit).await.unwrap_or_else(bad);
    }
    let came = match &spec.ask {
        Ask::Http(asked) => http::send(place, asked).await.and_then(|reply| {
            expect::http(asked, &reply)?;
            Ok((format!("HTTP {} in {} ms", reply.status, began.elapsed().as_millis()), reply.body))
        }),
        Ask::Command(command) => commands::in_container(place, &command.words, limit)
            .await
            .and_then(|ran| ended(command, ran, spec.figure.is_some())),
        Ask::HostCommand(command) => commands::on_host(place, &command.words, limit)
            .await
            .and_then(|ran| ended(command, ran, spec.figure.is_some())),
        Ask::Browser(_) | Ask::Question { .. } => Err("it is asked in another way".to_owned()),
    };
    let counted = came.and_then(|(detail, text)| {
        let figure = spec.figure.as_ref().map(|figure| expect::figure(figure, &text)).transpose()?;
        Ok((figure.map_or(detail, |figure| figure.to_string()), figure))
    });
    match counted {
        Ok((detail, figure)) => Answer { good: true, detail, figure, ..Answer::default() },
        Err(detail) => bad(detail),
    }
}

/// What a command that has ended says: for people, and where a figure may stand.
fn ended(command: &Command, ran: commands::Ran, figure: bool) -> Result<(String, String), String> {
    if ran.exit != command.exit {
        let said = format!("{}\n{}", ran.stdout, ran.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
        return Err(format!(
            "exit code {}, expected {}: {}",
            ran.exit,
            command.exit,
            crate::probes::presentable(last)
        ));
    }
    let cut = "it printed more than is looked at, which are the first 256 KiB";
    expect::text(&command.text, &format!("{}{}", ran.stdout, ran.stderr))
        .map_err(|why| if ran.cut { format!("{why}; {cut}") } else { why })?;
    // A figure stands in the last line.
    if ran.cut && figure {
        return Err(cut.to_owned());
    }
    Ok((format!("exit code {}", ran.exit), ran.stdout))
}

fn bad(detail: String) -> Answer {
    Answer { detail, ..Answer::default() }
}

/// How long an answer may take where nothing is said, in milliseconds.
#[must_use]
pub fn usual_limit_ms(kind: Kind) -> u64 {
    match kind {
        Kind::Http => 5_000,
        Kind::Command | Kind::HostCommand => 30_000,
        Kind::Browser => 60_000,
        Kind::Question => 600_000,
    }
}
