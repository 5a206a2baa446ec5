//! The question as users ask it: DNS, TLS and all.
//!
//! Invariant: one question is one new connection, so that nothing of an earlier answer passes for this one.
//! Logins in the URL are sent and never shown. Redirects are answers, they are not followed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_core::plan::OutsideProbe;
use mainstay_core::redact;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use url::{Host, Position, Url};

use super::tls::Trust;
use super::wire::{self, Deadline, Reply};
use super::{Answer, Certificate, elapsed_ms};

/// Asks once. Who asks again and again prepares an [`Outside`].
pub async fn outside(probe: &OutsideProbe, limit: Duration) -> Answer {
    Outside::new(probe).ask(limit).await
}

/// A question that can be asked again and again: URL taken apart, certificates loaded.
pub struct Outside {
    url: String,
    baseline: Option<u16>,
    target: Result<Target, String>,
}

struct Target {
    host: Host<String>,
    port: u16,
    resolve: Option<IpAddr>,
    trust: Option<Trust>,
    /// Holds the login.
    request: String,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Outside {
    /// Prepares the question. Reads the system's root certificates and the CA file; what is wrong with the
    /// probe itself is told by every answer.
    #[must_use]
    pub fn new(probe: &OutsideProbe) -> Self {
        Self { url: shown(&probe.url), baseline: probe.baseline_status, target: target(probe) }
    }

    /// The URL as it may be shown: without login.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks, and has an answer within `limit`.
    pub async fn ask(&self, limit: Duration) -> Answer {
        let began = Instant::now();
        let deadline = Deadline::after(limit);
        let target = match &self.target {
            Ok(target) => target,
            Err(reason) => return Answer::failed(reason.clone(), 0, None),
        };
        let (result, certificate) = target.ask(&deadline, began).await;
        match result {
            Ok((reply, took_ms)) => Answer::replied(&reply, self.baseline, took_ms, certificate),
            Err(reason) => Answer::failed(reason, elapsed_ms(began), certificate),
        }
    }
}

impl Target {
    async fn ask(
        &self,
        deadline: &Deadline,
        began: Instant,
    ) -> (Result<(Reply, u64), String>, Option<Certificate>) {
        let connected = async { wire::connect(&self.addresses(deadline).await?, deadline).await };
        let mut stream = match connected.await {
            Ok(stream) => stream,
            Err(reason) => return (Err(reason), None),
        };
        let Some(trust) = &self.trust else {
            return (self.exchange(&mut stream, deadline, began).await, None);
        };
        let name = match self.name() {
            Ok(name) => name,
            Err(reason) => return (Err(reason), None),
        };
        let (stream, certificate) = trust.handshake(name, stream, deadline).await;
        match stream {
            Ok(mut stream) => (self.exchange(&mut stream, deadline, began).await, certificate),
            Err(reason) => (Err(reason), certificate),
        }
    }

    async fn exchange<S>(
        &self,
        stream: &mut S,
        deadline: &Deadline,
        began: Instant,
    ) -> Result<(Reply, u64), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let asking = wire::ask(stream, &self.request);
        let (reply, rest) = deadline.within("waiting for the answer", asking).await?;
        let took_ms = elapsed_ms(began);
        wire::drain(stream, rest, deadline).await;
        Ok((reply, took_ms))
    }

    async fn addresses(&self, deadline: &Deadline) -> Result<Vec<SocketAddr>, String> {
        let fixed = self.resolve.or(match &self.host {
            Host::Ipv4(ip) => Some((*ip).into()),
            Host::Ipv6(ip) => Some((*ip).into()),
            Host::Domain(_) => None,
        });
        if let Some(ip) = fixed {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let name = self.host.to_string();
        let lookup = async {
            let found = tokio::net::lookup_host((name.as_str(), self.port)).await;
            found.map(Iterator::collect::<Vec<_>>).map_err(|e| format!("DNS knows no address of {name}: {e}"))
        };
        deadline.within(&format!("asking DNS for {name}"), lookup).await
    }

    fn name(&self) -> Result<ServerName<'static>, String> {
        match &self.host {
            Host::Ipv4(ip) => Ok(ServerName::IpAddress(IpAddr::from(*ip).into())),
            Host::Ipv6(ip) => Ok(ServerName::IpAddress(IpAddr::from(*ip).into())),
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|_| format!("{name} is no name that a certificate can have")),
        }
    }
}

fn target(probe: &OutsideProbe) -> Result<Target, String> {
    // The parser's own words don't quote the URL.
    let url = Url::parse(&probe.url).map_err(|e| format!("the URL can't be understood: {e}"))?;
    let trust = match url.scheme() {
        "https" => Some(Trust::new(probe.ca.as_deref())?),
        "http" => None,
        other => return Err(format!("the URL has the scheme {other}; only http and https can be asked")),
    };
    let host = url.host().map(|h| h.to_owned()).ok_or("the URL names no host")?;
    let port = url.port_or_known_default().ok_or("the URL names no port")?;
    let name = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    let request = wire::get(&url[Position::BeforePath..Position::AfterQuery], &name, login(&url).as_deref());
    Ok(Target { host, port, resolve: probe.resolve, trust, request })
}

fn login(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = decoded(url.username());
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    plain
}

/// A URL as it may be shown: without login and query.
pub(crate) fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return redact::line(url) };
    let _cannot_have_one = parsed.set_username("");
    let _cannot_have_one = parsed.set_password(None);
    parsed.set_query(None);
    redact::line(parsed.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(url: &str) -> OutsideProbe {
        OutsideProbe {
            url: url.to_owned(),
            ca: None,
            resolve: None,
            detected_from: "test".to_owned(),
            baseline_status: None,
        }
    }

    #[test]
    fn logins_are_sent_and_never_shown() {
        let probe = probe("http://bob:p%40ss@app.test:81/a%20b?token=x#frag");
        let target = target(&probe).unwrap();
        assert!(target.request.starts_with("GET /a%20b?token=x HTTP/1.1\r\nHost: app.test:81\r\n"));
        assert!(
            target.request.contains(&format!("Authorization: Basic {}\r\n", STANDARD.encode("bob:p@ss")))
        );
        let prepared = Outside::new(&probe);
        assert!(!format!("{prepared:?}").contains("ss@"), "{prepared:?}");
        assert!(prepared.url().starts_with("http://app.test:81/a%20b"));
    }

    #[test]
    fn addresses_are_taken_as_they_are() {
        let target = target(&probe("http://[::1]:8080")).unwrap();
        assert_eq!((target.host, target.port), (Host::Ipv6(std::net::Ipv6Addr::LOCALHOST), 8080));
        assert!(target.request.contains("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n"));
        assert!(!target.request.contains("Authorization"));
    }

    #[tokio::test]
    async fn urls_that_cannot_be_asked_are_told() {
        for (url, says) in [("ftp://a.test/", "ftp"), ("app.test", "URL"), ("http://", "URL")] {
            let answer = outside(&probe(url), Duration::from_secs(1)).await;
            assert!(!answer.ok && answer.detail.contains(says), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn names_that_dns_does_not_know_are_told() {
        let answer = outside(&probe("http://no-such-host.invalid/"), Duration::from_secs(20)).await;
        assert!(!answer.ok && answer.detail.contains("DNS"), "{answer:?}");
    }
}
