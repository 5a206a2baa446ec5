//! Questions to servers that speak HTTP/2.

use bytes::Bytes;

use super::*;

/// What a server does with a request.
#[derive(Clone, Copy)]
enum Serves {
    /// A body of so many bytes, its length not announced.
    Body(usize),
    /// A redirect to `/end`, and there 204.
    Redirect,
    /// Headers that are larger than anybody reads.
    LongHeaders,
    /// Takes the connection and hangs up on the request.
    HangUp,
    /// Says nothing.
    Nothing,
}

/// What the server was asked: method, URI, and the login.
type Seen = Arc<std::sync::Mutex<Vec<(String, Option<String>)>>>;

async fn serve(directory: &Path, serves: Serves) -> (SocketAddr, Seen) {
    certificates(directory, &["app.lab.test"], 30);
    let acceptor = acceptor(&directory.join("server.pem"), &directory.join("server.key"), &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, told) = (acceptor.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let login = request.headers().get("authorization");
                    let login = login.map(|value| value.to_str().unwrap().to_owned());
                    told.lock().unwrap().push((request.uri().to_string(), login));
                    match serves {
                        Serves::HangUp => return,
                        Serves::Nothing => std::mem::forget(respond),
                        _ => answer(serves, request.uri().path(), respond),
                    }
                }
            });
        }
    });
    (address, seen)
}

fn answer(serves: Serves, path: &str, mut respond: h2::server::SendResponse<Bytes>) {
    let answer = http::Response::builder();
    let answer = match serves {
        Serves::Redirect if path != "/end" => answer.status(302).header("location", "/end?token=hunter2"),
        Serves::Redirect => answer.status(204),
        Serves::LongHeaders => {
            (0..20).fold(answer, |answer, n| answer.header(format!("x-{n}"), "y".repeat(8_000)))
        }
        _ => answer.status(200),
    };
    let mut body = respond.send_response(answer.body(()).unwrap(), false).unwrap();
    let bytes = if let Serves::Body(bytes) = serves { bytes } else { 0 };
    let _the_client_may_be_gone = body.send_data(vec![b'x'; bytes].into(), true);
}

async fn ask(serves: Serves, probe: impl FnOnce(OutsideProbe) -> OutsideProbe) -> (Answer, Seen) {
    let dir = tempfile::tempdir().unwrap();
    let (at, seen) = serve(dir.path(), serves).await;
    let url = format!("https://bob:pw@app.lab.test:{}/a%20b?x=1#frag", at.port());
    let own = OutsideProbe {
        ca: Some(dir.path().join("ca.pem")),
        resolve: Some(at.ip()),
        ..super::probe(url, None)
    };
    (outside(&probe(own), Duration::from_secs(3)).await, seen)
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_chooses_it() {
    let (answer, seen) = ask(Serves::Body(1_000), |probe| probe).await;
    assert!(answer.ok && answer.status == Some(200), "{answer:?}");
    assert_eq!((answer.figures.http.as_deref(), answer.figures.body_bytes), (Some("HTTP/2"), Some(1_000)));
    assert!(answer.detail.ends_with(" ms (HTTP/2, TLS 1.3)"), "{answer:?}");
    assert!(answer.remarks.is_empty(), "{answer:?}");
    let (uri, login) = seen.lock().unwrap().remove(0);
    assert!(uri.starts_with("https://app.lab.test:") && uri.ends_with("/a%20b?x=1"), "{uri}");
    assert_eq!(login.as_deref(), Some("Basic Ym9iOnB3"));
}

#[tokio::test]
async fn redirects_are_followed_by_http2() {
    let (answer, seen) = ask(Serves::Redirect, |probe| probe).await;
    assert!(answer.ok && answer.status == Some(204), "{answer:?}");
    assert_eq!(answer.figures.redirects, ["/end"]);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn more_than_is_read_and_nothing_at_all_end() {
    let began = std::time::Instant::now();
    let (answer, _) = ask(Serves::Body(10_000_000), |probe| probe).await;
    assert!(answer.ok && answer.figures.body_bytes.is_none(), "{answer:?}");
    let (answer, _) = ask(Serves::Nothing, |probe| probe).await;
    assert!(!answer.ok && answer.detail.contains("within 3000 ms (waiting for the answer)"), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    for serves in [Serves::LongHeaders, Serves::HangUp] {
        let (answer, _) = ask(serves, |probe| probe).await;
        assert!(!answer.ok && answer.status.is_none() && !answer.detail.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_spoken_no_more_is_a_remark() {
    let before = |probe: OutsideProbe| OutsideProbe { baseline_http: Some("HTTP/2".into()), ..probe };
    let (answer, _) = ask(Serves::Body(1), before).await;
    assert!(answer.ok && answer.remarks.is_empty(), "{answer:?}");
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), &["app.lab.test"], 30);
    let at = tls_server(&dir.path().join("server.pem"), &dir.path().join("server.key")).await;
    let url = format!("https://app.lab.test:{}/", at.port());
    let (ca, resolve) = (Some(dir.path().join("ca.pem")), Some(at.ip()));
    let answer = outside(&before(OutsideProbe { ca, resolve, ..probe(url, None) }), LIMIT).await;
    assert_eq!(answer.remarks, ["it speaks HTTP/1.1; before the update it spoke HTTP/2"], "{answer:?}");
    assert!(answer.ok, "{answer:?}");
}
