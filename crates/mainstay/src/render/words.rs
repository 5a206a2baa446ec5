//! The wording: plans, steps, facts and ends as lines of plain text, without colours.

use mainstay_core::baseline::{Row, table};
use mainstay_core::event::{Fact, Progress, ProgressUnit};
use mainstay_core::plan::{
    DataMount, FileEdit, Image, Kind, MountKind, Plan, Purpose, Quiesce, Reach, Room, ServicePlan,
};
use mainstay_core::problem::Problem;
use mainstay_core::step::Step;
use mainstay_core::verdict::Conclusion;

use crate::span::Span;

pub mod checks;

/// A number of bytes, in units of 1000.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut whole, mut rest, mut unit) = (bytes, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        (whole, rest, unit) = (whole / 1000, whole % 1000, unit + 1);
    }
    if unit == 0 || whole >= 100 {
        format!("{whole} {}", UNITS[unit])
    } else {
        format!("{whole}.{} {}", rest / 100, UNITS[unit])
    }
}

/// A length of time in milliseconds.
#[must_use]
pub fn millis(millis: u64) -> String {
    Span::from_millis(millis).to_string()
}

/// `1 file`, `2 files`.
#[must_use]
pub fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}

/// A moment, in the machine's time zone.
#[must_use]
pub fn moment(at: mainstay_core::time::Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| "?".to_owned(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// What a step does, as a clause.
#[must_use]
pub fn step(step: Step) -> &'static str {
    match step {
        Step::Confirm => "what runs is what was planned from",
        Step::KeepImage => "old image kept by a tag of ours",
        Step::SaveConfiguration => "Compose and env files, inspect and logs saved",
        Step::RunBeforeBackup => "before_backup run in the service's containers",
        Step::BackUpStill => "data backed up while the service stood still, and read back",
        Step::RunAfterBackup => "after_backup run in the service's containers",
        Step::RunBeforeCutover => "before_backup run once more, before the old containers go",
        Step::ConfirmWayBack => "way back looked at, before anything is stopped for it",
        Step::Unpause => "service goes on where it was paused",
        Step::BackUpLive => "data backed up while the service runs, and read back",
        Step::PullImage => "new image pulled and compared",
        Step::EditFiles => "files edited",
        Step::TakeBaseline => "figures taken for comparison, while the old version runs",
        Step::CreateContainers => "new container made, old one stopped and removed",
        Step::BackUpCutover => "data backed up as it stands, and read back",
        Step::StartNew => "new version started",
        Step::VerifyNew => "new version verified",
        Step::Watch => "new version watched",
        Step::Stop => "service stopped",
        Step::BackUpSafety => "present data kept in a safety snapshot, and read back",
        Step::RestoreFiles => "files put back",
        Step::RestoreTag => "image tag pointed back",
        Step::RecreateOld => "old container made again",
        Step::RestoreData => "data put back from the backup",
        Step::StartOld => "old version started",
        Step::VerifyOld => "old version verified",
        Step::Document => "report and restore instructions written",
    }
}

/// What came of a step, as short remarks.
#[must_use]
pub fn fact(fact: &Fact) -> Vec<String> {
    match fact {
        Fact::BackedUp { backups, changed_since_cutover } => {
            let (files, total) = backups.iter().fold((0, 0), |(f, b), r| (f + r.files, b + r.bytes));
            let added: u64 = backups.iter().map(|r| r.added_bytes).sum();
            let torn: u64 = backups.iter().map(|r| r.changed_while_reading).sum();
            let mut remarks = vec![format!("{files} files, {}, {} added", bytes(total), bytes(added))];
            if torn > 0 {
                remarks.push(format!("{torn} files changed while they were read"));
            }
            match changed_since_cutover {
                Some(true) => remarks.push("differs from the cutover backup".into()),
                Some(false) => remarks.push("unchanged since the cutover backup".into()),
                None => {}
            }
            remarks
        }
        Fact::Pulled { images } => images.iter().map(|i| short_id(&i.id)).collect(),
        Fact::Created { containers, ran_meanwhile } => {
            let doubt = ran_meanwhile.then(|| "something may have run since the data was kept".to_owned());
            containers.iter().map(|c| c.name.clone()).chain(doubt).collect()
        }
        Fact::Verified { downtime_ms, observations, .. } => {
            let mut remarks = observations.clone();
            if let Some(downtime) = downtime_ms {
                remarks.push(format!("{} without an answer", millis(*downtime)));
            }
            remarks
        }
        Fact::Watched { watched_ms, cut_short, early, observations, .. } => {
            let mut remarks = vec![format!("for {}", millis(*watched_ms))];
            if *cut_short {
                remarks.push("ended early by the operator".into());
            }
            if *early {
                remarks.push("ended early, because all was well for as long as `early_keep` says".into());
            }
            remarks.extend(observations.iter().cloned());
            remarks
        }
        Fact::Measured { measured } => {
            measured.figures.iter().map(|figure| format!("{}: {}", figure.check, figure.value)).collect()
        }
        Fact::Restored { files, bytes: total } => vec![format!("{files} files, {}", bytes(*total))],
        Fact::WayBack { new_version_ran: true } => vec!["the new version ran".into()],
        Fact::WayBack { .. } | Fact::Nothing | Fact::Unknown => Vec::new(),
    }
}

/// The figures of a version that was watched, beside those from before.
#[must_use]
pub fn figures(fact: &Fact) -> Vec<String> {
    let Fact::Watched { before: Some(before), during: Some(during), .. } = fact else { return Vec::new() };
    let rows = table(before, during);
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
    let line = |row: Row| format!("{:<width$}  {} (before: {})", row.what, row.during, row.before);
    rows.into_iter().map(line).collect()
}

/// How far a step is.
#[must_use]
pub fn progress(progress: &Progress) -> String {
    let amount = |n| match progress.unit {
        ProgressUnit::Bytes => bytes(n),
        ProgressUnit::Millis => millis(n),
        ProgressUnit::None => String::new(),
    };
    let mut text = match (progress.unit, progress.total) {
        (ProgressUnit::None, _) => progress.what.clone(),
        (_, Some(total)) => format!("{} {} of {}", progress.what, amount(progress.done), amount(total)),
        (_, None) => format!("{} {}", progress.what, amount(progress.done)),
    };
    if let Some(files) = progress.files {
        text += &format!(", {files} files");
    }
    if let Some(rate) = progress.bytes_per_second {
        text += &format!(", {}/s", bytes(rate));
    }
    if let Some(left) = progress.seconds_left {
        text += &format!(", {} left", millis(left * 1000));
    }
    text
}

/// The plan, for people to read before they say yes.
#[must_use]
pub fn plan(plan: &Plan, estimate: &[String]) -> Vec<String> {
    let back = matches!(plan.kind, Kind::Rollback { .. });
    let mut lines = Vec::new();
    for service in &plan.unit.services {
        lines.push(format!("  image     {}", image_line(plan, service)));
    }
    let known = plan.unit.services.iter().filter_map(|s| Some((&s.name, s.profile.as_ref()?)));
    lines.extend(known.map(|(name, profile)| format!("  profile   {name}: {}", profile.describe())));
    lines.push(format!(
        "  project   {} in {}",
        plan.unit.project.name,
        plan.unit.project.directory.display()
    ));
    for edit in &plan.edits {
        lines.extend(edit_lines(edit, back));
    }
    if plan.data.is_empty() {
        lines.push("  data      none: no mount of this service can be written to".into());
    }
    lines.extend(plan.data.iter().map(data_line));
    lines.extend(plan.room.iter().map(|needed| format!("  room      {}", room(needed))));
    lines.extend(standing_still(plan));
    match &plan.probes.inside {
        Some(p) => lines.push(format!(
            "  inside    {}:{}{} ({}, from {})",
            p.service,
            p.port,
            if p.protocol == mainstay_core::plan::Protocol::Http { p.path.as_str() } else { "" },
            if p.protocol == mainstay_core::plan::Protocol::Http { "HTTP" } else { "TCP" },
            p.detected_from
        )),
        None => lines.push("  inside    nothing to ask: no port is known".into()),
    }
    lines.extend(beside(plan));
    match &plan.probes.outside {
        Some(p) => lines.push(format!("  outside   {} (from {})", p.url, p.detected_from)),
        None => lines.push("  outside   nothing to ask: no URL is known (--url)".into()),
    }
    lines.extend(plan.checks.iter().map(checks::planned));
    let start = millis(plan.limits.startup_ms);
    match plan.kind {
        Kind::Update => {
            let watch = millis(plan.limits.watch_ms);
            lines.push(format!("  limits    {start} to start, then watched for {watch}"));
            if let Some(early) = plan.limits.early_keep_ms {
                let early = millis(early);
                lines.push(format!("            or for {early}, if there is nothing to report until then"));
            }
        }
        Kind::Rollback { .. } | Kind::Restore { .. } => lines.push(format!("  limits    {start} to start")),
        Kind::Backup => {}
    }
    if plan.kind == Kind::Update {
        lines.push(
            "  way back  before the start: files and image. After it: image only where the data did not"
                .into(),
        );
        lines.push(
            "            change, else image and data from the cutover backup; present data is kept first"
                .into(),
        );
    }
    if plan.keep_image_copy {
        lines.push(
            "            the old image is kept by a tag, and as a file, should somebody remove it".into(),
        );
    }
    lines.extend(estimate.iter().map(|line| format!("  estimate  {line}")));
    lines
}

/// Who else is asked, and looked at.
fn beside(plan: &Plan) -> Vec<String> {
    let probes = &plan.probes;
    let mut lines = Vec::new();
    if let Some(p) = &probes.neighbour {
        lines.push(format!("  from      {}: {}:{}{}", p.container, p.host, p.probe.port, p.probe.path));
    }
    if !probes.dependents.is_empty() {
        let names: Vec<&str> = probes.dependents.iter().map(|d| d.container.as_str()).collect();
        lines.push(format!("  needed    by {}", names.join(", ")));
    }
    lines
}

/// What is needed on a disk, and what there is.
#[must_use]
pub fn room(room: &Room) -> String {
    let what = match room.purpose {
        Purpose::Backup => "the backup",
        Purpose::Restore => "a copy of the data, should it have to be put back,",
        Purpose::ImageCopy => "a copy of the old image",
    };
    let worst = if room.at_worst > room.likely {
        format!(", at worst {}", bytes(room.at_worst))
    } else {
        String::new()
    };
    let (path, free) = (room.path.display(), bytes(room.free));
    format!("{what} needs about {}{worst} on the disk of {path} ({free} free)", bytes(room.likely))
}

/// How the data is made to stand still, and what is run around a backup.
fn standing_still(plan: &Plan) -> Vec<String> {
    let mode = match (&plan.kind, plan.still) {
        (Kind::Backup, None) => "none: the service runs on",
        (Kind::Backup, Some(Quiesce::Pause)) => {
            "pause: backed up while it runs, then what changed once more, paused for just that long"
        }
        (Kind::Backup, Some(Quiesce::Stop)) => {
            "stop: backed up while it runs, then what changed once more, stopped; then started and verified"
        }
        _ => "stop: the data is backed up while the service stands still",
    };
    let mut lines = vec![format!("  quiesce   {mode}")];
    for service in &plan.unit.services {
        let Some(hooks) = &service.hooks else { continue };
        let limit = millis(hooks.timeout_ms);
        let named = [("before", &hooks.before), ("after", &hooks.after)];
        for (when, command) in named.into_iter().filter_map(|(when, c)| Some((when, c.as_ref()?))) {
            let what =
                hooks.profile.as_ref().map_or_else(|| command.clone(), |name| format!("profile {name}"));
            lines.push(format!("  {when:<8}  {}: {what} (within {limit})", service.name));
        }
    }
    lines
}

fn image_line(plan: &Plan, service: &ServicePlan) -> String {
    let describe = |image: &Image| describe_image(&image.reference, image.digest.as_deref());
    let (from, to) = (describe(&service.from), describe(&service.to));
    match plan.kind {
        Kind::Rollback { .. } => format!("{}: {to} → {from}", service.name),
        Kind::Update => format!("{}: {from} → {to}", service.name),
        Kind::Backup | Kind::Restore { .. } => format!("{}: {from} (stays)", service.name),
    }
}

fn describe_image(reference: &str, digest: Option<&str>) -> String {
    match digest {
        Some(digest) => format!("{reference} ({})", short_id(digest)),
        None => reference.to_owned(),
    }
}

/// The first 12 hexadecimal digits of an id or digest.
#[must_use]
pub fn short_id(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

fn data_line(mount: &DataMount) -> String {
    let kind = match mount.kind {
        MountKind::Volume => "volume",
        MountKind::Anonymous => "anonymous volume",
        MountKind::Bind => "bind mount",
    };
    let held = match mount.reach {
        Reach::Archive if mount.files == 0 => "through the archive API".to_owned(),
        Reach::Archive => format!("{} files, {}, through the archive API", mount.files, bytes(mount.bytes)),
        Reach::Direct => format!("{} files, {}", mount.files, bytes(mount.bytes)),
    };
    format!("  data      {kind} {} at {}: {held}", mount.name, mount.destination)
}

/// The diff of an edit; `back` shows it the other way round, for a rollback puts the file back.
fn edit_lines(edit: &FileEdit, back: bool) -> Vec<String> {
    let turned = |line: &str| match line.chars().next() {
        Some('-') if back => format!("+{}", &line[1..]),
        Some('+') if back => format!("-{}", &line[1..]),
        _ => line.to_owned(),
    };
    let mut lines = vec![format!("  edit      {}", edit.path.display())];
    let body = edit.diff.lines().filter(|line| !line.starts_with("---") && !line.starts_with("+++"));
    lines.extend(body.map(|line| format!("            {}", turned(line))));
    lines
}

/// A problem: what happened, why, and what to do.
#[must_use]
pub fn problem(problem: &Problem) -> Vec<String> {
    let mut lines = vec![problem.what.clone()];
    lines.extend(problem.causes.iter().map(|cause| format!("  because  {cause}")));
    lines.extend(problem.advice.iter().map(|advice| format!("  do next  {advice}")));
    lines
}

/// How a run ended, for people.
#[must_use]
pub fn conclusion(plan: &Plan, conclusion: &Conclusion) -> Vec<String> {
    let id = plan.unit.id();
    let mut lines = match conclusion {
        Conclusion::Kept { warnings } => {
            let head = match plan.kind {
                Kind::Update => format!("Kept: {id} runs {}, verified", new_images(plan)),
                Kind::Backup => format!("Backed up: {id}"),
                Kind::Restore { .. } => format!("Restored: {id} runs on the data of the backup, verified"),
                Kind::Rollback { .. } => format!("Rolled back: {id}"),
            };
            vec![if *warnings { format!("{head}; with warnings, see above") } else { head }]
        }
        Conclusion::RolledBack { tier, failure } => {
            let mut lines = if plan.kind == Kind::Backup {
                vec![format!("Not done: {id} was stopped for its backup, and runs again, verified")]
            } else {
                let how_far = format!("  how far  {}", tier.describe());
                vec![format!("Rolled back: {id} runs the old version, verified"), how_far]
            };
            lines.extend(why(&failure.problem));
            lines
        }
        Conclusion::AsBefore { failure } => {
            let mut lines = vec![format!("Not done: {id} is as it was")];
            lines.extend(why(&failure.problem));
            lines
        }
        Conclusion::NeedsPerson { failure, then } => {
            let mut lines =
                vec![format!("Needs you: no version of {id} could be verified; everything is kept")];
            for failure in std::iter::once(failure).chain(then) {
                lines.extend(problem(&failure.problem).into_iter().map(|line| format!("  {line}")));
                lines.extend(failure.evidence.iter().map(|line| format!("  seen     {line}")));
            }
            lines
        }
    };
    lines.dedup();
    lines
}

/// A problem as the reason of an end; what was seen stands above, with the step that failed.
fn why(cause: &Problem) -> Vec<String> {
    let mut lines = problem(cause);
    if let Some(first) = lines.first_mut() {
        *first = format!("  why      {first}");
    }
    lines
}

fn new_images(plan: &Plan) -> String {
    let mut images: Vec<&str> = plan.unit.services.iter().map(|s| s.to.reference.as_str()).collect();
    images.dedup();
    images.join(", ")
}

#[cfg(test)]
mod tests {
    use mainstay_core::event::{Progress, ProgressUnit};
    use mainstay_core::step::Step;

    use super::{bytes, progress};

    #[test]
    fn progress_tells_amount_files_rate_and_time_left() {
        let what = "reading data".to_owned();
        let plain = Progress::of(Step::BackUpLive, what, 1_500_000, Some(9_000_000), ProgressUnit::Bytes);
        assert_eq!(progress(&plain), "reading data 1.5 MB of 9.0 MB");
        let full =
            Progress { files: Some(12), bytes_per_second: Some(2_500_000), seconds_left: Some(63), ..plain };
        assert_eq!(progress(&full), "reading data 1.5 MB of 9.0 MB, 12 files, 2.5 MB/s, 1m 3s left");
    }

    #[test]
    fn bytes_in_units_of_a_thousand() {
        for (n, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (546_000_000, "546 MB"),
            (1_530_000_000, "1.5 GB"),
        ] {
            assert_eq!(bytes(n), shown);
        }
    }
}
