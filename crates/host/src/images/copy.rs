//! A copy of an image in the state directory: made while the engine has the image, loaded when it is gone.
//!
//! Invariant: a copy counts when all of it was read back and found to be the image; nothing else is ever loaded from
//! it. What it does not do: tag anything, or decide how long a copy is kept.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use mainstay_core::problem::Problem;

use super::archive::{self, Flaw};
use super::{inspect, trouble};
use crate::files::{FileError, ImageCopies, Unfinished};

/// How often the caller is asked whether to stop.
const GLANCE: Duration = Duration::from_millis(100);
/// An engine may work on a large image for so long without any sign of life.
const STILL: Duration = Duration::from_secs(30 * 60);
/// So much is sent at a time.
const PIECE: usize = 256 << 10;

/// What a copy is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// The image is written to the disk.
    Writing,
    /// What was written is read back.
    ReadingBack,
}

/// Keeps a copy of an image that the engine has, for a run; a whole one that is there stays as it is. `tell` gets how
/// many bytes were done since the last time. Problem codes `disk-full`, `interrupted`, `image-missing`,
/// `image-copy-failed`, and those of files and the engine.
pub async fn save_copy(
    docker: &Docker,
    image_id: &str,
    (copies, run): (&ImageCopies, &str),
    tell: &mut dyn FnMut(Copying, u64),
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Problem> {
    if let Some(file) = copies.open(image_id)? {
        match read_back(&file, image_id, tell, cancelled) {
            Ok(()) => return Ok(()),
            Err(Flaw::Stopped) => return Err(interrupted(image_id)),
            Err(Flaw::Damaged(_)) => {} // made again
        }
    }
    let mut copy = copies.begin(image_id, run)?;
    export(docker, image_id, &mut copy, tell, cancelled).await?;
    let mut written = copy.written()?;
    written.rewind().map_err(|error| failed(image_id).because(error))?;
    match read_back(written, image_id, tell, cancelled) {
        Ok(()) => Ok(copy.finish()?),
        Err(Flaw::Stopped) => Err(interrupted(image_id)),
        Err(Flaw::Damaged(why)) => Err(failed(image_id).because(why)),
    }
}

/// Has the engine load an image from its copy. Returns whether there is one. Problem codes `image-copy-damaged`,
/// `disk-full`, and those of files and the engine.
pub async fn load_copy(docker: &Docker, image_id: &str, copies: &ImageCopies) -> Result<bool, Problem> {
    let Some(mut file) = copies.open(image_id)? else { return Ok(false) };
    let path = copies.path(image_id);
    match read_back(&file, image_id, &mut |_, _| {}, &|| false) {
        Ok(()) | Err(Flaw::Stopped) => {}
        Err(Flaw::Damaged(why)) => return Err(damaged(&path).because(why)),
    }
    file.rewind().map_err(|error| damaged(&path).because(error))?;
    let refused = match import(docker, file).await {
        Ok(()) => None,
        Err(Refusal::Engine(problem)) => return Err(problem),
        Err(Refusal::Words(words)) => Some(words),
    };
    // An engine that is about to go away may say anything: it is asked once more before the file is blamed.
    match (inspect::find(docker, image_id).await?, refused) {
        (Some(_), _) => Ok(true),
        (None, Some(words)) => Err(damaged(&path).because(words)),
        (None, None) => Err(damaged(&path).because("the engine made another image of it")),
    }
}

fn read_back(
    file: &File,
    image_id: &str,
    tell: &mut dyn FnMut(Copying, u64),
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Flaw> {
    archive::prove(file, image_id, &mut |bytes| {
        tell(Copying::ReadingBack, bytes);
        !cancelled()
    })
}

async fn export(
    docker: &Docker,
    image_id: &str,
    copy: &mut Unfinished,
    tell: &mut dyn FnMut(Copying, u64),
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Problem> {
    let docker = docker.clone().with_timeout(STILL);
    let mut stream = std::pin::pin!(docker.export_image(image_id));
    let mut heard = Instant::now();
    loop {
        if cancelled() {
            // Dropping the stream ends the request, which ends the engine's work.
            return Err(interrupted(image_id));
        }
        match tokio::time::timeout(GLANCE, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(bytes))) => {
                heard = Instant::now();
                copy.write(&bytes).map_err(no_room)?;
                tell(Copying::Writing, bytes.len() as u64);
            }
            Ok(Some(Err(error))) => return Err(refused(&docker, image_id, &error).await),
            Err(_) if heard.elapsed() > STILL => return Err(trouble::too_long()),
            Err(_) => {}
        }
    }
}

/// Why an image was not exported. That it isn't there is said in many ways.
async fn refused(docker: &Docker, image_id: &str, error: &Error) -> Problem {
    match inspect::find(docker, image_id).await {
        Ok(None) => inspect::missing(image_id),
        _ => trouble::of_engine(error),
    }
}

/// Why an image was not loaded.
enum Refusal {
    /// What the engine said of the archive.
    Words(String),
    /// It is no matter of the archive.
    Engine(Problem),
}

async fn import(docker: &Docker, file: File) -> Result<(), Refusal> {
    let docker = docker.clone().with_timeout(STILL);
    let options = ImportImageOptionsBuilder::default().quiet(false).build();
    let mut stream = std::pin::pin!(docker.import_image_stream(options, pieces(file), None));
    loop {
        match tokio::time::timeout(STILL, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => {
                return Err(trouble::of_archive(&error).map_or_else(Refusal::Engine, Refusal::Words));
            }
            Err(_) => return Err(Refusal::Engine(trouble::too_long())),
        }
    }
}

/// What a file holds, read where waiting for a disk holds nobody up.
fn pieces(file: File) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::try_unfold(file, |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece)?;
            piece.truncate(length);
            Ok((length > 0).then(|| (Bytes::from(piece), file)))
        });
        read.await.map_err(io::Error::other)?
    })
}

fn no_room(error: FileError) -> Problem {
    let full = matches!(error, FileError::Full { .. });
    let problem = Problem::from(error);
    if !full {
        return problem;
    }
    let advice = [
        "or use another disk: `--state-dir DIR`",
        "or do without a copy of the old image: `--keep-image-copy=false`",
    ];
    advice.into_iter().fold(problem, Problem::advise)
}

fn interrupted(image_id: &str) -> Problem {
    Problem::new("interrupted", format!("keeping a copy of the image {image_id} was interrupted"))
}

fn failed(image_id: &str) -> Problem {
    Problem::new("image-copy-failed", format!("no copy of the image {image_id} could be kept"))
        .advise(format!("see whether `docker save {image_id}` works"))
        .advise("or do without it: `--keep-image-copy=false`")
}

fn damaged(path: &Path) -> Problem {
    Problem::new("image-copy-damaged", format!("the kept copy {} of the image is damaged", path.display()))
        .advise("look at the disk that it is on")
}
