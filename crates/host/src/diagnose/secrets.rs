//! Secrets that are not what they were: compared here, so that no value leaves this module; keys in a container's layer.

use std::path::Path;
use std::sync::LazyLock;

use mainstay_core::diagnosis::{Change, Variable};
use mainstay_core::redact;
use regex::Regex;
use serde_json::Value;

use crate::survey::{ContainerFacts, Env, Hidden, LayerFile, human};

/// Names of files that hold keys of a service's own.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:secret|private)[-_.]?(?:key|token)?[^/]*$|[-_.](?:key|pem|jks|p12|pfx|keystore)$|/(?:jwt|session|cookie|encryption|signing|master|app)[-_.]?(?:key|secret)[^/]*$")
        .expect("the pattern is a constant that the tests compile")
});
/// Where keys of nobody's own lie: libraries, certificates of the system, caches.
static NOT_OURS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"/(?:site-packages|dist-packages|node_modules|vendor|__pycache__|\.cache|ca-certificates|certs|apt|gnupg)/|^/usr/(?:lib|share|include)/|\.(?:pyc|py|js|html|md|txt\.gz)$")
        .expect("the pattern is a constant that the tests compile")
});

/// A container as a run saved it before it changed anything.
pub(super) struct Saved {
    inspect: Hidden<Value>,
}

/// What the run saved of the container of this name.
pub(super) fn saved(run: &Path, name: &str) -> Option<Saved> {
    let bytes = std::fs::read(run.join("configuration").join(format!("{name}.inspect.json"))).ok()?;
    serde_json::from_slice(&bytes).ok().map(|inspect| Saved { inspect: Hidden(inspect) })
}

fn env(inspect: &Value) -> Env {
    let lines = inspect["Config"]["Env"].as_array().cloned().unwrap_or_default();
    Env::from_lines(&lines.iter().filter_map(|line| line.as_str().map(str::to_owned)).collect::<Vec<_>>())
}

/// Variables that look like secrets and are not what they were, by name.
pub(super) fn changes(before: &Saved, now: &Env) -> Vec<Variable> {
    let before = env(&before.inspect.0);
    let secrets = before.0.keys().filter(|name| redact::is_secret_name(name));
    let changed = secrets.filter_map(|name| {
        let change = match (before.get(name)?, now.get(name)) {
            (_, None) => Change::Vanished,
            (old, Some(new)) if old != new => Change::Changed,
            _ => return None,
        };
        Some(Variable { name: name.clone(), change })
    });
    changed.collect()
}

/// As whom the old container ran, if that is another than now.
pub(super) fn other_user(before: &Saved, now: &ContainerFacts) -> Option<String> {
    let user = |inspect: &Value| inspect["Config"]["User"].as_str().unwrap_or_default().to_owned();
    let (old, new) = (user(&before.inspect.0), user(&now.inspect.0));
    let root = |name: &str| matches!(name, "" | "0" | "root" | "0:0");
    let same = old == new || (root(&old) && root(&new));
    (!same).then(|| if root(&old) { "root".to_owned() } else { format!("user {old}") })
}

/// Files of the container's own layer that look like keys, with their sizes.
pub(super) fn keys(layer: &[LayerFile]) -> Vec<String> {
    let own = layer.iter().filter(|file| KEY.is_match(&file.path) && !NOT_OURS.is_match(&file.path));
    own.map(|file| match file.bytes {
        Some(bytes) => format!("{} ({})", file.path, human(bytes)),
        None => file.path.clone(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(env: &[&str], user: &str) -> Value {
        serde_json::json!({"Config": {"Env": env, "User": user}})
    }

    #[test]
    fn secrets_are_compared_and_named_without_their_values() {
        let before = Saved {
            inspect: Hidden(of(&["SESSION_SECRET=hunter2", "DB_PASSWORD=a", "API_KEY=k", "PORT=1"], "")),
        };
        let lines = [
            "SESSION_SECRET=".to_owned(),
            "DB_PASSWORD=b".to_owned(),
            "API_KEY=k".to_owned(),
            "PORT=2".to_owned(),
        ];
        let found = changes(&before, &Env::from_lines(&lines));
        let named: Vec<(&str, Change)> = found.iter().map(|v| (v.name.as_str(), v.change)).collect();
        assert_eq!(named, [("DB_PASSWORD", Change::Changed), ("SESSION_SECRET", Change::Vanished)]);
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn another_user_is_told_and_root_by_any_name_is_root() {
        let now = |user: &str| ContainerFacts { inspect: Hidden(of(&[], user)), ..ContainerFacts::default() };
        let before = |user: &str| Saved { inspect: Hidden(of(&[], user)) };
        assert_eq!(other_user(&before(""), &now("1000")).as_deref(), Some("root"));
        assert_eq!(other_user(&before("app"), &now("")).as_deref(), Some("user app"));
        assert_eq!(other_user(&before(""), &now("0")), None);
    }

    #[test]
    fn keys_are_known_by_their_names() {
        let is = |path: &str| {
            !keys(&[LayerFile { path: path.into(), changed: false, bytes: Some(32) }]).is_empty()
        };
        for path in
            ["/app/backend/.webui_secret_key", "/srv/jwt.key", "/app/private.pem", "/opt/app/session-secret"]
        {
            assert!(is(path), "{path}");
        }
        for path in [
            "/usr/lib/python3/secrets.py",
            "/app/node_modules/x/private.key",
            "/app/data.db",
            "/var/log/monkey",
        ] {
            assert!(!is(path), "{path}");
        }
    }
}
