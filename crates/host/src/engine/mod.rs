//! The connection to one Docker engine.
//!
//! Every call has a time limit and every failure becomes a [`Problem`] that says what to do; nothing waits for
//! ever on an engine that hangs. This module knows how to reach an engine and how to say that it can't be
//! reached; it does not know what is asked of it.

mod endpoint;
mod stops;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, Docker};
use mainstay_core::problem::Problem;

pub use endpoint::{Endpoint, Source, Surroundings, Tls};
pub(crate) use stops::wants_an_end;

/// How long one call to the engine may take, unless the caller says otherwise.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The engine may take this long to say who it is.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// No answer at all after this long ends any call below us; ours are shorter, streams are longer.
const TRANSPORT_LIMIT_SECONDS: u64 = 600;

/// A Docker engine that answered.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    endpoint: Endpoint,
    id: String,
    version: String,
    api: String,
    root: PathBuf,
    architecture: String,
}

impl Engine {
    /// Connects to the engine that `--host`, `DOCKER_HOST`, `DOCKER_CONTEXT` or the current context names,
    /// else to the local socket.
    ///
    /// # Errors
    ///
    /// `engine-unreachable`, `engine-permission`, `engine-context`, `engine-unsupported`.
    pub async fn connect(host: Option<&str>) -> Result<Self, Problem> {
        Self::connect_to(Endpoint::resolve(host, &Surroundings::of_this_process())?).await
    }

    /// Connects to an endpoint.
    ///
    /// # Errors
    ///
    /// As [`Engine::connect`].
    pub async fn connect_to(endpoint: Endpoint) -> Result<Self, Problem> {
        let client = client(&endpoint)?;
        let docker = within(CONNECT_LIMIT, client.negotiate_version())
            .await
            .map_err(|e| unreachable(&endpoint, &e))?;
        let info = within(CONNECT_LIMIT, docker.info()).await.map_err(|e| unreachable(&endpoint, &e))?;
        Ok(Self {
            api: docker.client_version().to_string(),
            id: info.id.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            root: PathBuf::from(info.docker_root_dir.unwrap_or_default()),
            architecture: info.architecture.unwrap_or_default(),
            docker,
            endpoint,
        })
    }

    /// The client itself, for calls that are made through [`Engine::call`].
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The engine's own id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The engine's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The API version that was agreed on.
    #[must_use]
    pub fn api_version(&self) -> &str {
        &self.api
    }

    /// Where the engine keeps its data, as the engine's own host names it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The architecture of the engine's machine, by the engine's name for it.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Where the engine was reached.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What a child process needs as `DOCKER_HOST` to reach the same engine: only set where `--host` was
    /// given, since everything else is in the environment and in Docker's configuration already.
    #[must_use]
    pub fn host_for_children(&self) -> Option<&str> {
        (self.endpoint.source == Source::Flag).then_some(self.endpoint.host.as_str())
    }

    /// Whether the engine's data is in directories that this process can read: a unix socket, and a root
    /// directory that opens here.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.endpoint.is_unix() && std::fs::read_dir(self.root.join("volumes")).is_ok()
    }

    /// Makes one call, within [`CALL_LIMIT`]. `what` completes the sentence "could not …".
    ///
    /// # Errors
    ///
    /// `engine-timeout`, `engine-unreachable`, `engine-permission`, `not-on-engine` (the engine knows no such
    /// thing) or `engine-refused`.
    pub async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        self.call_within(CALL_LIMIT, what, call).await
    }

    /// Makes one call, within `limit`.
    ///
    /// # Errors
    ///
    /// As [`Engine::call`].
    pub async fn call_within<T>(
        &self,
        limit: Duration,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        within(limit, call).await.map_err(|e| self.problem(what, limit, &e))
    }

    /// `/info`.
    ///
    /// # Errors
    ///
    /// As [`Engine::call`].
    pub async fn info(&self) -> Result<SystemInfo, Problem> {
        self.call("ask the engine about itself", self.docker.info()).await
    }

    /// `/version`.
    ///
    /// # Errors
    ///
    /// As [`Engine::call`].
    pub async fn system_version(&self) -> Result<SystemVersion, Problem> {
        self.call("ask the engine for its version", self.docker.version()).await
    }

    fn problem(&self, what: &str, limit: Duration, error: &Error) -> Problem {
        match error {
            Error::RequestTimeoutError => Problem::new(
                "engine-timeout",
                format!("could not {what}: the engine did not answer within {} s", limit.as_secs()),
            )
            .advise(
                "see whether the engine is overloaded or hangs: `docker ps`, `journalctl -u docker -n 50`",
            ),
            Error::DockerResponseServerError { status_code: 404, message } => {
                Problem::new("not-on-engine", format!("could not {what}")).because(message)
            }
            Error::DockerResponseServerError { message, .. } => {
                Problem::new("engine-refused", format!("could not {what}")).because(message)
            }
            _ if io_kind(error).is_some() || is_broken(error) => {
                let mut problem = unreachable(&self.endpoint, error);
                problem.what = format!("could not {what}: {}", problem.what);
                problem
            }
            _ => Problem::new("engine-refused", format!("could not {what}")).because_of(error),
        }
    }
}

/// Whether the problem is that the engine knows no such container, image, volume or network.
#[must_use]
pub fn is_not_found(problem: &Problem) -> bool {
    problem.code == "not-on-engine"
}

/// Puts a time limit on any call of the client.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, call).await.unwrap_or(Err(Error::RequestTimeoutError))
}

fn client(endpoint: &Endpoint) -> Result<Docker, Problem> {
    let host = &endpoint.host;
    let made = if endpoint.is_unix() {
        Docker::connect_with_socket(host, TRANSPORT_LIMIT_SECONDS, API_DEFAULT_VERSION)
    } else if let Some(tls) = &endpoint.tls {
        Docker::connect_with_ssl(
            host,
            &tls.key,
            &tls.cert,
            &tls.ca,
            TRANSPORT_LIMIT_SECONDS,
            API_DEFAULT_VERSION,
        )
    } else if host.starts_with("tcp://") || host.starts_with("http://") {
        Docker::connect_with_http(host, TRANSPORT_LIMIT_SECONDS, API_DEFAULT_VERSION)
    } else {
        return Err(unsupported(endpoint));
    };
    made.map_err(|e| unreachable(endpoint, &e))
}

fn unsupported(endpoint: &Endpoint) -> Problem {
    let problem = Problem::new(
        "engine-unsupported",
        format!("engines at {} are not supported ({})", endpoint.host, endpoint.source),
    );
    if endpoint.host.starts_with("ssh://") {
        problem.because("the data of the service has to be read where the engine runs").advise(format!(
            "run mainstay on that host: `ssh {} mainstay …`",
            endpoint.host.trim_start_matches("ssh://")
        ))
    } else {
        problem.advise("use unix:///path/to/docker.sock or tcp://host:port")
    }
}

fn unreachable(endpoint: &Endpoint, error: &Error) -> Problem {
    let at = format!("{} ({})", endpoint.host, endpoint.source);
    if io_kind(error) == Some(std::io::ErrorKind::PermissionDenied) {
        return Problem::new("engine-permission", format!("no permission to talk to the engine at {at}"))
            .because_of(error)
            .advise(
                "run mainstay as root, or as a member of the group that owns the socket (mostly `docker`)",
            );
    }
    let problem =
        Problem::new("engine-unreachable", format!("the engine at {at} can't be reached")).because_of(error);
    if endpoint.is_unix() {
        problem
            .advise("start it: `systemctl start docker`")
            .advise("if it listens elsewhere, say where: `--host`, DOCKER_HOST or `docker context use NAME`")
    } else {
        problem.advise("see whether `docker version` reaches it with the same settings")
    }
}

/// Whether the connection ended before the answer had come: what became of the call is not known, and nothing was
/// refused.
fn is_broken(error: &Error) -> bool {
    matches!(error, Error::HyperLegacyError { .. } | Error::HyperResponseError { .. })
}

/// The kind of the innermost input/output error, if there is one.
fn io_kind(error: &Error) -> Option<std::io::ErrorKind> {
    match error {
        Error::SocketNotFoundError(_) => return Some(std::io::ErrorKind::NotFound),
        // Transparent: its own source is already that of the inner error.
        Error::IOError { err } => return Some(err.kind()),
        _ => {}
    }
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            kind = Some(io.kind());
        }
        next = error.source();
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), source: Source::Flag, tls: None }
    }

    #[tokio::test]
    async fn a_missing_socket_is_unreachable_with_advice() {
        let problem = Engine::connect_to(at("unix:///nonexistent/docker.sock")).await.unwrap_err();
        assert_eq!(problem.code, "engine-unreachable");
        assert!(!problem.advice.is_empty());
        assert!(problem.what.contains("/nonexistent/docker.sock"));
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable() {
        let problem = Engine::connect_to(at("tcp://127.0.0.1:1")).await.unwrap_err();
        assert_eq!(problem.code, "engine-unreachable", "{problem:?}");
    }

    #[tokio::test]
    async fn ssh_says_what_to_do_instead() {
        let problem = Engine::connect_to(at("ssh://root@host")).await.unwrap_err();
        assert_eq!(problem.code, "engine-unsupported");
        assert!(problem.advice[0].contains("ssh root@host"));
    }

    #[test]
    fn a_refused_permission_has_its_own_code() {
        let error = Error::IOError { err: std::io::ErrorKind::PermissionDenied.into() };
        assert_eq!(unreachable(&at("unix:///var/run/docker.sock"), &error).code, "engine-permission");
    }
}
