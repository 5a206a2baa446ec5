//! The question at the URL, with what stands before an answer: the name's address, the certificate.

use mainstay_core::diagnosis::Outside;
use mainstay_core::plan::OutsideProbe;
use url::{Host, Url};

use super::Gatherer;
use crate::probes::{self, Certificate};

pub(super) async fn ask(gatherer: &Gatherer, probe: Option<&OutsideProbe>) -> Option<Outside> {
    let probe = probe?;
    let asking = probes::outside(probe, gatherer.patience());
    let (answer, dns_trouble) = tokio::join!(asking, gatherer.within(unresolved(probe)));
    let certificate = answer.certificate.as_ref();
    Some(Outside {
        url: probes::shown(&probe.url),
        ok: answer.ok,
        status: answer.status,
        dns_trouble: dns_trouble.filter(|_| !answer.ok),
        certificate_trouble: certificate.and_then(|c| c.trouble.clone()),
        certificate: certificate.map(described),
        ca: probe.ca.as_ref().map(|path| path.display().to_string()),
        detail: answer.detail,
    })
}

/// Why the name has no address.
async fn unresolved(probe: &OutsideProbe) -> Option<String> {
    // Where the operator named the address or the server to ask, the answer itself says what was wrong.
    let by_system = probe.resolve.is_none() && probe.resolver.is_none();
    let url = Url::parse(&probe.url).ok().filter(|_| by_system)?;
    let Host::Domain(name) = url.host()? else { return None };
    match tokio::net::lookup_host((name, 443)).await {
        Ok(mut found) => found.next().is_none().then(|| format!("DNS knows no address of {name}")),
        Err(error) => Some(format!("DNS knows no address of {name}: {error}")),
    }
}

fn described(certificate: &Certificate) -> String {
    let date = jiff::Timestamp::from_millisecond(certificate.not_after_ms)
        .map_or_else(|_| "an unknown time".to_owned(), |t| t.strftime("%Y-%m-%d %H:%M UTC").to_string());
    format!("{}, issued by {}, valid until {date}", certificate.subject, certificate.issuer)
}
