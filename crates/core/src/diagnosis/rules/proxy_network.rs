//! `proxy-network`: service and proxy have no network in common.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let proxy = facts.proxy.as_ref()?;
    let outside = facts.outside.as_ref().filter(|outside| !outside.ok)?;
    let container = facts.asked().filter(|c| !c.shares_network)?;
    if proxy.networks.iter().any(|network| container.networks.contains(network)) {
        return None;
    }
    let list =
        |networks: &[String]| if networks.is_empty() { "none".to_owned() } else { networks.join(", ") };
    Some(
        Diagnosis::new(format!("{} and the proxy {} have no network in common", container.name, proxy.name))
            .seen(format!("{}: {}", container.name, list(&container.networks)))
            .seen(format!("{}: {}", proxy.name, list(&proxy.networks)))
            .seen(format!("{}: {}", outside.url, outside.detail))
            .advise(
                "put both into one: `networks:` of the service, with the proxy's network as `external: true`",
            ),
    )
}
