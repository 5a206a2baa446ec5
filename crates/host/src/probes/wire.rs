//! Connections, their time limit, and as much HTTP/1.1 as one question needs.
//!
//! Invariant: nothing here reads more than [`HEAD_LIMIT`] of headers and [`BODY_LIMIT`] of a body, and
//! nothing outlasts its [`Deadline`]. Reasons of failures are for people. Does not follow redirects, keep
//! connections or judge a status.

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::presentable;
use crate::survey::Hidden;

/// Bytes of headers that are read at most.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// Bytes of a body that are read at most.
pub(super) const BODY_LIMIT: usize = 64 * 1024;

/// How long the rest of an answer is listened to after its headers.
const BODY_PATIENCE: Duration = Duration::from_millis(500);

/// A connection counts as one when it has stayed open for so long.
const STAYS_OPEN: Duration = Duration::from_millis(150);

/// Who asks.
pub(super) const USER_AGENT: &str = concat!("mainstay/", env!("CARGO_PKG_VERSION"));

/// The end of a question's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    /// From now on.
    pub(super) fn after(limit: Duration) -> Self {
        Self { end: Instant::now() + limit, limit }
    }

    /// The first of `parts` equal shares of what is left.
    fn share(&self, parts: usize) -> Self {
        let left = self.end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(parts.max(1)).unwrap_or(u32::MAX);
        Self { end: Instant::now() + share, limit: share }
    }

    /// When listening to what comes after the headers ends.
    pub(super) fn of_body(&self) -> Instant {
        self.end.min(Instant::now() + BODY_PATIENCE)
    }

    /// Runs one part of the question; `doing` names it where the time runs out.
    pub(super) async fn within<T>(
        &self,
        doing: &str,
        part: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        match tokio::time::timeout_at(self.end, part).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} ms ({doing})", self.limit.as_millis())),
        }
    }
}

/// What an HTTP server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// What it speaks: `HTTP/1.1`, `HTTP/2`.
    pub(super) version: String,
    /// Where it redirects to, as it may be shown.
    pub(super) location: Option<String>,
    /// Where it redirects to, as it has to be asked for.
    pub(super) next: Option<Hidden<String>>,
}

impl Reply {
    /// `location` is the header of that name.
    pub(super) fn new(status: u16, version: &str, location: Option<&str>) -> Self {
        let next = location.filter(|_| (300..400).contains(&status));
        Self {
            status,
            version: version.to_owned(),
            location: next.map(place),
            next: next.map(|next| Hidden(next.to_owned())),
        }
    }
}

/// Connects to the first address that accepts; one that stays silent can't use up the others' time.
pub(super) async fn connect(addresses: &[SocketAddr], deadline: &Deadline) -> Result<TcpStream, String> {
    let mut failures: Vec<String> = Vec::new();
    for (tried, address) in addresses.iter().enumerate() {
        let attempt = async { TcpStream::connect(address).await.map_err(|e| refusal(&e, *address)) };
        let doing = format!("connecting to {address}");
        match deadline.share(addresses.len() - tried).within(&doing, attempt).await {
            Ok(stream) => return Ok(stream),
            Err(reason) => failures.push(reason),
        }
    }
    Err(if failures.is_empty() {
        "there is no address to connect to".to_owned()
    } else {
        failures.join("; ")
    })
}

/// The text of a GET. `target` is a path and query in the form of a URL: without spaces and line ends.
pub(super) fn get(target: &str, host: &str, authorization: Option<&str>) -> String {
    let login = authorization.map(|a| format!("Authorization: {a}\r\n")).unwrap_or_default();
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n{login}\
         Connection: close\r\n\r\n"
    )
}

/// Asks, and returns when the headers of the answer are there.
pub(super) async fn ask<S>(stream: &mut S, request: &str) -> Result<(Reply, Rest), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request.as_bytes()).await.map_err(|e| broken(&e))?;
    stream.flush().await.map_err(|e| broken(&e))?;
    let mut head = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.map_err(|e| broken(&e))?;
        if length == 0 {
            let part = if head.is_empty() { "without an answer" } else { "in the middle of its answer" };
            return Err(format!("the server hung up {part}"));
        }
        head.extend_from_slice(&piece[..length]);
        if let Some(found) = parse(&mut head)? {
            return Ok(found);
        }
        if head.len() > HEAD_LIMIT {
            return Err(format!("the headers of the answer don't end within {} kB", HEAD_LIMIT / 1024));
        }
    }
}

/// Listens to the rest of an answer, so that no server has to log a client that hung up on it. What is in it is
/// nobody's concern: the status is known. Returns its size, if that was announced or its end was seen.
pub(super) async fn drain<S: AsyncRead + Unpin>(
    stream: &mut S,
    rest: Rest,
    deadline: &Deadline,
) -> Option<u64> {
    let (mut left, mut seen, mut ended) = (rest.left.min(BODY_LIMIT), rest.seen, rest.left == 0);
    let listen = async {
        let mut piece = [0; 4096];
        while left > 0 {
            match stream.read(&mut piece).await {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Err(_) => break,
                Ok(length) => (left, seen) = (left.saturating_sub(length), seen + length),
            }
        }
    };
    let _out_of_time = tokio::time::timeout_at(deadline.of_body(), listen).await;
    let whole = rest.announced.or(ended.then_some(seen))?;
    u64::try_from(whole).ok()
}

/// The body of an answer, as far as its headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Bytes that are still to come; [`usize::MAX`] where only the end of the connection tells.
    left: usize,
    /// Bytes that came with the headers.
    seen: usize,
    /// Bytes in all, if that was said.
    announced: Option<usize>,
}

/// The reply, once its headers are complete. Interim replies (1xx) are cut off from the front.
fn parse(head: &mut Vec<u8>) -> Result<Option<(Reply, Rest)>, String> {
    loop {
        let start = &head[..head.len().min(5)];
        if !b"HTTP/".starts_with(start) {
            return Err(not_http(head));
        }
        let Some(end) = end_of_headers(head) else { return Ok(None) };
        let text = String::from_utf8_lossy(&head[..end]).into_owned();
        let status = status(&text).ok_or_else(|| not_http(head))?;
        if (100..200).contains(&status) && status != 101 {
            head.drain(..end);
            if head.is_empty() {
                return Ok(None);
            }
            continue;
        }
        let length = header(&text, "content-length").and_then(|v| v.parse::<usize>().ok());
        let none = matches!(status, 101 | 204 | 304);
        let left = if none { 0 } else { length.map_or(usize::MAX, |l| l.saturating_sub(head.len() - end)) };
        let version = text.split_ascii_whitespace().next().unwrap_or_default();
        let reply = Reply::new(status, version, header(&text, "location"));
        let rest = Rest { left, seen: head.len() - end, announced: if none { Some(0) } else { length } };
        return Ok(Some((reply, rest)));
    }
}

fn end_of_headers(head: &[u8]) -> Option<usize> {
    let crlf = head.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
    let lf = head.windows(2).position(|w| w == b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min()
}

fn status(head: &str) -> Option<u16> {
    let word = head.lines().next()?.split_ascii_whitespace().nth(1)?;
    word.parse().ok().filter(|s| word.len() == 3 && (100..1000).contains(s))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A redirect's target without what may be secret: login, query and fragment.
fn place(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let mut shown = location[..end].to_owned();
    if let Some(scheme) = shown.find("://") {
        let host = scheme + 3;
        let authority = shown[host..].find('/').map_or(shown.len(), |at| host + at);
        if let Some(at) = shown[host..authority].rfind('@') {
            shown.replace_range(host..=host + at, "");
        }
    }
    presentable(&shown)
}

fn not_http(bytes: &[u8]) -> String {
    match bytes {
        [0x15 | 0x16, 0x03, ..] => "the port speaks TLS, not plain HTTP".to_owned(),
        _ => "what the port answers is not HTTP/1.1".to_owned(),
    }
}

/// Whether a connection stays open: a server that doesn't want it hangs up at once.
pub(super) async fn stays_open(stream: &mut TcpStream) -> Result<(), String> {
    let mut said: Vec<u8> = Vec::new();
    let listen = async {
        let mut piece = [0; 1024];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => return "the server hung up at once".to_owned(),
                Err(error) => return broken(&error),
                Ok(length) if said.len() < BODY_LIMIT => said.extend_from_slice(&piece[..length]),
                Ok(_) => {}
            }
        }
    };
    let Ok(reason) = tokio::time::timeout(STAYS_OPEN, listen).await else { return Ok(()) };
    let words = presentable(&String::from_utf8_lossy(&said).replace('\u{fffd}', " "));
    Err(if words.is_empty() { reason } else { format!("{reason}, after saying: {words}") })
}

fn refusal(error: &Error, address: SocketAddr) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("connection refused by {address}"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => format!("no way to {address}"),
        ErrorKind::TimedOut => format!("no answer from {address}"),
        _ => format!("no connection to {address}: {error}"),
    }
}

/// Why an established connection ended.
pub(super) fn broken(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            "the server reset the connection".to_owned()
        }
        ErrorKind::UnexpectedEof => "the server hung up without an answer".to_owned(),
        _ => format!("the connection failed: {}", presentable(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<(Reply, Rest)>, String> {
        parse(&mut text.as_bytes().to_vec())
    }

    #[test]
    fn replies_are_read_once_they_are_complete() {
        assert_eq!(parsed("HT"), Ok(None));
        assert_eq!(parsed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"), Ok(None));
        let (reply, rest) = parsed("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").unwrap().unwrap();
        assert_eq!((reply.status, reply.version.as_str(), rest.left), (200, "HTTP/1.1", 2));
        assert_eq!((rest.seen, rest.announced), (2, Some(4)));
        let (reply, rest) = parsed("HTTP/1.0 404 Not Found\n\n").unwrap().unwrap();
        assert_eq!((reply.status, rest.left), (404, usize::MAX));
    }

    #[test]
    fn interim_replies_are_not_the_answer() {
        let (reply, _) =
            parsed("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 503 No\r\n\r\n").unwrap().unwrap();
        assert_eq!(reply.status, 503);
        assert_eq!(parsed("HTTP/1.1 100 Continue\r\n\r\n"), Ok(None));
    }

    #[test]
    fn redirects_are_shown_without_secrets() {
        let of = |location: &str| {
            let text = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
            parsed(&text).unwrap().unwrap().0.location.unwrap()
        };
        assert_eq!(of("/login?token=hunter2"), "/login");
        assert_eq!(of("https://bob:hunter2@app.test/x#y"), "https://app.test/x");
        assert_eq!(of("https://hunter2@app.test"), "https://app.test");
    }

    #[test]
    fn what_is_not_http_is_said() {
        assert!(parse(&mut vec![0x15, 3, 1, 0, 2]).unwrap_err().contains("TLS"));
        assert!(parsed("SSH-2.0-OpenSSH").unwrap_err().contains("not HTTP"));
        assert!(parsed("HTTP/1.1 two hundred\r\n\r\n").unwrap_err().contains("not HTTP"));
    }
}
