use super::*;
use crate::survey::facts::{Env, ImageFacts, PublishedPort};

fn service(
    env: &[&str],
    labels: &[(&str, &str)],
    published: &[(u16, u16)],
    exposed: &[&str],
) -> ServiceFacts {
    let lines: Vec<String> = env.iter().map(ToString::to_string).collect();
    let container = ContainerFacts {
        env: Env::from_lines(&lines),
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        published: published
            .iter()
            .map(|(port, inside)| PublishedPort { inside: *inside, address: String::new(), port: *port })
            .collect(),
        ..ContainerFacts::default()
    };
    let image =
        ImageFacts { exposed: exposed.iter().map(ToString::to_string).collect(), ..ImageFacts::default() };
    ServiceFacts {
        name: "app".into(),
        containers: vec![container],
        image: Some(image),
        ..ServiceFacts::default()
    }
}

/// Port, protocol and URL of a unit of one service.
fn seen(service: ServiceFacts) -> (Option<(u16, Protocol)>, Option<String>) {
    let probes = probes(&[service], "app");
    (probes.inside.map(|i| (i.port, i.protocol)), probes.outside.map(|o| o.url))
}

fn url(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn nginx_proxy_variables() {
    let s = service(&["VIRTUAL_HOST=a.example,b.example", "VIRTUAL_PORT=8080"], &[], &[], &[]);
    assert_eq!(seen(s), (Some((8080, Protocol::Http)), url("http://a.example/")));
    let s = service(&["VIRTUAL_HOST=a.example", "LETSENCRYPT_HOST=a.example"], &[], &[], &["3000/tcp"]);
    assert_eq!(seen(s), (Some((3000, Protocol::Http)), url("https://a.example/")));
    let s = service(&["VIRTUAL_HOST=*.example,~^x.*$"], &[], &[], &["3000/tcp"]);
    assert_eq!(seen(s), (Some((3000, Protocol::Http)), None));
}

#[test]
fn traefik_labels() {
    let labels = [
        ("traefik.enable", "true"),
        ("traefik.http.routers.blog.rule", "Host(`blog.example`) && PathPrefix(`/app`)"),
        ("traefik.http.routers.blog.entrypoints", "websecure"),
        ("traefik.http.services.blog.loadbalancer.server.port", "2368"),
    ];
    assert_eq!(
        seen(service(&[], &labels, &[], &[])),
        (Some((2368, Protocol::Http)), url("https://blog.example/app"))
    );
    let resolver = [
        ("traefik.http.routers.x.rule", "Host(\"x.example\")"),
        ("traefik.http.routers.x.tls.certresolver", "le"),
    ];
    assert_eq!(
        seen(service(&[], &resolver, &[], &["3000/tcp", "9100/tcp"])),
        (Some((3000, Protocol::Http)), url("https://x.example/"))
    );
    let off = [("traefik.enable", "false"), ("traefik.http.routers.x.rule", "Host(`x.example`)")];
    assert_eq!(seen(service(&[], &off, &[], &[])), (None, None));
}

#[test]
fn caddy_labels() {
    let labels = [("caddy", "wiki.example"), ("caddy.reverse_proxy", "{{upstreams 8090}}")];
    assert_eq!(
        seen(service(&[], &labels, &[], &[])),
        (Some((8090, Protocol::Http)), url("https://wiki.example/"))
    );
    let plain = [("caddy_0", "http://wiki.example"), ("caddy_0.reverse_proxy", "{{upstreams http 80}}")];
    assert_eq!(
        seen(service(&[], &plain, &[], &[])),
        (Some((80, Protocol::Http)), url("http://wiki.example/"))
    );
}

#[test]
fn published_ports() {
    let s = service(&[], &[], &[(18080, 8080)], &["8080/tcp"]);
    assert_eq!(seen(s), (Some((8080, Protocol::Http)), url("http://127.0.0.1:18080/")));
    let s = service(&[], &[], &[(9443, 443), (9080, 80)], &[]);
    assert_eq!(seen(s), (Some((80, Protocol::Http)), url("http://127.0.0.1:9080/")));
    let s = service(&[], &[], &[(18443, 443)], &[]);
    assert_eq!(seen(s), (Some((443, Protocol::Tcp)), None));
}

#[test]
fn databases_are_asked_by_tcp_and_have_no_url() {
    for port in [5432, 3306, 6379, 27017, 5672, 9042, 11211, 25, 587] {
        let s = service(&[], &[], &[(15000, port)], &[]);
        assert_eq!(seen(s), (Some((port, Protocol::Tcp)), None));
    }
}

#[test]
fn exposed_ports_are_the_last_resort() {
    let s = service(&[], &[], &[], &["9100/tcp", "8080/tcp", "53/udp"]);
    assert_eq!(seen(s), (Some((8080, Protocol::Http)), None));
    assert_eq!(seen(service(&[], &[], &[], &[])), (None, None));
}

#[test]
fn in_a_unit_the_service_with_a_url_is_asked() {
    let mut worker = service(&[], &[], &[], &["9100/tcp"]);
    worker.name = "worker".into();
    let app = service(&["VIRTUAL_HOST=a.example"], &[], &[], &["80/tcp"]);
    let probes = probes(&[worker, app], "worker");
    assert_eq!(probes.inside.unwrap().service, "app");
    assert_eq!(probes.outside.unwrap().url, "http://a.example/");
}
