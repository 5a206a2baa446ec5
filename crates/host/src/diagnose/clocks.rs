//! The machine's architecture, and other clocks: the engine's, and the one that answers are dated by.

use std::net::SocketAddr;
use std::time::Instant;

use mainstay_core::diagnosis::Clock;
use reqwest::header::DATE;
use reqwest::redirect::Policy;
use url::Url;

use super::{Gatherer, Patient};
use crate::engine::Engine;

/// The header counts whole seconds.
const HEADER_MS: i64 = 1_000;

/// What images would have to be built for, and the engine's clock.
pub(super) async fn machine(engine: &Engine) -> (String, Vec<Clock>) {
    let (began, asked) = (jiff::Timestamp::now(), Instant::now());
    let Ok(info) = engine.info().await else { return (String::new(), Vec::new()) };
    let took_ms = i64::try_from(asked.elapsed().as_millis()).unwrap_or(i64::MAX);
    let theirs = info.system_time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let clock = theirs.map(|theirs| Clock {
        whose: "the engine".to_owned(),
        ahead_ms: theirs.as_millisecond() - began.as_millisecond() - took_ms / 2,
        within_ms: took_ms / 2,
    });
    (named(info.architecture.as_deref().unwrap_or_default()), clock.into_iter().collect())
}

/// The engine says what the kernel says; images are named as Go does.
fn named(kernel: &str) -> String {
    match kernel {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" => "386",
        "armv7l" | "armv6l" => "arm",
        other => other,
    }
    .to_owned()
}

/// The clock of whoever answers at the URL.
pub(super) async fn served(gatherer: &Gatherer, patient: &Patient) -> Option<Clock> {
    let probe = patient.probes.outside.as_ref()?;
    // The name server of the operator's choice is not asked here; another one may know another host by that name.
    let mut url = Url::parse(&probe.url).ok().filter(|_| probe.resolver.is_none())?;
    // Nobody knows who answers: no login, path or query goes there, the date is in any answer.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_path("/");
    url.set_query(None);
    // Whether the certificate is good was asked already, and a wrong clock is what makes it look bad.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(gatherer.patience());
    if let (Some(ip), Some(host)) = (probe.resolve, url.host_str()) {
        client = client.resolve(host, SocketAddr::new(ip, url.port_or_known_default()?));
    }
    let (began, asked) = (jiff::Timestamp::now(), Instant::now());
    let answer = client.build().ok()?.get(url).send().await.ok()?;
    let took_ms = i64::try_from(asked.elapsed().as_millis()).unwrap_or(i64::MAX);
    let theirs = dated(answer.headers().get(DATE)?.to_str().ok()?)?;
    Some(Clock {
        whose: format!("who answers at {}", crate::probes::shown(&probe.url)),
        ahead_ms: theirs.as_millisecond() - began.as_millisecond() - took_ms / 2,
        within_ms: took_ms / 2 + HEADER_MS,
    })
}

fn dated(header: &str) -> Option<jiff::Timestamp> {
    // The format of mail, but for the name of the zone, which is always this one.
    let text = header.trim().strip_suffix("GMT")?.to_owned() + "+0000";
    jiff::fmt::rfc2822::parse(&text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_answers_are_understood() {
        let date = dated("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.as_second(), 784_111_777);
        assert_eq!(dated("yesterday"), None);
    }

    #[test]
    fn architectures_are_named_as_images_name_them() {
        assert_eq!(
            (named("x86_64").as_str(), named("aarch64").as_str(), named("riscv64").as_str()),
            ("amd64", "arm64", "riscv64")
        );
    }
}
