//! As much HTTP/2 as one question needs, where the server chose it in the TLS handshake.
//!
//! Invariant: the bounds are those of [`super::wire`], and the connection ends with the question. Server push is refused.

use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, Connection};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::presentable;
use super::wire::{self, Deadline, Reply};

/// Its name.
pub(super) const HTTP2: &str = "HTTP/2";

/// How long a server may take to see that the connection ends.
const FAREWELL: Duration = Duration::from_millis(100);

/// A GET. `url` has neither login nor fragment.
pub(super) fn get(url: &str, authorization: Option<&str>) -> Result<http::Request<()>, String> {
    let request = http::Request::get(url).header(USER_AGENT, wire::USER_AGENT).header(ACCEPT, "*/*");
    // Their own words quote neither URL nor header.
    let mut request = request.body(()).map_err(|error| format!("the URL can't be asked for: {error}"))?;
    if let Some(login) = authorization {
        let mut value = HeaderValue::from_str(login).map_err(|_| "the login can't be sent".to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// Asks, and returns when the headers of the answer are there.
pub(super) async fn ask<S>(stream: S, request: http::Request<()>) -> Result<(Reply, Rest), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limit = u32::try_from(wire::HEAD_LIMIT).unwrap_or(u32::MAX);
    let shaking = Builder::new().max_header_list_size(limit).enable_push(false).handshake(stream);
    let (mut sender, connection): (_, Connection<S, Bytes>) = shaking.await.map_err(|e| failed(&e))?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // Whatever ends it is told to who waits for the answer, too.
        let _ended = connection.await;
    });
    let (answer, _no_body) = sender.send_request(request, true).map_err(|e| failed(&e))?;
    let (head, body) = answer.await.map_err(|e| failed(&e))?.into_parts();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let reply = Reply::new(head.status.as_u16(), HTTP2, header(LOCATION));
    let announced = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    Ok((reply, Rest { body, announced, driver }))
}

/// The body of an answer, and the connection on which it comes.
pub(super) struct Rest {
    body: RecvStream,
    announced: Option<u64>,
    driver: JoinSet<()>,
}

impl Rest {
    /// Listens to the rest of an answer. Returns its size, if that was announced or its end was seen.
    pub(super) async fn drain(mut self, deadline: &Deadline) -> Option<u64> {
        let (mut seen, mut ended) = (0, false);
        let listen = async {
            while seen < wire::BODY_LIMIT {
                match self.body.data().await {
                    Some(Ok(piece)) => {
                        seen += piece.len();
                        let _gone = self.body.flow_control().release_capacity(piece.len());
                    }
                    Some(Err(_)) => break,
                    None => {
                        ended = true;
                        break;
                    }
                }
            }
        };
        let _out_of_time = tokio::time::timeout_at(deadline.of_body(), listen).await;
        // Nobody asks any more: the connection says so to the server and ends.
        drop(self.body);
        let _in_its_own_time = tokio::time::timeout(FAREWELL, self.driver.join_next()).await;
        self.announced.or(ended.then_some(u64::try_from(seen).ok()).flatten())
    }
}

/// Why there is no answer.
fn failed(error: &h2::Error) -> String {
    match (error.get_io(), error.reason()) {
        (Some(io), _) => wire::broken(io),
        (None, Some(reason)) => {
            format!("the server broke off its answer (HTTP/2: {})", presentable(reason.description()))
        }
        (None, None) => format!("there is no answer by HTTP/2: {}", presentable(&error.to_string())),
    }
}
