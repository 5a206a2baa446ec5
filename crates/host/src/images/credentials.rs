//! Who we are to a registry: the credentials that `docker login` stored for this user.
//!
//! Invariant: no secret leaves this module but towards the engine; `Debug` shows none. What it does not do:
//! log in, or ask a registry for tokens (the engine does).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use mainstay_core::problem::Problem;
use mainstay_core::redact;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a credential helper may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name under which `docker login` without arguments stores Docker Hub's credentials.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Credentials of one registry.
#[derive(Clone, PartialEq)]
pub struct Credentials(DockerCredentials);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.0.username)
            .field("server", &self.0.serveraddress)
            .finish_non_exhaustive()
    }
}

/// What was found for a registry, and what went wrong on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lookup {
    /// The credentials; without, the registry is asked anonymously.
    pub credentials: Option<Credentials>,
    /// Why there may be none: an unreadable file, a failing helper.
    pub trouble: Option<String>,
}

impl Lookup {
    /// As the engine takes them. Problem code `registry-credentials`.
    pub(super) fn for_engine(&self) -> Result<Option<DockerCredentials>, Problem> {
        let Some(Credentials(credentials)) = &self.credentials else { return Ok(None) };
        if survives_transport(credentials) {
            return Ok(Some(credentials.clone()));
        }
        let server = credentials.serveraddress.as_deref().unwrap_or_default();
        Err(Problem::new(
            "registry-credentials",
            format!("the credentials for {server} can't be handed to the engine"),
        )
        .because("some characters (?, >, ~ and letters outside ASCII) get lost on the way to the engine")
        .advise("log in with an access token, or a password without these characters"))
    }

    /// Adds to a refusal why we may have come without credentials.
    pub(super) fn explain(&self, problem: Problem) -> Problem {
        match &self.trouble {
            Some(trouble) if problem.code == "registry-refused" => problem.because(trouble),
            _ => problem,
        }
    }
}

/// The engine decodes the header as URL-safe base64, the client library writes the ordinary one: where these
/// differ, the engine would drop the credentials without a word.
fn survives_transport(credentials: &DockerCredentials) -> bool {
    serde_json::to_vec(credentials).is_ok_and(|json| !STANDARD.encode(json).contains(['+', '/']))
}

/// The configuration directory of the Docker command line.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    directory: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    auths: HashMap<String, AuthEntry>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl DockerConfig {
    /// `$DOCKER_CONFIG`, or `~/.docker`.
    #[must_use]
    pub fn from_environment() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { directory: set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker"))) }
    }

    /// Another directory.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: Some(directory.into()) }
    }

    /// What there is for a registry, as [`super::Reference::registry`] names it.
    pub async fn lookup(&self, registry: &str) -> Lookup {
        match self.find(registry).await {
            Ok(credentials) => Lookup { credentials: credentials.map(Credentials), trouble: None },
            Err(trouble) => {
                tracing::warn!(registry, trouble, "no credentials");
                Lookup { credentials: None, trouble: Some(trouble) }
            }
        }
    }

    async fn find(&self, registry: &str) -> Result<Option<DockerCredentials>, String> {
        let Some(file) = self.read()? else { return Ok(None) };
        let key = if registry == "docker.io" { DOCKER_HUB_KEY } else { registry };
        let helper = file.helpers.get(key).or(file.helpers.get(registry)).or(file.store.as_ref());
        let mut found = match helper.filter(|helper| !helper.is_empty()) {
            Some(helper) => ask_helper(helper, key).await?,
            None => None,
        };
        if found.is_none() {
            let entry = file.auths.iter().find(|(name, _)| name.as_str() == key);
            let entry = entry.or_else(|| file.auths.iter().find(|(name, _)| host(name) == host(key)));
            found = entry.map(|(_, entry)| decode(entry)).transpose()?.flatten();
        }
        Ok(found.map(|found| DockerCredentials { serveraddress: Some(key.to_owned()), ..found }))
    }

    fn read(&self) -> Result<Option<ConfigFile>, String> {
        let Some(path) = self.directory.as_ref().map(|directory| directory.join("config.json")) else {
            return Ok(None);
        };
        match std::fs::read(&path) {
            // The parser's own words could quote the content.
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| format!("{} is not valid (line {})", path.display(), e.line())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{} can't be read: {error}", path.display())),
        }
    }
}

/// The host of a key of `auths`, which may be written as an URL.
fn host(key: &str) -> &str {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

fn decode(entry: &AuthEntry) -> Result<Option<DockerCredentials>, String> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut found = DockerCredentials {
        username: filled(&entry.username),
        password: filled(&entry.password),
        identitytoken: filled(&entry.identitytoken),
        registrytoken: filled(&entry.registrytoken),
        ..DockerCredentials::default()
    };
    if let Some(auth) = filled(&entry.auth) {
        let broken = || "a stored login is not valid; log in again".to_owned();
        let text =
            STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(broken)?;
        let (name, password) = text.split_once(':').ok_or_else(broken)?;
        found.username = Some(name.to_owned());
        found.password =
            Some(password.trim_end_matches('\0').to_owned()).filter(|password| !password.is_empty());
    }
    let tells = found.password.is_some() || found.identitytoken.is_some() || found.registrytoken.is_some();
    Ok(tells.then_some(found))
}

/// `docker-credential-<helper> get`, the key on its standard input.
async fn ask_helper(helper: &str, key: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.contains('/') {
        return Err(format!("{program} is not the name of a credential helper"));
    }
    run_helper(program.as_ref(), key).await
}

async fn run_helper(program: &OsStr, key: &str) -> Result<Option<DockerCredentials>, String> {
    let name = program.display();
    let failed = |error: std::io::Error| format!("{name} could not be run: {error}");
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(key.as_bytes()).await; // a helper that doesn't read tells by its exit
    }
    let output = match tokio::time::timeout(PATIENCE, child.wait_with_output()).await {
        Ok(output) => output.map_err(failed)?,
        Err(_) => return Err(format!("{name} did not answer within {} s", PATIENCE.as_secs())),
    };
    if !output.status.success() {
        // Helpers tell on standard output why they failed; there is no secret then.
        let words = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let absent = words.contains("credentials not found");
        return if absent { Ok(None) } else { Err(format!("{name} failed: {}", redact::line(&words))) };
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output.stdout).map_err(|_| format!("{name} gave an answer that is none"))?;
    let found = match answer.username.as_str() {
        "<token>" => DockerCredentials { identitytoken: Some(answer.secret), ..DockerCredentials::default() },
        _ => DockerCredentials {
            username: Some(answer.username),
            password: Some(answer.secret),
            ..DockerCredentials::default()
        },
    };
    Ok(Some(found))
}

#[cfg(test)]
mod tests;
