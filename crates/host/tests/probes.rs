//! Probes from inside against a real engine and the lab's fixture service. Fails where there is no engine or
//! the lab's images are missing. Every container is a test's own and gone at its end.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;
use mainstay_core::plan::{InsideProbe, Protocol};
use mainstay_host::engine::Engine;
use mainstay_host::probes::{Answer, inside};

const FIXTURE: &str = "127.0.0.1:5000/lab/fixture";
const LIMIT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

async fn engine() -> Engine {
    Engine::connect(None).await.expect("these tests need an engine: script/bootstrap starts one")
}

/// A container of the fixture that is removed with its volume when the test ends.
struct Fixture {
    engine: Engine,
    id: String,
}

impl Fixture {
    async fn start(tag: &str, network_mode: Option<String>, port: u16) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let engine = engine().await;
        let image = format!("{FIXTURE}:{tag}");
        pull(&engine, &image).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mainstay-probes-{}-{now}-{number}", std::process::id());
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let body = ContainerCreateBody {
            image: Some(image),
            env: Some(vec![format!("FIXTURE_PORT={port}")]),
            host_config: Some(HostConfig { network_mode, ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let id = engine.docker().create_container(Some(options), body).await.unwrap().id;
        let fixture = Self { engine, id };
        fixture.engine.docker().start_container(&fixture.id, None).await.unwrap();
        fixture
    }

    async fn inspect(&self) -> ContainerInspectResponse {
        self.engine.docker().inspect_container(&self.id, None).await.unwrap()
    }

    /// Waits for a verdict of the image's own health check, which asks every second.
    async fn until_health(&self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let health =
                self.inspect().await.state.unwrap().health.and_then(|h| h.status).unwrap().to_string();
            if health == wanted {
                return;
            }
            assert!(Instant::now() < end, "{health}, but not {wanted}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask(&self, port: u16, protocol: Protocol, path: &str) -> Answer {
        let probe = InsideProbe {
            service: "app".to_owned(),
            port,
            protocol,
            path: path.to_owned(),
            detected_from: "test".to_owned(),
            baseline_status: None,
        };
        inside(&self.engine, &self.id, &probe, LIMIT).await
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let id = self.id.clone();
        let clean = async move {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let _ = engine().await.docker().remove_container(&id, Some(options)).await;
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = std::thread::spawn(move || runtime().block_on(clean)).join();
    }
}

async fn pull(engine: &Engine, image: &str) {
    if engine.docker().inspect_image(image).await.is_ok() {
        return;
    }
    let options = CreateImageOptionsBuilder::default().from_image(image).build();
    let mut news = engine.docker().create_image(Some(options), None, None);
    while let Some(piece) = news.next().await {
        piece.expect("the lab's images: script/bootstrap builds them");
    }
}

/// A port that nothing on this host listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_service_that_works_answers_at_its_own_address() {
    let fixture = Fixture::start("1.0.0", None, 8080).await;
    fixture.until_health("healthy").await;
    let answer = fixture.ask(8080, Protocol::Http, "/version").await;
    assert!(answer.ok && answer.status == Some(200), "{answer:?}");
    let answer = fixture.ask(8080, Protocol::Http, "/nowhere").await;
    assert!(answer.ok && answer.status == Some(404), "{answer:?}");
    let answer = fixture.ask(8080, Protocol::Tcp, "/").await;
    assert!(answer.ok, "{answer:?}");
    let answer = fixture.ask(8081, Protocol::Tcp, "/").await;
    assert!(!answer.ok && answer.detail.contains("connection refused"), "{answer:?}");

    // The kernel goes on accepting for a paused process: the state is what tells.
    fixture.engine.docker().pause_container(&fixture.id).await.unwrap();
    let answer = fixture.ask(8080, Protocol::Tcp, "/").await;
    assert!(!answer.ok && answer.detail.contains("paused"), "{answer:?}");
    fixture.engine.docker().unpause_container(&fixture.id).await.unwrap();

    fixture.engine.docker().stop_container(&fixture.id, None).await.unwrap();
    let answer = fixture.ask(8080, Protocol::Http, "/").await;
    assert!(!answer.ok && answer.detail.contains("does not run (exited"), "{answer:?}");
}

#[tokio::test]
async fn what_is_healthy_to_itself_alone_is_bad() {
    for tag in ["2.0.0-loopback-only", "2.0.0-wrong-port"] {
        let fixture = Fixture::start(tag, None, 8080).await;
        fixture.until_health("healthy").await;
        let answer = fixture.ask(8080, Protocol::Http, "/").await;
        assert!(!answer.ok && answer.detail.contains("connection refused"), "{tag}: {answer:?}");
    }
}

#[tokio::test]
async fn what_never_listens_is_bad() {
    let fixture = Fixture::start("2.0.0-never-listen", None, 8080).await;
    fixture.until_health("unhealthy").await;
    for protocol in [Protocol::Http, Protocol::Tcp] {
        let answer = fixture.ask(8080, protocol, "/").await;
        assert!(!answer.ok && answer.detail.contains("connection refused"), "{answer:?}");
    }
}

#[tokio::test]
async fn networks_of_the_host_and_of_other_containers_are_followed() {
    let port = free_port();
    let on_host = Fixture::start("1.0.0", Some("host".to_owned()), port).await;
    on_host.until_health("healthy").await;
    let answer = on_host.ask(port, Protocol::Http, "/").await;
    assert!(answer.ok && answer.status == Some(200), "{answer:?}");

    let first = Fixture::start("1.0.0", None, 8080).await;
    let second = Fixture::start("1.0.0", Some(format!("container:{}", first.id)), 8090).await;
    second.until_health("healthy").await;
    let answer = second.ask(8090, Protocol::Http, "/").await;
    assert!(answer.ok && answer.status == Some(200), "{answer:?}");
}

#[tokio::test]
async fn a_container_that_is_not_there_is_told() {
    let fixture = Fixture { engine: engine().await, id: "mainstay-no-such-container".to_owned() };
    let answer = fixture.ask(8080, Protocol::Http, "/").await;
    assert!(!answer.ok && answer.detail.contains("No such container"), "{answer:?}");
}
