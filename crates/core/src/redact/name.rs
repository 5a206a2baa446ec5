//! Which names say that their value is secret. Looks at the words of a name, so that `API_KEY` and `apiKey`
//! are secret and `monkey`, `author` and `keyboard` are not.

/// Words that tell wherever they stand inside a word: `PGPASSWORD`, `clientsecret`.
const ANYWHERE: &[&str] = &["password", "passwd", "passphrase", "secret", "credential"];
/// Words that tell by themselves.
const WORDS: &[&str] = &[
    "key",
    "keys",
    "pass",
    "creds",
    "token",
    "tokens",
    "private",
    "auth",
    "authorization",
    "cookie",
    "dsn",
    "pat",
];
/// Words that tell at the end of a word: `apikey`, `authtoken`, `oauth`.
const ENDINGS: &[&str] = &["key", "keys", "token", "tokens", "auth"];
/// Words that end like the above and tell nothing.
const INNOCENT: &[&str] = &[
    "monkey", "donkey", "turkey", "hockey", "jockey", "lackey", "whiskey", "mickey", "valkey", "hotkey",
    "hotkeys", "monkeys",
];
/// Last words that make a name one about a secret, not the secret: `PASSWORD_FILE`, `AUTH_METHOD`.
const ABOUT: &[&str] = &[
    "file",
    "path",
    "dir",
    "length",
    "expiry",
    "expires",
    "expiration",
    "ttl",
    "timeout",
    "lifetime",
    "enabled",
    "disabled",
    "required",
    "min",
    "max",
    "count",
    "type",
    "algorithm",
    "policy",
    "method",
    "mode",
    "size",
    "rotation",
    "interval",
];

/// Whether a variable, setting or header of this name should be expected to hold a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    if words.last().is_some_and(|last| ABOUT.contains(&last.as_str())) {
        return false;
    }
    // `PWD` alone is the working directory.
    words.iter().any(|w| tells(w)) || (words.len() > 1 && words.iter().any(|w| w == "pwd"))
}

fn tells(word: &str) -> bool {
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    ANYWHERE.iter().any(|part| stem.contains(part))
        || WORDS.contains(&stem)
        || (ENDINGS.iter().any(|end| stem.ends_with(end)) && !INNOCENT.contains(&stem))
        || ["userpass", "dbpass", "rootpass", "adminpass"].contains(&stem)
}

/// The lower-case words of `snake_case`, `kebab-case`, `dotted.names` and `camelCase`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        let separator = !c.is_ascii_alphanumeric();
        if separator || (after_lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if let (false, Some(word)) = (separator, words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        after_lower = c.is_ascii_lowercase();
    }
    words.retain(|w| !w.is_empty());
    words
}
