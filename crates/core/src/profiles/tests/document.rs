//! docs/profiles.md shows the tables as they are. Where it doesn't, the test prints what has to stand there.

use std::fmt::Write as _;

use super::super::*;

const DOCUMENT: &str = include_str!("../../../../../docs/profiles.md");

fn list<'a>(words: impl IntoIterator<Item = &'a &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn recognised(signs: &Signs) -> String {
    let programs = list(signs.programs);
    format!("{}; a program {programs}; a title {}", list(signs.variables), list(signs.titles))
}

fn asked(profile: &Profile) -> String {
    let figure = |figure: &Figure| format!("`{}` ({})", figure.ask.name, figure.min_ratio);
    let all = std::iter::once(format!("`{}`", profile.ready.name)).chain(profile.figures.iter().map(figure));
    all.collect::<Vec<_>>().join(", ")
}

fn refused(data: &Data) -> String {
    let first = |numbers: usize| {
        if numbers == 1 { "the first number".to_owned() } else { format!("the first {numbers} numbers") }
    };
    let mut all = Vec::new();
    match data.back {
        0 => {}
        3.. => all.push("every way down".to_owned()),
        numbers => all.push(format!("down, where {} would fall", first(numbers))),
    }
    if data.fixed > 0 {
        all.push(format!("up, where {} would rise", first(data.fixed)));
    }
    all.extend(data.gates.iter().map(|gate| format!("to {} from below {}", gate.to, gate.from)));
    all.extend(data.takes.iter().map(|(other, below)| match below {
        Some(below) => format!("data of {other} {below} and later"),
        None => format!("(takes data of {other})"),
    }));
    if all.is_empty() { "nothing".to_owned() } else { all.join("; ") }
}

fn live(live: &Live) -> &'static str {
    match live {
        Live::Usable => "as good as any",
        Live::Prepared { .. } => "prepared by a command before it",
        Live::Torn { .. } => "warned of",
    }
}

#[test]
fn every_profile_is_documented_as_it_is() {
    let mut table = String::new();
    for profile in all() {
        let Profile { name, title, signs, data, .. } = profile;
        let (by, ask, no, copy) = (recognised(signs), asked(profile), refused(data), live(&profile.live));
        let _ = writeln!(table, "| `{name}` | {title} | {by} | {ask} | {no} | {copy} |");
    }
    assert!(
        DOCUMENT.contains(&format!("|---|---|---|---|---|---|\n{table}\n")),
        "docs/profiles.md should have:\n{table}"
    );
    let listed = DOCUMENT.split("## Every profile").nth(1).unwrap_or_default();
    let rows = listed.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, all().len(), "docs/profiles.md has rows of no profile");
}

#[test]
fn every_command_and_every_way_is_documented_as_it_is() {
    let mut text = String::new();
    for profile in all() {
        let _ = writeln!(text, "### {}\n", profile.title);
        let mut say = |name: &str, command: &str| {
            let _ = writeln!(text, "{name}:\n\n```sh\n{command}\n```\n");
        };
        for ask in std::iter::once(&profile.ready).chain(profile.figures.iter().map(|figure| &figure.ask)) {
            say(ask.name, ask.command);
        }
        if let Live::Prepared { before } = &profile.live {
            say("before a copy", before);
        }
        if let Live::Torn { why } = &profile.live {
            let _ = writeln!(text, "A copy of it while it runs: {why}.\n");
        }
        if profile.data.is_particular() {
            let _ = writeln!(text, "Where a jump is refused: {}.\n", profile.data.way);
        }
    }
    let text = text.trim_end();
    assert!(DOCUMENT.trim_end().ends_with(text), "docs/profiles.md should end with:\n{text}");
}
