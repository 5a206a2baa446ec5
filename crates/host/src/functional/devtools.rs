//! The DevTools protocol, as much as a look at a page needs, over a pipe that nobody else has: a port would be open to
//! every user of the host.
//!
//! Messages stay JSON: a browser is newer than any list of its types, and only a dozen fields are of interest. Chromium
//! reads its commands from descriptor 3 and answers on 4; a shell puts the ends of our pipes there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::compose::child::Group;

/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(2);
/// Exchanges descriptors and becomes the browser.
const EXCHANGE: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// A browser with one page, while it runs. Killed with everything that it started when it is dropped.
pub(super) struct DevTools {
    child: Child,
    _group: Group,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// What has arrived of the next message.
    open: Vec<u8>,
    calls: u64,
    session: Option<String>,
    /// Events that came while an answer was waited for.
    events: Vec<Value>,
}

impl DevTools {
    /// Starts a browser and opens an empty page. All its files go into `directory`.
    pub(super) async fn start(words: &[String], directory: &Path) -> Result<Self, String> {
        let mut command = Command::new("sh");
        command.args(["-c", EXCHANGE, "sh"]).args(words).process_group(0).kill_on_drop(true);
        // It leaves the directory of its socket where temporary files are.
        command.env("TMPDIR", directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("the browser can't be started: {error}"))?;
        let group = Group::of(&child);
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the browser has no pipe".to_owned());
        };
        let from = BufReader::new(from);
        let (open, events) = (Vec::new(), Vec::new());
        let mut browser = Self { child, _group: group, to, from, open, calls: 0, session: None, events };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        Ok(browser)
    }

    /// Calls a method and waits for its result.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.map_err(|error| ended(&error))?;
        loop {
            let mut message = self.receive().await?;
            if message["id"].as_u64() != Some(self.calls) {
                self.events.push(message);
            } else if let Some(error) = message["error"]["message"].as_str() {
                return Err(format!("the browser refuses {method}: {error}"));
            } else {
                return Ok(message["result"].take());
            }
        }
    }

    /// The next event, or `None` if none comes within `patience`.
    pub(super) async fn event(&mut self, patience: Duration) -> Result<Option<Value>, String> {
        if !self.events.is_empty() {
            return Ok(Some(self.events.remove(0)));
        }
        // What has arrived when the wait ends stays in `open`.
        match tokio::time::timeout(patience, self.receive()).await {
            Ok(message) => message.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn receive(&mut self) -> Result<Value, String> {
        self.from.read_until(0, &mut self.open).await.map_err(|error| ended(&error))?;
        if self.open.pop() != Some(0) {
            return Err("the browser has ended".to_owned());
        }
        let message = serde_json::from_slice(&self.open);
        self.open.clear();
        message.map_err(|error| format!("the browser says something that can't be understood: {error}"))
    }

    /// Ends the browser in order; what doesn't end is killed.
    pub(super) async fn close(mut self) {
        self.session = None;
        let closing = async {
            // It may be gone before it answers.
            let _ = self.call("Browser.close", json!({})).await;
            let _ = self.child.wait().await;
        };
        let _ = tokio::time::timeout(GRACE, closing).await;
    }
}

fn ended(error: &std::io::Error) -> String {
    format!("the browser has ended: {error}")
}
