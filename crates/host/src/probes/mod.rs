//! Asks a service whether it works: from inside its network, and from outside as its users reach it.
//!
//! Invariant: a question ends within its limit, reads a bounded number of bytes, changes nothing, and its
//! answer holds no secret (of a URL, neither login nor query is shown). A question that can't be asked is an
//! answer that isn't ok, never an error: who asks every few seconds wants one kind of answer. What this
//! module does not do: repeat questions, or decide what a bad answer means.

mod dns;
mod exchange;
mod figures;
mod http2;
mod inside;
mod neighbour;
mod outside;
mod tls;
mod wire;

use std::fmt;
use std::path::Path;

use mainstay_core::redact;

pub(crate) use dns::lookup;
pub use figures::Figures;
pub(crate) use inside::addresses;
pub use inside::inside;
pub use neighbour::{neighbour, obstacle};
pub(crate) use outside::shown;
pub use outside::{Outside, outside};

use crate::clock::elapsed_ms;
use wire::Reply;

/// How much of a text that a server chose is shown.
const SHOWN_CHARS: usize = 120;

/// An answer that takes so long is told with where the time went.
const SLOW_MS: u64 = 1_000;

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the service works, as far as this question tells.
    pub ok: bool,
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// From the question until the answer's headers, or until it was clear that none comes; milliseconds.
    pub took_ms: u64,
    /// For people, without secrets: `HTTP 200 in 12 ms`, `connection refused by 172.18.0.2:8080`.
    pub detail: String,
    /// The certificate that the server showed, also where it was not accepted.
    pub certificate: Option<Certificate>,
    /// What else is known of the answer, part by part.
    pub figures: Figures,
    /// What is worth a remark although it decides nothing.
    pub remarks: Vec<String>,
}

/// A server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Valid until then, in milliseconds since 1970.
    pub not_after_ms: i64,
    /// Whole days until then; negative where it has expired.
    pub days_left: i64,
    /// Who issued it.
    pub issuer: String,
    /// Whom it was issued to.
    pub subject: String,
    /// Why it was not accepted; `None` where it was.
    pub trouble: Option<String>,
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = jiff::Timestamp::from_millisecond(self.not_after_ms)
            .map_or_else(|_| "an unknown time".to_owned(), |t| t.strftime("%Y-%m-%d %H:%M UTC").to_string());
        write!(f, "{}, issued by {}, valid until {date}", self.subject, self.issuer)
    }
}

/// Whether a status says that the service works. Without a baseline everything below 500 does. With one, the
/// class (2xx, 3xx, …) has to be the same or better, where a redirect is as good as an answer; a 5xx counts only
/// where the baseline was the very same.
#[must_use]
pub fn acceptable(status: u16, baseline: Option<u16>) -> bool {
    match baseline {
        Some(before) if status == before => true,
        _ if status >= 500 => false,
        Some(before) => status < 400 || status / 100 <= before / 100,
        None => true,
    }
}

impl Answer {
    fn replied(reply: &Reply, baseline: Option<u16>, took_ms: u64, figures: Figures) -> Self {
        let ok = acceptable(reply.status, baseline);
        let mut detail = format!("HTTP {}", reply.status);
        if let Some(place) = &reply.location {
            detail.push_str(&format!(" to {place}"));
        }
        detail.push_str(&format!(" in {took_ms} ms"));
        if took_ms >= SLOW_MS {
            detail.push_str(&format!(" ({figures})"));
        } else if let Some(spoken) = figures.spoken() {
            detail.push_str(&format!(" ({spoken})"));
        }
        let answered = baseline.filter(|before| (200..300).contains(before));
        let redirects = (300..400).contains(&reply.status);
        let remark = answered.filter(|_| redirects).map(|before| {
            let to = reply.location.as_deref().unwrap_or("nowhere");
            format!("it redirects to {to} (HTTP {}); before it answered with {before}", reply.status)
        });
        let remarks = remark.into_iter().collect();
        if let Some(before) = baseline.filter(|_| !ok) {
            detail.push_str(&format!(", before it was {before}"));
        }
        Self { ok, status: Some(reply.status), took_ms, detail, certificate: None, figures, remarks }
    }

    fn failed(reason: String, took_ms: u64, certificate: Option<Certificate>) -> Self {
        let (figures, remarks) = (Figures::default(), Vec::new());
        Self { ok: false, status: None, took_ms, detail: reason, certificate, figures, remarks }
    }
}

/// TLS for another client, by the rules of these questions. Reads the system's roots and the file.
pub(crate) fn tls_client(ca: Option<&Path>) -> Result<rustls::ClientConfig, String> {
    tls::client(ca)
}

/// Text that the other side chose, as it may be shown: one line, short, redacted.
pub(crate) fn presentable(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut shown: String = plain.trim().chars().take(SHOWN_CHARS).collect();
    if plain.trim().chars().count() > SHOWN_CHARS {
        shown.push('…');
    }
    redact::line(&shown)
}

#[cfg(test)]
pub(crate) mod tests;
