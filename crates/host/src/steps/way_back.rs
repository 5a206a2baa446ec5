//! The step that looks at the way back before anything is stopped for it, and what other steps look at before
//! they act: whose files these are, whether something runs, and what ever ran.
//!
//! Invariant: it stops, starts and removes nothing. What it may do is bring an old image back that somebody
//! pruned (`old_image.rs`).

use mainstay_core::event::Fact;
use mainstay_core::plan::{FileEdit, Plan};
use mainstay_core::problem::Problem;
use mainstay_core::verdict::Tier;
use mainstay_runner::Context;

use super::containers::present;
use super::trouble::engine_step;
use super::{Done, Host};
use crate::discover::ListedContainer;
use crate::engine::Engine;
use crate::files;

/// The note in the run's directory: what was there when the way back was looked at, or the data kept, last.
const NOTE: &str = "starts";
/// Its first line. A note without it stands for doubt.
const HEAD: &str = "containers and their last starts\n";

impl Host {
    /// The files are as the run left them, the old images are there, and whether anything of the new version ran.
    /// A way back that is closed is known while whatever runs still does.
    pub(super) fn confirm_way_back(&mut self, context: &mut Context<'_>) -> Done {
        let plan = context.plan;
        files_are(&plan.edits, |edit, found| *found == edit.before || found.as_ref() == Some(&edit.after))
            .map_err(engine_step)?;
        for service in &plan.unit.services {
            self.have_old_image(service, context).map_err(engine_step)?;
        }
        // First, so that what starts in between is seen by one of both.
        self.note_starts(plan).map_err(engine_step)?;
        let ran = self.runtime.block_on(new_version_ran(&self.engine, plan)).map_err(engine_step)?;
        Ok(Fact::WayBack { new_version_ran: ran })
    }

    /// Notes which containers there are, and when each was started last: from here on it can be told whether something
    /// ran since. To be called while nothing runs that counts, before the data is looked at.
    pub(super) fn note_starts(&mut self, plan: &Plan) -> Result<(), Problem> {
        let starts = self.runtime.block_on(starts(&self.engine, plan))?;
        self.note(note(&starts));
        Ok(())
    }

    /// Whether something may have run since the note was taken. Whoever asks is about to remove containers, and may
    /// have to ask again after it was cut off: so the doubt is noted, or what is there now.
    pub(super) fn may_have_run(&mut self, context: &Context<'_>) -> Result<bool, Problem> {
        let plan = context.plan;
        let now = self.runtime.block_on(starts(&self.engine, plan))?;
        // Where nothing new ever ran, the old version on its own data is no doubt, however often it is started.
        let never = matches!(context.state.turned_back(), Some((Tier::NeverStarted, _)));
        let planned = |id: &str| plan.unit.services.iter().flat_map(|s| &s.containers).any(|c| c.id == id);
        let old = |start: &Start| never && planned(&start.id) && now.iter().any(|n| n.id == start.id);
        let written = || self.run.read(NOTE).ok().and_then(|note| String::from_utf8(note).ok());
        let noted = self.starts.clone().or_else(written).unwrap_or_default();
        let doubt = noted_in(&noted).is_none_or(|noted| {
            let all_but_old =
                |starts: &[Start]| starts.iter().filter(|s| !old(s)).cloned().collect::<Vec<_>>();
            in_doubt(&all_but_old(&noted), &all_but_old(&now))
        });
        self.note(if doubt { String::new() } else { note(&now) });
        Ok(doubt)
    }

    /// A full disk must not close the way back: this process knows it all the same, and what another one finds is an
    /// older note or none, which leaves more doubt and never less.
    fn note(&mut self, text: String) {
        if self.run.write(NOTE, text.as_bytes()).is_err() && text.is_empty() {
            // That needs no room, and no note is a doubt, too.
            let _ = std::fs::remove_file(self.run.path().join(NOTE));
        }
        self.starts = Some(text);
    }
}

/// Every edited file has content that `fits`; else somebody else changed it.
pub(super) fn files_are(
    edits: &[FileEdit],
    fits: impl Fn(&FileEdit, &Option<String>) -> bool,
) -> Result<(), Problem> {
    for edit in edits {
        let found = files::read_if_there(&edit.path)?.as_deref().map(files::hash);
        if !fits(edit, &found) {
            let path = edit.path.display();
            return Err(Problem::new(
                "file-changed",
                format!("{path} was changed by somebody else meanwhile"),
            )
            .because("it is neither as it was planned with nor as the run wrote it, and stays as it is")
            .advise(format!("see what changed in {path}, then decide which version shall run"))
            .advise(
                "the bytes from before and after the run's edit are in the run's directory, below files/",
            ));
        }
    }
    Ok(())
}

/// Whether any container of the new version ever ran, whoever started it. Where there is no container at all, nobody
/// can say that none did.
pub(super) async fn new_version_ran(engine: &Engine, plan: &Plan) -> Result<bool, Problem> {
    let listed = present(engine, plan).await?;
    for (service, container) in &listed {
        if is_new(plan, service, container) && ever_ran(engine, container).await? {
            return Ok(true);
        }
    }
    Ok(listed.is_empty())
}

/// Neither there when the plan was made, nor of the old image.
fn is_new(plan: &Plan, service: &str, container: &ListedContainer) -> bool {
    let planned = plan.unit.services.iter().find(|s| s.name == service);
    planned.is_none_or(|planned| {
        planned.from.id.as_ref() != Some(&container.image_id)
            && !planned.containers.iter().any(|c| c.id == container.container.id)
    })
}

/// Nothing of the new version ran before there is a backup to go back to, and nothing runs.
pub(super) async fn nothing_ran(engine: &Engine, plan: &Plan) -> Result<(), Problem> {
    let running = present(engine, plan).await?.into_iter().find(|(_, c)| runs(c));
    if running.is_none() && !new_version_ran(engine, plan).await? {
        return Ok(());
    }
    let name = running.map_or_else(|| plan.unit.service.clone(), |(_, c)| c.container.name);
    Err(started_by_somebody(&name))
}

fn started_by_somebody(name: &str) -> Problem {
    Problem::new(
        "containers-changed",
        format!("{name} was started by somebody else while the run had it stopped"),
    )
    .advise("let nothing else start the service while a run is at work: a unit at boot, a script, a person")
}

/// Whether a container ever ran.
pub(super) async fn ever_ran(engine: &Engine, container: &ListedContainer) -> Result<bool, Problem> {
    Ok(start(engine, container).await?.ever_ran())
}

/// A container, and when it was started last, in the engine's own words, which are compared and not read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    id: String,
    at: String,
}

impl Start {
    /// One that never ran has the year 1 as its start.
    fn ever_ran(&self) -> bool {
        !self.at.starts_with("0001-")
    }
}

async fn start(engine: &Engine, container: &ListedContainer) -> Result<Start, Problem> {
    let id = container.container.id.clone();
    let state = engine.call("inspect a container", engine.docker().inspect_container(&id, None)).await?.state;
    Ok(Start { id, at: state.and_then(|state| state.started_at).unwrap_or_default() })
}

/// Of all containers of the unit.
async fn starts(engine: &Engine, plan: &Plan) -> Result<Vec<Start>, Problem> {
    let mut starts = Vec::new();
    for (_, container) in present(engine, plan).await? {
        starts.push(start(engine, &container).await?);
    }
    Ok(starts)
}

/// Something ran that was not noted, or what was noted has been started since, or is gone and can't tell.
fn in_doubt(noted: &[Start], now: &[Start]) -> bool {
    let gone_or_started = noted.iter().any(|start| !now.contains(start));
    gone_or_started || now.iter().any(|start| !noted.contains(start) && start.ever_ran())
}

fn note(starts: &[Start]) -> String {
    let lines = starts.iter().map(|Start { id, at }| format!("{id} {at}\n"));
    std::iter::once(HEAD.to_owned()).chain(lines).collect()
}

/// `None` where there is no note.
fn noted_in(text: &str) -> Option<Vec<Start>> {
    let start = |line: &str| {
        let (id, at) = line.split_once(' ')?;
        Some(Start { id: id.to_owned(), at: at.to_owned() })
    };
    text.strip_prefix(HEAD)?.lines().map(start).collect()
}

fn runs(container: &ListedContainer) -> bool {
    !matches!(container.state.as_str(), "created" | "exited" | "dead")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: &str = "0001-01-01T00:00:00Z";
    const THEN: &str = "2026-01-01T00:00:00.123456789Z";
    const LATER: &str = "2026-01-01T00:00:01Z";

    fn starts(of: &[(&str, &str)]) -> Vec<Start> {
        of.iter().map(|(id, at)| Start { id: (*id).to_owned(), at: (*at).to_owned() }).collect()
    }

    #[test]
    fn a_container_that_was_started_or_is_gone_leaves_doubt() {
        let noted = [("new", NEVER), ("helper", THEN)];
        for (now, doubt) in [
            (&noted[..], false),
            // Made since, and never started.
            (&[("new", NEVER), ("helper", THEN), ("old", NEVER)], false),
            (&[("new", LATER), ("helper", THEN)], true),
            (&[("new", NEVER), ("helper", LATER)], true),
            (&[("new", NEVER), ("helper", THEN), ("old", LATER)], true),
            (&[("old", NEVER), ("helper", THEN)], true),
            (&[], true),
        ] {
            assert_eq!(in_doubt(&starts(&noted), &starts(now)), doubt, "{now:?}");
        }
        assert!(!in_doubt(&[], &[]));
    }

    #[test]
    fn a_note_says_what_was_noted_and_no_note_says_nothing() {
        for noted in [starts(&[]), starts(&[("a", NEVER), ("b", THEN)])] {
            assert_eq!(noted_in(&note(&noted)), Some(noted));
        }
        assert_eq!(noted_in(""), None);
        assert_eq!(noted_in(&format!("{HEAD}torn")), None);
    }
}
