//! Bad updates: each must be noticed, and undone as far as it has to be.
//!
//! Versions 2.0.0-… rewrite their data in a form that version 1.0.0 refuses; versions 1.1.0-… leave it alone.

use super::case::{BAD, Case, Decisive, IMAGE_ONLY, Verdict};
use super::project::{Certificate, Project};

/// The number of records is a figure, taken before and after.
const COUNTED: &str =
    "[[service.app.check]]\nname = \"records\"\nhttp = \"/records\"\nfigure = \"$.count\"\nequal = true\n";
const INTACT: &str =
    "[[service.app.check]]\nname = \"intact records\"\nhttp = \"/intact\"\nfigure = true\nequal = true\n";
const LOGIN: &str = "[[service.app.check]]\nname = \"login\"\nhttp = \"/login\"\nmethod = \"POST\"\n\
    body = \"name=ada&password=enchantress\"\nstatus = 303\n";
const ONE_PATH: &str = "[[service.app.check]]\nname = \"records\"\nhttp = \"/records\"\nstatus = 200\n";

/// How the proxy of the shop is asked.
const BY_NAME: &[&str] =
    &["--url", "https://app.lab.test:PORT/", "--ca", "DIR/certs/ca.pem", "--resolve", "127.0.0.1"];

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "crash-at-start",
        why: "it exits 1 again and again, and never touched the data",
        to: "2.0.0-exit-at-start",
        expected: IMAGE_ONLY,
        diagnosis: Some("crash-loop"),
        ..BAD
    },
    Case {
        name: "crash-after-20-s",
        why: "it was healthy and verified, and then exits 1",
        to: "2.0.0-exit-after-20",
        watch: "40s",
        diagnosis: Some("crash-loop"),
        ..BAD
    },
    Case {
        name: "exit-0-loop",
        why: "each exit is a good one, but a service that leaves again and again is none",
        to: "2.0.0-exit-0-loop",
        watch: "20s",
        diagnosis: Some("crash-loop"),
        ..BAD
    },
    Case {
        name: "panic",
        why: "it panics while it is watched",
        to: "2.0.0-panic-after-3",
        watch: "20s",
        diagnosis: Some("crash-loop"),
        ..BAD
    },
    Case {
        name: "out-of-memory-under-a-limit",
        why: "the kernel kills it; the image alone would do, but the old version refuses the data",
        to: "2.0.0-oom-after-3",
        watch: "20s",
        diagnosis: Some("out-of-memory"),
        decisive: Decisive::OutOfMemory,
        ..BAD
    },
    Case {
        name: "slow-leak",
        why: "1 MiB a second of 64: it would be killed within the hour; a leak has nothing to do with data",
        to: "1.1.0-leak-1",
        watch: "24s",
        expected: IMAGE_ONLY,
        decisive: Decisive::WindowEnd,
        ..BAD
    },
    Case {
        name: "never-healthy",
        why: "it answers well, and its own health check says otherwise",
        to: "2.0.0-unhealthy",
        startup: 8,
        diagnosis: Some("unhealthy"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "unhealthy-in-the-watch",
        why: "it becomes unhealthy and stays so past the grace",
        to: "2.0.0-unhealthy-after-5",
        watch: "20s",
        diagnosis: Some("unhealthy"),
        decisive: Decisive::Goes(5),
        ..BAD
    },
    Case {
        name: "healthy-but-500-outside",
        why: "its health check and the inside are content, users get 500",
        to: "2.0.0-500-from-start",
        startup: 8,
        options: &["--path", "/health"],
        diagnosis: Some("bad-answer"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "500-in-the-watch",
        why: "it answers well for five seconds, and 500 from then on",
        to: "2.0.0-500-after-5",
        watch: "20s",
        diagnosis: Some("bad-answer"),
        decisive: Decisive::Goes(5),
        ..BAD
    },
    Case {
        name: "500-only-on-one-path",
        why: "the front page is well; a required check of what users need is not",
        to: "2.0.0-one-path-500",
        startup: 8,
        settings: ONE_PATH,
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "wrong-port",
        why: "it is healthy on a port where nobody looks for it",
        to: "2.0.0-wrong-port",
        startup: 8,
        diagnosis: Some("wrong-port"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "wrong-port-behind-a-proxy",
        why: "users get 502 from the proxy",
        project: Project::Shop,
        to: "2.0.0-wrong-port",
        startup: 10,
        options: BY_NAME,
        diagnosis: Some("wrong-port"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "listens-on-loopback-only",
        why: "it is healthy within its own network namespace",
        to: "2.0.0-loopback-only",
        startup: 8,
        diagnosis: Some("loopback-only"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "never-listens",
        why: "it runs, and that is all",
        to: "2.0.0-never-listen",
        startup: 8,
        diagnosis: Some("not-listening"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "hangs",
        why: "it takes requests and never answers, from the third second on",
        to: "2.0.0-hang-after-3",
        watch: "25s",
        diagnosis: Some("hangs"),
        decisive: Decisive::Goes(3),
        ..BAD
    },
    Case {
        name: "missing-library",
        why: "the loader finds no libtally.so.2: no line of the program ran",
        to: "2.0.0-missing-library",
        expected: IMAGE_ONLY,
        diagnosis: Some("missing-library"),
        ..BAD
    },
    Case {
        name: "wrong-architecture",
        why: "it is made for another machine",
        to: "2.0.0-wrong-architecture",
        expected: IMAGE_ONLY,
        diagnosis: Some("wrong-architecture"),
        ..BAD
    },
    Case {
        name: "image-for-another-platform",
        why: "the image says itself that it is for another machine: nobody has to try it",
        to: "2.0.0-other-platform",
        expected: Verdict::AsBefore,
        decisive: Decisive::None,
        ..BAD
    },
    Case {
        name: "bad-entrypoint",
        why: "the engine can't start it: nothing of it ever ran",
        to: "2.0.0-bad-entrypoint",
        expected: Verdict::RolledBack("never-started"),
        diagnosis: Some("bad-entrypoint"),
        decisive: Decisive::StartError,
        ..BAD
    },
    Case {
        name: "may-not-write-its-data",
        why: "it runs as another user than the one whose data it is",
        to: "2.0.0-other-user",
        expected: IMAGE_ONLY,
        diagnosis: Some("volume-permission"),
        ..BAD
    },
    Case {
        name: "refuses-newer-data",
        why: "the data is of a newer version; it was refused, not touched",
        from: "2.0.0",
        to: "1.2.0",
        expected: IMAGE_ONLY,
        diagnosis: Some("data-version"),
        ..BAD
    },
    Case {
        name: "postgres-major-version",
        why: "PostgreSQL 17 refuses the files of 15, and does not touch them",
        project: Project::Postgres,
        from: "$PG_OLD",
        to: "$PG_17",
        options: &["--force", "profile-jump"],
        expected: IMAGE_ONLY,
        diagnosis: Some("data-version"),
        ..BAD
    },
    Case {
        name: "migration-fails-half-way",
        why: "half of the records are rewritten in place",
        to: "2.0.0-migration-fails-half-way",
        diagnosis: Some("migration-failed"),
        ..BAD
    },
    Case {
        name: "migrates-and-goes-bad",
        why: "it damages a record after it was verified, and says that a migration failed",
        to: "2.0.0-migrate-then-bad-after-3",
        watch: "20s",
        diagnosis: Some("migration-failed"),
        decisive: Decisive::Goes(3),
        ..BAD
    },
    Case {
        name: "corrupts-data-quietly",
        why: "a record is damaged on disk; all answers are well, but for the figure that counts intact ones",
        to: "1.1.0-corrupt-data",
        startup: 8,
        settings: INTACT,
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "comes-up-empty",
        why: "healthy, and its data is somewhere else: the figure says so",
        to: "2.0.0-comes-up-empty",
        startup: 8,
        settings: COUNTED,
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "error-storm",
        why: "twenty errors a second that were not there before, to the end of the window",
        to: "2.0.0-error-storm-after-3",
        watch: "12s",
        decisive: Decisive::WindowEnd,
        ..BAD
    },
    Case {
        name: "dependency-refused",
        why: "its cache is not there, and it waits for it for ever",
        to: "2.0.0-dependency-refused",
        startup: 8,
        diagnosis: Some("dependency-down"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "certificate-of-another-name",
        why: "the new proxy shows a certificate for another host",
        project: Project::Proxy(Certificate::OtherName),
        from: "$NGINX",
        to: "$NGINX-moved",
        startup: 8,
        options: BY_NAME,
        expected: IMAGE_ONLY,
        diagnosis: Some("certificate"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "certificate-expired",
        why: "the new proxy shows a certificate of yesterday",
        project: Project::Proxy(Certificate::Expired),
        from: "$NGINX",
        to: "$NGINX-moved",
        startup: 8,
        options: BY_NAME,
        expected: IMAGE_ONLY,
        diagnosis: Some("certificate"),
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "login-broken",
        why: "everything is well until somebody logs in",
        to: "2.0.0-login-broken",
        startup: 8,
        settings: LOGIN,
        decisive: Decisive::NeverUp,
        ..BAD
    },
    Case {
        name: "twice-as-slow",
        why: "every answer takes 600 ms instead of 200, to the end of the window",
        from: "1.0.0-slow-answers-200",
        to: "1.1.0-slow-answers-600",
        watch: "20s",
        expected: IMAGE_ONLY,
        decisive: Decisive::WindowEnd,
        ..BAD
    },
    Case {
        name: "dependent-service-broken",
        why: "it is well, and the service that asks it no longer understands it",
        project: Project::Front { asks: "app:8080" },
        to: "1.1.0-breaks-dependents",
        watch: "20s",
        expected: IMAGE_ONLY,
        decisive: Decisive::Goes(0),
        ..BAD
    },
    Case {
        name: "crash-of-one-of-two",
        why: "two services share the tag: they go back together",
        project: Project::Pair,
        to: "2.0.0-exit-after-5",
        watch: "20s",
        diagnosis: Some("crash-loop"),
        ..BAD
    },
];
