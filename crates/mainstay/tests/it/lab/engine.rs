//! Questions to the engine over its socket: a process for each of them would cost more than what is tested. Which engine
//! that is: the one that this thread uses, or that of the environment.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

thread_local! {
    static OWN: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// From now on this thread uses the engine at this socket, or that of the environment again.
pub fn have_this_thread_use(socket: Option<&Path>) {
    OWN.set(socket.map(Path::to_owned));
}

/// Where the engine listens.
pub fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let usual = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
    OWN.with_borrow(Clone::clone).unwrap_or_else(|| usual.into())
}

/// Has a command use the engine of this thread, unless it was given another one.
pub fn direct(command: &mut Command) {
    let given = command.get_envs().any(|(name, _)| name == "DOCKER_HOST");
    if let Some(socket) = OWN.with_borrow(Clone::clone).filter(|_| !given) {
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    }
}

/// What the engine answers to a GET.
fn get(path: &str) -> Value {
    let mut stream = match UnixStream::connect(socket()) {
        // Whoever cleans up after a failure must not hide it.
        Err(_) if std::thread::panicking() => return Value::Null,
        stream => stream.expect("an engine: script/bootstrap starts one"),
    };
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}

fn filters(kind: &str, value: &str) -> String {
    let json = format!("{{\"{kind}\":[\"{value}\"]}}");
    let escaped = json
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") });
    format!("filters={}", escaped.collect::<String>())
}

fn of_project(project: &str) -> String {
    filters("label", &format!("com.docker.compose.project={project}"))
}

fn list(answer: &Value) -> Vec<Value> {
    answer.as_array().cloned().unwrap_or_default()
}

/// Ids of a project's containers, whatever their state.
pub fn container_ids(project: &str) -> Vec<String> {
    let all = list(&get(&format!("/containers/json?all=1&{}", of_project(project))));
    all.iter().map(|container| container["Id"].as_str().unwrap().to_owned()).collect()
}

/// A project's containers, as `docker inspect` shows them, in the order of their names.
pub fn containers(project: &str) -> Vec<Value> {
    let ids = container_ids(project);
    let mut all: Vec<Value> = ids.iter().map(|id| get(&format!("/containers/{id}/json"))).collect();
    all.sort_by_key(|container| container["Name"].to_string());
    all
}

/// Names and directories of a project's volumes.
pub fn volumes(project: &str) -> Vec<(String, String)> {
    let answer = get(&format!("/volumes?{}", of_project(project)));
    let text = |volume: &Value, key: &str| volume[key].as_str().unwrap().to_owned();
    list(&answer["Volumes"]).iter().map(|v| (text(v, "Name"), text(v, "Mountpoint"))).collect()
}

/// Volumes of a project's containers that nobody named.
pub fn nameless_volumes(project: &str) -> Vec<String> {
    let mounts = containers(project).into_iter().flat_map(|container| list(&container["Mounts"]));
    let names = mounts.filter_map(|mount| mount["Name"].as_str().map(str::to_owned));
    names.filter(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).collect()
}

/// Ids of a project's networks.
pub fn networks(project: &str) -> Vec<String> {
    let all = list(&get(&format!("/networks?{}", of_project(project))));
    all.iter().map(|network| network["Id"].as_str().unwrap().to_owned()).collect()
}

/// Tags and ids of the images that are kept for a project.
pub fn kept_images(project: &str) -> Vec<(String, String)> {
    let all =
        list(&get(&format!("/images/json?{}", filters("reference", &format!("mainstay/keep/{project}-*")))));
    let tags = |image: &Value| -> Vec<(String, String)> {
        let id = image["Id"].as_str().unwrap().to_owned();
        let own = format!("mainstay/keep/{project}-");
        let tags = list(&image["RepoTags"]).into_iter().map(|tag| tag.as_str().unwrap().to_owned());
        tags.filter(|tag| tag.starts_with(&own)).map(|tag| (tag, id.clone())).collect()
    };
    all.iter().flat_map(tags).collect()
}

/// Every name, by tag or by digest, that images of a repository have here.
pub fn names_of(repository: &str) -> Vec<String> {
    let all = list(&get(&format!("/images/json?{}", filters("reference", repository))));
    let names = all.iter().flat_map(|image| [list(&image["RepoTags"]), list(&image["RepoDigests"])].concat());
    let names = names.map(|name| name.as_str().unwrap().to_owned());
    let own = |name: &String| {
        name.strip_prefix(repository).is_some_and(|rest| rest.starts_with(':') || rest.starts_with('@'))
    };
    names.filter(own).collect()
}
