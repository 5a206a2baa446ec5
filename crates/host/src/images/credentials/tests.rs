use std::path::Path;

use super::*;

/// Written by another process: a file that this one holds open for writing could not be run by its other threads.
fn script(path: &Path, text: &str) {
    let status = std::process::Command::new("sh")
        .args(["-c", "printf '#!/bin/sh\n%s\n' \"$1\" >\"$0\" && chmod +x \"$0\""])
        .args([path.as_os_str(), text.as_ref()])
        .status();
    assert!(status.unwrap().success());
}

async fn lookup(config: &str, registry: &str) -> Lookup {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("config.json"), config).unwrap();
    DockerConfig::at(place.path()).lookup(registry).await
}

async fn found(config: &str, registry: &str) -> DockerCredentials {
    lookup(config, registry).await.credentials.expect(registry).0
}

#[tokio::test]
async fn logins_are_found_under_the_names_that_docker_uses() {
    let auth = STANDARD.encode("bob:hunter2:x");
    let config = format!(
        r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}},"r.example:5000":{{"auth":"{auth}"}},
            "https://ghcr.io/v2/":{{"auth":"{auth}"}},"empty.example":{{}}}},"other":1}}"#
    );
    for registry in ["docker.io", "r.example:5000", "ghcr.io"] {
        let found = found(&config, registry).await;
        assert_eq!(found.username.as_deref(), Some("bob"));
        assert_eq!(found.password.as_deref(), Some("hunter2:x"));
    }
    assert_eq!(found(&config, "docker.io").await.serveraddress.as_deref(), Some(DOCKER_HUB_KEY));
    for registry in ["empty.example", "unknown.example", "r.example"] {
        assert_eq!(lookup(&config, registry).await, Lookup::default(), "{registry}");
    }
}

#[tokio::test]
async fn identity_tokens_stand_beside_a_name() {
    let auth = STANDARD.encode("bob:");
    let config = format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}","identitytoken":"t0ken"}}}}}}"#);
    let found = found(&config, "r.example").await;
    assert_eq!((found.password, found.identitytoken.as_deref()), (None, Some("t0ken")));
}

#[tokio::test]
async fn trouble_is_told_and_is_no_failure() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(DockerConfig::at(place.path()).lookup("x").await, Lookup::default());
    let invalid = lookup("{ hunter2", "x").await;
    assert!(invalid.trouble.as_ref().is_some_and(|t| !t.contains("hunter2")), "{invalid:?}");
    let broken = lookup(r#"{"auths":{"x.example":{"auth":"%%"}}}"#, "x.example").await;
    assert!(broken.credentials.is_none() && broken.trouble.is_some());
    let absent = lookup(r#"{"credsStore":"there-is-none"}"#, "x.example").await;
    assert!(absent.trouble.as_deref().is_some_and(|t| t.contains("docker-credential-there-is-none")));
    let refused = absent.explain(Problem::new("registry-refused", "no"));
    assert_eq!(refused.causes.len(), 1, "a refusal says that there was a helper");
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let auth = STANDARD.encode("bob:hunter2");
    let config = format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}","identitytoken":"hunter3"}}}}}}"#);
    let shown = format!("{:?}", lookup(&config, "r.example").await);
    assert!(shown.contains("bob") && !shown.contains("hunter") && !shown.contains(&auth), "{shown}");
}

#[test]
fn what_the_engine_would_drop_is_refused() {
    let with = |password: &str| Lookup {
        credentials: Some(Credentials(DockerCredentials {
            username: Some("bob".to_owned()),
            password: Some(password.to_owned()),
            ..DockerCredentials::default()
        })),
        trouble: None,
    };
    assert!(with("hunter2").for_engine().is_ok_and(|found| found.is_some()));
    let problem = with("a???b").for_engine().expect_err("its base64 has a slash");
    assert_eq!(problem.code, "registry-credentials");
    assert!(!format!("{problem:?}").contains("a???b"));
}

#[tokio::test]
async fn helpers_are_asked_by_their_protocol() {
    // Helpers are found by PATH, which a test must not change: so they are run by their path here.
    let place = tempfile::tempdir().unwrap();
    let helper = place.path().join("docker-credential-x");
    script(&helper, r#"read key; echo "{\"Username\":\"u-$key\",\"Secret\":\"s\"}""#);
    let found = run_helper(helper.as_os_str(), "r.example").await.unwrap().unwrap();
    assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("u-r.example"), Some("s")));
    script(&helper, r#"cat >/dev/null; echo '{"Username":"<token>","Secret":"t"}'"#);
    let token = run_helper(helper.as_os_str(), "r").await.unwrap().unwrap();
    assert_eq!((token.username, token.identitytoken.as_deref()), (None, Some("t")));
    script(&helper, "echo 'credentials not found in native keychain'; exit 1");
    assert_eq!(run_helper(helper.as_os_str(), "r").await, Ok(None));
    script(&helper, "echo 'the keyring is locked'; exit 1");
    assert!(run_helper(helper.as_os_str(), "r").await.is_err_and(|t| t.contains("keyring is locked")));
}
