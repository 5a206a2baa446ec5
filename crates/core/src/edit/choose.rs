//! Which part of an image reference to change so that it gets the wanted tag.

use std::ops::Range;

use super::expand::{Atom, How, Origin};
use super::reference;
use crate::problem::Problem;

/// Bytes of a file and what to put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Which file.
    pub file: usize,
    /// Which bytes.
    pub range: Range<usize>,
    /// Their replacement.
    pub text: String,
    /// What kind of text it is.
    pub how: How,
}

/// A part that could be changed: which, its bytes, and what would stand there.
struct Candidate<'a> {
    atom: &'a Atom,
    range: Range<usize>,
    text: String,
}

/// The part to change. Of several that fit, a variable beats literal text; two variables are a question that
/// only the operator can answer.
pub fn spot(atoms: &[Atom], resolved: &str, wanted: &str, service: &str) -> Result<Spot, Problem> {
    let composed = |why: &str| composed(service, wanted, why);
    let Some(tag) = reference::tag_range(resolved) else {
        return Err(composed("the image has a digest"));
    };
    let candidates =
        if tag.is_empty() { append(atoms, wanted) } else { fitting(atoms, resolved, &tag, wanted) };
    let (variables, literals): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|c| is_variable(c.atom));
    let mut best = if variables.is_empty() { literals } else { variables };
    let Some(candidate) = best.pop() else {
        return Err(composed(
            "it is put together of parts, and no single one of them makes it the wanted tag",
        ));
    };
    if !best.is_empty() {
        return Err(composed(
            "it is put together of parts, and changing either of several makes it the wanted tag",
        ));
    }
    match &candidate.atom.origin {
        Origin::File { file, at, how } => Ok(Spot {
            file: *file,
            range: at + candidate.range.start..at + candidate.range.end,
            text: candidate.text,
            how: how.clone(),
        }),
        Origin::Shell(name) => Err(in_shell(service, name)),
        Origin::Escaped => Err(composed("it stands in a text with escapes")),
    }
}

fn is_variable(atom: &Atom) -> bool {
    !matches!(&atom.origin, Origin::File { how: How::Scalar, .. })
}

/// No tag yet: it goes to the end of the last part that says something.
fn append<'a>(atoms: &'a [Atom], wanted: &str) -> Vec<Candidate<'a>> {
    let last = atoms.iter().rev().find(|atom| !atom.text.is_empty());
    last.map(|atom| {
        let end = atom.text.len();
        Candidate { atom, range: end..end, text: format!(":{wanted}") }
    })
    .into_iter()
    .collect()
}

/// The parts that give the wanted tag when they alone change.
fn fitting<'a>(atoms: &'a [Atom], resolved: &str, tag: &Range<usize>, wanted: &str) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    let mut start = 0;
    for atom in atoms {
        let end = start + atom.text.len();
        let (from, to) = (start.max(tag.start), end.min(tag.end));
        if from < to {
            let (before, after) = (&resolved[tag.start..from], &resolved[to..tag.end]);
            let rest = wanted.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            if let Some(text) = rest.filter(|text| !text.is_empty()) {
                candidates.push(Candidate { atom, range: from - start..to - start, text: text.to_owned() });
            }
        }
        start = end;
    }
    candidates
}

fn composed(service: &str, wanted: &str, why: &str) -> Problem {
    Problem::new(
        "tag-composed",
        format!("the image tag of {service} can't be changed to {wanted} automatically"),
    )
    .because(why)
    .advise("edit the files by hand and run `docker compose up -d`, or write the tag in one piece")
}

fn in_shell(service: &str, name: &str) -> Problem {
    Problem::new(
        "tag-in-shell",
        format!("the image tag of {service} comes from the environment variable {name}, not from a file"),
    )
    .because("the environment beats env files, and mainstay can't change it for later commands")
    .advise(format!("unset {name} and write it into the project's `.env`, then update again"))
}
