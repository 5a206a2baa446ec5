//! Interpolates as Compose does, and remembers where every part of the result comes from.

use std::ops::Range;

use super::compose::Found;
use super::dotenv::{self, Assignment, Quote};
use super::template::{self, Otherwise, Piece};
use super::{Role, SourceFile};
use crate::problem::Problem;
use crate::redact;

/// Variables in values of variables in defaults: deeper than this nobody writes, and cycles end here.
const DEEPEST: usize = 16;

/// A part of the interpolated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// What it says.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a part comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It stands in a file, byte for byte.
    File { file: usize, at: usize, how: How },
    /// It stands in the environment.
    Shell(String),
    /// It stands in a file, written with escapes.
    Escaped,
}

/// What kind of text of a file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Of the image's scalar.
    Scalar,
    /// Of the default of this variable.
    Default(String),
    /// Of the value of this variable in an env file.
    Assignment(String),
}

/// The parts of an interpolated text.
#[derive(Default)]
pub struct Atoms {
    /// In order.
    pub list: Vec<Atom>,
    /// Variables that are set nowhere and have no default.
    pub unset: Vec<String>,
}

impl Atoms {
    fn text(&self) -> String {
        text(&self.list)
    }
}

fn text(atoms: &[Atom]) -> String {
    atoms.iter().map(|atom| atom.text.as_str()).collect()
}

/// The interpolated image.
pub fn image(files: &[SourceFile], found: &Found, shell: &dyn Fn(&str) -> Option<String>) -> Atoms {
    let env = files
        .iter()
        .enumerate()
        .filter(|(_, file)| file.role == Role::Env)
        .flat_map(|(index, file)| dotenv::assignments(&file.bytes).into_iter().map(move |a| (index, a)))
        .collect();
    let mut expander = Expander { env, shell, unset: Vec::new() };
    let source = Text { file: found.file, text: &found.text, at: found.at, how: How::Scalar };
    let list = expander.expand(&source, 0..found.text.len(), usize::MAX, 0);
    Atoms { list, unset: expander.unset }
}

/// Refuses where the files do not give what Compose resolves: then the tag comes from somewhere unknown.
pub fn agrees(atoms: &Atoms, found: &Found, service: &str, resolved: &str) -> Result<(), Problem> {
    let text = atoms.text();
    // A variable that is set nowhere may well be meant to be empty, but not as a tag.
    let hole = resolved.ends_with(':') && !atoms.unset.is_empty();
    if text == resolved && !hole {
        return Ok(());
    }
    let what = format!("it is not known where the image tag of {service} comes from");
    let problem =
        Problem::new("tag-unknown", what).because(redact::line(&format!("the files say «{}»", found.text)));
    Err(match atoms.unset.first() {
        Some(name) => problem
            .because(format!("{name} is set neither in the environment nor in an env file"))
            .advise(format!("set {name} in the project's `.env`, then update again")),
        None => problem
            .because(redact::line(&format!("this gives «{text}», Compose resolves «{resolved}»")))
            .advise("run mainstay with the same environment and env files as Compose"),
    })
}

struct Expander<'a> {
    env: Vec<(usize, Assignment)>,
    shell: &'a dyn Fn(&str) -> Option<String>,
    unset: Vec<String>,
}

struct Text<'a> {
    file: usize,
    text: &'a str,
    /// Where `text` begins in the file.
    at: usize,
    how: How,
}

impl Expander<'_> {
    /// `before` hides the assignments from this one on: an env file sees only what stands above.
    fn expand(&mut self, source: &Text<'_>, range: Range<usize>, before: usize, depth: usize) -> Vec<Atom> {
        let mut atoms = Vec::new();
        if depth > DEEPEST {
            return atoms;
        }
        for piece in template::parse(source.text, range) {
            match piece {
                Piece::Literal(range) => atoms.push(Atom {
                    text: source.text[range.clone()].to_owned(),
                    origin: Origin::File {
                        file: source.file,
                        at: source.at + range.start,
                        how: source.how.clone(),
                    },
                }),
                Piece::Dollar => atoms.push(Atom { text: "$".to_owned(), origin: Origin::Escaped }),
                Piece::Variable { name, otherwise } => {
                    atoms.extend(self.variable(source, &name, &otherwise, before, depth));
                }
            }
        }
        atoms
    }

    fn variable(
        &mut self,
        source: &Text<'_>,
        name: &str,
        otherwise: &Otherwise,
        before: usize,
        depth: usize,
    ) -> Vec<Atom> {
        let value = self.lookup(name, before, depth);
        let given = |empty: bool| {
            value.as_ref().is_some_and(|atoms| !empty || atoms.iter().any(|a| !a.text.is_empty()))
        };
        let inner = |this: &mut Self, range: &Range<usize>, how: How| {
            let source = Text { how, ..*source };
            this.expand(&source, range.clone(), before, depth + 1)
        };
        match otherwise {
            Otherwise::Default { empty, text } if !given(*empty) => {
                inner(self, text, How::Default(name.to_owned()))
            }
            Otherwise::Instead { empty, text } if given(*empty) => inner(self, text, source.how.clone()),
            Otherwise::Instead { .. } => Vec::new(),
            _ => value.unwrap_or_else(|| {
                self.unset.push(name.to_owned());
                Vec::new()
            }),
        }
    }

    fn lookup(&mut self, name: &str, before: usize, depth: usize) -> Option<Vec<Atom>> {
        if let Some(text) = (self.shell)(name) {
            return Some(vec![Atom { text, origin: Origin::Shell(name.to_owned()) }]);
        }
        let index = self.env.iter().take(before).rposition(|(_, a)| a.name == name)?;
        let (file, assignment) = self.env[index].clone();
        let value = assignment.value.as_ref()?;
        let how = How::Assignment(name.to_owned());
        let raw = assignment.raw.as_deref();
        Some(match raw {
            Some(raw) if assignment.quote == Quote::Single => {
                vec![Atom { text: raw.to_owned(), origin: Origin::File { file, at: assignment.at, how } }]
            }
            Some(raw) => {
                let source = Text { file, text: raw, at: assignment.at, how };
                self.expand(&source, 0..raw.len(), index, depth + 1)
            }
            None => vec![Atom { text: value.clone(), origin: Origin::Escaped }],
        })
    }
}
