//! New variables and secrets: which env file they go to, and their values.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use mainstay_core::edit::{self, Edited};
use mainstay_core::finding::{Finding, Severity};
use mainstay_core::problem::Problem;
use serde_json::Value;

use super::Update;
use super::update::{mentions, service_env_files};
use crate::discover::Found;
use crate::files;

/// Bytes of randomness in a new secret.
const SECRET_BYTES: usize = 32;

/// The names and values that the operator wants added; secrets are made here.
pub(super) fn wanted(update: &Update) -> Result<Vec<(String, String)>, Problem> {
    let mut added: Vec<(String, String)> = Vec::new();
    for assignment in &update.set {
        let Some((name, value)) = assignment.split_once('=') else {
            // The value might be a secret: only what stands before a sign is repeated.
            return Err(Problem::new("variable-name", "--set wants NAME=VALUE and there is no `=`"));
        };
        added.push((name.to_owned(), value.to_owned()));
    }
    for name in &update.new_secrets {
        added.push((name.clone(), secret()?));
    }
    let twice =
        added.iter().enumerate().find(|(n, (name, _))| added[..*n].iter().any(|(other, _)| other == name));
    match twice {
        Some((_, (name, _))) => {
            Err(Problem::new("variable-exists", format!("{name} is to be added twice"))
                .advise("name it once"))
        }
        None => Ok(added),
    }
}

fn secret() -> Result<String, Problem> {
    let mut bytes = [0; SECRET_BYTES];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|e| Problem::new("no-randomness", "no secret can be made").because(e))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// The file to add variables to: the service's own last env file, for those reach the container by themselves;
/// else the project's, where the Compose file has to pass them on.
pub(super) fn target(
    found: &Found,
    config: &Value,
    added: &[(String, String)],
) -> Result<(Option<PathBuf>, Vec<Finding>), Problem> {
    if added.is_empty() {
        return Ok((None, Vec::new()));
    }
    if let Some(own) = service_env_files(found, config).pop() {
        return Ok((Some(own), Vec::new()));
    }
    let default = || found.project.directory.join(".env");
    let target = found.project.env_files.last().cloned().unwrap_or_else(default);
    let unused = added.iter().filter(|(name, _)| !mentions(&found.project.files, name));
    let notes = unused.map(|(name, _)| unused_variable(name, &target)).collect();
    Ok((Some(target), notes))
}

fn unused_variable(name: &str, target: &Path) -> Finding {
    Finding::new("variable-unused", Severity::Warning, format!("{name} reaches no container"))
        .evidence(format!("it goes into {}, and no Compose file mentions it", target.display()))
        .advice(format!("add it to the service: `environment: {{{name}: ${{{name}}}}}`"))
}

/// Adds the variables to the edits, on top of an edit of the same file.
pub(super) fn add(
    edits: &mut Vec<Edited>,
    target: Option<&Path>,
    added: &[(String, String)],
) -> Result<(), Problem> {
    let Some(target) = target else { return Ok(()) };
    let known = edits.iter().position(|e| e.path == target);
    let mut edit = match known {
        Some(index) => edits.remove(index),
        None => {
            let bytes = files::read_if_there(target).map_err(Problem::from)?.unwrap_or_default();
            Edited { path: target.to_owned(), before: bytes.clone(), after: bytes }
        }
    };
    for (name, value) in added {
        edit.after = edit::add_variable(&edit.after, target, name, value)?;
    }
    edits.push(edit);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_random_and_of_full_length() {
        let update = Update { new_secrets: vec!["A".into(), "B".into()], ..Update::default() };
        let made = wanted(&update).unwrap();
        assert_ne!(made[0].1, made[1].1);
        let bytes = base64::engine::general_purpose::STANDARD.decode(&made[0].1).unwrap();
        assert_eq!(bytes.len(), SECRET_BYTES);
    }

    #[test]
    fn a_value_without_a_name_is_refused_without_repeating_it() {
        let update = Update { set: vec!["hunter2".into()], ..Update::default() };
        let problem = wanted(&update).unwrap_err();
        assert_eq!(problem.code, "variable-name");
        assert!(!problem.to_string().contains("hunter2"));
    }

    #[test]
    fn the_same_name_twice_is_refused() {
        let update = Update { set: vec!["A=1".into()], new_secrets: vec!["A".into()], ..Update::default() };
        assert_eq!(wanted(&update).unwrap_err().code, "variable-exists");
    }
}
