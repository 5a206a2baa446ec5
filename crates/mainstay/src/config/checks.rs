//! `[[service.NAME.check]]`: functional checks as they stand in a configuration file.
//!
//! One table is one check: it has exactly one of the keys that say what is asked, and of the others only those that belong
//! to it. What it means is in `docs/functional-checks.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use mainstay_core::functional::Bounds;
use mainstay_core::problem::Problem;
use mainstay_host::functional::{
    Ask, Browser, CheckWishes, Command, Figure, Http, Spec, Target, Text, Unattended, usual_limit_ms,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Config, HookCommand, named};
use crate::span::Span;

/// A functional check.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckConfig {
    /// Its name, as plans and reports show it.
    pub name: String,
    /// Whether a failure rolls back (true); else it is reported.
    pub required: Option<bool>,
    /// How long an answer may take: 5s over HTTP, 30s for commands, 60s for pages, 10m for a question.
    pub timeout: Option<Span>,
    /// How often it is asked while a version is watched; as often as the probes where it is not said, a page every 5m.
    pub every: Option<Span>,

    /// Ask over HTTP: a path of the service inside its network, or a URL.
    pub http: Option<String>,
    /// Run in the service's container: a line for `sh -c`, or a program and its arguments.
    pub command: Option<HookCommand>,
    /// Run on this host: a line for `sh -c`, or a program and its arguments.
    pub host_command: Option<HookCommand>,
    /// Load in a real browser: a path of the service inside its network, or a URL.
    pub browser: Option<String>,
    /// Ask the operator: to be answered with yes or no.
    pub question: Option<String>,

    /// Port inside, for a path; the detected one where it is not said.
    pub port: Option<u16>,
    /// Certificate authority to trust besides the system's, PEM; the service's where it is not said.
    pub ca: Option<PathBuf>,
    /// Connect to this address instead of what DNS says.
    pub resolve: Option<IpAddr>,
    /// HTTP method (GET).
    pub method: Option<String>,
    /// Headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body to send.
    pub body: Option<String>,
    /// File that holds the body to send.
    pub body_file: Option<PathBuf>,
    /// Whether redirects are followed (false).
    pub follow: Option<bool>,
    /// Status that has to come, or several; any below 400 where it is not said.
    pub status: Option<Statuses>,
    /// Headers that have to come, with a text that each has to contain.
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    /// JSONPaths in the body, and the values that have to stand there.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub json: BTreeMap<String, Value>,
    /// JSONPaths in the body at which something has to stand.
    #[serde(default)]
    pub json_exists: Vec<String>,
    /// Text that has to be in the body, in the command's output, or visible on the page.
    pub contains: Option<String>,
    /// Regular expression for a part of the body or of the command's output.
    pub matches: Option<String>,
    /// Exit code that the command has to have (0).
    pub exit: Option<i64>,
    /// CSS selector that has to find something on the page.
    pub selector: Option<String>,
    /// What it means that there is nobody to answer the question: `skip` or `fail`.
    pub unattended: Option<UnattendedMode>,

    /// The answer is a number that is compared with what it was before: `true`, or a JSONPath to it.
    pub figure: Option<FigureConfig>,
    /// The figure has to be exactly what it was.
    pub equal: Option<bool>,
    /// The figure may not be less than this.
    pub at_least: Option<f64>,
    /// The figure may not be more than this.
    pub at_most: Option<f64>,
    /// The figure may not be less than this part of what it was.
    pub min_ratio: Option<f64>,
    /// The figure may not be more than this multiple of what it was.
    pub max_ratio: Option<f64>,
}

/// One status or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Statuses {
    /// This one.
    One(u16),
    /// Any of these.
    Any(Vec<u16>),
}

/// Where the figure stands.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FigureConfig {
    /// The last line of the answer is the figure.
    Whole(bool),
    /// It stands at this JSONPath.
    Json(String),
}

/// What no answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnattendedMode {
    /// Nothing.
    Skip,
    /// No.
    Fail,
}

/// The keys of a check, for whoever mistypes one.
pub(super) const KEYS: &[&str] = &[
    "name",
    "required",
    "timeout",
    "every",
    "http",
    "command",
    "host_command",
    "browser",
    "question",
    "port",
    "ca",
    "resolve",
    "method",
    "headers",
    "body",
    "body_file",
    "follow",
    "status",
    "header",
    "json",
    "json_exists",
    "contains",
    "matches",
    "exit",
    "selector",
    "unattended",
    "figure",
    "equal",
    "at_least",
    "at_most",
    "min_ratio",
    "max_ratio",
];

/// The keys that say what is asked.
const ASKS: [&str; 5] = ["http", "command", "host_command", "browser", "question"];

impl CheckConfig {
    /// The keys that are set and belong to some kinds of checks alone, each with the kinds.
    fn special(&self) -> Vec<(&'static str, &'static [&'static str])> {
        const HTTP: &[&str] = &["http"];
        const PLACE: &[&str] = &["http", "browser"];
        const COMMANDS: &[&str] = &["command", "host_command"];
        const TEXT: &[&str] = &["http", "command", "host_command"];
        let set = [
            ("port", self.port.is_some(), PLACE),
            ("ca", self.ca.is_some(), PLACE),
            ("resolve", self.resolve.is_some(), PLACE),
            ("method", self.method.is_some(), HTTP),
            ("headers", !self.headers.is_empty(), HTTP),
            ("body", self.body.is_some(), HTTP),
            ("body_file", self.body_file.is_some(), HTTP),
            ("follow", self.follow.is_some(), HTTP),
            ("status", self.status.is_some(), HTTP),
            ("header", !self.header.is_empty(), HTTP),
            ("json", !self.json.is_empty(), HTTP),
            ("json_exists", !self.json_exists.is_empty(), HTTP),
            ("contains", self.contains.is_some(), &["http", "command", "host_command", "browser"]),
            ("matches", self.matches.is_some(), TEXT),
            ("exit", self.exit.is_some(), COMMANDS),
            ("selector", self.selector.is_some(), &["browser"]),
            ("unattended", self.unattended.is_some(), &["question"]),
            ("figure", self.figure.is_some(), TEXT),
        ];
        set.into_iter().filter(|(_, set, _)| *set).map(|(key, _, kinds)| (key, kinds)).collect()
    }

    /// What is nearer to the service, and of the others those that have another name.
    pub(super) fn nearer(near: Vec<Self>, far: Vec<Self>) -> Vec<Self> {
        let known: BTreeSet<String> = near.iter().map(|check| check.name.clone()).collect();
        near.into_iter().chain(far.into_iter().filter(|check| !known.contains(&check.name))).collect()
    }

    /// The one key that says what is asked.
    fn kind(&self) -> Result<&'static str, String> {
        let set = [
            self.http.is_some(),
            self.command.is_some(),
            self.host_command.is_some(),
            self.browser.is_some(),
            self.question.is_some(),
        ];
        let mut kinds = ASKS.into_iter().zip(set).filter(|(_, set)| *set).map(|(kind, _)| kind);
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(kind),
            _ => Err(format!("a check has exactly one of the keys {}", ASKS.join(", "))),
        }
    }

    /// The check itself; relative files are from `directory`.
    fn spec(&self, directory: &Path) -> Result<Spec, String> {
        let kind = self.kind()?;
        if let Some((key, kinds)) = self.special().into_iter().find(|(_, kinds)| !kinds.contains(&kind)) {
            return Err(format!("`{key}` belongs to {}, not to {kind}", kinds.join(" and ")));
        }
        let ask = self.ask(kind, directory)?;
        let figure = self.figure()?;
        let mut spec = Spec {
            name: self.name.trim().to_owned(),
            required: self.required.unwrap_or(true),
            timeout_ms: 0,
            every_ms: self.every.map(Span::millis),
            ask,
            figure,
        };
        spec.timeout_ms = self.timeout.map_or_else(|| usual_limit_ms(spec.kind()), Span::millis);
        if spec.name.is_empty() {
            return Err("a check needs a name".to_owned());
        }
        spec.check().map(|()| spec)
    }

    fn ask(&self, kind: &str, directory: &Path) -> Result<Ask, String> {
        let text = Text { contains: self.contains.clone(), matches: self.matches.clone() };
        let command = |command: &Option<HookCommand>| Command {
            words: command.clone().and_then(HookCommand::words).map(|words| words.0).unwrap_or_default(),
            exit: self.exit.unwrap_or(0),
            text: text.clone(),
        };
        Ok(match kind {
            "http" => Ask::Http(Box::new(self.http_ask(directory)?)),
            "command" => Ask::Command(command(&self.command)),
            "host_command" => Ask::HostCommand(command(&self.host_command)),
            "browser" => Ask::Browser(Browser {
                target: self.target(self.browser.as_deref(), directory),
                selector: self.selector.clone(),
                contains: self.contains.clone(),
            }),
            _ => Ask::Question {
                text: self.question.clone().unwrap_or_default(),
                unattended: match self.unattended {
                    Some(UnattendedMode::Fail) => Unattended::Fail,
                    Some(UnattendedMode::Skip) | None => Unattended::Skip,
                },
            },
        })
    }

    fn http_ask(&self, directory: &Path) -> Result<Http, String> {
        let body = match (&self.body, &self.body_file) {
            (Some(_), Some(_)) => return Err("a request has `body` or `body_file`, not both".to_owned()),
            (Some(body), None) => Some(body.clone().into_bytes()),
            (None, Some(file)) => {
                let file = directory.join(file);
                let bytes = std::fs::read(&file);
                Some(bytes.map_err(|error| format!("{} can't be read: {error}", file.display()))?)
            }
            (None, None) => None,
        };
        let pairs = |map: &BTreeMap<String, String>| map.clone().into_iter().collect();
        let values = self.json.iter().map(|(path, value)| (path.clone(), Some(value.clone())));
        Ok(Http {
            target: self.target(self.http.as_deref(), directory),
            method: self.method.clone().unwrap_or_else(|| "GET".to_owned()),
            headers: pairs(&self.headers),
            body,
            follow: self.follow.unwrap_or(false),
            status: match &self.status {
                None => Vec::new(),
                Some(Statuses::One(status)) => vec![*status],
                Some(Statuses::Any(any)) => any.clone(),
            },
            header: pairs(&self.header),
            text: Text { contains: self.contains.clone(), matches: self.matches.clone() },
            json: values.chain(self.json_exists.iter().map(|path| (path.clone(), None))).collect(),
        })
    }

    fn target(&self, at: Option<&str>, directory: &Path) -> Target {
        Target {
            at: at.unwrap_or_default().trim().to_owned(),
            port: self.port,
            ca: self.ca.as_ref().map(|ca| directory.join(ca)),
            resolve: self.resolve,
            resolver: None,
        }
    }

    fn figure(&self) -> Result<Option<Figure>, String> {
        let bounds = Bounds {
            equal: self.equal.unwrap_or(false),
            at_least: self.at_least,
            at_most: self.at_most,
            min_ratio: self.min_ratio,
            max_ratio: self.max_ratio,
        };
        let json = match &self.figure {
            Some(FigureConfig::Whole(true)) => None,
            Some(FigureConfig::Json(path)) if self.http.is_some() || path.starts_with('$') => {
                Some(path.clone())
            }
            Some(FigureConfig::Json(_)) => {
                return Err("`figure` is true or a JSONPath (as `$.count`)".to_owned());
            }
            Some(FigureConfig::Whole(false)) | None if bounds == Bounds::default() => return Ok(None),
            Some(FigureConfig::Whole(false)) | None => {
                return Err("limits of a figure need `figure = true` or a JSONPath to it".to_owned());
            }
        };
        Ok(Some(Figure { json, bounds }))
    }
}

/// What the services of a project want asked; each layer with the directory that its relative files are from. The
/// first layer's check of a name hides the other's.
///
/// # Errors
/// A check that can't work.
pub(super) fn wishes(layers: [(Config, &Path); 2], project: &str) -> Result<CheckWishes, Problem> {
    let configs = [&layers[0].0, &layers[1].0];
    let names: BTreeSet<String> = named(configs, project);
    let of = |service: &str| -> Result<Vec<Spec>, Problem> {
        let mut specs: Vec<Spec> = Vec::new();
        for (config, directory) in &layers {
            let mut own = BTreeSet::new();
            for check in config.clone().for_service(project, service).check {
                if !own.insert(check.name.clone()) {
                    return Err(invalid(service, &check.name, "another check of the service has this name"));
                }
                let spec = check.spec(directory).map_err(|why| invalid(service, &check.name, &why))?;
                if !specs.iter().any(|known| known.name == spec.name) {
                    specs.push(spec);
                }
            }
        }
        Ok(specs)
    };
    let mut wishes = CheckWishes { others: of("")?, ..CheckWishes::default() };
    for name in names {
        let specs = of(&name)?;
        wishes.by_service.insert(name, specs);
    }
    Ok(wishes)
}

fn invalid(service: &str, name: &str, why: &str) -> Problem {
    let whose = if service.is_empty() { "every service".to_owned() } else { service.to_owned() };
    Problem::new("config-invalid", format!("the check `{name}` of {whose} can't be used"))
        .because(why)
        .advise("`mainstay config-schema` prints what can stand there")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn wished(text: &str) -> Result<CheckWishes, Problem> {
        let directory = Path::new("/project");
        wishes([(parse(text).unwrap(), directory), (Config::default(), directory)], "shop")
    }

    fn app(text: &str) -> Vec<Spec> {
        wished(text).unwrap().by_service.remove("app").unwrap()
    }

    #[test]
    fn a_check_is_read_with_all_that_belongs_to_it() {
        let specs = app(
            "[[service.app.check]]\nname = \"login\"\nhttp = \"/login\"\nmethod = \"POST\"\nbody = \"x\"\n\
             headers = { Accept = \"*/*\" }\nstatus = [200, 302]\njson = { \"$.ok\" = true }\nca = \"ca.pem\"\n\
             [[service.app.check]]\nname = \"rows\"\ncommand = \"count\"\nfigure = true\nmin_ratio = 0.9\n\
             required = false\ntimeout = \"3s\"\n",
        );
        let Ask::Http(http) = &specs[0].ask else { panic!("no HTTP") };
        assert_eq!((http.method.as_str(), http.status.as_slice()), ("POST", [200, 302].as_slice()));
        assert_eq!(http.target.ca.as_deref(), Some(Path::new("/project/ca.pem")));
        assert_eq!((specs[0].required, specs[0].timeout_ms), (true, 5_000));
        assert_eq!(specs[1].figure.as_ref().unwrap().bounds.min_ratio, Some(0.9));
        assert_eq!((specs[1].required, specs[1].timeout_ms), (false, 3_000));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        for (keys, says) in [
            ("", "exactly one of the keys"),
            ("http = \"/\"\ncommand = \"x\"", "exactly one of the keys"),
            ("command = \"x\"\nstatus = 200", "`status` belongs to http, not to command"),
            ("question = \"ok?\"\nfigure = true", "`figure` belongs to"),
            ("command = \"x\"\nat_least = 1.0", "need `figure = true`"),
            ("command = \"x\"\nfigure = true\nequal = true\nat_least = 1.0", "no room"),
            ("command = \"\"", "empty"),
            ("http = \"app.test\"", "neither a path"),
            ("http = \"/\"\nmatches = \"(\"", "no regular expression"),
            ("http = \"/\"\njson_exists = [\"x\"]", "no JSONPath"),
            ("http = \"/\"\nbody_file = \"gone\"", "can't be read"),
        ] {
            let problem = wished(&format!("[[service.app.check]]\nname = \"x\"\n{keys}\n")).unwrap_err();
            assert_eq!(problem.code, "config-invalid");
            assert!(problem.to_string().contains(says), "{keys}: {problem}");
        }
        let twice = "[[service.app.check]]\nname = \"x\"\nhttp = \"/\"\n".repeat(2);
        assert!(wished(&twice).unwrap_err().to_string().contains("has this name"));
    }

    #[test]
    fn an_unknown_key_of_a_check_names_the_nearest_known_one() {
        let problem = parse("[[service.app.check]]\nname = \"x\"\nhtpp = \"/\"\n").unwrap_err();
        assert_eq!(problem.advice[0], "did you mean `http`?");
    }

    #[test]
    fn the_project_s_check_hides_the_host_s_of_the_same_name() {
        let of = |at: &str| parse(&format!("[[defaults.check]]\nname = \"up\"\nhttp = \"{at}\"\n")).unwrap();
        let directory = Path::new("/");
        let wishes = wishes([(of("/near"), directory), (of("/far"), directory)], "shop").unwrap();
        let shown: Vec<String> = wishes.others.iter().map(Spec::shown).collect();
        assert_eq!(shown, ["GET /near, inside"]);
    }
}
