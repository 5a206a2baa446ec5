//! Questions to servers of this process, on the loopback alone.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mainstay_core::plan::{InsideProbe, OutsideProbe, Protocol};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::wire::Deadline;
use super::*;

mod http2;

const LIMIT: Duration = Duration::from_secs(10);

/// What a server does with a connection.
#[derive(Clone, Copy)]
enum Does {
    Say(&'static str),
    HangUp,
    SayAndHangUp(&'static str),
    /// Accepts and keeps silent until the other side goes.
    Nothing,
}

async fn server(does: Does) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream, does));
        }
    });
    address
}

async fn handle(mut stream: TcpStream, does: Does) {
    let mut request = [0; 4096];
    match does {
        Does::HangUp => {}
        Does::Say(answer) => {
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Does::SayAndHangUp(words) => drop(stream.write_all(words.as_bytes()).await),
        Does::Nothing => while stream.read(&mut request).await.is_ok_and(|n| n > 0) {},
    }
}

async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn probe(url: String, baseline: Option<u16>) -> OutsideProbe {
    OutsideProbe {
        url,
        ca: None,
        resolve: None,
        resolver: None,
        detected_from: "test".into(),
        baseline_status: baseline,
        baseline_redirect: None,
        baseline_http: None,
        baseline_certificate_ms: None,
    }
}

async fn http(answer: &'static str, baseline: Option<u16>) -> Answer {
    let address = server(Does::Say(answer)).await;
    outside(&probe(format!("http://{address}/"), baseline), LIMIT).await
}

async fn tcp(address: SocketAddr, protocol: Protocol, limit: Duration) -> Answer {
    let probe = InsideProbe {
        service: "app".into(),
        port: address.port(),
        protocol,
        path: "/".into(),
        detected_from: "test".into(),
        baseline_status: None,
    };
    inside::at(&[address], &probe, &Deadline::after(limit)).await
}

#[test]
fn a_status_is_judged_by_what_it_was_before() {
    for (status, baseline, ok) in [
        (200, None, true),
        (302, None, true),
        (404, None, true),
        (500, None, false),
        (503, None, false),
        (200, Some(200), true),
        (204, Some(200), true),
        (302, Some(200), true),
        (404, Some(302), false),
        (401, Some(200), false),
        (401, Some(404), true),
        (200, Some(401), true),
        (502, Some(401), false),
        (502, Some(502), true),
        (500, Some(502), false),
        (404, Some(502), true),
    ] {
        assert_eq!(acceptable(status, baseline), ok, "{status} after {baseline:?}");
    }
}

#[test]
fn questions_may_be_asked_by_any_thread() {
    fn send<T: Send>(_: T) {}
    let probe = probe("http://127.0.0.1:1/".into(), None);
    let prepared = Outside::new(&probe);
    send(prepared.ask(LIMIT));
    send(outside(&probe, LIMIT));
    send(|engine, probe| send(inside(engine, "id", probe, LIMIT)));
}

#[tokio::test]
async fn answers_are_told_with_status_and_time() {
    let answer = http("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None).await;
    assert!(answer.ok && answer.status == Some(200) && answer.certificate.is_none(), "{answer:?}");
    assert_eq!(answer.detail, format!("HTTP 200 in {} ms", answer.took_ms));
    let answer = http("HTTP/1.1 500 Oh\r\n\r\n", None).await;
    assert!(!answer.ok && answer.status == Some(500), "{answer:?}");
    let answer = http("HTTP/1.1 500 Oh\r\n\r\n", Some(500)).await;
    assert!(answer.ok, "{answer:?}");
    let answer = http("HTTP/1.1 404 No\r\n\r\n", Some(200)).await;
    assert!(!answer.ok && answer.detail.contains("before it was 200"), "{answer:?}");
    let answer = http("HTTP/1.1 302 Found\r\nLocation: http://sso.test/login?x=y\r\n\r\n", None).await;
    assert!(answer.ok && answer.detail.starts_with("HTTP 302 to http://sso.test/login in "), "{answer:?}");
}

#[tokio::test]
async fn a_slow_server_costs_no_more_than_the_limit() {
    let address = server(Does::Nothing).await;
    let limit = Duration::from_millis(200);
    let answer = outside(&probe(format!("http://{address}/"), None), limit).await;
    assert!(!answer.ok && answer.detail.contains("within 200 ms (waiting"), "{answer:?}");
    assert!((200..5000).contains(&answer.took_ms), "{answer:?}");
}

#[tokio::test]
async fn an_endless_answer_ends() {
    // The headers say that more comes; it never does, and the connection stays open.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").await.unwrap();
        handle(stream, Does::Nothing).await;
    });
    let began = std::time::Instant::now();
    let answer = outside(&probe(format!("http://{address}/"), None), LIMIT).await;
    assert!(answer.ok && began.elapsed() < Duration::from_secs(5), "{answer:?}");
    let answer =
        http(Box::leak(format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(20_000)).into_boxed_str()), None);
    let answer = answer.await;
    assert!(!answer.ok && answer.detail.contains("64 kB"), "{answer:?}");
}

#[tokio::test]
async fn what_does_not_answer_is_told_apart() {
    let closed = closed_port().await;
    for protocol in [Protocol::Http, Protocol::Tcp] {
        let answer = tcp(closed, protocol, LIMIT).await;
        assert!(!answer.ok, "{answer:?}");
        assert_eq!(answer.detail, format!("connection refused by {closed}"));
    }
    let answer = tcp(server(Does::HangUp).await, Protocol::Http, LIMIT).await;
    assert!(
        !answer.ok && (answer.detail.contains("hung up") || answer.detail.contains("reset")),
        "{answer:?}"
    );
    let answer = tcp(server(Does::SayAndHangUp("SSH-2.0-x\r\n")).await, Protocol::Http, LIMIT).await;
    assert!(!answer.ok && answer.detail.contains("not HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_bare_connection_has_to_stay_open() {
    let answer = tcp(server(Does::Nothing).await, Protocol::Tcp, LIMIT).await;
    assert!(answer.ok && answer.status.is_none() && answer.took_ms >= 150, "{answer:?}");
    let answer = tcp(server(Does::HangUp).await, Protocol::Tcp, LIMIT).await;
    assert!(!answer.ok && answer.detail.contains("hung up at once"), "{answer:?}");
    let answer = tcp(server(Does::SayAndHangUp("-DENIED\r\n")).await, Protocol::Tcp, LIMIT).await;
    assert!(!answer.ok && answer.detail.ends_with("after saying: -DENIED"), "{answer:?}");
}

#[tokio::test]
async fn the_first_address_that_accepts_is_asked() {
    let (closed, open) = (closed_port().await, server(Does::Nothing).await);
    let deadline = Deadline::after(LIMIT);
    assert_eq!(wire::connect(&[closed, open], &deadline).await.unwrap().peer_addr().unwrap(), open);
    let refused = wire::connect(&[closed, closed], &deadline).await.unwrap_err();
    assert_eq!(refused.matches("refused").count(), 2);
}

/// Certificates as the lab makes them: `ca.pem`, `server.pem`, `server.key`.
fn certificates(directory: &Path, names: &[&str], days: u32) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/ca");
    let made = Command::new(script)
        .arg(directory)
        .args(names)
        .env("CA_DAYS", days.to_string())
        .output()
        .expect("lab/ca, which needs bash and openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Shows `certificate`, and chooses the first of `spoken` that the client offers.
fn acceptor(certificate: &Path, key: &Path, spoken: &[&[u8]]) -> TlsAcceptor {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = spoken.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A server that shows `certificate` and answers every request with 200.
async fn tls_server(certificate: &Path, key: &Path) -> SocketAddr {
    let acceptor = acceptor(certificate, key, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

/// Asks `host` at a server's address, trusting `ca`.
async fn https(host: &str, at: SocketAddr, ca: Option<&Path>) -> Answer {
    let probe = OutsideProbe {
        ca: ca.map(Path::to_owned),
        resolve: Some(at.ip()),
        ..probe(format!("https://{host}:{}/", at.port()), None)
    };
    outside(&probe, LIMIT).await
}

#[tokio::test]
async fn certificates_are_verified_and_told() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), &["app.lab.test", "127.0.0.1"], 30);
    let at = tls_server(&dir.path().join("server.pem"), &dir.path().join("server.key")).await;
    let ca = dir.path().join("ca.pem");

    let answer = https("app.lab.test", at, Some(&ca)).await;
    assert!(answer.ok && answer.status == Some(200), "{answer:?}");
    assert_eq!(answer.figures.tls, Some("TLS 1.3"));
    let figures = &answer.figures;
    assert!(
        [figures.connect_ms, figures.tls_ms, figures.first_byte_ms].iter().all(Option::is_some),
        "{figures:?}"
    );
    let certificate = answer.certificate.unwrap();
    assert_eq!(
        (certificate.issuer.as_str(), certificate.subject.as_str()),
        ("CN=lab authority", "CN=app.lab.test")
    );
    assert!((29..=30).contains(&certificate.days_left) && certificate.trouble.is_none(), "{certificate:?}");

    let answer = https("127.0.0.1", at, Some(&ca)).await;
    assert!(answer.ok, "an address among the certificate's names: {answer:?}");

    let answer = https("other.lab.test", at, Some(&ca)).await;
    assert!(!answer.ok, "{answer:?}");
    assert_eq!(answer.detail, "certificate is not for other.lab.test, but for app.lab.test, 127.0.0.1");
    assert_eq!(answer.certificate.unwrap().trouble.as_deref(), Some(answer.detail.as_str()));

    let answer = https("app.lab.test", at, None).await;
    assert!(!answer.ok && answer.status.is_none(), "{answer:?}");
    assert_eq!(answer.detail, "certificate was issued by CN=lab authority, which is not trusted here");

    let answer = https("app.lab.test", at, Some(&dir.path().join("gone.pem"))).await;
    assert!(!answer.ok && answer.detail.contains("gone.pem can't be read"), "{answer:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_its_date() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), &["app.lab.test"], 0);
    let at = tls_server(&dir.path().join("server.pem"), &dir.path().join("server.key")).await;
    let ca = dir.path().join("ca.pem");
    // It is valid to the end of the second in which it was made.
    let end = std::time::Instant::now() + Duration::from_secs(5);
    let mut answer = https("app.lab.test", at, Some(&ca)).await;
    while answer.ok && std::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = https("app.lab.test", at, Some(&ca)).await;
    }
    let today = jiff::Timestamp::now().strftime("%Y-").to_string();
    assert!(
        !answer.ok && answer.detail.starts_with(&format!("certificate expired on {today}")),
        "{answer:?}"
    );
    let certificate = answer.certificate.unwrap();
    assert!(certificate.days_left < 0 && certificate.trouble.is_some(), "{certificate:?}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_accepted_only_where_it_was_named() {
    let dir = tempfile::tempdir().unwrap();
    let (pem, key) = (dir.path().join("own.pem"), dir.path().join("own.key"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "9",
        ])
        .args(["-subj", "/CN=own.test", "-addext", "subjectAltName=DNS:own.test", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&pem)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let at = tls_server(&pem, &key).await;
    let answer = https("own.test", at, Some(&pem)).await;
    assert!(answer.ok, "{answer:?}");
    let answer = https("other.test", at, Some(&pem)).await;
    assert!(answer.detail.starts_with("certificate is not for other.test"), "{answer:?}");
    let answer = https("own.test", at, None).await;
    assert_eq!(answer.detail, "certificate is self-signed and not trusted here");
}

#[tokio::test]
async fn tls_where_there_is_none_is_told() {
    let plain = server(Does::Say("HTTP/1.1 400 No\r\n\r\n")).await;
    let answer = https("app.lab.test", plain, None).await;
    assert!(!answer.ok && answer.detail.contains("does not speak TLS"), "{answer:?}");
    let answer = https("app.lab.test", server(Does::HangUp).await, None).await;
    assert!(
        !answer.ok && (answer.detail.contains("hung up") || answer.detail.contains("reset")),
        "{answer:?}"
    );
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), &["app.lab.test"], 30);
    let at = tls_server(&dir.path().join("server.pem"), &dir.path().join("server.key")).await;
    let answer = tcp(at, Protocol::Http, LIMIT).await;
    assert!(!answer.ok, "{answer:?}");
}

/// A server that answers by path: a page, a login that pages redirect to, and what goes wrong with redirects.
pub(crate) async fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let to =
                |place: &str| format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
            let answer = match text.split(' ').nth(1).unwrap_or_default() {
                "/" => to("/login?token=hunter2"),
                "/circle" => to("/circle"),
                "/away" => to("https://sso.test/"),
                "/broken" => to("/500"),
                "/closed" => to("http://127.0.0.1:1/"),
                "/500" => "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned(),
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn redirects_are_followed_to_the_answer() {
    let address = site().await;
    let ask = async |path: &str, baseline| {
        outside(&probe(format!("http://{address}{path}"), baseline), LIMIT).await
    };
    let answer = ask("/", None).await;
    assert!(answer.ok && answer.status == Some(200) && answer.remarks.is_empty(), "{answer:?}");
    assert_eq!(answer.figures.redirects, ["/login"], "without the token");
    assert_eq!((answer.figures.http.as_deref(), answer.figures.body_bytes), (Some("HTTP/1.1"), Some(5)));
    assert!(answer.detail.ends_with("redirected to /login"), "{answer:?}");

    // To a login where a page was is worth a remark, and no fault.
    let answer = ask("/", Some(200)).await;
    assert!(answer.ok, "{answer:?}");
    assert_eq!(answer.remarks, ["it redirects to /login; before the update it did not redirect"]);
    let usual = OutsideProbe {
        baseline_redirect: Some("/login".into()),
        ..probe(format!("http://{address}/"), Some(200))
    };
    assert!(outside(&usual, LIMIT).await.remarks.is_empty());

    let answer = ask("/broken", Some(200)).await;
    assert!(!answer.ok && answer.status == Some(500), "{answer:?}");
    let answer = ask("/circle", None).await;
    assert!(!answer.ok && answer.detail.contains("again and again"), "{answer:?}");
}

#[tokio::test]
async fn a_redirect_that_leads_elsewhere_is_the_answer() {
    let address = site().await;
    let ask = async |path: &str, baseline| {
        outside(&probe(format!("http://{address}{path}"), baseline), LIMIT).await
    };
    let answer = ask("/away", Some(302)).await;
    assert!(answer.ok && answer.status == Some(302) && answer.remarks.is_empty(), "{answer:?}");
    let answer = ask("/away", Some(200)).await;
    assert!(answer.ok && answer.remarks[0].contains("https://sso.test/"), "{answer:?}");

    // Where it can't be followed: as good as before, and bad where there was an answer.
    for (baseline, ok) in [(None, true), (Some(302), true), (Some(200), false)] {
        let answer = ask("/closed", baseline).await;
        assert_eq!(answer.ok, ok, "{answer:?}");
        assert!(answer.detail.contains("gives no answer: connection refused"), "{answer:?}");
    }
}

/// A DNS server that knows one name, and one address of it.
pub(crate) async fn dns_server(name: &'static str, address: [u8; 4]) -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            // The question: labels with their lengths, a zero, type and class; what else the query has is left out.
            let labels: Vec<u8> = name
                .split('.')
                .flat_map(|l| [&[u8::try_from(l.len()).unwrap()], l.as_bytes()].concat())
                .collect();
            let end = 12 + labels.len() + 1 + 4;
            if length < end {
                continue;
            }
            let known = query[12..].to_ascii_lowercase().starts_with(&labels);
            let wants_v4 = query[end - 4..end - 2] == [0, 1];
            let mut answer = query[..end].to_vec();
            answer[2..12].copy_from_slice(&[
                0x81,
                if known { 0x80 } else { 0x83 },
                0,
                1,
                0,
                u8::from(known && wants_v4),
                0,
                0,
                0,
                0,
            ]);
            if known && wants_v4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    at
}

#[tokio::test]
async fn the_dns_server_that_was_named_is_asked() {
    let (address, server) = (site().await, dns_server("app.lab.test", [127, 0, 0, 1]).await);
    let ask = async |name: &str| {
        let probe = OutsideProbe {
            resolver: Some(server),
            ..probe(format!("http://{name}:{}/page", address.port()), None)
        };
        outside(&probe, LIMIT).await
    };
    let answer = ask("app.lab.test").await;
    assert!(answer.ok && answer.figures.dns_ms.is_some(), "{answer:?}");
    let answer = ask("other.lab.test").await;
    assert!(
        !answer.ok && answer.detail.contains(&format!("DNS at {server} knows no address of other.lab.test")),
        "{answer:?}"
    );
}
