//! What is known of one answer besides whether it is good: where the time went, and what was spoken.
//!
//! Plain data. What was not reached, or has no part in a question, is `None`.

use std::fmt;

/// The parts of one answer. With redirects, times are those of the last question, and `total_ms` of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Finding the address by its name.
    pub dns_ms: Option<u64>,
    /// Until the connection stood.
    pub connect_ms: Option<u64>,
    /// The TLS handshake.
    pub tls_ms: Option<u64>,
    /// From the request until the answer's headers.
    pub first_byte_ms: Option<u64>,
    /// Everything, the body included.
    pub total_ms: Option<u64>,
    /// `TLS 1.3`.
    pub tls: Option<&'static str>,
    /// `HTTP/1.1`, `HTTP/2`.
    pub http: Option<String>,
    /// Size of the body, where it was announced or its end was seen.
    pub body_bytes: Option<u64>,
    /// Where it was redirected to, in order, without what may be secret.
    pub redirects: Vec<String>,
}

impl Figures {
    /// What was spoken over TLS, for people: `HTTP/2, TLS 1.3`.
    pub(super) fn spoken(&self) -> Option<String> {
        let (http, tls) = self.http.as_ref().zip(self.tls)?;
        Some(format!("{http}, {tls}"))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = |what: &str, ms: Option<u64>| ms.map(|ms| format!("{what} {ms} ms"));
        let redirects = (!self.redirects.is_empty()).then(|| format!("by {}", self.redirects.join(", ")));
        let parts = [
            redirects,
            took("DNS", self.dns_ms),
            took("connected", self.connect_ms),
            took(self.tls.unwrap_or("TLS"), self.tls_ms),
            took("headers", self.first_byte_ms),
            took("in all", self.total_ms),
            self.http.clone(),
            self.body_bytes.map(|bytes| format!("{bytes} bytes")),
        ];
        let known: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&known.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(Figures::default().to_string(), "");
        let figures = Figures {
            connect_ms: Some(1),
            tls_ms: Some(20),
            tls: Some("TLS 1.3"),
            http: Some("HTTP/1.1".to_owned()),
            body_bytes: Some(5),
            redirects: vec!["/login".to_owned()],
            ..Figures::default()
        };
        assert_eq!(figures.to_string(), "by /login, connected 1 ms, TLS 1.3 20 ms, HTTP/1.1, 5 bytes");
    }
}
