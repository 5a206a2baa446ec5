//! Question and answer over a connection that stands, in the language that was agreed on.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{self, Deadline, Reply};
use super::{Figures, elapsed_ms, http2};

/// What is done meanwhile, where the time runs out.
const WAITING: &str = "waiting for the answer";

/// One question, as part of one that began before.
pub(super) struct Exchange<'a> {
    pub(super) deadline: &'a Deadline,
    /// The beginning of everything: the time that is told is from then to the headers.
    pub(super) began: Instant,
    pub(super) figures: &'a mut Figures,
}

impl Exchange<'_> {
    pub(super) async fn http1<S>(mut self, mut stream: S, request: &str) -> Result<(Reply, u64), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (asking, question) = (Instant::now(), wire::ask(&mut stream, request));
        let (reply, rest) = self.deadline.within(WAITING, question).await?;
        let took_ms = self.note(asking, &reply);
        self.figures.body_bytes = wire::drain(&mut stream, rest, self.deadline).await;
        Ok((reply, took_ms))
    }

    pub(super) async fn http2<S>(
        mut self,
        stream: S,
        request: Result<http::Request<()>, String>,
    ) -> Result<(Reply, u64), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (asking, question) = (Instant::now(), http2::ask(stream, request?));
        let (reply, rest) = self.deadline.within(WAITING, question).await?;
        let took_ms = self.note(asking, &reply);
        self.figures.body_bytes = rest.drain(self.deadline).await;
        Ok((reply, took_ms))
    }

    fn note(&mut self, asking: Instant, reply: &Reply) -> u64 {
        self.figures.first_byte_ms = Some(elapsed_ms(asking));
        self.figures.http = Some(reply.version.clone());
        elapsed_ms(self.began)
    }
}
