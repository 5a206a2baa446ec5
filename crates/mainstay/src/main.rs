//! The `mainstay` command. See `cli.rs` for what can be said and `commands/` for what it does.

mod cli;
mod commands;
mod config;
mod exit;
mod interrupt;
mod keeping;
mod operator;
mod render;
mod repository;
mod resolver;
mod span;
mod state;

use std::process::ExitCode;

use clap::Parser as _;

/// The repository library asks for and returns large pieces of memory for every small file; glibc gives them back to the
/// system each time, which costs more than the work itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("MAINSTAY_LOG").unwrap_or_default();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    ExitCode::from(commands::run(cli))
}
