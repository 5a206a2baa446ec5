//! Tags: our own ones, that keep old images from being pruned, and moved ones, that are put back.
//!
//! Invariant: only tags under [`KEEP_PREFIX`] are ever removed, and removing one never forces anything. All
//! calls may be repeated. What it does not do: decide how long an image is kept.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use mainstay_core::problem::Problem;

use super::{Reference, inspect, trouble};
use crate::engine::{CALL_LIMIT, within};

/// The engine may take this long to remove the layers of an image.
const REMOVE_LIMIT: Duration = Duration::from_secs(180);

/// Where our own tags live.
pub const KEEP_PREFIX: &str = "mainstay/keep/";

/// The tag that keeps `image_id` for a service: `mainstay/keep/<project>-<service>:<12 digits of the id>`.
#[must_use]
pub fn keep_tag(project: &str, service: &str, image_id: &str) -> String {
    let id = image_id.strip_prefix("sha256:").unwrap_or(image_id);
    let digits: String = id.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("{KEEP_PREFIX}{}:{digits}", sanitised(&format!("{project}-{service}")))
}

/// What a repository's name may hold; runs of anything else become one `-`.
fn sanitised(name: &str) -> String {
    let mut out = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    let out = out.trim_end_matches('-');
    if out.is_empty() { "service".to_owned() } else { out.to_owned() }
}

/// Tags `image_id` with one of our tags. Problem code `image-missing`.
pub async fn keep(docker: &Docker, image_id: &str, keep_tag: &str) -> Result<(), Problem> {
    point(docker, &ours(keep_tag)?, image_id).await.map(drop)
}

/// Makes the tag of `reference` point at `image_id`, if it doesn't. Returns whether something was done; for a
/// reference with a digest there is nothing to do. Problem code `image-missing`.
pub async fn restore_tag(docker: &Docker, reference: &Reference, image_id: &str) -> Result<bool, Problem> {
    point(docker, reference, image_id).await
}

/// Removes one of our tags; the image goes with it, if nothing else names or uses it. Returns whether the tag
/// is gone: one whose image a container still uses stays.
pub async fn drop_keep(docker: &Docker, keep_tag: &str) -> Result<bool, Problem> {
    let tag = ours(keep_tag)?;
    let options = RemoveImageOptionsBuilder::default().force(false).noprune(true).build();
    let name = tag.to_string();
    match within(REMOVE_LIMIT, docker.remove_image(&name, Some(options), None)).await {
        Ok(_) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(true),
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(false),
        Err(error) => Err(trouble::of_engine(&error)),
    }
}

/// All of our own tags that the engine has.
pub async fn kept_tags(docker: &Docker) -> Result<HashSet<String>, Problem> {
    let filters = HashMap::from([("reference", vec![format!("{KEEP_PREFIX}*")])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let listed = within(CALL_LIMIT, docker.list_images(Some(options))).await;
    let images = listed.map_err(|error| trouble::of_engine(&error))?;
    // An image that has one of our tags is listed with its other ones.
    let tags = images.into_iter().flat_map(|image| image.repo_tags);
    Ok(tags.filter(|tag| tag.starts_with(KEEP_PREFIX)).collect())
}

async fn point(docker: &Docker, reference: &Reference, image_id: &str) -> Result<bool, Problem> {
    let (Some(tag), Some(tagged), None) = (reference.effective_tag(), reference.tagged(), reference.digest())
    else {
        return Ok(false); // the digest says which image it is, whatever the tag
    };
    let present = inspect::find(docker, &tagged).await?.and_then(|image| image.id);
    if present.as_deref() == Some(image_id) {
        return Ok(false);
    }
    let options = TagImageOptionsBuilder::default().repo(&reference.familiar_name()).tag(tag).build();
    match within(CALL_LIMIT, docker.tag_image(image_id, Some(options))).await {
        Ok(()) => Ok(true),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Err(inspect::missing(image_id)),
        Err(error) => Err(trouble::of_engine(&error)),
    }
}

fn ours(keep_tag: &str) -> Result<Reference, Problem> {
    let reference = Reference::parse(keep_tag)?;
    if keep_tag.starts_with(KEEP_PREFIX) && reference.tag().is_some() && reference.digest().is_none() {
        return Ok(reference);
    }
    Err(Problem::new("image-reference", format!("{keep_tag} is not a tag of mainstay's own")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_tags_are_always_valid_references() {
        let id = "sha256:0123456789abcdef";
        assert_eq!(keep_tag("web", "app", id), "mainstay/keep/web-app:0123456789ab");
        assert_eq!(keep_tag("My_Web__", "App.v2-", id), "mainstay/keep/my-web-app-v2:0123456789ab");
        for (project, service) in [("_", "-"), ("a__-..b", "ü"), ("x", ""), ("-x", "x-")] {
            let tag = keep_tag(project, service, id);
            assert!(ours(&tag).is_ok(), "{tag}");
        }
    }

    #[test]
    fn no_other_tag_is_ours() {
        for other in ["nginx:1", "mainstay/keep:1", "docker.io/mainstay/keepsake:1", "mainstay/keep/x"] {
            assert!(ours(other).is_err(), "{other}");
        }
    }
}
