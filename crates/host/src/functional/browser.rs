//! A look at a page with a real browser, headless: does it load, is on it what should be, what does it complain of.
//!
//! Invariant: the browser has a profile of its own that goes away with it, and runs no longer than the caller waits. A
//! certificate that the system doesn't trust is accepted only if our own handshake has verified it against the given
//! authority, and then only its key. Whether a complaint is new is not known here.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_core::functional::Answer;
use reqwest::Url;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::devtools::DevTools;
use super::spec::{Browser, Target};
use super::{Place, http};
use crate::probes::{lookup, presentable, shown, tls_client};
use crate::process;

/// Names of the browser, in the order of preference.
const PROGRAMS: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome-headless-shell"];
/// A page that asks for nothing for so long is complete.
const QUIET: Duration = Duration::from_secs(1);
/// A page that never rests is looked at after this long.
const RESTLESS: Duration = Duration::from_secs(5);
/// How often it is looked whether something is on the page yet.
const PACE: Duration = Duration::from_millis(100);
/// So long after the page is complete, what should be on it may still be missing.
const LATE: Duration = Duration::from_secs(3);
/// A browser gives up what it loads when an interface of the host comes or goes, as they do where containers start. That
/// is no fault of the page: it is loaded again.
const NETWORK_CHANGED: &str = "net::ERR_NETWORK_CHANGED";
/// After such a change, for others to pass.
const CALM: Duration = Duration::from_millis(300);
/// Complaints that are kept.
const COMPLAINTS: usize = 40;

/// Loads the page and looks at it. The caller bounds the time.
pub(super) async fn look(place: &Place, browser: &Browser, limit: Duration) -> Result<Answer, String> {
    let program = program()?;
    let profile = tempfile::Builder::new().prefix("mainstay-browser-").tempdir();
    let profile = profile.map_err(|error| format!("no directory for the browser's profile: {error}"))?;
    let (url, address) = address(place, &browser.target).await?;
    let network = if browser.target.inside() { network(place).await? } else { None };
    let mut words = network.as_ref().map_or_else(Vec::new, entering);
    words.push(program.display().to_string());
    words.extend(options(profile.path()));
    if let (Some(address), Some(host)) = (address, url.host_str()) {
        words.push(format!("--host-resolver-rules=MAP {host} {}", address.ip()));
    }
    if let Some(ca) = browser.target.ca.as_deref().filter(|_| url.scheme() == "https") {
        words.push(format!("--ignore-certificate-errors-spki-list={}", key(&url, address, ca).await?));
    }
    let began = Instant::now();
    let mut page = Page {
        tools: DevTools::start(&words, profile.path()).await?,
        complaints: Vec::new(),
        requests: BTreeMap::new(),
    };
    let seen = page.look(&url, browser, limit).await;
    let picture = page.picture().await;
    page.tools.close().await;
    if let (Ok(bytes), Some((run, name))) = (&picture, &place.screenshot) {
        run.write(name, bytes).map_err(|error| format!("the picture can't be kept: {error}"))?;
    }
    let complaints = page.complaints;
    if seen.as_ref().err().into_iter().chain(&complaints).any(|what| what.contains(NETWORK_CHANGED)) {
        let detail =
            "interfaces of this host came and went all the time: the page could not be loaded".to_owned();
        return Ok(Answer { detail, void: true, ..Answer::default() });
    }
    seen?;
    let mut detail = format!("loaded in {} ms", began.elapsed().as_millis());
    if let Some(first) = complaints.first() {
        detail += &format!(", {} complaints, the first: {first}", complaints.len());
    }
    Ok(Answer { good: true, detail, complaints, ..Answer::default() })
}

/// The browser: the one that is named, or one that is installed.
fn program() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("MAINSTAY_CHROMIUM").filter(|name| !name.is_empty()) {
        let program = PathBuf::from(named);
        let there = program.is_file();
        return there
            .then_some(program.clone())
            .ok_or_else(|| format!("MAINSTAY_CHROMIUM names {}, which is not there", program.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = PROGRAMS.iter().find_map(|name| {
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
    });
    found.ok_or_else(|| {
        "no browser is installed here: install Chromium, or name it in MAINSTAY_CHROMIUM".to_owned()
    })
}

fn options(profile: &Path) -> Vec<String> {
    let mut options: Vec<String> = [
        "--headless",
        "--remote-debugging-pipe",
        "--no-first-run",
        "--no-default-browser-check",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-gpu",
        "--disable-sync",
        "--disable-features=HttpsUpgrades,HttpsFirstBalancedMode,Translate,OptimizationHints,MediaRouter",
        "--hide-scrollbars",
        "--mute-audio",
        "--window-size=1280,900",
    ]
    .map(str::to_owned)
    .into();
    options.push(format!("--user-data-dir={}", profile.display()));
    // As root it refuses to start with its sandbox.
    if rustix::process::geteuid().is_root() {
        options.push("--no-sandbox".to_owned());
    }
    options
}

/// Where the container's network can be entered, the browser is started in it: nothing comes or goes there, and the page
/// is loaded from where the service is.
async fn network(place: &Place) -> Result<Option<File>, String> {
    if !rustix::process::geteuid().is_root() || !place.engine.is_local() {
        return Ok(None);
    }
    let container = place.container().await?;
    let call = place.engine.docker().inspect_container(&container, None);
    let inspect =
        place.engine.call("inspect the container", call).await.map_err(|problem| problem.to_string())?;
    let Some(pid) = inspect.state.and_then(|state| state.pid).filter(|pid| *pid > 0) else { return Ok(None) };
    let opened = process::network(pid, &container);
    opened.map(Some).map_err(|error| format!("the network of the container can't be entered: {error}"))
}

/// How a command is run in a network: by what this process has opened, which can't be another one's by then.
fn entering(network: &File) -> Vec<String> {
    let opened = format!("--net=/proc/{}/fd/{}", std::process::id(), network.as_raw_fd());
    vec!["nsenter".to_owned(), opened]
}

/// The URL, and the address behind its name where DNS isn't to be asked.
async fn address(place: &Place, target: &Target) -> Result<(Url, Option<SocketAddr>), String> {
    if target.inside() {
        let (mut url, address) = http::inside(place, target).await?;
        // Browsers insist on TLS for some names, `app` and `dev` among them. Not for this domain.
        url.set_host(Some(&format!("{}.internal", place.service))).map_err(|error| error.to_string())?;
        return Ok((url, Some(address)));
    }
    let url = Url::parse(&target.at).map_err(|error| format!("the URL can't be understood: {error}"))?;
    let port = url.port_or_known_default().ok_or("the URL names no port")?;
    let ip = match (target.resolve, target.resolver, url.domain()) {
        (None, Some(server), Some(name)) => lookup(server, name).await?.first().copied(),
        (resolve, ..) => resolve,
    };
    Ok((url, ip.map(|ip| SocketAddr::new(ip, port))))
}

/// The hash of the server's public key, after its certificate was verified against the authority and the name.
async fn key(url: &Url, address: Option<SocketAddr>, ca: &Path) -> Result<String, String> {
    let host = url.host_str().ok_or("the URL names no host")?;
    let port = url.port_or_known_default().ok_or("the URL names no port")?;
    let connected = match address {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect((host, port)).await,
    };
    let stream = connected.map_err(|error| format!("no connection to {host}: {error}"))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::new(tls_client(Some(ca))?));
    let stream = tls
        .connect(name, stream)
        .await
        .map_err(|error| format!("the certificate is not accepted: {error}"))?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let first = certificates.first().ok_or("the server shows no certificate")?;
    let (_, parsed) = X509Certificate::from_der(first).map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(Sha256::digest(parsed.public_key().raw)))
}

struct Page {
    tools: DevTools,
    complaints: Vec<String>,
    /// The URLs of requests, by the browser's ids.
    requests: BTreeMap<String, String>,
}

impl Page {
    async fn look(&mut self, url: &Url, wanted: &Browser, patience: Duration) -> Result<(), String> {
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            self.tools.call(domain, json!({})).await?;
        }
        let began = Instant::now();
        loop {
            self.complaints.clear();
            let loaded = self.load(url).await;
            let said = loaded.as_ref().err().into_iter().chain(&self.complaints);
            if !said.into_iter().any(|what| what.contains(NETWORK_CHANGED)) || began.elapsed() > patience / 2
            {
                loaded?;
                break;
            }
            tokio::time::sleep(CALM).await;
        }
        if let Some(selector) = &wanted.selector {
            let there = format!("document.querySelector({}) !== null", json!(selector));
            self.shows(&there, &format!("nothing on the page fits the selector {selector}")).await?;
        }
        if let Some(text) = &wanted.contains {
            let there =
                format!("document.body !== null && document.body.innerText.includes({})", json!(text));
            self.shows(&there, &format!("\"{text}\" is not visible on the page")).await?;
        }
        Ok(())
    }

    async fn load(&mut self, url: &Url) -> Result<(), String> {
        let went = self.tools.call("Page.navigate", json!({"url": url.as_str()})).await?;
        if let Some(error) = went["errorText"].as_str() {
            return Err(format!("the page does not load: {error}"));
        }
        let status = self.until_quiet(went["loaderId"].as_str().unwrap_or_default()).await?;
        match status.filter(|status| *status >= 400) {
            Some(status) => Err(format!("the page answers HTTP {status}")),
            None => Ok(()),
        }
    }

    /// Waits until the page has loaded and asks for nothing more; the status of the page itself, if it has one.
    async fn until_quiet(&mut self, loader: &str) -> Result<Option<u64>, String> {
        let (mut loaded, mut status) = (None::<Instant>, None);
        loop {
            let quiet = match self.tools.event(QUIET).await? {
                Some(event) => {
                    loaded = loaded.or((event["method"] == "Page.loadEventFired").then(Instant::now));
                    if event["method"] == "Network.responseReceived" && event["params"]["requestId"] == loader
                    {
                        status = event["params"]["response"]["status"].as_u64();
                    }
                    self.take(&event).await?;
                    false
                }
                None => true,
            };
            match loaded {
                Some(at) if quiet || at.elapsed() > RESTLESS => return Ok(status),
                _ => {}
            }
        }
    }

    /// Waits a while for something to be on the page.
    async fn shows(&mut self, expression: &str, missing: &str) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let asked = json!({"expression": expression, "returnByValue": true});
            let said = self.tools.call("Runtime.evaluate", asked).await?;
            if said["result"]["value"] == true {
                return Ok(());
            }
            if let Some(why) = said["exceptionDetails"]["exception"]["description"].as_str() {
                return Err(format!("{missing}: {}", presentable(why)));
            }
            if began.elapsed() > LATE {
                return Err(missing.to_owned());
            }
            if let Some(event) = self.tools.event(PACE).await? {
                self.take(&event).await?;
            }
        }
    }

    async fn picture(&mut self) -> Result<Vec<u8>, String> {
        let taken = self.tools.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        let text = taken["data"].as_str().ok_or("the browser takes no picture")?;
        STANDARD.decode(text).map_err(|error| error.to_string())
    }

    async fn take(&mut self, event: &Value) -> Result<(), String> {
        let params = &event["params"];
        if event["method"] == "Page.javascriptDialogOpening" {
            // A page that waits for somebody would never load.
            self.tools.call("Page.handleJavaScriptDialog", json!({"accept": true})).await?;
        }
        if event["method"] == "Network.requestWillBeSent"
            && let (Some(id), Some(url)) = (params["requestId"].as_str(), params["request"]["url"].as_str())
        {
            self.requests.insert(id.to_owned(), url.to_owned());
        }
        if let Some(complaint) =
            complaint(event, &self.requests).filter(|_| self.complaints.len() < COMPLAINTS)
        {
            self.complaints.push(complaint);
        }
        Ok(())
    }
}

/// What an event says against the page, without secrets.
fn complaint(event: &Value, requests: &BTreeMap<String, String>) -> Option<String> {
    let params = &event["params"];
    let text = |value: &Value| value.as_str().map(presentable);
    // The browser asks for this one by itself, now and then.
    let icon = |url: &str| url.split(['?', '#']).next().is_some_and(|path| path.ends_with("/favicon.ico"));
    match event["method"].as_str()? {
        "Runtime.consoleAPICalled" if params["type"] == "error" || params["type"] == "assert" => {
            let words = params["args"].as_array()?.iter().map(|argument| match &argument["value"] {
                Value::String(text) => text.clone(),
                Value::Null => argument["description"].as_str().unwrap_or("null").to_owned(),
                other => other.to_string(),
            });
            Some(format!("console: {}", presentable(&words.collect::<Vec<_>>().join(" "))))
        }
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            let said = text(&details["exception"]["description"]).or_else(|| text(&details["text"]))?;
            Some(format!("exception: {said}"))
        }
        // Failed requests come as what they are.
        "Log.entryAdded" if params["entry"]["level"] == "error" && params["entry"]["source"] != "network" => {
            Some(format!("log: {}", text(&params["entry"]["text"])?))
        }
        "Network.responseReceived" => {
            let status = params["response"]["status"].as_u64().filter(|status| *status >= 400)?;
            let url = params["response"]["url"].as_str().filter(|url| !icon(url))?;
            Some(format!("HTTP {status}: {}", shown(url)))
        }
        "Network.loadingFailed" if params["canceled"] != true => {
            let url = requests.get(params["requestId"].as_str()?).map_or("a request", String::as_str);
            (!icon(url)).then_some(())?;
            Some(format!("failed: {} ({})", shown(url), text(&params["errorText"])?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(event: Value) -> Option<String> {
        let requests = BTreeMap::from([("7".to_owned(), "http://app/x.js?token=hunter2".to_owned())]);
        complaint(&event, &requests)
    }

    #[test]
    fn what_a_page_complains_of_is_told_without_secrets() {
        let console = json!({"method": "Runtime.consoleAPICalled", "params": {"type": "error",
            "args": [{"value": "no"}, {"value": 7}, {"description": "TypeError: x"}]}});
        assert_eq!(says(console).as_deref(), Some("console: no 7 TypeError: x"));
        let warning =
            json!({"method": "Runtime.consoleAPICalled", "params": {"type": "warning", "args": []}});
        assert_eq!(says(warning), None);
        let thrown = json!({"method": "Runtime.exceptionThrown", "params": {"exceptionDetails":
            {"text": "Uncaught", "exception": {"description": "Error: password=hunter2\n  at x"}}}});
        assert_eq!(says(thrown).as_deref(), Some("exception: Error: password=[hidden]   at x"));
        let status = json!({"method": "Network.responseReceived", "params": {"response":
            {"status": 404, "url": "http://app/x.css?key=hunter2"}}});
        assert_eq!(says(status).as_deref(), Some("HTTP 404: http://app/x.css"));
        let failed = json!({"method": "Network.loadingFailed", "params": {"requestId": "7",
            "errorText": "net::ERR_CONNECTION_REFUSED"}});
        assert_eq!(says(failed).as_deref(), Some("failed: http://app/x.js (net::ERR_CONNECTION_REFUSED)"));
        let cancelled =
            json!({"method": "Network.loadingFailed", "params": {"requestId": "7", "canceled": true}});
        assert_eq!(says(cancelled), None);
    }
}
