//! Containers of our own that have the data mounted, and nothing else.
//!
//! Invariant: each one carries the run's label, has no network, and only those that put data back can write to it. They
//! are made from the service's own image, which is on the engine already, and run nothing of it.

use std::collections::HashMap;
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use mainstay_core::plan::{DataMount, MountKind};
use mainstay_core::problem::Problem;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::Receiver;

use super::DATA;
use super::payload::Payload;
use super::place::Target;
use super::stream::STILL;
use crate::engine::{Engine, is_not_found};

/// The label that names the run.
const RUN: &str = "mainstay.run";
/// What sending this program may take.
const SEND_LIMIT: Duration = Duration::from_secs(300);
/// What the engine may take to make or remove a container, whose image may declare volumes.
const MAKE_LIMIT: Duration = Duration::from_secs(120);
/// A helper that has been given everything ends after this at the latest.
const END_LIMIT: Duration = Duration::from_secs(600);
/// How often it is asked whether a helper has ended.
const PACE: Duration = Duration::from_millis(50);
/// What it takes to give files their owners, modes and capabilities, and to make devices.
const CAPABILITIES: &[&str] = &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"];
/// Of what it complains, so much is kept.
const COMPLAINT: usize = 2_000;

/// A container with the data in it.
#[derive(Debug)]
pub(super) struct Helper {
    engine: Engine,
    pub(super) id: String,
}

impl Helper {
    /// One that is never started, by which the data is read.
    pub(super) async fn to_read(target: &Target) -> Result<Self, Problem> {
        Self::create(target, true, vec!["/".to_owned()]).await
    }

    /// One that puts data back when it is given an archive.
    pub(super) async fn to_put_back(target: &Target, payload: &Payload) -> Result<Self, Problem> {
        Self::create(target, false, payload.command()).await
    }

    async fn create(target: &Target, read_only: bool, command: Vec<String>) -> Result<Self, Problem> {
        let engine = target.engine.clone();
        let body = body(target, read_only, command);
        let what = format!("make a container to reach {}", target.mount.name);
        let made =
            engine.call_within(MAKE_LIMIT, &what, engine.docker().create_container(None, body)).await?;
        Ok(Self { engine, id: made.id })
    }

    /// Removes it; it is no error if it is gone.
    pub(super) async fn remove(&self) -> Result<(), Problem> {
        remove(&self.engine, &self.id).await
    }

    /// Puts an archive into its own layer.
    pub(super) async fn send(&self, archive: Receiver<Bytes>) -> Result<(), Problem> {
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let stream = futures_util::stream::unfold(archive, |mut archive| async {
            archive.recv().await.map(|piece| (piece, archive))
        });
        let body = bollard::body_stream(stream);
        let call = self.engine.docker().upload_to_container(&self.id, Some(options), body);
        self.engine.call_within(SEND_LIMIT, "send mainstay to the engine", call).await
    }

    /// Starts it, gives it everything that comes in, and waits for its end.
    pub(super) async fn feed(&self, input: Receiver<Bytes>) -> Result<(), Problem> {
        let attach = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stderr(true).build();
        let docker = self.engine.docker();
        let attached = docker.attach_container(&self.id, Some(attach));
        let attached = self.engine.call("attach to a container", attached).await?;
        let AttachContainerResults { output, input: stdin } = attached;
        let start = docker.start_container(&self.id, None);
        self.engine.call("start a container that puts data back", start).await?;
        let complaint = tokio::spawn(complaint(output));
        let fed = give(input, stdin).await;
        let code = self.exit_code().await?;
        // Its connection may be dead without a word.
        let said = tokio::time::timeout(STILL, complaint).await.ok().and_then(Result::ok).unwrap_or_default();
        if code == 0 && fed.is_ok() {
            return Ok(());
        }
        let mut problem = super::failed("putting the data back through the engine failed");
        if let Some(line) = said.lines().find(|line| !line.trim().is_empty()) {
            problem = problem.because(line.trim());
        }
        Err(match fed {
            Err(error) if said.is_empty() => problem.because(error),
            _ => problem.because(format!("exit code {code}")),
        })
    }

    async fn exit_code(&self) -> Result<i64, Problem> {
        let give_up = tokio::time::Instant::now() + END_LIMIT;
        loop {
            let inspect = self.engine.docker().inspect_container(&self.id, None);
            let state = self.engine.call("look at a container", inspect).await?.state.unwrap_or_default();
            match state.exit_code {
                Some(code) if state.running == Some(false) => return Ok(code),
                _ if tokio::time::Instant::now() > give_up => {
                    let seconds = END_LIMIT.as_secs();
                    return Err(super::failed(format!(
                        "what puts the data back did not end within {seconds} s"
                    )));
                }
                _ => tokio::time::sleep(PACE).await,
            }
        }
    }
}

fn body(target: &Target, read_only: bool, command: Vec<String>) -> ContainerCreateBody {
    let mount = mount(&target.mount, read_only);
    let host_config = HostConfig {
        network_mode: Some("none".to_owned()),
        mounts: Some(vec![mount]),
        // A host that labels files would keep us from a directory that isn't labelled for containers.
        security_opt: Some(vec!["label=disable".to_owned(), "no-new-privileges".to_owned()]),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(CAPABILITIES.iter().map(|name| (*name).to_owned()).collect()),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(target.image.clone()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(command),
        cmd: Some(Vec::new()),
        working_dir: Some("/".to_owned()),
        // Of the image's environment, what would change how a program is loaded.
        env: Some(["LD_PRELOAD=", "LD_LIBRARY_PATH=", "LD_AUDIT="].map(str::to_owned).into()),
        labels: Some(HashMap::from([(RUN.to_owned(), target.run.clone())])),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        attach_stdin: Some(!read_only),
        attach_stderr: Some(!read_only),
        open_stdin: Some(!read_only),
        stdin_once: Some(!read_only),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}

fn mount(data: &DataMount, read_only: bool) -> Mount {
    let by_name = data.kind != MountKind::Bind;
    Mount {
        target: Some(DATA.to_owned()),
        source: Some(if by_name { data.name.clone() } else { data.source.to_string_lossy().into_owned() }),
        typ: Some(if by_name { MountType::VOLUME } else { MountType::BIND }),
        read_only: Some(read_only),
        // The image's own files are none of the data.
        volume_options: by_name
            .then(|| MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

/// Passes on what comes in.
async fn give(
    mut input: Receiver<Bytes>,
    mut stdin: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
) -> std::io::Result<()> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    while let Some(piece) = input.recv().await {
        tokio::time::timeout(STILL, stdin.write_all(&piece)).await.map_err(late)??;
    }
    tokio::time::timeout(STILL, stdin.shutdown()).await.map_err(late)?
}

/// The beginning of what a helper says.
async fn complaint(
    mut output: std::pin::Pin<
        Box<dyn futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>,
    >,
) -> String {
    let mut said = Vec::new();
    while let Some(Ok(piece)) = output.next().await {
        let piece = piece.into_bytes();
        let room = COMPLAINT.saturating_sub(said.len());
        said.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Removes every container that a run has made to reach data.
pub(crate) async fn sweep(engine: &Engine, run: &str) -> Result<(), Problem> {
    let filters = HashMap::from([("label", vec![format!("{RUN}={run}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let all = engine.call("list the containers", engine.docker().list_containers(Some(options))).await?;
    for id in all.into_iter().filter_map(|container| container.id) {
        remove(engine, &id).await?;
    }
    Ok(())
}

async fn remove(engine: &Engine, id: &str) -> Result<(), Problem> {
    // With the volumes that its image declares, which are new and empty; never with one that has a name.
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let call = engine.docker().remove_container(id, Some(options));
    match engine.call_within(MAKE_LIMIT, "remove a container of our own", call).await {
        Err(problem) if !is_not_found(&problem) => Err(problem),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use mainstay_core::plan::Reach;

    use super::*;

    fn data(kind: MountKind) -> DataMount {
        DataMount {
            name: "shop_data".into(),
            kind,
            source: "/srv/data".into(),
            destination: "/data".into(),
            services: vec!["web".into()],
            bytes: 0,
            files: 0,
            reach: Reach::Archive,
        }
    }

    #[test]
    fn a_volume_is_mounted_by_its_name_and_only_the_one_that_puts_back_may_write() {
        let volume = mount(&data(MountKind::Volume), true);
        assert_eq!(volume.source.as_deref(), Some("shop_data"));
        assert_eq!((volume.read_only, volume.volume_options.unwrap().no_copy), (Some(true), Some(true)));
        let bind = mount(&data(MountKind::Bind), false);
        assert_eq!((bind.source.as_deref(), bind.read_only), (Some("/srv/data"), Some(false)));
        assert_eq!(bind.volume_options, None);
    }
}
