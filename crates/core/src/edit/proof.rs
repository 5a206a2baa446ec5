//! The proof of an edit, by other means than those that made it.
//!
//! [`file`] reads the file before and after with a parser that shares no code with the one that found the
//! place, and finds that value changed and nothing else. [`resolution`] interpolates the edited files.

use yaml_serde::Value;

use super::choose::Spot;
use super::compose::{self, Found};
use super::dotenv;
use super::expand::{self, How};
use super::reference;
use super::{BOM, Edited, Role, SourceFile};
use crate::problem::Problem;

/// The edited file differs from what it was in the edited value only.
pub fn file(role: Role, edited: &Edited, found: &Found, spot: &Spot) -> Result<(), Problem> {
    let proven = match role {
        Role::Compose => yaml(edited, found, spot),
        Role::Env => env(edited, spot),
    };
    if proven.is_some() { Ok(()) } else { Err(unproven(edited, "more, or less, than one value changed")) }
}

fn yaml(edited: &Edited, found: &Found, spot: &Spot) -> Option<()> {
    let (before, after) = (parse(&edited.before)?, parse(&edited.after)?);
    let mut expected = found.text.clone();
    let from = spot.range.start.checked_sub(found.at)?;
    expected.get(from..from + spot.range.len())?;
    expected.replace_range(from..from + spot.range.len(), &spot.text);
    let mut differences = 0;
    differ(&before, &after, &mut |old, new| {
        differences += 1;
        old.trim() == found.text && new.trim() == expected
    })?;
    let image = get(get(get(&after, "services")?, &found.service)?, "image")?;
    (differences > 0 && image.as_str()?.trim() == expected).then_some(())
}

fn parse(bytes: &[u8]) -> Option<Value> {
    yaml_serde::from_slice(bytes.strip_prefix(BOM).unwrap_or(bytes)).ok()
}

/// Walks both trees together; `None` where they differ otherwise than `allowed` says.
fn differ(before: &Value, after: &Value, allowed: &mut dyn FnMut(&str, &str) -> bool) -> Option<()> {
    match (before, after) {
        (Value::Mapping(before), Value::Mapping(after)) => {
            let same_keys = before.len() == after.len() && before.keys().eq(after.keys());
            same_keys.then_some(())?;
            before.values().zip(after.values()).try_for_each(|(b, a)| differ(b, a, allowed).ok_or(())).ok()
        }
        (Value::Sequence(before), Value::Sequence(after)) if before.len() == after.len() => {
            before.iter().zip(after).try_for_each(|(b, a)| differ(b, a, allowed).ok_or(())).ok()
        }
        (Value::Tagged(before), Value::Tagged(after)) if before.tag == after.tag => {
            differ(&before.value, &after.value, allowed)
        }
        (before, after) if before == after => Some(()),
        (Value::String(before), Value::String(after)) => allowed(before, after).then_some(()),
        _ => None,
    }
}

/// The value of a key, merges followed.
fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Tagged(tagged) => get(&tagged.value, key),
        Value::Mapping(mapping) => mapping.get(key).map(untagged).or_else(|| match mapping.get("<<")? {
            Value::Sequence(list) => list.iter().find_map(|item| get(item, key)),
            merged => get(merged, key),
        }),
        _ => None,
    }
}

fn untagged(value: &Value) -> &Value {
    if let Value::Tagged(tagged) = value { &tagged.value } else { value }
}

fn env(edited: &Edited, spot: &Spot) -> Option<()> {
    let (before, after) = (dotenv::variables(&edited.before), dotenv::variables(&edited.after));
    let differing = before.iter().zip(&after).filter(|(b, a)| b != a).collect::<Vec<_>>();
    let [(old, new)] = differing[..] else { return None };
    let named = match &spot.how {
        How::Assignment(name) => *name == old.0,
        _ => true,
    };
    (before.len() == after.len() && named && old.0 == new.0 && new.1.contains(&spot.text)).then_some(())
}

/// The edited files give the wanted reference.
pub fn resolution(
    files: &[SourceFile],
    index: usize,
    edited: &Edited,
    service: &str,
    wanted: &str,
    shell: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Problem> {
    let mut files = files.to_vec();
    files[index].bytes.clone_from(&edited.after);
    let found = compose::find_image(&files, service)?;
    let atoms = expand::image(&files, &found, shell);
    let text: String = atoms.list.iter().map(|atom| atom.text.as_str()).collect();
    if text == wanted {
        return Ok(());
    }
    let what = format!("the image tag of {service} can't be changed to {} by one edit", wanted_tag(wanted));
    Err(Problem::new("tag-composed", what)
        .because(format!(
            "what would be edited is used more than once in the image: it would become «{text}»"
        ))
        .advise("write the tag in one piece, or edit the files by hand and run `docker compose up -d`"))
}

fn wanted_tag(wanted: &str) -> &str {
    reference::split(wanted).map_or(wanted, |(_, tag)| tag)
}

fn unproven(edited: &Edited, why: &str) -> Problem {
    Problem::new(
        "edit-unproven",
        format!("{} was not edited: the edit could not be proven", edited.path.display()),
    )
    .because(why)
    .advise("change the tag by hand, and please report this file")
}
