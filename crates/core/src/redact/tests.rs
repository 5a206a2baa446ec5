use super::*;

#[test]
fn names_are_judged_by_their_words() {
    for name in [
        "API_KEY",
        "apiKey",
        "X-Api-Key",
        "POSTGRES_PASSWORD",
        "PGPASSWORD",
        "clientSecret",
        "SECRET",
        "DB_PASS",
        "DB_PWD",
        "oauth",
        "authToken",
        "auth",
        "ACCESS_TOKEN",
        "credentials",
        "aws.credential",
        "private_key",
        "APIKEY",
        "KEY2",
        "Authorization",
        "SENTRY_DSN",
        "MASTERKEY",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "monkey",
        "author",
        "AUTHOR_NAME",
        "keyboard",
        "KEYBOARD_LAYOUT",
        "authority",
        "tokenizer",
        "PWD",
        "OLDPWD",
        "compass",
        "passenger",
        "PASSWORD_FILE",
        "POSTGRES_HOST_AUTH_METHOD",
        "TOKEN_TTL",
        "valkey",
        "PATH",
        "",
        "privateer",
        "keycloak",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[track_caller]
fn shows(text: &str, expected: &str) {
    let once = line(text);
    assert_eq!(once, expected);
    assert_eq!(line(&once), once, "twice is as good as once");
}

#[test]
fn assignments_lose_their_values() {
    shows("DB_PASSWORD=hunter2", "DB_PASSWORD=[hidden]");
    shows("DB_PASSWORD=two words # x", "DB_PASSWORD=[hidden]");
    shows("+      DB_PASSWORD: two words", "+      DB_PASSWORD: [hidden]");
    shows("      - API_KEY=abc def", "      - API_KEY=[hidden]");
    shows("host=db password=abc user=x", "host=db password=[hidden] user=x");
    shows(r#"{"password":"a\"b","user":"x"}"#, r#"{"password":"[hidden]","user":"x"}"#);
    shows(r#"msg="{\"token\":\"abc\",\"n\":1}""#, r#"msg="{\"token\":\"[hidden]\",\"n\":1}""#);
    shows("token='a b' next", "token='[hidden]' next");
    shows("password=\"never closed", "password=\"[hidden]");
    shows("level=warn api_key = abc done", "level=warn api_key = [hidden] done");
    shows("mysqld --password hunter2 --port 3", "mysqld --password [hidden] --port 3");
    shows("mysqld --password=hunter2 --port 3", "mysqld --password=[hidden] --port 3");
    shows("GET /x?token=abc&y=1 200", "GET /x?token=[hidden] 200");
    shows("PASSWORD=a\r\nUSER=b\r\n", "PASSWORD=[hidden]\r\nUSER=b\r\n");
}

#[test]
fn what_gives_nothing_away_stays() {
    for text in [
        "DB_PASSWORD=",
        "AUTH=false",
        "POSTGRES_PASSWORD: ${DB_PASSWORD}",
        "POSTGRES_PASSWORD: ${DB_PASSWORD:?must be set}",
        "POSTGRES_PASSWORD_FILE=/run/secrets/db",
        "max_tokens: 512",
        "author: Jane Doe",
        "FATAL: password authentication failed for user \"x\"",
        "basic authentication is off, use bearer authorization",
        "image 127.0.0.1:5000/lab/x@sha256:0123456789abcdef",
        "GET http://127.0.0.1:5000/v2/x@y",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "2026-01-01T00:00:00Z listening on :8080",
        "",
    ] {
        shows(text, text);
    }
    assert_eq!(line("PASSWORD: ${X:-fallback}"), "PASSWORD: [hidden]");
}

#[test]
fn shapes_are_known_without_a_name() {
    shows("postgres://u:p@ss@db:5432/x", "postgres://u:[hidden]@db:5432/x");
    shows("redis://:pw@cache/0", "redis://:[hidden]@cache/0");
    shows("https://ghp_0123456789abcdefghij@github.com/x", "https://[hidden]@github.com/x");
    shows("Authorization: Bearer abc.def123", "Authorization: [hidden]");
    shows("sent Basic dXNlcjpwYXNz ok", "sent Basic [hidden] ok");
    shows("id AKIAIOSFODNN7EXAMPLE used", "id [hidden] used");
    shows("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl end", "jwt [hidden] end");
    shows("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[hidden]\nrest");
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    shows(&format!("  {body}"), "  [hidden]");
}

#[test]
fn values_are_shown_by_name() {
    assert_eq!(value_for_display("API_KEY", "abc"), HIDDEN);
    assert_eq!(value_for_display("API_KEY", ""), "");
    assert_eq!(value_for_display("PORT", "8080"), "8080");
    assert_eq!(value_for_display("DATABASE_URL", "pg://u:p@h/d"), "pg://u:[hidden]@h/d");
}

#[test]
fn twice_is_as_good_as_once_whatever_the_text() {
    let pieces = [
        "PASSWORD",
        "=",
        ":",
        " ",
        "\"",
        "\\\"",
        "'",
        "token",
        "hunter2",
        ",",
        "{",
        "}",
        "\n",
        "--",
        "://",
        "@",
        "${",
        "?",
        "Bearer ",
        "[",
        "]",
        "\\",
        "é",
        "key",
        "1",
        "/",
        "-----BEGIN X-----",
    ];
    let mut seed = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[usize::try_from(seed >> 33).unwrap() % pieces.len()]);
        }
        let once = line(&text);
        assert_eq!(line(&once), once, "from {text:?}");
    }
}
