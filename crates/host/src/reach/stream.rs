//! Between the engine's streams and the blocking readers and writers of the vault.
//!
//! Invariant: nothing waits for ever: a stream that stands still for [`STILL`] is an error. Only called from threads
//! that may block.

use std::io::{self, Read, Write};
use std::time::Duration;

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::engine::Engine;

/// A stream that brings nothing for so long is dead.
pub(super) const STILL: Duration = Duration::from_secs(300);
/// Pieces on the way.
const ON_THE_WAY: usize = 16;

/// What a path of a container holds, as a tar archive.
pub(super) fn get(
    runtime: &Handle,
    engine: &Engine,
    container: &str,
    path: &str,
) -> impl Read + Send + use<> {
    let (sender, receiver) = channel(ON_THE_WAY);
    let (engine, container) = (engine.clone(), container.to_owned());
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    runtime.spawn(async move {
        let mut stream = std::pin::pin!(engine.docker().download_from_container(&container, Some(options)));
        loop {
            let piece = match tokio::time::timeout(STILL, stream.next()).await {
                Ok(None) => break,
                Ok(Some(piece)) => piece.map_err(io::Error::other),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            let failed = piece.is_err();
            // Nobody listens any more, or nothing more can come.
            if sender.send(piece).await.is_err() || failed {
                break;
            }
        }
    });
    Incoming { receiver, piece: Bytes::new() }
}

struct Incoming {
    receiver: Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = piece?,
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// What is written at one end comes out at the other.
pub(super) fn pipe() -> (Outgoing, Receiver<Bytes>) {
    let (sender, receiver) = channel(ON_THE_WAY);
    (Outgoing { sender }, receiver)
}

/// The end of [`pipe`] that is written to.
pub(super) struct Outgoing {
    sender: Sender<Bytes>,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.sender.blocking_send(Bytes::copy_from_slice(bytes));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
