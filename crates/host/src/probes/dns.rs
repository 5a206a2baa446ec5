//! Names, asked of a server that is named: the operator's choice, or Docker's own within a network.
//!
//! Invariant: nothing is remembered between two questions, the file `hosts` is not read, and no other server is
//! asked. Where nobody names a server, the system resolves: see [`super::outside`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::presentable;

/// A server that stays silent is asked once more after this long; the question's own limit ends it in any case.
const AGAIN: Duration = Duration::from_millis(1_500);

/// The addresses that `server` knows of `name`, which is taken as it is: no search domain is added.
pub(crate) async fn lookup(server: SocketAddr, name: &str) -> Result<Vec<IpAddr>, String> {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    let server_config = NameServerConfig::new(server.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server_config]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = AGAIN;
    options.attempts = 2;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    let failed = |error: &dyn std::fmt::Display| {
        format!("DNS at {server} knows no address of {name}: {}", presentable(&error.to_string()))
    };
    let resolver = builder.build().map_err(|error| failed(&error))?;
    let found = resolver.lookup_ip(format!("{name}.")).await.map_err(|error| failed(&error))?;
    let addresses: Vec<IpAddr> = found.iter().collect();
    if addresses.is_empty() {
        Err(format!("DNS at {server} knows no address of {name}"))
    } else {
        Ok(addresses)
    }
}
