//! What a functional check asks, as the operator wrote it. It may hold secrets: it is stored in the run's directory and
//! nowhere else, and [`Spec::shown`] is what may be seen of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use mainstay_core::functional::{Bounds, Kind};
use mainstay_core::redact;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::probes::shown;

/// What is shorter says nothing, and stands in too many texts.
const SHORTEST_SECRET: usize = 4;

/// One functional check.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Whether a failure decides.
    pub required: bool,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often it is asked while a version is watched, in milliseconds; `None`: as often as probes.
    #[serde(default)]
    pub every_ms: Option<u64>,
    /// What is asked.
    pub ask: Ask,
    /// The figure that the answer gives, if that is what the check is about.
    #[serde(default)]
    pub figure: Option<Figure>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is asked.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// An HTTP request.
    Http(Box<Http>),
    /// A command in the container.
    Command(Command),
    /// A command on this host.
    HostCommand(Command),
    /// A page in a real browser.
    Browser(Browser),
    /// A question to the operator.
    Question {
        /// The question.
        text: String,
        /// What no answer means, where there is nobody to ask.
        unattended: Unattended,
    },
}

/// A number in the answer, and what it may be after an update.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Where it stands in an answer in JSON; `None`: the answer is the number.
    pub json: Option<String>,
    /// What it may be.
    pub bounds: Bounds,
}

/// Where something is asked over HTTP.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// A URL, or a path of the service inside its network.
    pub at: String,
    /// The port inside; `None`: the one that the service was found to listen on.
    pub port: Option<u16>,
    /// A CA certificate to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// The address to connect to instead of what DNS says.
    pub resolve: Option<IpAddr>,
    /// The DNS server to ask instead of the system's.
    #[serde(default)]
    pub resolver: Option<SocketAddr>,
}

impl Target {
    /// Whether it is asked inside the network.
    #[must_use]
    pub fn inside(&self) -> bool {
        self.at.starts_with('/')
    }
}

/// An HTTP request and what has to come back.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// Whom it goes to.
    pub target: Target,
    /// Its method.
    pub method: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<Vec<u8>>,
    /// Whether redirects are followed.
    pub follow: bool,
    /// The statuses that are good; none: everything below 400.
    pub status: Vec<u16>,
    /// Headers that have to be there, with a text that each has to contain.
    pub header: Vec<(String, String)>,
    /// What the body has to say.
    pub text: Text,
    /// Places in a body of JSON, and the value that has to be there; `None`: any.
    pub json: Vec<(String, Option<Value>)>,
}

/// What a text has to say.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// A part of it.
    pub contains: Option<String>,
    /// A regular expression for a part of it.
    pub matches: Option<String>,
}

/// A command and how it has to end.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Its exit code.
    pub exit: i64,
    /// What its output has to say.
    pub text: Text,
}

/// A page and what has to be on it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Browser {
    /// Where it is.
    pub target: Target,
    /// A CSS selector that has to find something.
    pub selector: Option<String>,
    /// A text that has to be visible.
    pub contains: Option<String>,
}

/// What it means that there is nobody to answer a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unattended {
    /// Nothing: the question is left out, and the report says so.
    #[default]
    Skip,
    /// The same as no.
    Fail,
}

impl Spec {
    /// The kind of check.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.ask {
            Ask::Http(_) => Kind::Http,
            Ask::Command(_) => Kind::Command,
            Ask::HostCommand(_) => Kind::HostCommand,
            Ask::Browser(_) => Kind::Browser,
            Ask::Question { .. } => Kind::Question,
        }
    }

    /// What is asked, for people, without secrets.
    #[must_use]
    pub fn shown(&self) -> String {
        let what = match &self.ask {
            Ask::Http(http) => format!("{} {}", http.method, place(&http.target)),
            Ask::Command(command) | Ask::HostCommand(command) => shown_command(&command.words),
            Ask::Browser(browser) => place(&browser.target),
            Ask::Question { text, .. } => redact::line(text),
        };
        if self.figure.is_some() { format!("figure of {what}") } else { what }
    }

    /// Looks for what can't work.
    ///
    /// # Errors
    ///
    /// What it is, for people.
    pub fn check(&self) -> Result<(), String> {
        match &self.ask {
            Ask::Http(http) => {
                http.text.regex()?;
                for (path, _) in &http.json {
                    json_path(path)?;
                }
                reqwest::Method::from_bytes(http.method.as_bytes())
                    .map_err(|_| format!("`{}` is no method of HTTP", http.method))?;
                for (name, value) in &http.headers {
                    reqwest::header::HeaderName::from_bytes(name.as_bytes())
                        .map_err(|_| format!("`{name}` is no name of a header"))?;
                    reqwest::header::HeaderValue::from_str(value)
                        .map_err(|_| format!("the header `{name}` can't have this value"))?;
                }
                target(&http.target)?;
            }
            Ask::Command(command) | Ask::HostCommand(command) => {
                command.text.regex()?;
                if command.words.first().is_none_or(String::is_empty) {
                    return Err("the command is empty".to_owned());
                }
            }
            Ask::Browser(browser) => target(&browser.target)?,
            Ask::Question { text, .. } if text.trim().is_empty() => {
                return Err("the question is empty".to_owned());
            }
            Ask::Question { .. } => {}
        }
        if let Some(figure) = &self.figure {
            figure.bounds.check()?;
            figure.json.as_deref().map(json_path).transpose()?;
        }
        Ok(())
    }

    /// What of it must not be shown, wherever it comes back: values of headers that carry a login.
    pub(super) fn hide(&self, text: &str) -> String {
        let Ask::Http(http) = &self.ask else { return redact::line(text) };
        let secret = |name: &str| {
            redact::is_secret_name(name)
                || ["authorization", "cookie"].iter().any(|n| name.eq_ignore_ascii_case(n))
        };
        let mut text = text.to_owned();
        for (_, value) in http.headers.iter().filter(|(name, _)| secret(name)) {
            // Without its scheme, too: a server may quote the token alone.
            for secret in std::iter::once(value.as_str()).chain(value.split_whitespace().skip(1)) {
                text = hidden(&text, secret);
            }
        }
        redact::line(&text)
    }
}

/// The text without a secret, whole or cut off at its end.
fn hidden(text: &str, secret: &str) -> String {
    if secret.len() < SHORTEST_SECRET {
        return text.to_owned();
    }
    let text = text.replace(secret, redact::HIDDEN);
    let Some(cut) = text.find('…') else { return text };
    let starts = secret.char_indices().map(|(at, _)| at).filter(|at| *at >= SHORTEST_SECRET).rev();
    let begun = starts.map(|end| &secret[..end]).find(|begun| text[..cut].ends_with(begun));
    match begun {
        Some(begun) => [&text[..cut - begun.len()], redact::HIDDEN, &text[cut..]].concat(),
        None => text,
    }
}

impl Text {
    /// The regular expression, compiled.
    ///
    /// # Errors
    ///
    /// Where it is none, for people.
    pub fn regex(&self) -> Result<Option<Regex>, String> {
        let compile = |text: &String| {
            Regex::new(text).map_err(|_| format!("`{}` is no regular expression", redact::line(text)))
        };
        self.matches.as_ref().map(compile).transpose()
    }
}

/// A JSONPath, understood.
///
/// # Errors
///
/// Where it is none, for people.
pub(super) fn json_path(path: &str) -> Result<JsonPath, String> {
    JsonPath::parse(path)
        .map_err(|error| format!("`{path}` is no JSONPath (as `$.name`): {}", error.message()))
}

fn target(target: &Target) -> Result<(), String> {
    if target.inside() {
        return Ok(());
    }
    let url = url::Url::parse(&target.at).map_err(|_| {
        "neither a path (as `/login`) nor a URL (as `https://app.example.org/login`)".to_owned()
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("the URL has to begin with http:// or https:// and to name a host".to_owned());
    }
    Ok(())
}

fn place(target: &Target) -> String {
    if !target.inside() {
        return shown(&target.at);
    }
    let path = target.at.split(['?', '#']).next().unwrap_or_default();
    let port = target.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}, inside{port}", redact::line(path))
}

/// A command for people: what a shell is given as it stands, else the arguments.
pub(crate) fn shown_command(command: &[String]) -> String {
    redact::line(&match command {
        [shell, option, text] if shell == "sh" && option == "-c" => text.clone(),
        other => other.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(http: Http) -> Spec {
        let http = Http { method: "GET".into(), ..http };
        let ask = Ask::Http(Box::new(http));
        Spec { name: "x".into(), required: true, timeout_ms: 1, every_ms: None, ask, figure: None }
    }

    fn at(at: &str) -> Target {
        Target { at: at.into(), ..Target::default() }
    }

    #[test]
    fn what_cannot_work_is_told_before_the_update() {
        let bad = |spec: Spec, says: &str| {
            let why = spec.check().unwrap_err();
            assert!(why.contains(says), "{why}");
        };
        bad(http(Http { target: at("app.test"), ..Http::default() }), "neither a path");
        bad(http(Http { target: at("ftp://app.test/"), ..Http::default() }), "http://");
        let matches = Text { matches: Some("(".into()), contains: None };
        bad(http(Http { target: at("/"), text: matches, ..Http::default() }), "no regular expression");
        bad(
            http(Http { target: at("/"), json: vec![("name".into(), None)], ..Http::default() }),
            "no JSONPath",
        );
        let headers = vec![("a b".into(), String::new())];
        bad(http(Http { target: at("/"), headers, ..Http::default() }), "no name of a header");
        assert_eq!(http(Http { target: at("/login"), ..Http::default() }).check(), Ok(()));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let headers = vec![("Authorization".to_owned(), "Bearer abcdef".to_owned())];
        let target = at("https://bob:hunter2@app.test/x?token=hunter2");
        let spec = http(Http { target, headers, ..Http::default() });
        assert_eq!(spec.shown(), "GET https://app.test/x");
        assert_eq!(spec.hide("it said Bearer abcdef"), "it said [hidden]");
        assert_eq!(spec.hide("invalid token abcdef"), "invalid token [hidden]");
        assert_eq!(spec.hide("it begins \"no login abcde…\""), "it begins \"no login [hidden]…\"");
        assert_eq!(http(Http { target: at("/x?key=hunter2"), ..Http::default() }).shown(), "GET /x, inside");
        assert_eq!(format!("{spec:?}"), "Spec { name: \"x\", .. }");
    }

    #[test]
    fn it_comes_back_from_where_it_is_stored() {
        let spec =
            http(Http { target: at("/"), body: Some(b"x".to_vec()), status: vec![200], ..Http::default() });
        let stored = serde_json::to_vec(&spec).unwrap();
        assert!(serde_json::from_slice::<Spec>(&stored).unwrap() == spec);
    }
}
