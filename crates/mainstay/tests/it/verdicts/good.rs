//! Good updates that look odd: each must stay.

use super::case::{Case, GOOD};
use super::project::Project;

/// Asks for what the fixture does not have: bad before the update, and after it.
const NEVER_GOOD: &str = "[[service.app.check]]\nname = \"search\"\nhttp = \"/search\"\nstatus = 200\n";
/// Only wanted, and bad in the new version alone.
const ONLY_WANTED: &str =
    "[[service.app.check]]\nname = \"records\"\nrequired = false\nhttp = \"/records\"\nstatus = 200\n";

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "rewrites-all-its-data",
        why: "a migration that works changes every byte, and no record is lost",
        to: "2.0.0",
        settings: "[[service.app.check]]\nname = \"records\"\nhttp = \"/records\"\nfigure = \"$.count\"\nequal = true\n",
        ..GOOD
    },
    Case {
        name: "slow-starter",
        why: "it is unhealthy past the patience of its health check, and then serves",
        to: "2.0.0-slow-start-8",
        startup: 40,
        ..GOOD
    },
    Case {
        name: "one-restart-then-fine",
        why: "it exits 1 at its very first start and never again",
        to: "2.0.0-restart-once",
        ..GOOD
    },
    Case {
        name: "errors-that-were-there-before",
        why: "an error a second, as before the update",
        from: "1.0.0-steady-errors-60",
        to: "2.0.0-steady-errors-60",
        watch: "12s",
        ..GOOD
    },
    Case {
        name: "migration-of-40-s",
        why: "it listens only when its migration is done",
        to: "2.0.0-slow-migration-40",
        startup: 70,
        ..GOOD
    },
    Case {
        name: "burst-of-warnings-at-start",
        why: "300 warnings at once, and none after that",
        to: "2.0.0-warn-burst-300",
        ..GOOD
    },
    Case {
        name: "health-flap",
        why: "it is unhealthy once for a moment, shorter than the grace",
        to: "2.0.0-flap-once",
        watch: "14s",
        grace: 9,
        ..GOOD
    },
    Case {
        name: "memory-grows-and-levels-off",
        why: "its cache takes 40 MiB of 64 in five seconds, and no more after that",
        to: "2.0.0-grows-then-levels-40",
        watch: "24s",
        ..GOOD
    },
    Case {
        name: "no-health-check",
        why: "neither version has one; it answers",
        project: Project::Plain,
        from: "1.1.0-nohealth",
        to: "2.0.0-nohealth",
        ..GOOD
    },
    Case {
        name: "no-http",
        why: "a database: connections and a health check, no HTTP",
        project: Project::Postgres,
        from: "$PG_OLD",
        to: "$PG_NEW",
        ..GOOD
    },
    Case { name: "changed-log-format", why: "it logs JSON from now on", to: "2.0.0-json-log", ..GOOD },
    Case {
        name: "redirects-to-login",
        why: "the front page wants a login from now on; its address answers well",
        to: "2.0.0-redirects-to-login",
        ..GOOD
    },
    Case {
        name: "own-authority",
        why: "the certificate is of an authority that only this host was told of",
        project: Project::Shop,
        to: "2.0.0",
        options: &[
            "--url",
            "https://app.lab.test:PORT/",
            "--ca",
            "DIR/certs/ca.pem",
            "--resolve",
            "127.0.0.1",
        ],
        ..GOOD
    },
    Case {
        name: "self-signed",
        why: "the certificate is its own authority, and that was given",
        project: Project::SelfSigned,
        to: "2.0.0",
        options: &[
            "--url",
            "https://app.lab.test:PORT/",
            "--ca",
            "DIR/certs/server.pem",
            "--resolve",
            "127.0.0.1",
        ],
        ..GOOD
    },
    Case {
        name: "worker-without-ports",
        why: "nobody can ask it: that it runs and works is all there is",
        project: Project::Worker,
        from: "1.0.0-worker-bare",
        to: "2.0.0-worker-bare",
        ..GOOD
    },
    Case {
        name: "two-services-of-one-tag",
        why: "an application and its worker move together",
        project: Project::Pair,
        to: "2.0.0",
        ..GOOD
    },
    Case {
        name: "one-error-with-a-trace",
        why: "a single error with its stack trace, at the start",
        to: "2.0.0-one-error",
        ..GOOD
    },
    Case {
        name: "harmless-lines-that-look-bad",
        why: "words of errors in lines that say that all is well",
        to: "2.0.0-scary-log",
        ..GOOD
    },
    Case {
        name: "logs-to-standard-error",
        why: "where a line is written says nothing about what it says",
        to: "2.0.0-stderr-log",
        ..GOOD
    },
    Case { name: "logs-nothing", why: "silence is no error", to: "2.0.0-quiet-log", ..GOOD },
    Case {
        name: "wants-a-password",
        why: "401, as before the update",
        from: "1.0.0-wants-password",
        to: "2.0.0-wants-password",
        ..GOOD
    },
    Case {
        name: "nothing-at-its-root",
        why: "404, as before the update: it only has an API",
        from: "1.0.0-nothing-at-root",
        to: "2.0.0-nothing-at-root",
        ..GOOD
    },
    Case {
        name: "dependency-comes-late",
        why: "its cache refuses for four seconds, and then is there",
        to: "2.0.0-dependency-late-4",
        startup: 30,
        watch: "10s",
        ..GOOD
    },
    Case {
        name: "hiccup",
        why: "500 for half a second, once",
        to: "2.0.0-hiccup-after-4",
        watch: "10s",
        ..GOOD
    },
    Case {
        name: "old-version-has-to-be-killed",
        why: "exit 137 of the version that goes says nothing about the one that comes",
        from: "1.0.0-ignore-sigterm",
        to: "1.1.0",
        ..GOOD
    },
    Case { name: "older-tag", why: "a step back that the data allows", from: "1.2.0", to: "1.1.0", ..GOOD },
    Case {
        name: "as-slow-as-before",
        why: "200 ms an answer, as before the update",
        from: "1.0.0-slow-answers-200",
        to: "1.1.0-slow-answers-200",
        watch: "14s",
        ..GOOD
    },
    Case {
        name: "dependent-was-broken-before",
        why: "what was unhealthy before the update condemns nobody",
        project: Project::Front { asks: "nobody:8080" },
        to: "1.1.0",
        watch: "12s",
        ..GOOD
    },
    Case {
        name: "check-that-was-bad-before",
        why: "a required check that failed before the update, too",
        to: "2.0.0",
        settings: NEVER_GOOD,
        ..GOOD
    },
    Case {
        name: "wanted-check-fails",
        why: "what is only wanted is reported",
        to: "2.0.0-one-path-500",
        settings: ONLY_WANTED,
        ..GOOD
    },
];
