//! Ports, HTTP by hand, and the registry.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Where the registry of the lab is.
pub const REGISTRY: &str = "127.0.0.1:5000";
const PATIENCE: Duration = Duration::from_secs(3);

/// A port that no other test has, and that the system gives to nobody while the service is down.
pub struct Port {
    /// The port.
    pub number: u16,
    _held: File,
}

impl Port {
    /// Below the ports that the system hands out by itself; held by a lock on a file.
    pub fn free() -> Self {
        let directory = std::env::temp_dir().join("mainstay-test-ports");
        std::fs::create_dir_all(&directory).unwrap();
        let first = std::process::id() as u16 % 10_000;
        for offset in 0..10_000 {
            let number = 20_000 + (first + offset) % 10_000;
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(directory.join(number.to_string()))
                .unwrap();
            if file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _held: file };
            }
        }
        panic!("no port is free");
    }
}

/// The body of a good answer, without its last line end.
pub fn get(address: &str, path: &str) -> Result<String, String> {
    let (head, body) = http(address, "GET", path, "", "")?;
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if status == "200" { Ok(body.trim_end().to_owned()) } else { Err(format!("{status}: {body}")) }
}

/// Posts JSON; it has to be taken.
pub fn post(address: &str, path: &str, body: &str) {
    let (head, answer) = http(address, "POST", path, "Content-Type: application/json\r\n", body).unwrap();
    assert!(head.contains(" 201 "), "{head}\n{answer}");
}

fn http(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<(String, String), String> {
    let say = |error: std::io::Error| error.to_string();
    let target = address.parse().map_err(|_| format!("{address} is no address"))?;
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).map_err(say)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(say)?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).map_err(say)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(say)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no whole answer")?;
    Ok((head.to_owned(), body.to_owned()))
}

/// Lets `TAG` of a repository of a test's own mean what a tag of the fixture means.
pub fn publish(repository: &str, tag: &str, fixture_tag: &str) {
    publish_as(("fixture", fixture_tag), repository, tag);
}

/// Lets `TAG` of a repository of a test's own mean what a tag of one of the lab's images means.
pub fn publish_as((image, of): (&str, &str), repository: &str, tag: &str) {
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let path = format!("/v2/lab/{image}/manifests/{of}");
    let (head, manifest) = http(REGISTRY, "GET", &path, &format!("Accept: {kind}\r\n"), "").unwrap();
    assert!(head.contains("200 OK"), "{head}");
    let parsed: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let layers = parsed["layers"].as_array().unwrap().iter();
    for digest in layers.chain([&parsed["config"]]).map(|blob| blob["digest"].as_str().unwrap()) {
        let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}&from=lab/{image}");
        let (head, _) = http(REGISTRY, "POST", &path, "", "").unwrap();
        assert!(head.contains("201"), "{head}");
    }
    let path = format!("/v2/{repository}/manifests/{tag}");
    let (head, _) = http(REGISTRY, "PUT", &path, &format!("Content-Type: {kind}\r\n"), &manifest).unwrap();
    assert!(head.contains("201"), "{head}");
}

/// The digest that a tag of the fixture has in the registry.
pub fn digest(fixture_tag: &str) -> String {
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let path = format!("/v2/lab/fixture/manifests/{fixture_tag}");
    let (head, _) = http(REGISTRY, "GET", &path, &format!("Accept: {kind}\r\n"), "").unwrap();
    let line = head.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
    line.unwrap_or_else(|| panic!("{head}")).trim().to_owned()
}
