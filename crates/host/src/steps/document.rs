//! The last step: a report for people, and how to use the backups without mainstay.

use std::fmt::Write as _;
use std::path::Path;

use mainstay_core::baseline;
use mainstay_core::diagnosis::Diagnosis;
use mainstay_core::event::{BackupRecord, Fact};
use mainstay_core::plan::{DataMount, Plan};
use mainstay_core::state::RunState;
use mainstay_core::step::Step;
use mainstay_runner::{Context, Permit};
use mainstay_vault::{Access, Location};

use super::trouble::engine_step;
use super::{Done, Host};
use crate::files::{ImageCopies, RunDir};

/// The backups that a run may have taken, with the words for them.
const BACKUPS: &[(Step, &str)] = &[
    (Step::BackUpCutover, "as it was when the update began, the service standing still"),
    (Step::BackUpStill, "while the service stood still, stopped or paused for it"),
    (Step::BackUpLive, "while the service ran"),
    (Step::BackUpSafety, "as it was just before the rollback or the restoration"),
];

/// Where the commands restore to: the reader's to choose.
const TARGET: &str = "/path/to/an/empty/directory";

impl Host {
    /// Writes `BACKUP_INFO.txt` and `report.txt` into the run's directory.
    pub(super) fn document(&mut self, permit: &Permit, context: &mut Context<'_>) -> Done {
        let info = backup_info(permit.run(), context.plan, context.state, &self.access)
            + &copies(context.plan, &self.image_copies());
        self.run.write("BACKUP_INFO.txt", info.as_bytes()).map_err(|e| engine_step(e.into()))?;
        let report = report(permit.run(), context.plan, context.state) + &pictures(&self.run);
        self.run.write("report.txt", report.as_bytes()).map_err(|e| engine_step(e.into()))?;
        self.leave(permit, context);
        Ok(Fact::Nothing)
    }
}

/// The pictures that were taken of pages.
fn pictures(run: &RunDir) -> String {
    let Ok(entries) = std::fs::read_dir(run.path().join("screenshots")) else { return String::new() };
    let mut paths: Vec<String> = entries.flatten().map(|entry| entry.path().display().to_string()).collect();
    paths.sort();
    paths.iter().fold("\nPages, before and after:\n\n".to_owned(), |text, path| text + "  " + path + "\n")
}

/// How to have an old image again from the copy that was kept of it.
fn copies(plan: &Plan, copies: &ImageCopies) -> String {
    let mut text = String::new();
    for service in plan.unit.services.iter().filter(|_| plan.keep_image_copy) {
        let Some((id, path)) = service.from.id.as_ref().map(|id| (id, copies.path(id))) else { continue };
        if !path.exists() {
            continue;
        }
        if text.is_empty() {
            text.push_str("\nAnd, should the engine not have it any more, as a file:\n\n");
        }
        let (tag, reference) = (&service.keep_tag, &service.from.reference);
        let _ = writeln!(
            text,
            "    docker load -i {} && docker tag {id} {tag}  # for {reference}",
            quoted(&path)
        );
    }
    text
}

/// How to get at the backups of a run with stock `restic` and `docker` alone.
#[must_use]
pub fn backup_info(run: &str, plan: &Plan, state: &RunState, access: &Access) -> String {
    let mut text = format!(
        "Backups of {} taken by run {run}\n\n\
         They can be used without mainstay: the repository is a stock restic repository.\n\
         Keep a copy of the password elsewhere; without it no backup can be read.\n\n\
         repository     {}\n",
        plan.unit.id(),
        access.location,
    );
    let mut restic = format!("restic --repo {}", quoted(Path::new(&access.location.to_string())));
    match access.password_file() {
        Some(file) => {
            let _ = writeln!(text, "password file  {}", file.display());
            let _ = write!(restic, " --password-file {}", quoted(&file));
        }
        None => text.push_str("password       put it into RESTIC_PASSWORD, or have restic ask for it\n"),
    }
    if let Location::S3(_) = access.location {
        text.push_str(
            "credentials    put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as for mainstay\n",
        );
    }
    let _ = write!(text, "\nTo check everything:\n\n    {restic} check --read-data\n");
    for (step, what) in BACKUPS {
        for record in state.backups(*step) {
            let Some(mount) = plan.data.iter().find(|m| m.name == record.mount) else { continue };
            describe(&mut text, record, mount, what, &restic);
        }
    }
    let files =
        plan.unit.project.files.iter().map(|f| quoted(f)).fold(String::new(), |all, f| all + " -f " + &f);
    let services: Vec<&str> = plan.unit.names().collect();
    let _ = write!(
        text,
        "\nTo run the old version on restored data: stop the service, put the data in place, put the files\n\
         of configuration/ back where files.txt says they were, then:\n\n    \
         docker compose -p {}{files} up -d {}\n\n\
         The old image is kept on this engine as:\n\n",
        plan.unit.project.name,
        services.join(" ")
    );
    for service in &plan.unit.services {
        let _ = writeln!(text, "    {} (for {})", service.keep_tag, service.from.reference);
    }
    text
}

fn describe(text: &mut String, record: &BackupRecord, mount: &DataMount, what: &str, restic: &str) {
    let _ = write!(
        text,
        "\nThe data of {} ({}), {what}:\n{} files, {} bytes; it lands in {TARGET}{}\n\n    \
         {restic} restore {} --target {TARGET}\n",
        mount.name,
        mount.destination,
        record.files,
        record.bytes,
        quoted(&mount.source),
        record.snapshot
    );
    if !mount.reach.is_direct() {
        text.push_str(
            "\nIts directory was reached through the engine; `docker cp -a` puts files there the same way.\n",
        );
    }
}

/// In single quotes where a shell would make something of it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@".contains(c)) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// What the functional checks said of a version that was verified, with what they count.
fn answers(plan: &Plan, state: &RunState) -> String {
    let own = |said: &&String| {
        plan.checks
            .iter()
            .any(|check| said.strip_prefix(&check.name).is_some_and(|rest| rest.starts_with(": ")))
    };
    let mut text = String::new();
    for step in [Step::VerifyNew, Step::VerifyOld] {
        let Some(Fact::Verified { observations, .. }) = state.fact(step) else { continue };
        let said: Vec<&String> = observations.iter().filter(own).collect();
        if !said.is_empty() {
            let _ = writeln!(text, "\n{}, by functional checks:", step.name());
        }
        for line in said {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// The figures of the version that was watched, beside those from before.
fn figures(state: &RunState) -> String {
    let Some(Fact::Watched { before: Some(before), during: Some(during), early, .. }) =
        state.fact(Step::Watch)
    else {
        return String::new();
    };
    let mut text = format!("\n{:<44} {:>24} {:>24}\n", "While it was watched", "before", "during");
    for row in baseline::table(before, during) {
        let _ = writeln!(text, "  {:<42} {:>24} {:>24}", row.what, row.before, row.during);
    }
    if *early {
        text.push_str("The watch ended early, because all was well for as long as `early_keep` says.\n");
    }
    text
}

fn describe_diagnosis(text: &mut String, diagnosis: &Diagnosis) {
    let _ = writeln!(text, "\nDiagnosis [{}]: {}", diagnosis.id, diagnosis.what);
    for line in &diagnosis.evidence {
        let _ = writeln!(text, "  seen: {line}");
    }
    for advice in &diagnosis.advice {
        let _ = writeln!(text, "  do next: {advice}");
    }
}

fn report(run: &str, plan: &Plan, state: &RunState) -> String {
    let mut text = format!("Run {run}: {} of {}\n\n", plan.kind.word(), plan.unit.id());
    for service in &plan.unit.services {
        let _ = writeln!(text, "{}: {} -> {}", service.name, service.from.reference, service.to.reference);
        if let Some(known) = &service.profile {
            let _ = writeln!(text, "{}: {}", service.name, known.describe());
        }
    }
    let _ = writeln!(text, "\nSteps, with the milliseconds that each took:\n");
    for (step, took) in state.timings() {
        let _ = writeln!(text, "  {:<20} {took:>9}", step.name());
    }
    for step in [Step::VerifyNew, Step::VerifyOld] {
        if let Some(Fact::Verified { downtime_ms: Some(down), .. }) = state.fact(step) {
            let _ = writeln!(text, "\n{}: no good answer for at most {down} ms", step.name());
        }
    }
    text.push_str(&answers(plan, state));
    text.push_str(&figures(state));
    if let Some((tier, failure)) = state.turned_back() {
        let _ = writeln!(text, "\nRolled back: {}\nBecause {}", tier.describe(), failure.problem);
        for line in &failure.evidence {
            let _ = writeln!(text, "  seen: {line}");
        }
        for diagnosis in &failure.diagnosis {
            describe_diagnosis(&mut text, diagnosis);
        }
        if let [first, ..] = state.backups(Step::BackUpSafety) {
            let _ = writeln!(
                text,
                "\nWhat was written since the cutover is in the safety snapshots ({} and others of this run).",
                first.snapshot
            );
        }
    }
    for finding in &plan.findings {
        let _ = writeln!(text, "\nFound before the run [{}]: {}", finding.check, finding.message);
    }
    text
}
