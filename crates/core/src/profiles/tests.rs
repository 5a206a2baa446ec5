use std::collections::BTreeSet;

use super::*;
use crate::finding::Severity;
use crate::image::Env;

mod document;

fn profile(name: &str) -> &'static Profile {
    named(name).unwrap_or_else(|| panic!("no profile {name}"))
}

fn image(env: &[&str], labels: &[(&str, &str)]) -> ImageConfig {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ImageConfig { env: Env::from_lines(env), labels, ..ImageConfig::default() }
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

/// Why `from` can't become `to`: profile and version, separated by a space; a profile alone has no version.
fn jump(from: &str, to: &str) -> Option<Refusal> {
    let read = |text: &str| {
        let (name, version) = text.split_once(' ').unwrap_or((text, "latest"));
        (profile(name), Version::parse(version))
    };
    let ((from, old), (to, new)) = (read(from), read(to));
    refused(Jump { profile: from, version: old.as_ref() }, Jump { profile: to, version: new.as_ref() })
}

#[test]
fn images_are_recognised_by_what_they_say() {
    let of = |image: &ImageConfig, command: &str| {
        recognise(image, &words(command)).map(|found| (found.profile.name, found.by))
    };
    let is = |name, by: &str| Some((name, by.to_owned()));
    let none = image(&[], &[]);
    assert_eq!(of(&image(&["PG_VERSION=17.2"], &[]), "sh -c x"), is("postgres", "PG_VERSION"));
    assert_eq!(of(&none, "docker-entrypoint.sh /usr/sbin/mysqld"), is("mysql", "the program mysqld"));
    assert_eq!(of(&image(&["MARIADB_VERSION=1:11.4"], &[]), "mysqld"), is("mariadb", "MARIADB_VERSION"));
    let title = image(&[], &[("org.label-schema.name", "Elasticsearch")]);
    assert_eq!(of(&title, "eswrapper"), is("elasticsearch", "the title Elasticsearch"));
    assert_eq!(
        recognise(&none, &["sh".into(), "-c".into(), "exec redis-server /etc/x".into()])
            .unwrap()
            .profile
            .name,
        "redis"
    );
    assert_eq!(of(&none, "/app/server --redis redis:6379"), None);
    assert_eq!(of(&none, "backup -U postgres app"), None, "the value of an option is no program");
}

#[test]
fn a_version_is_what_the_image_says_and_not_its_base() {
    let told = |name: &str, image: &ImageConfig| profile(name).signs.version(image).map(|v| v.to_string());
    let both = image(&["PG_MAJOR=17", "PG_VERSION=17.2-1.pgdg120+1"], &[]);
    assert_eq!(told("postgres", &both).as_deref(), Some("17.2"), "the most exact one");
    let base =
        [("org.opencontainers.image.version", "22.04"), ("org.opencontainers.image.ref.name", "ubuntu")];
    assert_eq!(told("mysql", &image(&[], &base)), None, "the version of the system that it is built on");
    let own =
        [("org.opencontainers.image.version", "8.17.0"), ("org.opencontainers.image.title", "Elasticsearch")];
    assert_eq!(told("elasticsearch", &image(&[], &own)).as_deref(), Some("8.17.0"));
}

#[test]
fn jumps_that_cannot_work_are_refused() {
    for (from, to, says) in [
        ("postgres 15.18", "postgres 17.12", "another format"),
        ("postgres 15", "postgres 17", "another format"),
        ("postgres 17.2", "postgres 15.18", "no way down"),
        ("postgres 9.6", "postgres 10.1", "another format"),
        ("mysql 5.7.44", "mysql 8.4.3", "it takes that of 8.0 and later"),
        ("mysql 8.0.36", "mysql 9.1.0", "it takes that of 8.4 and later"),
        ("mysql 5.6.51", "mysql 8.0.36", "it takes that of 5.7 and later"),
        ("mysql 8.4.3", "mysql 8.0.36", "no way down"),
        ("mariadb 11.4.2", "mariadb 10.11.6", "no way down"),
        ("mongodb 5.0.31", "mongodb 7.0.5", "it takes that of 6.0 and later"),
        ("mongodb 6", "mongodb 8.0", "it takes that of 7.0 and later"),
        ("mongodb 7.0.5", "mongodb 6.0.1", "no way down"),
        ("elasticsearch 7.10.2", "elasticsearch 8.17.0", "it takes that of 7.17 and later"),
        ("elasticsearch 8.17.1", "elasticsearch 8.17.0", "no way down"),
        ("rabbitmq 3.11.28", "rabbitmq 4.0.5", "it takes that of 3.13 and later"),
        ("rabbitmq 4.0.5", "rabbitmq 3.13.7", "no way down"),
        ("redis 8.0.1", "redis 7.4.2", "no way down"),
        ("redis 8.0.1", "valkey 8.0.1", "it reads that of versions below"),
        ("mysql 8.4.3", "mariadb 11.4.2", "it reads that of versions below"),
        ("mariadb 11.4.2", "mysql 8.4.3", "it is another program"),
        ("postgres 17", "redis 8", "it is another program"),
    ] {
        let refusal = jump(from, to).unwrap_or_else(|| panic!("{from} to {to} is not refused"));
        assert!(refusal.what.contains(says), "{from} to {to}: {}", refusal.what);
        assert!(!refusal.way.is_empty(), "{from} to {to}: no way is named");
    }
    assert!(jump("mysql 5.7.44", "mysql 8.4").unwrap().way.contains("8.0"));
}

#[test]
fn what_works_or_is_not_known_is_not_refused() {
    for (from, to) in [
        ("postgres 15.18", "postgres 15.20"),
        ("postgres 15.20", "postgres 15.18"),
        ("postgres 17", "postgres 17.2"),
        ("postgres 17.2", "postgres 17"),
        ("postgres 15.18", "postgres"),
        ("postgres", "postgres 17"),
        ("mysql 5.7.44", "mysql 8.0.36"),
        ("mysql 5.7.44", "mysql 8"),
        ("mysql 8.0.36", "mysql 8.4.3"),
        ("mysql 8.4.3", "mysql 9.1.0"),
        ("mariadb 10.6.2", "mariadb 11.4.2"),
        ("mariadb 10.11.6", "mariadb 10.11.5"),
        ("mongodb 6.0.1", "mongodb 7.0.5"),
        ("elasticsearch 7.17.20", "elasticsearch 8.17.0"),
        ("rabbitmq 3.13.7", "rabbitmq 4.0.5"),
        ("redis 6.2.1", "redis 8.0.1"),
        ("redis 7.2.4", "valkey 8.0.1"),
        ("redis 7", "valkey 8"),
        ("redis", "valkey 8"),
        ("nginx 1.27", "nginx 1.22"),
        ("nginx 1.27", "caddy 2.8"),
        ("postgres 17", "nginx 1.27"),
    ] {
        assert_eq!(jump(from, to), None, "{from} to {to}");
    }
}

/// Every gate of every table lets through from its `from` on and nothing below, and a way down is refused as the table says.
#[test]
fn every_gate_and_every_way_down_holds() {
    for profile in all() {
        let parse = |text: &str| Version::parse(text).unwrap_or_else(|| panic!("{}: {text}", profile.name));
        let refused = |old: &Version, new: &Version| {
            refused(Jump { profile, version: Some(old) }, Jump { profile, version: Some(new) }).is_some()
        };
        for gate in profile.data.gates {
            let (to, from) = (parse(gate.to), parse(gate.from));
            let below = parse(&lower(gate.from));
            assert!(refused(&below, &to), "{}: {below} to {to}", profile.name);
            let stays = from.differs_at(&to).is_none_or(|at| at >= profile.data.fixed);
            assert!(!stays || !refused(&from, &to), "{}: {from} to {to}", profile.name);
        }
        let gates: Vec<Version> = profile.data.gates.iter().map(|gate| parse(gate.to)).collect();
        assert!(gates.is_sorted_by(|a, b| a.below(b)), "{}: gates are in ascending order", profile.name);
        let at = |numbers: [u64; 4]| parse(&numbers.map(|n| n.to_string()).join("."));
        for (place, lower) in [[98, 99, 99, 99], [99, 98, 99, 99], [99, 99, 98, 99]].into_iter().enumerate() {
            let down = refused(&at([99; 4]), &at(lower));
            assert_eq!(down, place < profile.data.back, "{}: down at place {place}", profile.name);
        }
    }
}

/// A version that is surely below: `7.17` gives `7.16.9`, `8.0` gives `7.9`.
fn lower(text: &str) -> String {
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap()).collect();
    while parts.last() == Some(&0) {
        parts.pop();
    }
    *parts.last_mut().unwrap() -= 1;
    format!("{}.9", parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
}

fn known<'a>(repository: &'a str, tag: &'a str, config: Option<&'a ImageConfig>) -> Known<'a> {
    Known { repository, tag: Some(tag), config }
}

#[test]
fn a_tag_is_believed_where_the_old_one_told_the_truth() {
    let old = image(&["PG_VERSION=15.18"], &[]);
    let postgres = profile("postgres");
    let to = |from: &str, tag: &str| {
        exchange(postgres, false, known("my/store", from, Some(&old)), known("my/store", tag, None))
    };
    let refusal = to("15.18", "17").unwrap();
    assert_eq!(refusal.evidence, ["runs: 15.18, by PG_VERSION", "shall run: 17, by the tag 17"]);
    assert!(to("15-alpine", "17-alpine").is_some());
    assert_eq!(to("15.18", "latest"), None);
    assert_eq!(to("0.8.0-pg15", "0.9.0-pg17"), None, "it is the version of something else");
    assert_eq!(to("latest", "17"), None, "nobody knows how this repository counts");
    let official = |tag| known("library/postgres", tag, None);
    let from = Known { config: Some(&old), ..official("latest") };
    assert!(
        exchange(postgres, false, from, official("17")).is_some(),
        "its own repository counts as it does"
    );
}

#[test]
fn a_new_image_tells_what_its_tag_does_not() {
    let (old, new) = (image(&["PG_VERSION=15.18"], &[]), image(&["PG_VERSION=17.12"], &[]));
    let from = known("my/store", "odd", Some(&old));
    let refusal = exchange(profile("postgres"), false, from, known("my/store", "even", Some(&new))).unwrap();
    assert!(
        refusal.what.starts_with("PostgreSQL 17.12 can't work on data of PostgreSQL 15.18"),
        "{refusal:?}"
    );
    let finding = refusal.finding("db");
    assert_eq!((finding.check.as_str(), finding.severity), ("profile-jump", Severity::Required));
    assert!(finding.message.starts_with("db: PostgreSQL") && finding.advice.unwrap().contains("pg_dumpall"));
}

#[test]
fn another_program_is_noticed_by_its_image_and_before_that_by_its_repository() {
    let redis = profile("redis");
    let old = image(&["REDIS_VERSION=8.0.1"], &[]);
    let from = known("library/redis", "8.0.1", Some(&old));
    let refusal = exchange(redis, false, from, known("valkey/valkey", "8.0", None)).unwrap();
    assert!(refusal.what.starts_with("Valkey 8.0 can't work on data of Redis 8.0.1"), "{refusal:?}");
    let valkey = image(&["VALKEY_VERSION=8.0.1"], &[]);
    let to = known("library/redis", "8.0.1", Some(&valkey));
    assert!(exchange(redis, false, from, to).is_some(), "whatever it is called");
    assert_eq!(exchange(redis, true, from, to), None, "the operator knows what it is");
    let former = image(&["REDIS_VERSION=7.2.4"], &[]);
    assert_eq!(exchange(redis, false, known("library/redis", "7.2.4", Some(&former)), to), None);
}

#[test]
fn names_are_unique_and_plain() {
    let mut seen = BTreeSet::new();
    for profile in all() {
        let plain = profile.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(seen.insert(profile.name) && plain, "{}", profile.name);
        for ask in profile.figures.iter().map(|figure| &figure.ask).chain([&profile.ready]) {
            assert!(seen.insert(ask.name) && ask.name.starts_with(profile.name), "{}", ask.name);
            assert!(!ask.command.contains("TODO"), "{}", ask.name);
        }
        assert!(profile.data.takes.iter().all(|(other, _)| named(other).is_some()), "{}", profile.name);
        assert_eq!(profile.data.way.is_empty(), !profile.data.is_particular(), "{}", profile.name);
    }
}

#[test]
fn an_image_that_converts_old_data_is_refused_no_jump() {
    let old = image(&["PG_VERSION=16.4"], &[]);
    let new = image(&["PG_VERSION=17.2", "PGTARGET=17"], &[]);
    let jumps = |repository: &str, config: Option<&ImageConfig>| {
        let from = Known { repository, tag: Some("16-alpine"), config: Some(&old) };
        exchange(profile("postgres"), false, from, Known { repository, tag: Some("17-alpine"), config })
            .is_some()
    };
    assert!(jumps("library/postgres", None));
    assert!(!jumps("pgautoupgrade/pgautoupgrade", None), "by its name");
    assert!(!jumps("my/database", Some(&new)), "by its variable");
}
