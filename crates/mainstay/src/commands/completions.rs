//! `completions` and `config-schema`: texts for other programs.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::config;
use crate::exit::DONE;

/// Prints the completion script of a shell.
pub fn script(shell: clap_complete::Shell) -> u8 {
    clap_complete::generate(shell, &mut Cli::command(), "mainstay", &mut std::io::stdout());
    DONE
}

/// Prints the JSON Schema of a configuration file.
pub fn schema() -> u8 {
    // A closed pipe is the reader's choice.
    let _ = writeln!(std::io::stdout(), "{}", config::schema());
    DONE
}
