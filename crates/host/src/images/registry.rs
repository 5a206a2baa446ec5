//! The digest that a reference has in its registry now, asked through the engine.
//!
//! Invariant: nothing is changed or downloaded. What it does not do: list tags; the engine can't.

use std::time::Duration;

use bollard::Docker;
use mainstay_core::problem::Problem;

use super::credentials::DockerConfig;
use super::{Reference, inspect, trouble};

/// How long a registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The registry has it.
    Published {
        /// The digest of the manifest, or of the list of manifests of all platforms.
        digest: String,
        /// `linux/amd64`, `linux/arm64/v8`, …
        platforms: Vec<String>,
    },
    /// The registry doesn't have it (or can't be asked), but it is here and never came from a registry.
    LocalOnly {
        /// The engine's id of it.
        image_id: String,
    },
}

impl Remote {
    /// The digest in the registry.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Published { digest, .. } => Some(digest),
            Self::LocalOnly { .. } => None,
        }
    }
}

/// Asks the registry of `reference`. Problem codes `unknown-tag`, `registry-refused`, `registry-unreachable`,
/// `registry-failed`, `registry-credentials`, `engine-unreachable`.
pub async fn resolve(docker: &Docker, reference: &Reference) -> Result<Remote, Problem> {
    match ask(docker, reference).await {
        Ok(remote) => Ok(remote),
        Err(problem) if problem.code.starts_with("engine-") => Err(problem),
        Err(problem) => match built_here(docker, reference).await? {
            Some(image_id) => Ok(Remote::LocalOnly { image_id }),
            None => Err(problem),
        },
    }
}

async fn ask(docker: &Docker, reference: &Reference) -> Result<Remote, Problem> {
    let lookup = DockerConfig::from_environment().lookup(reference.registry()).await;
    let credentials = lookup.for_engine()?;
    let name = reference.to_string();
    let question = docker.inspect_registry_image(&name, credentials);
    let answer = match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(lookup.explain(trouble::of_registry(reference, &error))),
        Err(_) => return Err(trouble::too_slow(reference)),
    };
    let Some(digest) = answer.descriptor.digest.filter(|digest| !digest.is_empty()) else {
        return Err(Problem::new("registry-failed", format!("the registry told no digest of {reference}"))
            .advise(format!("try `docker pull {reference}` to see more")));
    };
    let platform = |p: bollard::models::OciPlatform| {
        let parts = [p.os, p.architecture, p.variant].into_iter().flatten().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("/")
    };
    Ok(Remote::Published { digest, platforms: answer.platforms.into_iter().map(platform).collect() })
}

/// The id of an image of this name that no registry gave us.
async fn built_here(docker: &Docker, reference: &Reference) -> Result<Option<String>, Problem> {
    let Some(found) = inspect::find(docker, &reference.to_string()).await? else { return Ok(None) };
    let pulled = !inspect::digests(reference, &found).is_empty();
    Ok(if pulled { None } else { found.id })
}
