//! The table of rules, one file each, most telling first.
//!
//! Invariant: what a rule explains stands below it, so that a cause is looked for before its consequences.

mod bad_answer;
mod bad_entrypoint;
mod certificate;
mod crash_loop;
mod data_version;
mod dependency_down;
mod disk_full;
mod dns;
mod gateway;
mod hangs;
mod key_in_container;
mod listening;
mod login_refused;
mod migration_failed;
mod missing_library;
mod not_running;
mod out_of_memory;
mod outside_unreachable;
mod port_conflict;
mod proxy_network;
mod secret_changed;
mod start_failed;
mod time_skew;
mod unhealthy;
mod volume_permission;
mod wrong_architecture;

use super::{Container, Diagnosis, Facts, Rule};
use crate::redflags::{self, Flag};

pub use port_conflict::wanted_port;

/// What probes and users see of a service that nothing answers for.
const UNANSWERED: &[&str] = &[
    "not-listening",
    "loopback-only",
    "wrong-port",
    "hangs",
    "bad-answer",
    "bad-gateway",
    "no-backend",
    "gateway-timeout",
    "outside-unreachable",
    "unhealthy",
];
/// What a container that was stopped brings about.
const STOPPED: &[&[&str]] = &[UNANSWERED];
/// What a process that is not there brings about.
const ABSENCE: &[&[&str]] = &[&["crash-loop", "not-running"], UNANSWERED];
/// The same of a container that never started.
const NO_START: &[&[&str]] =
    &[&["bad-entrypoint", "missing-library", "start-failed", "crash-loop", "not-running"], UNANSWERED];
/// What a migration that stopped half way leaves behind is refused at the next start.
const FAILED_MIGRATION: &[&[&str]] = &[&["data-version", "crash-loop", "not-running"], UNANSWERED];
/// What a service that answers nobody brings about outside.
const NO_ANSWER: &[&[&str]] =
    &[&["hangs", "bad-answer", "bad-gateway", "no-backend", "gateway-timeout", "unhealthy"]];
/// What an outside that can't reach the service brings about.
const OUTSIDE: &[&[&str]] = &[&["bad-gateway", "no-backend", "gateway-timeout", "outside-unreachable"]];

const fn rule(
    id: &'static str,
    looks_at: &'static str,
    run: fn(&Facts) -> Option<Diagnosis>,
    explains: &'static [&'static [&'static str]],
) -> Rule {
    Rule { id, looks_at, run, explains }
}

pub const RULES: &[Rule] = &[
    rule("out-of-memory", "whether it was killed for want of memory", out_of_memory::run, ABSENCE),
    rule(
        "wrong-architecture",
        "whether image and machine have the same architecture",
        wrong_architecture::run,
        NO_START,
    ),
    rule("missing-library", "shared libraries that the image lacks", missing_library::run, NO_START),
    rule("port-conflict", "who holds the port that it publishes", port_conflict::run, NO_START),
    rule("bad-entrypoint", "the program that it starts", bad_entrypoint::run, NO_START),
    rule("start-failed", "what the engine says of the start", start_failed::run, ABSENCE),
    rule("migration-failed", "migrations of its data", migration_failed::run, FAILED_MIGRATION),
    rule("data-version", "the version that its data was written by", data_version::run, ABSENCE),
    rule("disk-full", "room on its disks", disk_full::run, ABSENCE),
    rule("volume-permission", "who may write to its data", volume_permission::run, ABSENCE),
    rule("dependency-down", "the services that it needs", dependency_down::run, ABSENCE),
    rule("login-refused", "logins that were refused", login_refused::run, ABSENCE),
    rule("crash-loop", "ends of its process, with the lines that matter", crash_loop::run, ABSENCE),
    rule("not-running", "whether it runs at all", not_running::run, STOPPED),
    rule("loopback-only", "the addresses that it listens at", listening::loopback_only, NO_ANSWER),
    rule("wrong-port", "the ports that it listens on", listening::wrong_port, NO_ANSWER),
    rule("not-listening", "whether it listens at all", listening::not_listening, NO_ANSWER),
    rule("hangs", "connections that get no answer", hangs::run, NO_ANSWER),
    rule("bad-answer", "what the service itself answers", bad_answer::run, NO_ANSWER),
    rule("proxy-network", "the networks of service and proxy", proxy_network::run, OUTSIDE),
    rule("dns", "the address of the URL", dns::run, OUTSIDE),
    rule("certificate", "the certificate of the URL", certificate::run, OUTSIDE),
    rule("bad-gateway", "502 at the URL", gateway::bad_gateway, &[]),
    rule("no-backend", "503 or 404 at the URL", gateway::no_backend, &[]),
    rule("gateway-timeout", "504 at the URL", gateway::timeout, &[]),
    rule("outside-unreachable", "connections to the URL", outside_unreachable::run, &[]),
    rule("unhealthy", "the output of its health check", unhealthy::run, &[]),
    rule("secret-changed", "secrets among its variables", secret_changed::run, &[]),
    rule("key-in-container", "keys that only the container has", key_in_container::run, &[]),
    rule("time-skew", "the clocks of engine and service", time_skew::run, &[]),
];

/// The lines that have this meaning, with their containers.
fn flagged(facts: &Facts, flag: Flag) -> Vec<(&Container, &str)> {
    facts.lines().filter(|(_, line)| redflags::flag(line) == Some(flag)).collect()
}

/// Log lines as evidence, the last ones.
fn quoted(lines: &[(&Container, &str)]) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for (container, line) in lines.iter().rev() {
        let text = format!("{}: {}", container.name, line.trim());
        if !shown.contains(&text) && shown.len() < 3 {
            shown.push(text);
        }
    }
    shown.reverse();
    shown
}

/// Bytes for people, in the units of memory limits.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
