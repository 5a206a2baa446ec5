//! The core decides and touches nothing: no runtime, engine, database or clock is among its dependencies.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates with effects, and what they would bring along.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "rusqlite",
    "bollard",
    "reqwest",
    "hyper",
    "rustic_core",
    "rustic_backend",
    "tempfile",
    "chrono",
    "jiff",
    "rustix",
    "libc",
    "mio",
    "getrandom",
    "socket2",
    "mainstay-runner",
    "mainstay-host",
    "mainstay-vault",
];

/// The names of all crates that the core is built from.
fn tree() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "mainstay-core", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_core_has_no_crate_with_effects() {
    let tree = tree();
    assert!(tree.contains("mainstay-core") && tree.contains("serde"), "the tree was read: {tree:?}");
    let found: Vec<_> = FORBIDDEN.iter().filter(|name| tree.contains(**name)).collect();
    assert!(found.is_empty(), "{found:?} in the tree of mainstay-core");
}
