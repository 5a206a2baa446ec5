//! The question as users ask it: DNS, TLS, redirects and all.
//!
//! Invariant: one question is one new connection, so that nothing of an earlier answer passes for this one.
//! Logins in the URL are sent to where the URL leads, and never shown. Redirects are followed on the URL's own
//! host; one that leads to another host, where the service has no say, is the answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_core::plan::OutsideProbe;
use mainstay_core::redact;
use rustls::pki_types::ServerName;
use url::{Host, Position, Url};

use super::exchange::Exchange;
use super::http2::{self, HTTP2};
use super::tls::{self, Trust};
use super::wire::{self, Deadline, Reply};
use super::{Answer, Certificate, Figures, acceptable, dns, elapsed_ms};

/// Redirects that are followed; browsers follow 20, but nobody needs them.
const REDIRECTS: usize = 5;

/// Asks once. Who asks again and again prepares an [`Outside`].
pub async fn outside(probe: &OutsideProbe, limit: Duration) -> Answer {
    Outside::new(probe).ask(limit).await
}

/// A question that can be asked again and again: URL taken apart, certificates loaded.
pub struct Outside {
    url: String,
    baseline: Option<u16>,
    baseline_redirect: Option<String>,
    baseline_http: Option<String>,
    ways: Ways,
    target: Result<Target, String>,
}

/// What all questions have in common, whereto they are redirected.
struct Ways {
    resolve: Option<IpAddr>,
    resolver: Option<SocketAddr>,
    trust: Result<Trust, String>,
}

#[derive(Clone)]
struct Target {
    /// Holds the login.
    url: Url,
    host: Host<String>,
    port: u16,
    encrypted: bool,
}

/// What came of one question, before redirects.
struct Asked {
    result: Result<(Reply, u64), String>,
    certificate: Option<Certificate>,
    figures: Figures,
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
        Self {
            url: shown(&probe.url),
            baseline: probe.baseline_status,
            baseline_redirect: probe.baseline_redirect.clone(),
            baseline_http: probe.baseline_http.clone(),
            ways: Ways {
                resolve: probe.resolve,
                resolver: probe.resolver,
                trust: Trust::new(probe.ca.as_deref()),
            },
            // The parser's own words don't quote the URL.
            target: Url::parse(&probe.url)
                .map_err(|e| format!("the URL can't be understood: {e}"))
                .and_then(Target::of),
        }
    }

    /// The URL as it may be shown: without login.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks, and has an answer within `limit`.
    pub async fn ask(&self, limit: Duration) -> Answer {
        let (began, deadline) = (Instant::now(), Deadline::after(limit));
        let mut target = match &self.target {
            Ok(target) => target.clone(),
            Err(reason) => return Answer::failed(reason.clone(), 0, None),
        };
        let mut asked = self.ways.ask(&target, &deadline, began).await;
        let mut redirects: Vec<String> = Vec::new();
        while let Ok((reply, _)) = &asked.result
            && let Some(next) = target.redirected(reply)
        {
            let place = reply.location.clone().unwrap_or_default();
            if redirects.len() == REDIRECTS {
                let reason = format!("it redirects again and again: {}, {place}", redirects.join(", "));
                return self.answer(Asked { result: Err(reason), ..asked }, redirects, began);
            }
            let followed = self.ways.ask(&next, &deadline, began).await;
            if let Err(reason) = &followed.result {
                return self.dead_end(asked, &place, reason, redirects, began);
            }
            redirects.push(place);
            (target, asked) = (next, followed);
        }
        self.answer(asked, redirects, began)
    }

    fn answer(&self, asked: Asked, redirects: Vec<String>, began: Instant) -> Answer {
        let total_ms = Some(elapsed_ms(began));
        let figures = Figures { redirects, total_ms, ..asked.figures };
        let (reply, took_ms) = match asked.result {
            Ok(replied) => replied,
            Err(reason) => {
                return Answer { figures, ..Answer::failed(reason, elapsed_ms(began), asked.certificate) };
            }
        };
        let last = figures.redirects.last().cloned();
        let mut answer = Answer::replied(&reply, self.baseline, took_ms, figures);
        answer.certificate = asked.certificate;
        if let Some(place) = &last {
            answer.detail.push_str(&format!(", redirected to {place}"));
        }
        if self.baseline.is_some() && last != self.baseline_redirect && answer.remarks.is_empty() {
            answer.remarks.extend(last.map(|place| {
                let before = self.baseline_redirect.as_deref();
                let before =
                    before.map_or("it did not redirect".to_owned(), |b| format!("it redirected to {b}"));
                format!("it redirects to {place}; before the update {before}")
            }));
        }
        answer.remarks.extend(self.spoken_less(&reply.version));
        answer
    }

    /// That a newer HTTP was spoken before.
    fn spoken_less(&self, now: &str) -> Option<String> {
        let before = self.baseline_http.as_deref().filter(|before| *before == HTTP2 && now != HTTP2)?;
        Some(format!("it speaks {now}; before the update it spoke {before}"))
    }

    /// A redirect that leads to no answer is as good as it was before: where users were sent to a place that can't
    /// be reached from here, that is nothing new.
    fn dead_end(
        &self,
        asked: Asked,
        place: &str,
        reason: &str,
        redirects: Vec<String>,
        began: Instant,
    ) -> Answer {
        let before = self.baseline;
        let mut answer = self.answer(asked, redirects, began);
        let usual = before.is_none_or(|before| (300..400).contains(&before));
        answer.ok = usual && answer.status.is_some_and(|status| acceptable(status, before));
        answer.detail.push_str(&format!("; {place}, where it redirects to, gives no answer: {reason}"));
        answer
    }
}

impl Ways {
    async fn ask(&self, target: &Target, deadline: &Deadline, began: Instant) -> Asked {
        let mut figures = Figures::default();
        let connected = async {
            let addresses = self.addresses(target, deadline, &mut figures).await?;
            let connecting = Instant::now();
            let stream = wire::connect(&addresses, deadline).await?;
            figures.connect_ms = Some(elapsed_ms(connecting));
            Ok(stream)
        };
        let stream = match connected.await {
            Ok(stream) => stream,
            Err(reason) => return Asked { result: Err(reason), certificate: None, figures },
        };
        if !target.encrypted {
            let exchange = Exchange { deadline, began, figures: &mut figures };
            let result = exchange.http1(stream, &target.request()).await;
            return Asked { result, certificate: None, figures };
        }
        let (trust, name) = match (&self.trust, target.name()) {
            (Ok(trust), Ok(name)) => (trust, name),
            (Err(reason), _) => return Asked { result: Err(reason.clone()), certificate: None, figures },
            (_, Err(reason)) => return Asked { result: Err(reason), certificate: None, figures },
        };
        let shaking = Instant::now();
        let (stream, certificate) = trust.handshake(name, stream, deadline).await;
        let result = match stream {
            Ok(stream) => {
                (figures.tls_ms, figures.tls) = (Some(elapsed_ms(shaking)), tls::version(&stream));
                let exchange = Exchange { deadline, began, figures: &mut figures };
                if tls::chose_http2(&stream) {
                    exchange.http2(stream, target.http2_request()).await
                } else {
                    exchange.http1(stream, &target.request()).await
                }
            }
            Err(reason) => Err(reason),
        };
        Asked { result, certificate, figures }
    }

    async fn addresses(
        &self,
        target: &Target,
        deadline: &Deadline,
        figures: &mut Figures,
    ) -> Result<Vec<SocketAddr>, String> {
        let fixed = self.resolve.or(match &target.host {
            Host::Ipv4(ip) => Some((*ip).into()),
            Host::Ipv6(ip) => Some((*ip).into()),
            Host::Domain(_) => None,
        });
        if let Some(ip) = fixed {
            return Ok(vec![SocketAddr::new(ip, target.port)]);
        }
        let (name, port, asking) = (target.host.to_string(), target.port, Instant::now());
        let lookup = async {
            if let Some(server) = self.resolver {
                let found = dns::lookup(server, &name).await?;
                return Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
            }
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            found.map(Iterator::collect::<Vec<_>>).map_err(|e| format!("DNS knows no address of {name}: {e}"))
        };
        let found = deadline.within(&format!("asking DNS for {name}"), lookup).await;
        figures.dns_ms = Some(elapsed_ms(asking));
        found
    }
}

impl Target {
    fn of(url: Url) -> Result<Self, String> {
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            other => {
                return Err(format!("the URL has the scheme {other}; only http and https can be asked"));
            }
        };
        let host = url.host().map(|h| h.to_owned()).ok_or("the URL names no host")?;
        let port = url.port_or_known_default().ok_or("the URL names no port")?;
        Ok(Self { url, host, port, encrypted })
    }

    /// Where a reply sends us, if that is on the same host. The login goes nowhere else than to the same place.
    fn redirected(&self, reply: &Reply) -> Option<Self> {
        let mut url = self.url.join(&reply.next.as_ref()?.0).ok()?;
        let same_place = url.origin() == self.url.origin();
        if !same_place && url.username().is_empty() {
            let _cannot_have_one = url.set_password(None);
        }
        if same_place {
            let _cannot_have_one = url.set_username(self.url.username());
            let _cannot_have_one = url.set_password(self.url.password());
        }
        Self::of(url).ok().filter(|next| next.host == self.host)
    }

    fn request(&self) -> String {
        let name = match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        };
        let login = login(&self.url);
        wire::get(&self.url[Position::BeforePath..Position::AfterQuery], &name, login.as_deref())
    }

    fn http2_request(&self) -> Result<http::Request<()>, String> {
        let mut url = self.url.clone();
        let _cannot_have_one = url.set_username("");
        let _cannot_have_one = url.set_password(None);
        http2::get(&url[..Position::AfterQuery], login(&self.url).as_deref())
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
            resolver: None,
            detected_from: "test".to_owned(),
            baseline_status: None,
            baseline_redirect: None,
            baseline_http: None,
            baseline_certificate_ms: None,
        }
    }

    fn target(probe: &OutsideProbe) -> Target {
        Target::of(Url::parse(&probe.url).unwrap()).unwrap()
    }

    #[test]
    fn redirects_stay_on_the_host_and_the_login_at_its_place() {
        let from = target(&probe("https://bob:pw@app.test/a"));
        let to = |next: &str| {
            let reply = Reply {
                status: 302,
                version: "HTTP/1.1".to_owned(),
                location: None,
                next: Some(crate::survey::Hidden(next.to_owned())),
            };
            from.redirected(&reply).map(|t| (t.url.to_string(), t.request().contains("Authorization")))
        };
        assert_eq!(to("/login?x=1"), Some(("https://bob:pw@app.test/login?x=1".to_owned(), true)));
        assert_eq!(to("https://app.test:8443/"), Some(("https://app.test:8443/".to_owned(), false)));
        assert_eq!(to("http://app.test/"), Some(("http://app.test/".to_owned(), false)));
        assert_eq!(to("https://sso.test/login"), None);
        assert_eq!(to("ftp://app.test/"), None);
    }

    #[test]
    fn logins_are_sent_and_never_shown() {
        let probe = probe("http://bob:p%40ss@app.test:81/a%20b?token=x#frag");
        let request = target(&probe).request();
        assert!(request.starts_with("GET /a%20b?token=x HTTP/1.1\r\nHost: app.test:81\r\n"));
        assert!(request.contains(&format!("Authorization: Basic {}\r\n", STANDARD.encode("bob:p@ss"))));
        let prepared = Outside::new(&probe);
        assert!(!format!("{prepared:?}").contains("ss@"), "{prepared:?}");
        assert!(prepared.url().starts_with("http://app.test:81/a%20b"));
    }

    #[test]
    fn addresses_are_taken_as_they_are() {
        let target = target(&probe("http://[::1]:8080"));
        let request = target.request();
        assert_eq!((target.host, target.port), (Host::Ipv6(std::net::Ipv6Addr::LOCALHOST), 8080));
        assert!(request.contains("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n"));
        assert!(!request.contains("Authorization"));
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
