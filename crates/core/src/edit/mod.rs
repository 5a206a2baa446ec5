//! Edits of the operator's files: where an image tag really stands, and the smallest change there.
//!
//! Invariant: [`retag`] changes one run of bytes in one file and nothing else (comments, order, quotes, line
//! ends, a byte order mark, a missing final newline stay), and gives its result away only after it was proven:
//! an independent YAML parser sees that value changed and no other, and the edited files, read again, give the
//! wanted reference. [`prove`] then judges what Compose itself makes of the edited files. What this module does
//! not do: read or write files, or run Compose.

use std::fmt;
use std::path::PathBuf;

use crate::problem::Problem;

mod choose;
mod compose;
mod diff;
mod dotenv;
mod expand;
mod proof;
mod reach;
mod reference;
mod template;

pub use diff::diff;
pub use dotenv::{add_variable, variables};
pub use reach::{Change, changes, prove};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A Compose file.
    Compose,
    /// An env file that Compose interpolates from.
    Env,
}

/// A file of the operator's, with its content.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is for.
    pub role: Role,
    /// What it holds; may hold secrets.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, role, bytes } = self;
        write!(f, "SourceFile({}, {role:?}, {} bytes)", path.display(), bytes.len())
    }
}

/// One file before and after.
#[derive(Clone, PartialEq, Eq)]
pub struct Edited {
    /// Where it is.
    pub path: PathBuf,
    /// What it held; may hold secrets.
    pub before: Vec<u8>,
    /// What it shall hold.
    pub after: Vec<u8>,
}

impl fmt::Debug for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, before, after } = self;
        write!(f, "Edited({}, {} bytes to {})", path.display(), before.len(), after.len())
    }
}

/// A change of tag: what to write, and where the tag stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retag {
    /// The files to write; none where the tag is the wanted one already.
    pub edits: Vec<Edited>,
    /// Where the tag stands.
    pub place: Place,
}

/// Where a tag stands. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the service's own `image:`.
    Literal {
        /// The Compose file.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// Behind a YAML anchor, which other services may use too.
    Anchor {
        /// The Compose file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The anchor, without its `&`.
        name: String,
    },
    /// In the default of a variable that is set nowhere.
    Default {
        /// The file, mostly a Compose file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The variable.
        variable: String,
    },
    /// In an env file.
    EnvFile {
        /// The env file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The variable.
        variable: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal { file, line } => write!(f, "line {line} of {}", file.display()),
            Self::Anchor { file, line, name } => {
                write!(f, "the anchor &{name} in line {line} of {}", file.display())
            }
            Self::Default { file, line, variable } => {
                write!(f, "the default of {variable} in line {line} of {}", file.display())
            }
            Self::EnvFile { file, line, variable } => {
                write!(f, "{variable} in line {line} of {}", file.display())
            }
        }
    }
}

/// Finds where the tag of `service`'s image stands, and changes it to `wanted_tag` there.
///
/// `files` are the Compose files in override order, then the env files in the order in which Compose reads
/// them. `resolved` is the image reference that Compose resolves today. `shell` gives variables of the
/// environment that Compose runs in: these beat env files.
///
/// # Errors
/// `tag-invalid`, `compose-file-invalid`, `service-not-in-files`, `image-not-set`, `image-extended`,
/// `image-pinned`, `tag-unknown` (a variable comes from nowhere, or the files do not give `resolved`),
/// `tag-in-shell`, `tag-composed` (of parts of which no single one can be changed to get the wanted tag),
/// `edit-unproven`. Nothing was changed then.
pub fn retag(
    files: &[SourceFile],
    service: &str,
    resolved: &str,
    wanted_tag: &str,
    shell: &dyn Fn(&str) -> Option<String>,
) -> Result<Retag, Problem> {
    if !reference::is_tag(wanted_tag) {
        return Err(Problem::new("tag-invalid", format!("«{wanted_tag}» can't be the tag of an image"))
            .advise(
                "a tag has up to 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`",
            ));
    }
    let found = compose::find_image(files, service)?;
    let atoms = expand::image(files, &found, shell);
    expand::agrees(&atoms, &found, service, resolved)?;
    let wanted = reference::with_tag(resolved, wanted_tag)?;
    let spot = choose::spot(&atoms.list, resolved, wanted_tag, service)?;
    let place = place(files, &found, &spot);
    if resolved == wanted {
        return Ok(Retag { edits: Vec::new(), place });
    }
    let old = &files[spot.file];
    let mut after = old.bytes.clone();
    after.splice(spot.range.clone(), spot.text.bytes());
    let edited = Edited { path: old.path.clone(), before: old.bytes.clone(), after };
    proof::file(old.role, &edited, &found, &spot)?;
    proof::resolution(files, spot.file, &edited, service, &wanted, shell)?;
    Ok(Retag { edits: vec![edited], place })
}

fn place(files: &[SourceFile], found: &compose::Found, spot: &choose::Spot) -> Place {
    let file = files[spot.file].path.clone();
    let line = line_of(&files[spot.file].bytes, spot.range.start);
    match (&spot.how, &found.anchor) {
        (expand::How::Default(variable), _) => Place::Default { file, line, variable: variable.clone() },
        (expand::How::Assignment(variable), _) => Place::EnvFile { file, line, variable: variable.clone() },
        (expand::How::Scalar, Some(name)) => Place::Anchor { file, line, name: name.clone() },
        (expand::How::Scalar, None) => Place::Literal { file, line },
    }
}

/// The line, from 1, that a byte stands in.
fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}

const BOM: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests;
