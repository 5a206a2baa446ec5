//! What the engine's answers about registries and images mean for the operator.
//!
//! The engine passes the registry's words on as text, mostly with status 500 whatever they were (seen with
//! 20.10: an unknown tag 404, a refusal 403 from `/distribution` and 500 from a pull, everything of the
//! network 500), so the words decide. A plain registry says `manifest unknown` for an unknown repository,
//! too.

use bollard::errors::Error;
use mainstay_core::problem::Problem;
use mainstay_core::redact;

use super::Reference;

/// What the words of an answer speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Full,
    Platform,
    RateLimit,
    Refused,
    UnknownTag,
    Certificate,
    NotTls,
    Unreachable,
    Malformed,
    Other,
}

/// Words in lower case, the telling ones first: a refusal may say "not found", too.
const WORDS: &[(&str, Meaning)] = &[
    ("no space left on device", Meaning::Full),
    ("disk quota exceeded", Meaning::Full),
    ("no matching manifest for", Meaning::Platform),
    ("does not match the specified platform", Meaning::Platform),
    ("toomanyrequests", Meaning::RateLimit),
    ("rate limit", Meaning::RateLimit),
    ("unauthorized", Meaning::Refused),
    ("authentication required", Meaning::Refused),
    ("no basic auth credentials", Meaning::Refused),
    ("access denied", Meaning::Refused),
    ("access to the resource is denied", Meaning::Refused),
    ("denied", Meaning::Refused),
    ("forbidden", Meaning::Refused),
    ("name unknown", Meaning::Refused),
    ("repository does not exist", Meaning::Refused),
    ("manifest unknown", Meaning::UnknownTag),
    ("x509", Meaning::Certificate),
    ("certificate", Meaning::Certificate),
    ("server gave http response to https client", Meaning::NotTls),
    ("dial tcp", Meaning::Unreachable),
    ("no such host", Meaning::Unreachable),
    ("connection refused", Meaning::Unreachable),
    ("connection reset", Meaning::Unreachable),
    ("timeout", Meaning::Unreachable),
    ("deadline exceeded", Meaning::Unreachable),
    ("unexpected http status", Meaning::Unreachable),
    ("network is unreachable", Meaning::Unreachable),
    ("no route to host", Meaning::Unreachable),
    ("eof", Meaning::Unreachable),
    ("invalid reference format", Meaning::Malformed),
    ("not found", Meaning::UnknownTag),
];

fn meaning(status: Option<u16>, words: &str) -> Meaning {
    let words = words.to_lowercase();
    if let Some((_, meaning)) = WORDS.iter().find(|(word, _)| words.contains(word)) {
        return *meaning;
    }
    match status {
        Some(401 | 403) => Meaning::Refused,
        Some(404) => Meaning::UnknownTag,
        Some(429) => Meaning::RateLimit,
        _ => Meaning::Other,
    }
}

/// The problem behind an error of asking for, or pulling, `reference`.
pub(super) fn of_registry(reference: &Reference, error: &Error) -> Problem {
    let (status, words) = match error {
        Error::DockerResponseServerError { status_code, message } => (Some(*status_code), message.as_str()),
        Error::DockerStreamError { error } => (None, error.as_str()),
        Error::RequestTimeoutError => return too_slow(reference),
        other => return of_engine(other),
    };
    problem(reference, meaning(status, words)).because(redact::line(words))
}

/// What an engine said of an archive that it can't load; a problem where it is no matter of the archive.
pub(super) fn of_archive(error: &Error) -> Result<String, Problem> {
    match error {
        Error::DockerStreamError { error: words }
        | Error::DockerResponseServerError { message: words, .. } => {
            if meaning(None, words) == Meaning::Full {
                Err(full().because(redact::line(words)))
            } else {
                Ok(redact::line(words))
            }
        }
        other => Err(of_engine(other)),
    }
}

/// The engine was at work on an image and told nothing for too long.
pub(super) fn too_long() -> Problem {
    of_engine(&Error::RequestTimeoutError)
}

/// The registry, or the engine on its way there, did not answer in time.
pub(super) fn too_slow(reference: &Reference) -> Problem {
    problem(reference, Meaning::Unreachable).because("no answer in time")
}

/// The engine itself failed, or refused.
pub(super) fn of_engine(error: &Error) -> Problem {
    match error {
        Error::DockerResponseServerError { message, .. } if meaning(None, message) == Meaning::Full => {
            full().because(redact::line(message))
        }
        Error::DockerResponseServerError { status_code, message } => {
            Problem::new("engine-refused", format!("the engine refused with status {status_code}"))
                .because(redact::line(message))
                .advise("look into the engine's log (`journalctl -u docker`)")
        }
        Error::RequestTimeoutError => Problem::new("engine-timeout", "the engine did not answer in time")
            .advise("see whether it is overloaded or hangs: `docker ps`, `journalctl -u docker -n 50`"),
        other => Problem::new("engine-unreachable", "the engine did not answer")
            .because_of(other)
            .advise("check that the engine runs and that this user may talk to it (`docker version`)"),
    }
}

fn full() -> Problem {
    Problem::new("disk-full", "the engine has no space left for the image")
        .advise("make room where the engine keeps its images (`docker system df`, `docker image prune`)")
}

fn problem(reference: &Reference, meaning: Meaning) -> Problem {
    let registry = reference.registry();
    let login = match registry {
        "docker.io" => "docker login".to_owned(),
        other => format!("docker login {other}"),
    };
    match meaning {
        Meaning::Full => full(),
        Meaning::Platform => {
            Problem::new("image-platform", format!("{reference} is not published for this host"))
                .advise("choose a tag that is built for this platform")
        }
        Meaning::RateLimit => {
            Problem::new("registry-refused", format!("{registry} refuses more downloads for now"))
                .advise(format!("log in (`{login}`), or try again later"))
        }
        Meaning::Refused => {
            Problem::new("registry-refused", format!("{registry} doesn't give {reference} to us"))
                .advise(format!("check the name of the repository {}", reference.canonical_name()))
                .advise(format!("if it is private, log in as the user who runs mainstay: `{login}`"))
        }
        Meaning::UnknownTag => Problem::new("unknown-tag", format!("{registry} has no {reference}"))
            .advise("check the tag and the name of the repository; nothing was changed"),
        Meaning::Certificate => unreachable(reference, "the engine doesn't trust its certificate")
            .advise(format!("put the CA into /etc/docker/certs.d/{registry}/ca.crt on the engine's host")),
        Meaning::NotTls => unreachable(reference, "it speaks plain HTTP")
            .advise(format!("add {registry} to `insecure-registries` of the engine, if that is meant")),
        Meaning::Unreachable => unreachable(reference, "it can't be reached from the engine")
            .advise("check network, DNS and proxy of the engine's host, then try again"),
        Meaning::Malformed => Problem::new("image-reference", format!("the engine can't read {reference}"))
            .advise("write it as [registry/]repository[:tag][@sha256:digest]"),
        Meaning::Other => {
            Problem::new("registry-failed", format!("{registry} gave no usable answer for {reference}"))
                .advise(format!("try `docker pull {reference}` to see more"))
        }
    }
}

fn unreachable(reference: &Reference, why: &str) -> Problem {
    Problem::new(
        "registry-unreachable",
        format!("no answer from the registry {}: {why}", reference.registry()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn code(status: u16, words: &str) -> String {
        let reference = Reference::parse("ghcr.io/a/b:1").unwrap();
        let error = Error::DockerResponseServerError { status_code: status, message: words.to_owned() };
        let problem = of_registry(&reference, &error);
        assert!(!problem.advice.is_empty(), "{problem:?}");
        problem.code
    }

    #[test]
    fn the_words_of_engines_are_understood() {
        for (status, words, expected) in [
            (404, "manifest unknown: manifest unknown", "unknown-tag"),
            (404, "manifest for r/x:1 not found: manifest unknown: manifest unknown", "unknown-tag"),
            (
                404,
                "pull access denied for x, repository does not exist or may require 'docker login'",
                "registry-refused",
            ),
            (500, "Head \"http://r/v2/a/manifests/1\": no basic auth credentials", "registry-refused"),
            (401, "errors: unauthorized: authentication required", "registry-refused"),
            (403, "", "registry-refused"),
            (404, "name unknown", "registry-refused"),
            (500, "toomanyrequests: You have reached your pull rate limit.", "registry-refused"),
            (
                500,
                "Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
                "registry-unreachable",
            ),
            (
                500,
                "Get \"https://x/v2/\": dial tcp: lookup x on 10.0.0.1:53: no such host",
                "registry-unreachable",
            ),
            (
                500,
                "Get \"https://x/v2/\": x509: certificate signed by unknown authority",
                "registry-unreachable",
            ),
            (
                500,
                "Get \"https://x/v2/\": http: server gave HTTP response to HTTPS client",
                "registry-unreachable",
            ),
            (500, "received unexpected HTTP status: 503 Service Unavailable", "registry-unreachable"),
            (500, "write /var/lib/docker/tmp/x: no space left on device", "disk-full"),
            (404, "no matching manifest for linux/arm64 in the manifest list entries", "image-platform"),
            (400, "invalid reference format", "image-reference"),
            (500, "something new", "registry-failed"),
        ] {
            assert_eq!(code(status, words), expected, "{words}");
        }
    }

    #[test]
    fn causes_hold_no_secret() {
        let reference = Reference::parse("r.example/x").unwrap();
        let error = Error::DockerStreamError { error: "Get https://u:hunter2@r.example/v2/: EOF".to_owned() };
        let problem = of_registry(&reference, &error);
        assert_eq!(problem.code, "registry-unreachable");
        assert!(!format!("{problem:?}").contains("hunter2"));
    }
}
