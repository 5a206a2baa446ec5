//! What is done around a backup: how the service stands still for it, what is run before and after.

use mainstay_core::plan::Quiesce;
use mainstay_host::plan::{HookWish, HookWishes};
use mainstay_host::survey::Hidden;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, Settings, layered};
use crate::span::Span;

/// How the data is made to stand still for a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum QuiesceMode {
    /// The containers are stopped and started again.
    Stop,
    /// The processes in the containers are frozen.
    Pause,
    /// Not at all: the service runs on.
    None,
}

impl QuiesceMode {
    pub(super) fn wish(self) -> Option<Quiesce> {
        match self {
            Self::Stop => Some(Quiesce::Stop),
            Self::Pause => Some(Quiesce::Pause),
            Self::None => None,
        }
    }
}

/// A command: a line for `sh -c`, or a program and its arguments for images without a shell. An empty one runs
/// nothing.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HookCommand {
    /// For `sh -c`.
    Shell(String),
    /// A program and its arguments.
    Words(Vec<String>),
}

impl std::fmt::Debug for HookCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl HookCommand {
    pub(super) fn words(self) -> Option<Hidden<Vec<String>>> {
        let words = match self {
            Self::Shell(line) if line.trim().is_empty() => Vec::new(),
            Self::Shell(line) => vec!["sh".to_owned(), "-c".to_owned(), line],
            Self::Words(words) => words,
        };
        (!words.is_empty()).then_some(Hidden(words))
    }
}

/// How long a command around a backup may take, where it is not said.
const HOOK_TIMEOUT_MS: u64 = 60_000;

/// What the files say about the services of a project.
pub(super) fn wishes(layers: &[Config; 2], project: &str) -> HookWishes {
    let (by_service, others) = layered(layers, project);
    let by_service = by_service.into_iter().map(|(name, settings)| (name, wish(settings))).collect();
    HookWishes { by_service, others: wish(others) }
}

fn wish(settings: Settings) -> HookWish {
    HookWish {
        said: settings.before_backup.is_some() || settings.after_backup.is_some(),
        profile: None,
        before: settings.before_backup.and_then(HookCommand::words),
        after: settings.after_backup.and_then(HookCommand::words),
        timeout_ms: settings.hook_timeout.map_or(HOOK_TIMEOUT_MS, Span::millis),
    }
}
