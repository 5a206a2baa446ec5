//! `port-conflict`: somebody else holds the port that the service publishes or listens on.

use std::sync::LazyLock;

use regex::Regex;

use super::{Diagnosis, Facts};

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:]*\]|localhost|\*|0\.0\.0\.0|:)?:(\d{1,5})\b")
        .expect("the pattern is a constant that the tests compile")
});

fn taken(text: &str) -> bool {
    let text = text.to_lowercase();
    ["port is already allocated", "address already in use", "eaddrinuse", "ports are not available"]
        .iter()
        .any(|words| text.contains(words))
}

/// The port that an error says is taken.
#[must_use]
pub fn wanted_port(error: &str) -> Option<u16> {
    ADDRESS.captures(error).filter(|_| taken(error))?.get(1)?.as_str().parse().ok()
}

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let (container, text) = facts.containers.iter().find_map(|c| {
        let line = || c.log.iter().rev().find(|line| taken(line)).filter(|_| c.suffers());
        Some((c, taken(&c.start_error).then_some(&c.start_error).or_else(line)?))
    })?;
    let port = wanted_port(text).map_or_else(|| "the port".to_owned(), |port| format!("port {port}"));
    let what = match &facts.port_holder {
        Some(holder) => format!("{} can't have {port}: {holder} has it", container.name),
        None => format!("{} can't have {port}: somebody else has it", container.name),
    };
    Some(
        Diagnosis::new(what)
            .seen(text.trim())
            .advise("stop the other one, or publish another port (`ports:` in the Compose file)"),
    )
}

#[cfg(test)]
mod tests {
    use super::wanted_port;

    #[test]
    fn the_port_is_read_from_every_form_of_the_error() {
        for error in [
            "driver failed programming external connectivity on endpoint x (0123456789): Bind for 127.0.0.1:8080 failed: port is \
             already allocated",
            "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
            "nginx: [emerg] bind() to [::]:8080 failed (98: Address already in use)",
            "Error: listen EADDRINUSE: address already in use :::8080",
        ] {
            assert_eq!(wanted_port(error), Some(8080), "{error}");
        }
        assert_eq!(wanted_port("dial tcp 127.0.0.1:8080: connection refused"), None);
    }
}
