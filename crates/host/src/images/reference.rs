//! Image references: `[registry/]repository[:tag][@digest]`, read as the engine reads them.
//!
//! Invariant: the same image has one [`Reference::canonical_name`], however it was written. What it does not
//! do: ask anybody whether the image exists.

use std::fmt;
use std::str::FromStr;

use mainstay_core::problem::Problem;

/// The registry that names without one belong to.
const DOCKER_HUB: &str = "docker.io";
/// The engine's limit for registry and repository together.
const LONGEST_NAME: usize = 255;

/// A parsed image reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads a reference as a Compose file holds it. Problem code `image-reference`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        parse(text).map_err(|why| {
            Problem::new("image-reference", format!("{text:?} is not an image reference"))
                .because(why)
                .advise("write it as [registry/]repository[:tag][@sha256:digest]")
        })
    }

    /// Host and port of the registry; `docker.io` where none is written.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry, with `library/` for official images.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag as written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest as written, `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The tag that counts: `latest` where neither tag nor digest is written, `None` where only a digest is.
    #[must_use]
    pub fn effective_tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// Registry and repository, always both.
    #[must_use]
    pub fn canonical_name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Registry and repository as the engine lists them: `nginx`, `grafana/loki`, `ghcr.io/x/y`.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.registry != DOCKER_HUB {
            return self.canonical_name();
        }
        let short = self.repository.strip_prefix("library/").filter(|rest| !rest.contains('/'));
        short.unwrap_or(&self.repository).to_owned()
    }

    /// The same repository with another tag, and no digest.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// `name@digest`, without the tag.
    #[must_use]
    pub fn at_digest(&self, digest: &str) -> String {
        format!("{}@{digest}", self.familiar_name())
    }

    /// `name:tag` as the engine lists it in `RepoTags`.
    #[must_use]
    pub fn tagged(&self) -> Option<String> {
        self.effective_tag().map(|tag| format!("{}:{tag}", self.familiar_name()))
    }
}

impl fmt::Display for Reference {
    /// As the engine takes it; a missing tag is written out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar_name())?;
        if let Some(tag) = self.effective_tag() {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::parse(text)
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
        Some(_) => return Err("the digest is not sha256: and 64 hexadecimal digits"),
        None => (text, None),
    };
    if is_hex(rest.strip_prefix("sha256:").unwrap_or(rest), 64) {
        return Err("it is the id of an image, not a name");
    }
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("the tag may have letters, digits, '_', '.' and '-' only, at most 128 of them");
    }
    let (registry, repository) = split_registry(name);
    if !is_registry(registry) {
        return Err("the registry is not a host with an optional port");
    }
    if repository.is_empty() || !repository.split('/').all(is_component) {
        return Err(
            "the repository may have lower-case letters and digits only, separated by '/', '.', '_' or '-'",
        );
    }
    if registry.len() + repository.len() >= LONGEST_NAME {
        return Err("the name is too long");
    }
    let (registry, repository) = normalise(registry, repository);
    Ok(Reference { registry, repository, tag: tag.map(str::to_owned), digest })
}

/// The first part is a registry if it looks like a host, else the name is one of Docker Hub's.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, name),
    }
}

fn normalise(registry: &str, repository: &str) -> (String, String) {
    match registry {
        DOCKER_HUB | "index.docker.io" if !repository.contains('/') => {
            (DOCKER_HUB.to_owned(), format!("library/{repository}"))
        }
        DOCKER_HUB | "index.docker.io" => (DOCKER_HUB.to_owned(), repository.to_owned()),
        _ => (registry.to_owned(), repository.to_owned()),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()))
        && match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.split('.').all(label),
        }
}

/// Runs of `[a-z0-9]` with `.`, `_`, `__` or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |s: &str| matches!(s, "" | "." | "_" | "__") || s.chars().all(|c| c == '-');
    text.starts_with(plain) && text.ends_with(plain) && text.split(plain).all(separator)
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(word) && text.len() <= 128 && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64))
        || text.strip_prefix("sha512:").is_some_and(|hex| is_hex(hex, 128))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[track_caller]
    fn reads(text: &str, canonical: &str, tag: Option<&str>, shown: &str) {
        let reference = Reference::parse(text).unwrap();
        assert_eq!(reference.canonical_name(), canonical);
        assert_eq!(reference.tag(), tag);
        assert_eq!(reference.to_string(), shown);
        let again = Reference::parse(&reference.to_string()).unwrap();
        assert_eq!((again.canonical_name(), again.to_string()), (canonical.to_owned(), shown.to_owned()));
    }

    #[test]
    fn names_are_normalised_as_the_engine_does() {
        reads("nginx", "docker.io/library/nginx", None, "nginx:latest");
        reads("nginx:1.27-alpine", "docker.io/library/nginx", Some("1.27-alpine"), "nginx:1.27-alpine");
        reads("library/nginx:1", "docker.io/library/nginx", Some("1"), "nginx:1");
        reads("docker.io/nginx:1", "docker.io/library/nginx", Some("1"), "nginx:1");
        reads("index.docker.io/library/nginx:1", "docker.io/library/nginx", Some("1"), "nginx:1");
        reads("grafana/loki:3", "docker.io/grafana/loki", Some("3"), "grafana/loki:3");
        reads(
            "ghcr.io/open-webui/open-webui:v0.6.35",
            "ghcr.io/open-webui/open-webui",
            Some("v0.6.35"),
            "ghcr.io/open-webui/open-webui:v0.6.35",
        );
        reads("localhost/x", "localhost/x", None, "localhost/x:latest");
        reads(
            "127.0.0.1:5000/lab/fixture:1.0.0",
            "127.0.0.1:5000/lab/fixture",
            Some("1.0.0"),
            "127.0.0.1:5000/lab/fixture:1.0.0",
        );
        reads("reg:5000/a/b/c", "reg:5000/a/b/c", None, "reg:5000/a/b/c:latest");
        reads("[::1]:5000/x:1", "[::1]:5000/x", Some("1"), "[::1]:5000/x:1");
        reads("Registry/x:1", "Registry/x", Some("1"), "Registry/x:1");
        reads("a__b/c-d--e.f:_x", "docker.io/a__b/c-d--e.f", Some("_x"), "a__b/c-d--e.f:_x");
        reads("docker.io/library/a/b", "docker.io/library/a/b", None, "library/a/b:latest");
    }

    #[test]
    fn digests_stand_alone_or_beside_a_tag() {
        let alone = Reference::parse(&format!("nginx@{DIGEST}")).unwrap();
        assert_eq!((alone.tag(), alone.effective_tag(), alone.digest()), (None, None, Some(DIGEST)));
        assert_eq!(alone.to_string(), format!("nginx@{DIGEST}"));
        let both = Reference::parse(&format!("r.example:5/x:1@{DIGEST}")).unwrap();
        assert_eq!((both.tag(), both.digest()), (Some("1"), Some(DIGEST)));
        assert_eq!(both.to_string(), format!("r.example:5/x:1@{DIGEST}"));
        assert_eq!(both.at_digest(DIGEST), format!("r.example:5/x@{DIGEST}"));
        assert_eq!(both.with_tag("2").to_string(), "r.example:5/x:2");
        assert_eq!(both.tagged().unwrap(), "r.example:5/x:1");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long = format!("x/{}", "a".repeat(260));
        let id = DIGEST.trim_start_matches("sha256:");
        for text in [
            "",
            ":",
            "/",
            "x/",
            "/x",
            "nginx:",
            "nginx:a b",
            "NGINX",
            "a//b",
            "a/-b",
            "a_/b",
            "a..b",
            "x@sha256:12",
            "x:1@",
            "reg.io:port/x",
            "-reg.io/x",
            "[::zz]:5000/x",
            "a___b",
            " nginx",
            "nginx\n",
            &long,
            id,
            DIGEST,
            "${IMAGE}:1",
        ] {
            let problem = Reference::parse(text).expect_err(text);
            assert_eq!(problem.code, "image-reference", "{text}");
        }
    }
}
