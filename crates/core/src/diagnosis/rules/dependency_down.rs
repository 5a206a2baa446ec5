//! `dependency-down`: a service that this one needs doesn't run, is unhealthy, or can't be reached.

use std::sync::LazyLock;

use regex::Regex;

use super::{Container, Diagnosis, Facts, quoted};
use crate::diagnosis::Neighbour;
use crate::redflags::{self, Flag};

/// Programs name the host that they could not reach in many ways; these say it without being errors of the redflags.
static UNRESOLVED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)host not found in upstream|could not be resolved|unknown host|UnknownHostException|bad address '")
        .expect("the pattern is a constant that the tests compile")
});

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let refused =
        |line: &str| redflags::flag(line) == Some(Flag::DependencyRefused) || UNRESOLVED.is_match(line);
    let lines: Vec<(&Container, &str)> = facts.lines().filter(|(_, line)| refused(line)).collect();
    let lines = if facts.suffers() { lines } else { Vec::new() };
    let named = |n: &&Neighbour| lines.iter().any(|(_, line)| names(line, &n.service));
    let bad = facts.neighbours.iter().filter(|n| (n.needed || named(n)) && down(n));
    let bad: Vec<&Neighbour> = bad.collect();
    let what = match (bad.as_slice(), facts.neighbours.iter().find(named)) {
        ([first, ..], _) => format!("{} needs {}, which {}", facts.service, first.service, state(first)),
        ([], Some(n)) => format!("{} can't reach {}, though it runs", facts.service, n.service),
        ([], None) => {
            let (container, _) = lines.first()?;
            format!("{} can't reach a service that it needs", container.name)
        }
    };
    let states = facts.neighbours.iter().filter(|n| bad.contains(n) || named(n)).map(|n| {
        format!("{}: {}", n.service, if n.status.is_empty() { "has no container" } else { &n.status })
    });
    let diagnosis = Diagnosis::new(what).seen_all(states).seen_all(quoted(&lines));
    Some(match bad.first() {
        Some(first) => diagnosis.advise(format!(
            "bring it back: `docker compose up -d {0}`; `docker compose logs {0}` says why it is down",
            first.service
        )),
        None => diagnosis
            .advise("compare host and port in the settings with the other service's name, network and port")
            .advise(
                "if it only starts later, let this one wait: `depends_on:` with `condition: service_healthy`",
            ),
    })
}

fn names(line: &str, service: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    line.match_indices(service).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_none_or(|c| !word(c));
        before && line[at + service.len()..].chars().next().is_none_or(|c| !word(c))
    })
}

/// A job that ended well is not down.
fn down(neighbour: &Neighbour) -> bool {
    let done = neighbour.job && neighbour.state == "exited" && neighbour.status.starts_with("Exited (0)");
    (neighbour.state != "running" && !done) || neighbour.status.contains("(unhealthy)")
}

fn state(neighbour: &Neighbour) -> String {
    match neighbour.state.as_str() {
        "" => "has no container".to_owned(),
        "running" => "is unhealthy".to_owned(),
        other => format!("is {other}"),
    }
}
