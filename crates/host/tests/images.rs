//! Images against a real engine and the lab's registry. Fails where there is none. All names are unique to a
//! test and removed from the engine at its end; a few kilobytes stay in the registry.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PruneImagesOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::StreamExt;
use mainstay_core::problem::Problem;
use mainstay_host::files::ImageCopies;
use mainstay_host::images::{self, Copying, Reference, Remote};

const REGISTRY: &str = "127.0.0.1:5000";
/// "Who are you?"
const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic realm=\"x\"\r\n\
    Content-Length: 0\r\nDocker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n";
const NEVER: &dyn Fn() -> bool = &|| false;

async fn engine() -> Docker {
    let docker = Docker::connect_with_local_defaults().expect("an engine's socket");
    docker.negotiate_version().await.expect("these tests need an engine: script/bootstrap starts one")
}

/// A repository of a test's own.
struct Lab {
    docker: Docker,
    name: String,
    also: RefCell<Vec<String>>,
}

impl Lab {
    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("t{}-{now}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { docker: engine().await, name, also: RefCell::default() }
    }

    fn reference(&self, tag: &str) -> Reference {
        Reference::parse(&format!("{REGISTRY}/test/{}:{tag}", self.name)).unwrap()
    }

    /// An image of one small file and this test's label, here only.
    async fn build(&self, reference: &Reference, content: &str) -> String {
        let label = format!("LABEL mainstay.test={}", self.name);
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(&reference.familiar_name())
            .tag(reference.tag().unwrap())
            .changes(vec![label, "EXPOSE 8080".to_owned(), "VOLUME /data".to_owned()])
            .build();
        let body = bollard::body_full(tar("content", content.as_bytes()).into());
        let mut import = std::pin::pin!(self.docker.create_image(Some(options), Some(body), None));
        while let Some(news) = import.next().await {
            news.unwrap();
        }
        self.also.borrow_mut().push(reference.to_string());
        self.docker.inspect_image(&reference.to_string()).await.unwrap().id.unwrap()
    }

    /// An image in the registry only.
    async fn publish(&self, tag: &str, content: &str) {
        let reference = self.reference(tag);
        self.build(&reference, content).await;
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let name = reference.familiar_name();
        let mut push = std::pin::pin!(self.docker.push_image(&name, Some(options), None));
        while let Some(news) = push.next().await {
            news.unwrap();
        }
        self.forget(&reference.to_string()).await;
    }

    async fn forget(&self, image: &str) {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        self.docker.remove_image(image, Some(options), None).await.unwrap();
    }

    /// Lets `to` mean in the registry what `from` means; nothing changes here.
    fn move_tag(&self, from: &str, to: &str) {
        let path = |tag| format!("/v2/test/{}/manifests/{tag}", self.name);
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let (head, manifest) = http("GET", &path(from), &format!("Accept: {kind}\r\n"), "");
        assert!(head.contains("200 OK"), "{head}");
        let (head, _) = http("PUT", &path(to), &format!("Content-Type: {kind}\r\n"), &manifest);
        assert!(head.contains("201"), "{head}");
    }

    fn keep_tag(&self, id: &str) -> String {
        let tag = images::keep_tag("test", &self.name, id);
        self.also.borrow_mut().push(tag.clone());
        tag
    }

    async fn pull(&self, reference: &Reference, digest: Option<&str>) -> Result<String, Problem> {
        self.also.borrow_mut().push(reference.to_string());
        images::pull(&self.docker, reference, digest, &mut |_| {}, NEVER).await
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (names, label) = (self.also.take(), self.name.clone());
        let clean = async move {
            let docker = engine().await;
            for name in names {
                let options = RemoveImageOptionsBuilder::default().force(true).build();
                let _ = docker.remove_image(&name, Some(options), None).await;
            }
            let _ = prune(&docker, &label).await;
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = std::thread::spawn(move || runtime().block_on(clean)).join();
    }
}

/// `docker image prune`, of one test's images alone.
async fn prune(docker: &Docker, label: &str) -> Result<(), bollard::errors::Error> {
    let filters = [("dangling", vec!["true".to_owned()]), ("label", vec![format!("mainstay.test={label}")])];
    let options = PruneImagesOptionsBuilder::default().filters(&filters.into()).build();
    docker.prune_images(Some(options)).await.map(drop)
}

/// A tar archive of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

fn http(method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(REGISTRY).expect("the lab's registry");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: {REGISTRY}\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A registry that answers every request alike, or leaves them all hanging.
fn fake_registry(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut hanging = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            match answer {
                Some(response) => drop(stream.write_all(response.as_bytes())),
                None => hanging.push(stream),
            }
        }
    });
    address
}

#[tokio::test]
async fn an_image_is_resolved_pulled_and_inspected() {
    let lab = Lab::new().await;
    lab.publish("1", "one").await;
    let reference = lab.reference("1");
    let remote = images::resolve(&lab.docker, &reference).await.unwrap();
    let Remote::Published { digest, platforms } = remote else { panic!("{remote:?}") };
    assert_eq!(platforms, ["linux/amd64"]);
    assert_eq!(images::inspect(&lab.docker, &reference.to_string()).await.unwrap_err().code, "image-missing");

    lab.also.borrow_mut().push(reference.to_string());
    let mut news = Vec::new();
    let id =
        images::pull(&lab.docker, &reference, Some(&digest), &mut |n| news.push(n), NEVER).await.unwrap();
    assert!(news.iter().any(|n| n.status == "Pull complete"), "{news:?}");

    let image = images::inspect(&lab.docker, &reference.to_string()).await.unwrap();
    assert_eq!((image.id, image.digest.as_deref()), (id.clone(), Some(digest.as_str())));
    assert_eq!((image.ports, image.volumes), (["8080/tcp".to_owned()].into(), ["/data".to_owned()].into()));
    assert_eq!(image.labels["mainstay.test"], lab.name);
    assert!(image.created.is_some() && image.size_bytes > 0 && image.architecture == "amd64");

    assert_eq!(lab.pull(&reference, Some(&digest)).await.unwrap(), id, "again");
    assert_eq!(lab.pull(&reference, None).await.unwrap(), id, "without a planned digest");
    let by_digest = Reference::parse(&reference.at_digest(&digest)).unwrap();
    assert_eq!(lab.pull(&by_digest, None).await.unwrap(), id, "by its digest alone");
}

#[tokio::test]
async fn what_the_registry_does_not_have_is_told() {
    let lab = Lab::new().await;
    lab.publish("1", "one").await;
    let absent = lab.reference("2");
    assert_eq!(images::resolve(&lab.docker, &absent).await.unwrap_err().code, "unknown-tag");
    assert_eq!(lab.pull(&absent, None).await.unwrap_err().code, "unknown-tag");
    // A plain registry doesn't tell an unknown repository from an unknown tag.
    let unknown = Reference::parse(&format!("{REGISTRY}/test/none-{}:1", lab.name)).unwrap();
    let problem = images::resolve(&lab.docker, &unknown).await.unwrap_err();
    assert_eq!(problem.code, "unknown-tag");
    assert!(problem.advice[0].contains("repository"), "{problem:?}");
}

#[tokio::test]
async fn registries_that_cannot_be_reached_are_told() {
    let docker = engine().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for name in [format!("{closed}/x/y:1"), "no-such-host.invalid/x/y:1".to_owned()] {
        let reference = Reference::parse(&name).unwrap();
        assert_eq!(
            images::resolve(&docker, &reference).await.unwrap_err().code,
            "registry-unreachable",
            "{name}"
        );
        let pulled = images::pull(&docker, &reference, None, &mut |_| {}, NEVER).await;
        assert_eq!(pulled.unwrap_err().code, "registry-unreachable", "{name}");
    }
}

#[tokio::test]
async fn refusals_are_told_with_the_login_to_try() {
    let docker = engine().await;
    let address = fake_registry(Some(CHALLENGE));
    let reference = Reference::parse(&format!("{address}/x/y:1")).unwrap();
    let problem = images::resolve(&docker, &reference).await.unwrap_err();
    assert_eq!(problem.code, "registry-refused", "{problem:?}");
    assert!(problem.advice.iter().any(|a| a.contains(&format!("docker login {address}"))), "{problem:?}");
    let pulled = images::pull(&docker, &reference, None, &mut |_| {}, NEVER).await;
    assert_eq!(pulled.unwrap_err().code, "registry-refused");
}

/// A login that is stored as `docker login` does reaches the registry. The configuration is chosen by the
/// environment, which a test can't change for itself: so it runs itself once more, with another one.
#[tokio::test]
async fn a_stored_login_reaches_the_registry() {
    if let Ok(address) = std::env::var("MAINSTAY_TEST_LOGIN_AT") {
        let reference = Reference::parse(&format!("{address}/x/y:1")).unwrap();
        let problem = images::resolve(&engine().await, &reference).await.unwrap_err();
        assert_eq!(problem.code, "registry-refused", "{problem:?}");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let _ = tell.send(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(CHALLENGE.as_bytes());
        }
    });
    let config = tempfile::tempdir().unwrap();
    let login = format!(r#"{{"auths":{{"{address}":{{"auth":"Ym9iOmh1bnRlcjI="}}}}}}"#);
    std::fs::write(config.path().join("config.json"), login).unwrap();
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_stored_login_reaches_the_registry"])
        .env("DOCKER_CONFIG", config.path())
        .env("MAINSTAY_TEST_LOGIN_AT", &address)
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    assert!(told.try_iter().any(|request| request.contains("Authorization: Basic Ym9iOmh1bnRlcjI=")));
}

#[tokio::test]
async fn a_pull_stops_when_asked() {
    let docker = engine().await;
    let address = fake_registry(None);
    let reference = Reference::parse(&format!("{address}/x/y:1")).unwrap();
    let (begun, asked) = (Instant::now(), Cell::new(0));
    let cancelled = || {
        asked.set(asked.get() + 1);
        begun.elapsed() > Duration::from_millis(500)
    };
    let problem = images::pull(&docker, &reference, None, &mut |_| {}, &cancelled).await.unwrap_err();
    assert_eq!(problem.code, "interrupted");
    assert!(begun.elapsed() < Duration::from_secs(3) && asked.get() > 3);
}

#[tokio::test]
async fn an_image_that_was_built_here_is_known_as_such() {
    let lab = Lab::new().await;
    for name in [format!("test/{}:1", lab.name), format!("{REGISTRY}/test/{}:1", lab.name)] {
        let reference = Reference::parse(&name).unwrap();
        let id = lab.build(&reference, &name).await;
        let remote = images::resolve(&lab.docker, &reference).await.unwrap();
        assert_eq!(remote, Remote::LocalOnly { image_id: id });
        assert_eq!(remote.digest(), None);
    }
}

/// The tags `1` and `next` in the registry, and the image of `1` here; its digest and id.
async fn moved(lab: &Lab) -> (Reference, String, String) {
    lab.publish("1", "one").await;
    lab.publish("next", "two").await;
    let reference = lab.reference("1");
    let before = images::resolve(&lab.docker, &reference).await.unwrap().digest().unwrap().to_owned();
    let old = lab.pull(&reference, Some(&before)).await.unwrap();
    lab.move_tag("next", "1");
    (reference, before, old)
}

#[tokio::test]
async fn a_moved_tag_brings_nothing_unplanned() {
    let lab = Lab::new().await;
    let (reference, before, old) = moved(&lab).await;
    lab.forget(&reference.to_string()).await;
    assert_eq!(lab.pull(&reference, Some(&before)).await.unwrap(), old, "what was planned is what comes");
    let nowhere = format!("sha256:{}", "0".repeat(64));
    let problem = lab.pull(&reference, Some(&nowhere)).await.unwrap_err();
    assert_eq!(problem.code, "digest-moved", "{problem:?}");
    assert_eq!(images::inspect(&lab.docker, &reference.to_string()).await.unwrap().id, old, "the tag stays");
}

#[tokio::test]
async fn what_a_moved_tag_left_is_kept_and_can_be_put_back() {
    let lab = Lab::new().await;
    let (reference, _, old) = moved(&lab).await;
    let keep = lab.keep_tag(&old);
    images::keep(&lab.docker, &old, &keep).await.unwrap();
    images::keep(&lab.docker, &old, &keep).await.unwrap();
    let new = lab.pull(&reference, None).await.unwrap();
    assert_ne!(old, new);
    prune(&lab.docker, &lab.name).await.unwrap();
    let here = async |name: &str| images::inspect(&lab.docker, name).await.map(|image| image.id);
    let name = reference.to_string();
    assert_eq!(here(&name).await.unwrap(), new);
    assert_eq!(here(&keep).await.unwrap(), old, "the keep tag protects it");

    assert!(images::restore_tag(&lab.docker, &reference, &old).await.unwrap());
    assert!(!images::restore_tag(&lab.docker, &reference, &old).await.unwrap(), "again");
    assert_eq!(here(&name).await.unwrap(), old);
    lab.forget(&name).await;
    assert!(
        images::restore_tag(&lab.docker, &reference, &old).await.unwrap(),
        "also when the tag is missing"
    );

    for _ in 0..2 {
        assert!(images::drop_keep(&lab.docker, &keep).await.unwrap());
    }
    assert_eq!(here(&name).await.unwrap(), old, "it has another name still");
    assert_eq!(here(&keep).await.unwrap_err().code, "image-missing");
    let nowhere = format!("sha256:{}", "0".repeat(64));
    let gone = images::restore_tag(&lab.docker, &reference, &nowhere).await.unwrap_err();
    assert_eq!(gone.code, "image-missing");
    assert!(images::drop_keep(&lab.docker, &name).await.is_err(), "it is not ours");
}

#[tokio::test]
async fn without_a_keep_tag_a_moved_tag_loses_the_old_image() {
    let lab = Lab::new().await;
    let (reference, before, old) = moved(&lab).await;
    lab.pull(&reference, None).await.unwrap();
    prune(&lab.docker, &lab.name).await.unwrap();
    assert_eq!(images::inspect(&lab.docker, &old).await.unwrap_err().code, "image-missing");
    let by_digest = images::inspect(&lab.docker, &reference.at_digest(&before)).await;
    assert_eq!(by_digest.unwrap_err().code, "image-missing");
}

#[tokio::test]
async fn an_image_that_is_gone_is_loaded_from_its_copy() {
    let lab = Lab::new().await;
    let reference = lab.reference("1");
    let id = lab.build(&reference, "one").await;
    let state = tempfile::tempdir().unwrap();
    let copies = ImageCopies::of(state.path());
    assert!(!images::load_copy(&lab.docker, &id, &copies).await.unwrap(), "there is none yet");
    let bytes = RefCell::new([0, 0]);
    let mut tell =
        |at: Copying, more: u64| bytes.borrow_mut()[usize::from(at == Copying::ReadingBack)] += more;
    images::save_copy(&lab.docker, &id, (&copies, "run"), &mut tell, NEVER).await.unwrap();
    let [written, read] = bytes.take();
    assert!(written > 1024 && read > 0, "{written} {read}");
    images::save_copy(&lab.docker, &id, (&copies, "run"), &mut tell, NEVER).await.unwrap();
    assert_eq!(bytes.take(), [0, read], "a whole one is read, and not written again");

    lab.forget(&reference.to_string()).await;
    assert!(images::load_copy(&lab.docker, &id, &copies).await.unwrap());
    let keep = lab.keep_tag(&id);
    images::keep(&lab.docker, &id, &keep).await.unwrap();
    assert_eq!(images::inspect(&lab.docker, &keep).await.unwrap().id, id);
}

#[tokio::test]
async fn nothing_is_loaded_from_a_damaged_copy_and_it_is_made_again() {
    let lab = Lab::new().await;
    let reference = lab.reference("1");
    let id = lab.build(&reference, "the content of the layer").await;
    let state = tempfile::tempdir().unwrap();
    let copies = ImageCopies::of(state.path());
    images::save_copy(&lab.docker, &id, (&copies, "run"), &mut |_, _| {}, NEVER).await.unwrap();
    let whole = std::fs::read(copies.path(&id)).unwrap();
    let at = whole.windows(7).position(|word| word == b"content").unwrap();
    let mut changed = whole.clone();
    changed[at + 10] ^= 1;
    for bad in [&changed[..], &whole[..whole.len() / 2], b""] {
        std::fs::write(copies.path(&id), bad).unwrap();
        let problem = images::load_copy(&lab.docker, &id, &copies).await.unwrap_err();
        assert_eq!(problem.code, "image-copy-damaged", "{problem:?}");
        assert!(problem.what.contains(copies.path(&id).to_str().unwrap()), "{problem:?}");
    }
    images::save_copy(&lab.docker, &id, (&copies, "run"), &mut |_, _| {}, NEVER).await.unwrap();
    lab.forget(&reference.to_string()).await;
    assert!(images::load_copy(&lab.docker, &id, &copies).await.unwrap());
    images::keep(&lab.docker, &id, &lab.keep_tag(&id)).await.unwrap();
}

#[tokio::test]
async fn a_copy_that_is_interrupted_or_of_no_image_leaves_nothing() {
    let lab = Lab::new().await;
    let id = lab.build(&lab.reference("1"), "one").await;
    let state = tempfile::tempdir().unwrap();
    let copies = ImageCopies::of(state.path());
    let save = async |id: &str, cancelled: &dyn Fn() -> bool| {
        images::save_copy(&lab.docker, id, (&copies, "run"), &mut |_, _| {}, cancelled).await
    };
    assert_eq!(save(&id, &|| true).await.unwrap_err().code, "interrupted");
    let nowhere = format!("sha256:{}", "0".repeat(64));
    assert_eq!(save(&nowhere, NEVER).await.unwrap_err().code, "image-missing");
    assert!(copies.is_empty());
}
