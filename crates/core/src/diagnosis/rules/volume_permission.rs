//! `volume-permission`: the processes may not write to their data, often because the new image runs as somebody else.

use std::sync::LazyLock;

use regex::Regex;

use super::{Container, Diagnosis, Facts, quoted};
use crate::diagnosis::{Entry, Mount};

static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\bpermission denied\b|\bEACCES\b|\bEPERM\b|operation not permitted|\b(?:not|isn't) writable\b|read-only file system|has wrong ownership")
        .expect("the pattern is a constant that the tests compile")
});
/// Refusals that have nothing to do with files.
static OTHERWISE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)permission denied (?:for|to) (?:table|relation|schema|database|function|sequence|view|set|create)|\(publickey|password")
        .expect("the pattern is a constant that the tests compile")
});

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let lines: Vec<(&Container, &str)> =
        facts.lines().filter(|(_, l)| REFUSED.is_match(l) && !OTHERWISE.is_match(l)).collect();
    let container = facts.containers.iter().find(|c| {
        let own: Vec<&str> = lines.iter().filter(|(o, _)| o.name == c.name).map(|(_, line)| *line).collect();
        let names_data = own.iter().any(|line| c.mounts.iter().any(|m| line.contains(&m.destination)));
        // A refusal alone may be about anything; what may not be written to may never have to be.
        !own.is_empty() && (closed(c).is_some() || names_data || c.old_user.is_some())
            || ((c.suffers() || facts.condemned) && closed(c).is_some() && c.old_user.is_some())
    })?;
    let user = container.user.describe();
    let what = match (closed(container), &container.old_user) {
        (Some((_, entry)), Some(old)) => {
            format!("{} runs as {user}, before as {old}, and may not write to {}", container.name, entry.path)
        }
        (Some((_, entry)), None) => {
            format!("{} runs as {user} and may not write to {}", container.name, entry.path)
        }
        (None, _) => format!("{} runs as {user} and is refused its files", container.name),
    };
    let own: Vec<(&Container, &str)> = lines.into_iter().filter(|(c, _)| c.name == container.name).collect();
    Some(with_advice(
        Diagnosis::new(what).seen_all(closed(container).map(owner)).seen_all(quoted(&own)),
        container,
    ))
}

/// What the processes may not write to: a mount's root, or something in it.
fn closed(container: &Container) -> Option<(&Mount, &Entry)> {
    container.mounts.iter().find_map(|mount| {
        let entry = mount.entries.iter().find(|entry| !container.user.may_write(entry))?;
        Some((mount, entry))
    })
}

fn owner((mount, entry): (&Mount, &Entry)) -> String {
    format!(
        "{} belongs to {}:{}, mode {:o}; on the host it is in {}",
        entry.path,
        entry.uid,
        entry.gid,
        entry.mode & 0o7777,
        mount.source
    )
}

fn with_advice(diagnosis: Diagnosis, container: &Container) -> Diagnosis {
    let diagnosis = match (closed(container), container.user.uid) {
        (Some((mount, _)), Some(uid)) => {
            let gid = container.user.gids.first().copied().unwrap_or(uid);
            diagnosis.advise(format!(
                "after a backup, give the data to the new user: `chown -R {uid}:{gid} {}`",
                mount.source
            ))
        }
        _ => diagnosis
            .advise("see who owns the data, and as whom the image runs (`user:` in the Compose file)"),
    };
    match &container.old_user {
        Some(old) => diagnosis.advise(format!("or let it run as {old} again: `user:` in the Compose file")),
        None => diagnosis,
    }
}
