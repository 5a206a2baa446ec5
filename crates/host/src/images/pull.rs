//! Pulling an image through the engine.
//!
//! Invariant: where a digest was planned, exactly that digest is what `reference` means here afterwards; it
//! is pulled by digest, so a tag that moved meanwhile brings nothing unplanned onto this host. What it does
//! not do: keep the old image alive ([`super::keep`] does, beforehand).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptions, CreateImageOptionsBuilder};
use futures_util::{Stream, StreamExt};
use mainstay_core::problem::Problem;

use super::credentials::DockerConfig;
use super::{Reference, inspect, keep, trouble};

/// How often the caller is asked whether to stop.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a pull may go without any sign of life; unpacking a big layer on a slow disk takes its time.
const STALL: Duration = Duration::from_secs(15 * 60);

/// How far a pull is; lossy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    /// The layer that the news is about, as the engine names it.
    pub layer: String,
    /// The engine's word: `Downloading`, `Extracting`, `Pull complete`, …
    pub status: String,
    /// Bytes downloaded of all layers; never goes back.
    pub done: u64,
    /// Bytes of all layers that are known so far; grows while layers are being discovered.
    pub total: Option<u64>,
}

/// Pulls `reference` and returns the engine's id of the image. With `expected_digest`, that digest is pulled,
/// if it isn't here already, and the tag of `reference` (unless that has a digest itself) points at it
/// afterwards. Problem codes as those of [`super::resolve`], and `digest-moved`, `disk-full`,
/// `image-platform`, `interrupted`.
pub async fn pull(
    docker: &Docker,
    reference: &Reference,
    expected_digest: Option<&str>,
    progress: &mut dyn FnMut(LayerProgress),
    cancelled: &dyn Fn() -> bool,
) -> Result<String, Problem> {
    let digest = expected_digest.or(reference.digest());
    if let Some(id) = present(docker, reference, digest).await? {
        return Ok(id);
    }
    let lookup = DockerConfig::from_environment().lookup(reference.registry()).await;
    let credentials = lookup.for_engine()?;
    let stream = docker.create_image(Some(options(reference, digest)), None, credentials);
    follow(reference, stream, progress, cancelled)
        .await
        .map_err(|problem| lookup.explain(moved_if_unknown(reference, expected_digest, problem)))?;
    if let Some(digest) = digest {
        let id = present(docker, reference, Some(digest)).await?;
        return id
            .ok_or_else(|| moved(reference, digest).because("the engine doesn't have it after the pull"));
    }
    let name = reference.to_string();
    let image = inspect::find(docker, &name).await?;
    image.and_then(|image| image.id).ok_or_else(|| inspect::missing(&name))
}

/// The id of the image with this digest, if it is here; the tag of `reference` is put on it.
async fn present(
    docker: &Docker,
    reference: &Reference,
    digest: Option<&str>,
) -> Result<Option<String>, Problem> {
    let Some(digest) = digest else { return Ok(None) };
    let found = inspect::find(docker, &reference.at_digest(digest)).await?;
    let Some(image) = found.filter(|image| inspect::digests(reference, image).contains(&digest)) else {
        return Ok(None);
    };
    let id = image.id.unwrap_or_default();
    keep::restore_tag(docker, reference, &id).await?;
    Ok(Some(id))
}

fn options(reference: &Reference, digest: Option<&str>) -> CreateImageOptions {
    let options = CreateImageOptionsBuilder::default();
    match (digest, reference.effective_tag()) {
        (Some(digest), _) => options.from_image(&reference.at_digest(digest)),
        (None, Some(tag)) => options.from_image(&reference.familiar_name()).tag(tag),
        (None, None) => options.from_image(&reference.to_string()),
    }
    .build()
}

async fn follow(
    reference: &Reference,
    stream: impl Stream<Item = Result<CreateImageInfo, Error>>,
    progress: &mut dyn FnMut(LayerProgress),
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Problem> {
    let mut stream = std::pin::pin!(stream);
    let mut layers = Layers::default();
    let mut heard = Instant::now();
    loop {
        if cancelled() {
            // Dropping the stream ends the request, which ends the engine's pull.
            return Err(Problem::new("interrupted", format!("pulling {reference} was interrupted")));
        }
        match tokio::time::timeout(GLANCE, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(news))) => {
                heard = Instant::now();
                if let Some(news) = layers.take(news) {
                    progress(news);
                }
            }
            Ok(Some(Err(error))) => return Err(trouble::of_registry(reference, &error)),
            Err(_) if heard.elapsed() > STALL => return Err(trouble::too_slow(reference)),
            Err(_) => {}
        }
    }
}

/// The registry no longer has the digest that was planned with.
fn moved_if_unknown(reference: &Reference, expected: Option<&str>, problem: Problem) -> Problem {
    match expected {
        Some(digest) if problem.code == "unknown-tag" => {
            problem.causes.into_iter().fold(moved(reference, digest), Problem::because)
        }
        _ => problem,
    }
}

fn moved(reference: &Reference, digest: &str) -> Problem {
    Problem::new("digest-moved", format!("{reference} is no longer {digest}, which was planned with"))
        .advise("start again, so that what the registry has now is looked at and planned with")
}

/// Bytes by layer.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    fn take(&mut self, news: CreateImageInfo) -> Option<LayerProgress> {
        let (layer, status) = (news.id?, news.status?);
        if status.starts_with("Pulling from") {
            return None; // the tag, not a layer
        }
        let bytes = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        let detail = news.progress_detail.unwrap_or_default();
        let entry = self.0.entry(layer.clone()).or_default();
        match (status.as_str(), bytes(detail.current), bytes(detail.total)) {
            ("Downloading", Some(current), total) => {
                *entry = (entry.0.max(current), entry.1.max(total.unwrap_or_default()).max(current));
            }
            ("Verifying Checksum" | "Download complete" | "Extracting" | "Pull complete", ..) => {
                entry.0 = entry.1
            }
            _ => {}
        }
        let (done, total) = self.0.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        Some(LayerProgress { layer, status, done, total: Some(total).filter(|total| *total > 0) })
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn news(layer: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        let detail = |(current, total)| ProgressDetail { current: Some(current), total: Some(total) };
        CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes.map(detail),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn bytes_of_all_layers_are_added_up_and_never_go_back() {
        let mut layers = Layers::default();
        let mut last = 0;
        let mut take = |layer, status, bytes| {
            let news = layers.take(news(layer, status, bytes)).unwrap();
            assert!(news.done >= last);
            last = news.done;
            (news.done, news.total)
        };
        assert_eq!(take("a", "Pulling fs layer", None), (0, None));
        assert_eq!(take("a", "Downloading", Some((10, 100))), (10, Some(100)));
        assert_eq!(take("b", "Downloading", Some((5, 50))), (15, Some(150)));
        assert_eq!(take("a", "Download complete", None), (105, Some(150)));
        assert_eq!(take("a", "Extracting", Some((1, 400))), (105, Some(150)), "unpacked bytes don't count");
        assert_eq!(take("b", "Pull complete", None), (150, Some(150)));
        assert_eq!(take("c", "Already exists", None), (150, Some(150)));
        assert!(layers.take(news("1.0", "Pulling from lab/x", None)).is_none());
    }
}
