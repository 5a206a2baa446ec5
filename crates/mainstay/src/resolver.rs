//! A DNS server as people write it: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:5353`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;

/// The port of DNS.
const PORT: u16 = 53;

/// A DNS server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Resolver(SocketAddr);

impl Resolver {
    /// Where it is asked.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Resolver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
        let address = alone.or_else(|_| text.parse());
        let wrong = || format!("`{text}` is not a DNS server; write it like 192.0.2.53 or 192.0.2.53:5353");
        address.map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Resolver {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::Resolver;

    #[test]
    fn the_port_may_be_left_out() {
        let shown = |text: &str| text.parse::<Resolver>().map(|r| r.address().to_string());
        assert_eq!(shown("192.0.2.53").as_deref(), Ok("192.0.2.53:53"));
        assert_eq!(shown("192.0.2.53:5353").as_deref(), Ok("192.0.2.53:5353"));
        assert_eq!(shown("2001:db8::1").as_deref(), Ok("[2001:db8::1]:53"));
        assert_eq!(shown("[2001:db8::1]:54").as_deref(), Ok("[2001:db8::1]:54"));
        assert!(shown("dns.example.org").is_err());
    }
}
