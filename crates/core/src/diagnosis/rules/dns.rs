//! `dns`: the URL's name has no address.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let outside = facts.outside.as_ref()?;
    let trouble = outside.dns_trouble.as_ref()?;
    Some(
        Diagnosis::new(format!("the name in {} has no address", outside.url))
            .seen(trouble.clone())
            .advise("correct the record at your DNS provider, or the name (`VIRTUAL_HOST`, the proxy's labels, `--url`)")
            .advise("if the name is only known elsewhere, say where to connect to: `--resolve IP`"),
    )
}
