//! How a service is asked whether it works, and who else has to go on working.
//!
//! Data alone. A probe stands in a plan only if it was answered well when the plan was made, and a dependent only
//! if it was well then: what was bad before can't judge a new version.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the service is asked whether it works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// From inside the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<InsideProbe>,
    /// From outside, as users reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<OutsideProbe>,
    /// From the place of another container in that network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<NeighbourProbe>,
    /// What needs the service, and worked before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<Dependent>,
}

/// A probe from where another container is, often the reverse proxy: by name, through Docker's own DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourProbe {
    /// The name of the container from whose place it is asked.
    pub container: String,
    /// The name that is asked for there.
    pub host: String,
    /// What is asked.
    pub probe: InsideProbe,
}

/// A container that needs the service and worked when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    /// Compose's service name.
    pub service: String,
    /// The container's name.
    pub container: String,
}

/// A probe from another place in the service's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsideProbe {
    /// The service that is asked.
    pub service: String,
    /// The port it listens on, inside.
    pub port: u16,
    /// HTTP, or a bare TCP connection for what speaks something else.
    pub protocol: Protocol,
    /// The path to ask for.
    pub path: String,
    /// Where the port was found, for the plan's reader.
    pub detected_from: String,
    /// The HTTP status that the old version gave, when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_status: Option<u16>,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1 or 2.
    Http,
    /// Anything else: a connection that stays open counts.
    Tcp,
}

/// A probe of the URL that users have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideProbe {
    /// The URL.
    pub url: String,
    /// A CA certificate to trust besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The address to connect to instead of what DNS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<IpAddr>,
    /// The DNS server to ask instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<SocketAddr>,
    /// Where the URL was found, for the plan's reader.
    pub detected_from: String,
    /// The HTTP status that the old version gave, when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_status: Option<u16>,
    /// Where the old version redirected to at last, without what may be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_redirect: Option<String>,
    /// What the old version spoke: `HTTP/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_http: Option<String>,
    /// Until when the certificate is valid that was shown then, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_certificate_ms: Option<i64>,
}
