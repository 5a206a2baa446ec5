//! What an image here brings along, in the form that images are compared in.

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{HealthConfig, ImageInspect};
use mainstay_core::image::{Env, ImageConfig};
use mainstay_core::problem::Problem;
use mainstay_core::redact;
use mainstay_core::time::Timestamp;

use super::{Reference, trouble};
use crate::engine::{CALL_LIMIT, within};

/// The configuration of an image here, by reference or id. Problem code `image-missing`.
pub async fn inspect(docker: &Docker, image: &str) -> Result<ImageConfig, Problem> {
    match find(docker, image).await? {
        Some(found) => Ok(config(image, found)),
        None => Err(missing(image)),
    }
}

pub(super) fn missing(image: &str) -> Problem {
    Problem::new("image-missing", format!("the engine doesn't have the image {image}"))
        .advise(format!("pull or build it again, if it should be there (`docker image inspect {image}`)"))
}

/// The engine's answer; `None` for an image that isn't here.
pub(super) async fn find(docker: &Docker, image: &str) -> Result<Option<ImageInspect>, Problem> {
    match within(CALL_LIMIT, docker.inspect_image(image)).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(trouble::of_engine(&error)),
    }
}

/// The digests under which `reference`'s repository holds an image, as far as the engine knows.
pub(super) fn digests<'a>(reference: &Reference, image: &'a ImageInspect) -> Vec<&'a str> {
    let name = reference.familiar_name();
    let of_name =
        |entry: &'a String| entry.split_once('@').filter(|(n, _)| *n == name).map(|(_, digest)| digest);
    image.repo_digests.iter().flatten().filter_map(of_name).collect()
}

fn config(image: &str, found: ImageInspect) -> ImageConfig {
    let reference = Reference::parse(image).ok();
    let own =
        reference.as_ref().and_then(|reference| digests(reference, &found).first().map(|d| (*d).to_owned()));
    let any =
        || found.repo_digests.iter().flatten().find_map(|e| e.split_once('@').map(|(_, d)| d.to_owned()));
    let digest = own.or_else(any);
    let settings = found.config.unwrap_or_default();
    ImageConfig {
        id: found.id.unwrap_or_default(),
        digest,
        size_bytes: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        env: Env::from_lines(settings.env.unwrap_or_default()),
        ports: settings.exposed_ports.unwrap_or_default().into_iter().collect(),
        volumes: settings.volumes.unwrap_or_default().into_iter().collect(),
        user: settings.user.unwrap_or_default(),
        health_check: settings.healthcheck.as_ref().and_then(health_check),
        labels: settings.labels.unwrap_or_default().into_iter().collect(),
        entrypoint: settings.entrypoint.unwrap_or_default(),
        cmd: settings.cmd.unwrap_or_default(),
        architecture: found.architecture.unwrap_or_default(),
        os: found.os.unwrap_or_default(),
        stop_signal: settings.stop_signal.filter(|signal| !signal.is_empty()),
        created: found.created.as_deref().and_then(timestamp),
    }
}

fn health_check(check: &HealthConfig) -> Option<String> {
    let test = check.test.as_deref().filter(|test| !test.is_empty() && test[0] != "NONE")?;
    Some(redact::line(&test.join(" ")))
}

fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
}
