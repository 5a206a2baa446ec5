//! The HTTP request of a functional check: inside, at the container's own address, or as users send it.
//!
//! Invariant: one question is one new connection, no proxy of the environment is used, and of the body a bounded part is
//! read. It does not judge what came back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use rustls::{ClientConfig, RootCertStore};

use super::Place;
use super::expect::Reply;
use super::spec::{Http, Target};
use crate::probes;

/// Bytes of a body that are read at most.
const BODY_LIMIT: usize = 1024 * 1024;
/// Redirects that are followed at most.
const REDIRECTS: usize = 10;

/// Sends the request and reads the answer. The caller bounds the time.
pub(super) async fn send(place: &Place, http: &Http) -> Result<Reply, String> {
    let (client, url) = client(place, http).await?;
    let method = reqwest::Method::from_bytes(http.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut request = client.request(method, url);
    for (name, value) in &http.headers {
        request = request.header(name, value);
    }
    if let Some(body) = &http.body {
        request = request.body(body.clone());
    }
    let mut response = request.send().await.map_err(reason)?;
    let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let mut body = Vec::new();
    while body.len() < BODY_LIMIT
        && let Some(piece) = response.chunk().await.map_err(reason)?
    {
        body.extend_from_slice(&piece[..piece.len().min(BODY_LIMIT - body.len())]);
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Reply { status: response.status().as_u16(), headers, body })
}

async fn client(place: &Place, http: &Http) -> Result<(Client, Url), String> {
    let follow = if http.follow { Policy::limited(REDIRECTS) } else { Policy::none() };
    let builder = Client::builder().no_proxy().redirect(follow).pool_max_idle_per_host(0);
    let (builder, url) = if http.target.inside() {
        let (url, address) = inside(place, &http.target).await?;
        (builder.resolve(url.host_str().unwrap_or_default(), address), url)
    } else {
        outside(builder, &http.target)?
    };
    let tls =
        if url.scheme() == "https" { probes::tls_client(http.target.ca.as_deref())? } else { no_roots()? };
    let client = builder.tls_backend_preconfigured(tls).build();
    Ok((client.map_err(reason)?, url))
}

/// The URL of a path of the service inside its network, under the name that its neighbours use, and where that is now.
pub(super) async fn inside(place: &Place, target: &Target) -> Result<(Url, SocketAddr), String> {
    let port = target.port.ok_or("no port of the service is known: `port = …`")?;
    let container = place.container().await?;
    let addresses: Vec<IpAddr> = probes::addresses(&place.engine, &container).await?;
    let address = *addresses.first().ok_or("the container has no address in any network")?;
    let base = Url::parse(&format!("http://{}:{port}", place.service)).map_err(|error| error.to_string())?;
    // Joined as a path, it can't name another host.
    let path = format!("/{}", target.at.trim_start_matches('/'));
    let url = base.join(&path).map_err(|error| format!("the path can't be asked for: {error}"))?;
    Ok((url, SocketAddr::new(address, port)))
}

fn outside(builder: ClientBuilder, target: &Target) -> Result<(ClientBuilder, Url), String> {
    let url = Url::parse(&target.at).map_err(|error| format!("the URL can't be understood: {error}"))?;
    let host = url.host_str().ok_or("the URL names no host")?;
    let port = url.port_or_known_default().ok_or("the URL names no port")?;
    let builder = match (target.resolve, target.resolver) {
        (Some(address), _) => builder.resolve(host, SocketAddr::new(address, port)),
        (None, Some(server)) => builder.dns_resolver(Arc::new(Server(server))),
        (None, None) => builder,
    };
    Ok((builder, url))
}

/// Names are asked for at a server that the operator named, also those that a redirect leads to.
struct Server(SocketAddr);

impl Resolve for Server {
    fn resolve(&self, name: Name) -> Resolving {
        let server = self.0;
        Box::pin(async move {
            let found = probes::lookup(server, name.as_str()).await?;
            // The port is that of the URL.
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// Nothing is sent over TLS, but a client has to be able to.
fn no_roots() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The innermost cause says it; the URL may hold a login.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("no answer: {innermost}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::tests::{dns_server, site};

    #[tokio::test]
    async fn the_dns_server_that_was_named_is_asked_also_after_a_redirect() {
        let (address, server) = (site().await, dns_server("app.lab.test", [127, 0, 0, 1]).await);
        let ask = async |name: &str| {
            let at = format!("http://{name}:{}/", address.port());
            let target = Target { at, resolver: Some(server), ..Target::default() };
            let builder = Client::builder().no_proxy().redirect(Policy::limited(REDIRECTS));
            let (builder, url) = outside(builder, &target).unwrap();
            let client = builder.tls_backend_preconfigured(no_roots().unwrap()).build().unwrap();
            client.get(url).send().await.map(|response| response.status().as_u16()).map_err(reason)
        };
        assert_eq!(ask("app.lab.test").await, Ok(200));
        let unknown = ask("other.lab.test").await.unwrap_err();
        assert!(
            unknown.contains(&format!("DNS at {server} knows no address of other.lab.test")),
            "{unknown}"
        );
    }
}
