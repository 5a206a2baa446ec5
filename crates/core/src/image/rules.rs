//! One function a rule; each looks at one kind of difference and says nothing where there is none.

use std::cmp::Ordering;

use super::ImageConfig;
use crate::finding::{Finding, Severity};
use crate::redact::{line, value_for_display};
use crate::time::Timestamp;

/// What the rules look at.
pub(super) struct Pair<'a> {
    pub old: &'a ImageConfig,
    pub new: &'a ImageConfig,
    pub mounted: &'a [String],
    pub port: Option<u16>,
}

type Rule = fn(&Pair<'_>) -> Vec<Finding>;

pub(super) const ALL: &[Rule] = &[
    platform,
    volumes_added,
    volumes_gone,
    data_paths,
    port,
    user,
    health_check,
    env_wanted,
    env_changed,
    version,
    age,
    size,
    command,
    stop_signal,
];

/// Below this, growth is not worth a word.
const SMALL: u64 = 64 << 20;
/// Build times before 1990 are those of reproducible builds.
const PLAUSIBLE: Timestamp = Timestamp(631_152_000_000);
/// Variables that change with every version and that nobody sets.
const NOISE: &[&str] =
    &["_VERSION", "_SHA256", "_SHA512", "_MD5", "_MAJOR", "_MINOR", "_REVISION", "_COMMIT"];

fn note(check: &str, message: impl Into<String>) -> Finding {
    Finding::new(check, Severity::Note, message)
}

fn warning(check: &str, message: impl Into<String>) -> Finding {
    Finding::new(check, Severity::Warning, message)
}

pub(super) fn same(pair: &Pair<'_>) -> Finding {
    note("image-same", "the image is the one that runs already").evidence(format!("id {}", pair.new.id))
}

fn platform(pair: &Pair<'_>) -> Vec<Finding> {
    let (old, new) = (pair.old, pair.new);
    let differs = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
    if !differs(&old.architecture, &new.architecture) && !differs(&old.os, &new.os) {
        return Vec::new();
    }
    let message = format!(
        "the new image is for {}/{}, this host runs {}/{}",
        new.os, new.architecture, old.os, old.architecture
    );
    let advice =
        "choose a tag that is published for this platform, or remove `platform:` from the Compose file";
    vec![Finding::new("image-platform", Severity::Required, message).advice(advice)]
}

fn volumes_added(pair: &Pair<'_>) -> Vec<Finding> {
    let added = pair.new.volumes.difference(&pair.old.volumes);
    added
        .filter(|path| !is_mounted(pair.mounted, path))
        .map(|path| {
            warning(
                "image-volume",
                format!("the new image declares a volume at {path} that the service doesn't mount"),
            )
            .evidence(format!("mounted are: {}", list(pair.mounted)))
            .advice(format!(
                "what it writes there would land in an anonymous volume; mount a named volume at {path}"
            ))
        })
        .collect()
}

fn volumes_gone(pair: &Pair<'_>) -> Vec<Finding> {
    let gone = pair.old.volumes.difference(&pair.new.volumes);
    gone.filter(|path| !is_mounted(pair.mounted, path))
        .map(|path| {
            warning(
                "image-volume-gone",
                format!("the new image no longer declares the volume at {path}, which nothing is mounted at"),
            )
            .advice(format!(
                "data in its anonymous volume would not be carried over; mount a named volume at {path} first"
            ))
        })
        .collect()
}

/// A variable that led to mounted data leads elsewhere, as `PGDATA` does from postgres 17 to 18.
fn data_paths(pair: &Pair<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in pair.old.env.names() {
        let (Some(before), after) = (pair.old.env.get(name), pair.new.env.get(name)) else { continue };
        let left = after != Some(before) && before.starts_with('/') && is_below(pair.mounted, before);
        if left && !after.is_some_and(|path| is_below(pair.mounted, path)) {
            let after = after.map_or("nowhere".to_owned(), |path| value_for_display(name, path));
            findings.push(
                warning(
                    "image-data-path",
                    format!("{name} led into a mounted directory and now leads to {after}"),
                )
                .evidence(format!("{name}: {before} -> {after}; mounted are: {}", list(pair.mounted)))
                .advice("the new version might start empty; read its release notes about moving the data"),
            );
        }
    }
    findings
}

fn port(pair: &Pair<'_>) -> Vec<Finding> {
    let exposes = |image: &ImageConfig, port| {
        image.ports.iter().any(|p| p.split('/').next().and_then(|p| p.parse::<u16>().ok()) == Some(port))
    };
    let Some(used) = pair.port.filter(|p| exposes(pair.old, *p) && !exposes(pair.new, *p)) else {
        return Vec::new();
    };
    let now: Vec<String> = pair.new.ports.iter().cloned().collect();
    vec![
        warning("image-port", format!("the new image no longer exposes port {used}, which is in use"))
            .evidence(format!("it exposes: {}", list(&now)))
            .advice(
                "if the port moved, change the published port or the proxy's setting (VIRTUAL_PORT, label)",
            ),
    ]
}

fn user(pair: &Pair<'_>) -> Vec<Finding> {
    let (before, after) = (uid(&pair.old.user), uid(&pair.new.user));
    if before == after {
        return Vec::new();
    }
    vec![
        warning("image-user", format!("the new image runs as user {after}, the old one as {before}"))
            .evidence(format!("USER {:?} -> {:?}", pair.old.user, pair.new.user))
            .advice("files in the mounts belong to the old user; the new one may not be able to write them"),
    ]
}

fn uid(user: &str) -> &str {
    match user.split(':').next().unwrap_or_default() {
        "" | "root" => "0",
        user => user,
    }
}

fn health_check(pair: &Pair<'_>) -> Vec<Finding> {
    match (&pair.old.health_check, &pair.new.health_check) {
        (Some(before), None) => vec![
            warning("image-health-check", "the new image has no health check any more")
                .evidence(format!("was: {}", line(before)))
                .advice("set `healthcheck:` in the Compose file, or health is judged by probes alone"),
        ],
        (None, Some(after)) => {
            vec![note("image-health-check", "the new image brings a health check").evidence(line(after))]
        }
        (Some(before), Some(after)) if before != after => vec![
            note("image-health-check", "the health check changed")
                .evidence(format!("was: {}", line(before)))
                .evidence(format!("is: {}", line(after))),
        ],
        _ => Vec::new(),
    }
}

fn env_wanted(pair: &Pair<'_>) -> Vec<Finding> {
    let is_new = |name: &&str| pair.old.env.get(name).is_none() && pair.new.env.get(name) == Some("");
    let wanted: Vec<String> = pair.new.env.names().filter(is_new).map(str::to_owned).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    vec![
        warning(
            "image-env-wanted",
            format!("the new image has variables without a default: {}", list(&wanted)),
        )
        .advice("it may need them to be set; read its release notes"),
    ]
}

fn env_changed(pair: &Pair<'_>) -> Vec<Finding> {
    let mut lines = Vec::new();
    for (name, before) in pair.old.env.redacted().filter(|(name, _)| !is_noise(name)) {
        match pair.new.env.get(name) {
            None => lines.push(format!("{name}={before} is gone")),
            Some(after) if pair.old.env.get(name) != Some(after) => {
                lines.push(format!("{name}: {before} -> {}", value_for_display(name, after)));
            }
            Some(_) => {}
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    let message = format!("defaults of {} environment variable(s) changed or are gone", lines.len());
    vec![lines.into_iter().fold(note("image-env", message), Finding::evidence)]
}

fn is_noise(name: &str) -> bool {
    name == "PATH" || name == "VERSION" || name == "GPG_KEY" || NOISE.iter().any(|end| name.ends_with(end))
}

fn version(pair: &Pair<'_>) -> Vec<Finding> {
    let (Some(before), Some(after)) = (pair.old.version(), pair.new.version()) else { return Vec::new() };
    match order(before, after) {
        Some(Ordering::Greater) => vec![
            warning("image-version", format!("the new image says it is {after}, older than {before}"))
                .advice(
                    "older versions often can't read newer data; if it is meant, use a rollback or a restore",
                ),
        ],
        _ if before == after => Vec::new(),
        _ => vec![note("image-version", format!("the version label goes from {before} to {after}"))],
    }
}

/// Compares the leading numbers of two versions; `None` where they aren't numbers.
fn order(a: &str, b: &str) -> Option<Ordering> {
    let numbers = |v: &str| -> Option<Vec<u64>> {
        let v = v.trim_start_matches(['v', 'V']);
        v.split(['-', '+', ' ']).next()?.split('.').map(|part| part.parse().ok()).collect()
    };
    let (mut a, mut b) = (numbers(a)?, numbers(b)?);
    let length = a.len().max(b.len());
    a.resize(length, 0);
    b.resize(length, 0);
    Some(a.cmp(&b))
}

fn age(pair: &Pair<'_>) -> Vec<Finding> {
    let (Some(before), Some(after)) = (pair.old.created, pair.new.created) else { return Vec::new() };
    if after >= before || after < PLAUSIBLE {
        return Vec::new();
    }
    let days = before.since(after) / 86_400_000;
    let how = if days == 0 { "less than a day".to_owned() } else { format!("{days} day(s)") };
    vec![
        warning("image-older", format!("the new image was built before the one that runs, by {how}"))
            .advice("make sure that this is not a downgrade; older versions often can't read newer data"),
    ]
}

fn size(pair: &Pair<'_>) -> Vec<Finding> {
    let (before, after) = (pair.old.size_bytes, pair.new.size_bytes);
    if before == 0 || after < SMALL || after / 2 < before {
        return Vec::new();
    }
    let mb = |bytes: u64| bytes / 1_000_000;
    vec![note("image-size", format!("the image grew from {} MB to {} MB", mb(before), mb(after)))]
}

fn command(pair: &Pair<'_>) -> Vec<Finding> {
    let text = |image: &ImageConfig| line(&[image.entrypoint.join(" "), image.cmd.join(" ")].join(" | "));
    if pair.old.entrypoint == pair.new.entrypoint && pair.old.cmd == pair.new.cmd {
        return Vec::new();
    }
    vec![
        note("image-command", "the entry point or the default command changed")
            .evidence(format!("was: {}", text(pair.old)))
            .evidence(format!("is: {}", text(pair.new))),
    ]
}

fn stop_signal(pair: &Pair<'_>) -> Vec<Finding> {
    if pair.old.stop_signal == pair.new.stop_signal {
        return Vec::new();
    }
    let name = |signal: &Option<String>| signal.clone().unwrap_or_else(|| "SIGTERM".to_owned());
    let message = format!(
        "the stop signal changed from {} to {}",
        name(&pair.old.stop_signal),
        name(&pair.new.stop_signal)
    );
    vec![note("image-stop-signal", message)]
}

fn is_mounted(mounted: &[String], path: &str) -> bool {
    mounted.iter().any(|m| m.trim_end_matches('/') == path.trim_end_matches('/'))
}

/// Whether `path` is one of the mounted paths or lies below one.
fn is_below(mounted: &[String], path: &str) -> bool {
    mounted
        .iter()
        .map(|m| m.trim_end_matches('/'))
        .any(|m| path.strip_prefix(m).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
