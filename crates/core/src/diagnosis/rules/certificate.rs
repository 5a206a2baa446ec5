//! `certificate`: the certificate of the URL is not accepted: expired, for another name, from somebody unknown.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let outside = facts.outside.as_ref()?;
    let trouble = outside.certificate_trouble.as_ref()?;
    let diagnosis =
        Diagnosis::new(format!("{}: {trouble}", outside.url)).seen_all(outside.certificate.clone());
    Some(if trouble.contains("expired") || trouble.contains("not valid before") {
        diagnosis.advise(
            "see why it was not renewed: the log of what does it (acme companion, Traefik, Caddy, certbot); and the \
             machine's clock",
        )
    } else if trouble.contains("not for") || trouble.contains("not valid for name") {
        diagnosis.advise(
            "the proxy has none for this name and shows another one's: see the name it is told (`VIRTUAL_HOST`, \
             `LETSENCRYPT_HOST`, labels)",
        )
    } else {
        match &outside.ca {
            Some(ca) => diagnosis.advise(format!("see whether {ca} is the authority that issued it")),
            None => diagnosis
                .advise("if the authority is your own, name it: `--ca FILE`, or `ca = …` in mainstay.toml"),
        }
    })
}
