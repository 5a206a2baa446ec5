//! Which engine is meant: `--host`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context, the local socket, in
//! this order, which is that of the `docker` command.
//!
//! Reads Docker's configuration and contexts; writes nothing and connects to nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use mainstay_core::problem::Problem;
use serde_json::Value;

/// The socket of an engine that was not told otherwise.
const LOCAL: &str = "unix:///var/run/docker.sock";

/// Where an engine listens, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix://…`, `tcp://…`, `ssh://…`.
    pub host: String,
    /// Who named it.
    pub source: Source,
    /// Certificates, where the connection is encrypted.
    pub tls: Option<Tls>,
}

/// Who named an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--host`.
    Flag,
    /// `DOCKER_HOST`.
    Environment,
    /// A Docker context, by name.
    Context(String),
    /// Nobody.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from --host"),
            Self::Environment => f.write_str("from DOCKER_HOST"),
            Self::Context(name) => write!(f, "from the Docker context {name}"),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// The files of a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signed the engine's certificate.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Our key.
    pub key: PathBuf,
}

impl Tls {
    fn in_directory(directory: &Path) -> Self {
        Self {
            ca: directory.join("ca.pem"),
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        }
    }
}

/// What of the process's environment names an engine; empty variables count as unset.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// `DOCKER_TLS_VERIFY` is set.
    pub tls_verify: bool,
    /// `DOCKER_CERT_PATH`.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub config: Option<PathBuf>,
}

impl Surroundings {
    /// Reads the environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            host: var("DOCKER_HOST"),
            context: var("DOCKER_CONTEXT"),
            tls_verify: var("DOCKER_TLS_VERIFY").is_some(),
            cert_path: var("DOCKER_CERT_PATH").map(PathBuf::from),
            config: var("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| var("HOME").map(|home| Path::new(&home).join(".docker"))),
        }
    }

    fn tls(&self) -> Option<Tls> {
        let directory = self.cert_path.as_ref().or(self.config.as_ref())?;
        self.tls_verify.then(|| Tls::in_directory(directory))
    }
}

impl Endpoint {
    /// Finds out which engine is meant.
    ///
    /// # Errors
    ///
    /// `engine-context` where the context that is named does not exist or can't be read.
    pub fn resolve(flag: Option<&str>, around: &Surroundings) -> Result<Self, Problem> {
        if let Some(host) = flag.filter(|h| !h.is_empty()) {
            return Ok(Self { host: normal(host), source: Source::Flag, tls: around.tls() });
        }
        if let Some(host) = &around.host {
            return Ok(Self { host: normal(host), source: Source::Environment, tls: around.tls() });
        }
        let context = around.context.clone().or_else(|| current_context(around.config.as_deref()));
        match context.filter(|name| name != "default") {
            Some(name) => from_context(&name, around.config.as_deref()),
            None => Ok(Self { host: LOCAL.to_owned(), source: Source::Default, tls: None }),
        }
    }

    /// Whether it is a socket of this machine.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        self.host.starts_with("unix://")
    }
}

/// A bare path is a socket, a bare `host:port` is TCP, as for the `docker` command.
fn normal(host: &str) -> String {
    match host {
        h if h.contains("://") => h.to_owned(),
        h if h.starts_with('/') => format!("unix://{h}"),
        h => format!("tcp://{h}"),
    }
}

fn current_context(config: Option<&Path>) -> Option<String> {
    let text = std::fs::read(config?.join("config.json")).ok()?;
    let config: Value = serde_json::from_slice(&text).ok()?;
    config.get("currentContext")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn from_context(name: &str, config: Option<&Path>) -> Result<Endpoint, Problem> {
    let contexts = config.map(|c| c.join("contexts")).unwrap_or_default();
    let (directory, meta) = find_context(name, &contexts.join("meta")).ok_or_else(|| {
        Problem::new("engine-context", format!("the Docker context {name} does not exist or can't be read"))
            .because(format!("no meta.json below {} names it", contexts.join("meta").display()))
            .advise("list the contexts: `docker context ls`; choose one: `docker context use NAME`")
    })?;
    let docker = &meta["Endpoints"]["docker"];
    let host = docker["Host"].as_str().filter(|h| !h.is_empty()).unwrap_or(LOCAL);
    let certificates = contexts.join("tls").join(directory).join("docker");
    let tls = certificates.join("ca.pem").is_file().then(|| Tls::in_directory(&certificates));
    Ok(Endpoint { host: normal(host), source: Source::Context(name.to_owned()), tls })
}

/// The directory's name (a hash of the context's) and the meta data of a context.
fn find_context(name: &str, meta: &Path) -> Option<(String, Value)> {
    std::fs::read_dir(meta).ok()?.flatten().find_map(|entry| {
        let text = std::fs::read(entry.path().join("meta.json")).ok()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        (value["Name"] == name).then(|| (entry.file_name().to_string_lossy().into_owned(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_with_context() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path().join("contexts/meta/abc");
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let tls = dir.path().join("contexts/tls/abc/docker");
        std::fs::create_dir_all(&tls).unwrap();
        std::fs::write(tls.join("ca.pem"), "").unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        dir
    }

    #[test]
    fn the_order_is_flag_host_context_current_context_default() {
        let dir = config_with_context();
        let mut around = Surroundings {
            host: Some("tcp://env:1".into()),
            context: Some("far".into()),
            config: Some(dir.path().into()),
            ..Surroundings::default()
        };
        assert_eq!(Endpoint::resolve(Some("/run/x.sock"), &around).unwrap().host, "unix:///run/x.sock");
        assert_eq!(Endpoint::resolve(None, &around).unwrap().host, "tcp://env:1");
        around.host = None;
        assert_eq!(Endpoint::resolve(None, &around).unwrap().source, Source::Context("far".into()));
        around.context = None;
        let current = Endpoint::resolve(None, &around).unwrap();
        assert_eq!(current.host, "tcp://far:2376");
        assert!(current.tls.unwrap().key.ends_with("contexts/tls/abc/docker/key.pem"));
        around.context = Some("default".into());
        assert_eq!(Endpoint::resolve(None, &around).unwrap().host, LOCAL);
    }

    #[test]
    fn an_unknown_context_is_named() {
        let dir = config_with_context();
        let around = Surroundings {
            context: Some("near".into()),
            config: Some(dir.path().into()),
            ..Surroundings::default()
        };
        let problem = Endpoint::resolve(None, &around).unwrap_err();
        assert_eq!(problem.code, "engine-context");
        assert!(problem.what.contains("near"));
    }

    #[test]
    fn certificates_are_used_when_docker_is_told_to_verify() {
        let around =
            Surroundings { tls_verify: true, cert_path: Some("/certs".into()), ..Surroundings::default() };
        let endpoint = Endpoint::resolve(Some("far:2376"), &around).unwrap();
        assert_eq!(endpoint.host, "tcp://far:2376");
        assert_eq!(endpoint.tls.unwrap().ca, Path::new("/certs/ca.pem"));
    }
}
