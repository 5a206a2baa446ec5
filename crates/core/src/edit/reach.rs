//! How far an edit reaches, by what Compose itself makes of the files before and after.
//!
//! Invariant: a change that [`prove`] can't explain by the change of tag (or by a variable that the operator
//! added) is refused. It knows no YAML: it compares resolved configurations.

use std::collections::BTreeSet;

use serde_json::Value;

use super::reference;
use crate::problem::Problem;
use crate::redact;

/// One difference between two resolved configurations; a missing value is null.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// The keys from the root, for example `["services", "app", "image"]`.
    pub path: Vec<String>,
    /// What was there; may be a secret.
    pub before: Value,
    /// What is there now; may be a secret.
    pub after: Value,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Change {
    /// For people, secrets hidden.
    #[must_use]
    pub fn describe(&self) -> String {
        let name = self.path.last().map_or("", String::as_str);
        let shown = |value: &Value| match value {
            Value::Null => "nothing".to_owned(),
            Value::String(text) => format!("«{}»", redact::value_for_display(name, text)),
            // A key inside may tell that its value is a secret: its text shows both.
            other => redact::value_for_display(name, &other.to_string()),
        };
        format!("{}: {} becomes {}", self.path.join("."), shown(&self.before), shown(&self.after))
    }

    fn service(&self) -> Option<&str> {
        match &self.path[..] {
            [services, name, ..] if services == "services" => Some(name),
            _ => None,
        }
    }
}

/// Every difference, as deep as possible, in the order of the keys.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    collect(&mut Vec::new(), before, after, &mut found);
    found
}

fn collect(path: &mut Vec<String>, before: &Value, after: &Value, found: &mut Vec<Change>) {
    let mut within = |key: String, before: &Value, after: &Value| {
        path.push(key);
        collect(path, before, after, found);
        path.pop();
    };
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                within(key.clone(), &value(old), &value(new));
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                within(index.to_string(), old, new);
            }
        }
        _ => found.push(Change { path: path.clone(), before: before.clone(), after: after.clone() }),
    }
}

/// The services whose image changes from `old_tag` to `new_tag`: the unit, the named service first. Every other
/// change must follow from it: text inside these services in which the tag (or the part of it that a variable
/// holds) was replaced, and the variables in `added`.
///
/// `old_tag` is empty where the image had no tag.
///
/// # Errors
/// `edit-without-effect` if the named service's image does not change so, `edit-reaches-further` if anything
/// else changes.
pub fn prove(
    before: &Value,
    after: &Value,
    service: &str,
    old_tag: &str,
    new_tag: &str,
    added: &[String],
) -> Result<Vec<String>, Problem> {
    let changes = changes(before, after);
    let mut unit: Vec<String> = changes
        .iter()
        .filter(|change| is_retag(change, old_tag, new_tag))
        .filter_map(|change| change.service().map(str::to_owned))
        .collect();
    let Some(named) = unit.iter().position(|name| name == service) else {
        return Err(without_effect(before, after, service, new_tag));
    };
    unit[..=named].rotate_right(1);
    let tags = Tags { old: old_tag, new: new_tag };
    let unexplained: Vec<&Change> =
        changes.iter().filter(|change| !explained(change, &unit, &tags, added)).collect();
    if unexplained.is_empty() { Ok(unit) } else { Err(reaches_further(&unexplained, service, added)) }
}

fn is_retag(change: &Change, old_tag: &str, new_tag: &str) -> bool {
    let [services, _, image] = &change.path[..] else { return false };
    let parts = |value: &Value| {
        let (repository, tag) = reference::split(value.as_str()?)?;
        Some((repository.to_owned(), tag.to_owned()))
    };
    match (parts(&change.before), parts(&change.after)) {
        (Some(old), Some(new)) => {
            services == "services"
                && image == "image"
                && old.0 == new.0
                && (old.1.as_str(), new.1.as_str()) == (old_tag, new_tag)
        }
        _ => false,
    }
}

fn explained(change: &Change, unit: &[String], tags: &Tags<'_>, added: &[String]) -> bool {
    // Extension fields hold what anchors share; Compose does nothing with them.
    let extension = change.path.first().is_some_and(|key| key.starts_with("x-"));
    let inside = change.service().is_some_and(|name| unit.iter().any(|member| member == name));
    let variable = matches!(&change.path[..], [_, _, key, name]
        if key == "environment" && added.contains(name) && !change.after.is_null());
    let follows = match (&change.before, &change.after) {
        (Value::String(old), Value::String(new)) => tags.explain(old, new),
        _ => false,
    };
    // A member's image is explained too: to be a member is to have got the tag, and nothing else.
    (extension && follows) || (inside && (variable || follows))
}

struct Tags<'a> {
    old: &'a str,
    new: &'a str,
}

impl Tags<'_> {
    /// Whether `new` is `old` with the tag replaced, or with the part of it replaced that a variable may hold
    /// (`1.0` of `v1.0-alpine`), where that stands as a word.
    fn explain(&self, old: &str, new: &str) -> bool {
        if self.old.is_empty() {
            return new.strip_prefix(old).and_then(|rest| rest.strip_prefix(':')) == Some(self.new);
        }
        let shorter = self.old.len().min(self.new.len());
        let prefix = self.old.bytes().zip(self.new.bytes()).take_while(|(a, b)| a == b).count();
        let suffix = self.old.bytes().rev().zip(self.new.bytes().rev()).take_while(|(a, b)| a == b).count();
        (0..=prefix).any(|start| {
            (0..=suffix.min(shorter - start)).any(|end| {
                let part = &self.old[start..self.old.len() - end];
                let with = &self.new[start..self.new.len() - end];
                !part.is_empty() && replaced(old, new, part, with, (start, end) != (0, 0))
            })
        })
    }
}

/// Whether `new` is `old` with some of the places replaced where `part` stands.
fn replaced(old: &str, new: &str, part: &str, with: &str, as_word: bool) -> bool {
    // At each place it may have been replaced or left alone: both ways are followed.
    let mut open = vec![(0, 0)];
    let mut seen = BTreeSet::new();
    while let Some((at, becomes)) = open.pop() {
        if !seen.insert((at, becomes)) {
            continue;
        }
        let (rest, new_rest) = (&old[at..], &new[becomes..]);
        let Some(c) = rest.chars().next() else {
            if new_rest.is_empty() {
                return old != new;
            }
            continue;
        };
        if new_rest.starts_with(c) {
            open.push((at + c.len_utf8(), becomes + c.len_utf8()));
        }
        let here = rest.starts_with(part) && (!as_word || is_word(old, at, part.len()));
        if here && new_rest.starts_with(with) {
            open.push((at + part.len(), becomes + with.len()));
        }
    }
    false
}

/// Whether a part of a text ends and begins with a change between letters, digits and other characters.
fn is_word(text: &str, at: usize, length: usize) -> bool {
    let kind =
        |c: Option<char>| c.map_or(0, |c| if c.is_numeric() { 1 } else { 2 + i32::from(c.is_alphabetic()) });
    let edge = |before: &str, after: &str| {
        let (last, first) = (kind(before.chars().next_back()), kind(after.chars().next()));
        last != first || last == 2
    };
    edge(&text[..at], &text[at..]) && edge(&text[..at + length], &text[at + length..])
}

fn without_effect(before: &Value, after: &Value, service: &str, new_tag: &str) -> Problem {
    let image =
        |config: &Value| config["services"][service]["image"].as_str().unwrap_or("no image").to_owned();
    Problem::new(
        "edit-without-effect",
        format!("after the edit, Compose does not give {service} the tag {new_tag}"),
    )
    .because(format!("the image would go from «{}» to «{}»", image(before), image(after)))
    .advise("look for a later file, or the environment, that sets the image as well")
}

fn reaches_further(unexplained: &[&Change], service: &str, added: &[String]) -> Problem {
    let problem = Problem::new(
        "edit-reaches-further",
        format!("changing the tag of {service} would change more than its version"),
    );
    let describe = |change: &Change| match change.path.last() {
        // What the operator adds may be a secret whatever its name.
        Some(name) if added.contains(name) => format!("{}: gets the new value", change.path.join(".")),
        _ => change.describe(),
    };
    let shown = unexplained.iter().take(8).fold(problem, |problem, change| problem.because(describe(change)));
    shown.advise("give the service a tag, or a variable, of its own, so that nothing else hangs on it")
}
