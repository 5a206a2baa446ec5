//! How a service can be asked whether it works, as far as its configuration tells.
//!
//! Pure. The order is: what a reverse proxy is told (nginx-proxy's variables, Traefik's and Caddy's labels),
//! then published ports, then exposed ones. It asks nobody: whether the port really speaks HTTP is found out
//! by the first probe.

use mainstay_core::plan::{InsideProbe, OutsideProbe, Probes, Protocol};

use super::facts::{ContainerFacts, ServiceFacts};

/// Ports that speak something other than HTTP.
const OTHER: &[u16] = &[
    21, 22, 25, 53, 110, 111, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2049, 3306, 3389, 4222,
    5222, 5432, 5671, 5672, 5900, 6379, 6432, 6650, 7687, 8883, 9042, 9092, 11211, 26257, 27017, 27018,
    28015, 33060,
];

/// Ports that carry TLS: HTTP in clear gets no answer there.
const TLS: &[u16] = &[443, 8443];

/// Among several ports, these are likely to be the one that users are served on.
const LIKELY: &[u16] = &[80, 8080, 3000, 8000, 5000, 8081, 8888, 9000];

/// Where a service is reached, before it is known which service of the unit is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    port: u16,
    protocol: Protocol,
    path: String,
    from: String,
    url: Option<String>,
}

/// The probes of the unit: those of the named service, else of the first one that tells more.
#[must_use]
pub fn probes(unit: &[ServiceFacts], named: &str) -> Probes {
    let first = unit.iter().filter(|s| s.name == named);
    let rest = unit.iter().filter(|s| s.name != named);
    let ways: Vec<(&str, Way)> = first.chain(rest).filter_map(|s| Some((s.name.as_str(), way(s)?))).collect();
    let best = ways.iter().find(|(_, w)| w.url.is_some()).or_else(|| ways.first());
    let Some((service, way)) = best else { return Probes::default() };
    Probes {
        neighbour: None,
        dependents: Vec::new(),
        inside: Some(InsideProbe {
            service: (*service).to_owned(),
            port: way.port,
            protocol: way.protocol,
            path: way.path.clone(),
            detected_from: way.from.clone(),
            baseline_status: None,
        }),
        outside: way.url.as_ref().map(|url| OutsideProbe {
            url: url.clone(),
            ca: None,
            resolve: None,
            resolver: None,
            detected_from: way.from.clone(),
            baseline_status: None,
            baseline_redirect: None,
            baseline_http: None,
            baseline_certificate_ms: None,
        }),
    }
}

fn way(service: &ServiceFacts) -> Option<Way> {
    let container = service.containers.first()?;
    let exposed = exposed(service, container);
    nginx_proxy(container, &exposed)
        .or_else(|| traefik(container, &exposed))
        .or_else(|| caddy(container, &exposed))
        .or_else(|| published(container))
        .or_else(|| {
            let port = likely(&exposed)?;
            Some(Way {
                port,
                protocol: protocol(port),
                path: "/".to_owned(),
                from: format!("exposed port {port}"),
                url: None,
            })
        })
}

/// TCP ports that image or container declare.
fn exposed(service: &ServiceFacts, container: &ContainerFacts) -> Vec<u16> {
    let image = service.image.iter().flat_map(|i| &i.exposed);
    let mut ports: Vec<u16> = image
        .filter_map(|p| match p.split_once('/') {
            Some((port, "tcp")) => port.parse().ok(),
            Some(_) => None,
            None => p.parse().ok(),
        })
        .chain(container.published.iter().map(|p| p.inside))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn nginx_proxy(container: &ContainerFacts, exposed: &[u16]) -> Option<Way> {
    let env = &container.env;
    let host = env.get("VIRTUAL_HOST")?.split(',').map(str::trim).find(|h| plain_host(h))?.to_owned();
    let port = env.get("VIRTUAL_PORT").and_then(|p| p.trim().parse().ok());
    let only = if let [one] = exposed { Some(*one) } else { None };
    let encrypted = ["LETSENCRYPT_HOST", "ACME_HOST", "CERT_NAME"].iter().any(|v| env.get(v).is_some())
        || env.get("HTTPS_METHOD").is_some_and(|m| m != "nohttps");
    let inner = env.get("VIRTUAL_PROTO").unwrap_or("http");
    let path = env.get("VIRTUAL_PATH").filter(|p| p.starts_with('/')).unwrap_or("/").to_owned();
    let dest = env.get("VIRTUAL_DEST").filter(|p| p.starts_with('/')).unwrap_or(&path).to_owned();
    Some(Way {
        port: port.or(only).unwrap_or(80),
        protocol: if inner == "http" { Protocol::Http } else { Protocol::Tcp },
        from: "VIRTUAL_HOST".to_owned(),
        url: Some(format!("{}://{host}{path}", scheme(encrypted))),
        path: dest,
    })
}

fn traefik(container: &ContainerFacts, exposed: &[u16]) -> Option<Way> {
    let labels = &container.labels;
    if labels.get("traefik.enable").is_some_and(|v| v.eq_ignore_ascii_case("false")) {
        return None;
    }
    let (router, rule) = labels.iter().find_map(|(key, rule)| {
        let router = key.strip_prefix("traefik.http.routers.")?.strip_suffix(".rule")?;
        Some((router, rule))
    })?;
    let host = argument(rule, "Host(").filter(|h| plain_host(h))?;
    let path = argument(rule, "PathPrefix(").or_else(|| argument(rule, "Path("));
    let path = path.filter(|p| p.starts_with('/')).unwrap_or_else(|| "/".to_owned());
    let of_router = |suffix: &str| labels.get(&format!("traefik.http.routers.{router}.{suffix}"));
    let encrypted = of_router("tls").is_some_and(|v| v.eq_ignore_ascii_case("true"))
        || labels.keys().any(|k| k.starts_with(&format!("traefik.http.routers.{router}.tls.")))
        || of_router("entrypoints").is_some_and(|v| v.contains("websecure") || v.contains("https"));
    let port = labels.iter().find_map(|(key, port)| {
        let named = key.starts_with("traefik.http.services.") && key.ends_with(".loadbalancer.server.port");
        named.then(|| port.trim().parse().ok())?
    });
    // Without a port, Traefik takes the lowest one that is exposed.
    let port = port.or_else(|| exposed.first().copied()).unwrap_or(80);
    Some(Way {
        port,
        protocol: if TLS.contains(&port) { Protocol::Tcp } else { Protocol::Http },
        url: Some(format!("{}://{host}{path}", scheme(encrypted))),
        path,
        from: format!("Traefik labels of router {router}"),
    })
}

fn caddy(container: &ContainerFacts, exposed: &[u16]) -> Option<Way> {
    let (key, address) = container.labels.iter().find(|(key, _)| {
        key.as_str() == "caddy"
            || key.strip_prefix("caddy_").is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()))
    })?;
    let first = address.split([',', ' ']).find(|a| !a.is_empty())?;
    let (scheme, host) = first.split_once("://").unwrap_or(("https", first));
    let host = host.trim_end_matches("/*").trim_end_matches('/');
    if !plain_host(host.split(['/', ':']).next()?) {
        return None;
    }
    let upstream = container
        .labels
        .iter()
        .find(|(k, _)| k.strip_prefix(key.as_str()).is_some_and(|rest| rest.ends_with(".reverse_proxy")));
    let port = upstream.and_then(|(_, text)| {
        let inner = text.split("upstreams").nth(1)?;
        inner.split(|c: char| !c.is_ascii_digit()).find(|t| !t.is_empty())?.parse().ok()
    });
    Some(Way {
        port: port.or_else(|| likely(exposed)).unwrap_or(80),
        protocol: Protocol::Http,
        path: "/".to_owned(),
        from: "Caddy labels".to_owned(),
        url: Some(format!("{scheme}://{host}/")),
    })
}

fn published(container: &ContainerFacts) -> Option<Way> {
    let ports: Vec<u16> = container.published.iter().map(|p| p.inside).collect();
    let inside = likely(&ports)?;
    let port = container.published.iter().find(|p| p.inside == inside)?;
    let protocol = protocol(inside);
    let address = match port.address.as_str() {
        "" | "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
        v6 if v6.contains(':') => format!("[{v6}]"),
        v4 => v4.to_owned(),
    };
    Some(Way {
        port: inside,
        protocol,
        path: "/".to_owned(),
        from: format!("published port {}", port.port),
        // A certificate is never made out to an address like this one: TLS ports get no URL.
        url: (protocol == Protocol::Http).then(|| format!("http://{address}:{}/", port.port)),
    })
}

fn likely(ports: &[u16]) -> Option<u16> {
    let by_habit = LIKELY.iter().find(|p| ports.contains(p)).copied();
    let http = || ports.iter().find(|p| protocol(**p) == Protocol::Http).copied();
    by_habit.or_else(http).or_else(|| ports.first().copied())
}

pub(crate) fn protocol(port: u16) -> Protocol {
    if OTHER.contains(&port) || TLS.contains(&port) { Protocol::Tcp } else { Protocol::Http }
}

fn scheme(encrypted: bool) -> &'static str {
    if encrypted { "https" } else { "http" }
}

/// Neither a wildcard nor a regular expression.
fn plain_host(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
}

/// The first quoted argument of a matcher in a Traefik rule.
fn argument(rule: &str, matcher: &str) -> Option<String> {
    let quoted = rule.split(matcher).nth(1)?.trim_start();
    let quote = quoted.chars().next().filter(|c| matches!(c, '`' | '"' | '\''))?;
    Some(quoted[1..].split(quote).next()?.to_owned())
}

#[cfg(test)]
mod tests;
