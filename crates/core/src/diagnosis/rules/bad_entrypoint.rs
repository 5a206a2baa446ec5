//! `bad-entrypoint`: the program that the container starts is not there, or may not be executed.

use super::{Container, Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let container = facts.containers.iter().find(|c| program_error(c) || ended_so(c))?;
    let error = container.start_error.to_lowercase();
    let refused = error.contains("permission denied") || (error.is_empty() && container.exit_code == 126);
    let program = &container.program;
    let what = if refused {
        format!("{} may not execute {program}", container.name)
    } else {
        format!("{} has no program {program}", container.name)
    };
    let line = container.log.last().map(|line| format!("{}: {}", container.name, line.trim()));
    let diagnosis = Diagnosis::new(what)
        .seen(container.start_error.clone())
        .seen(format!("exit code {}", container.exit_code))
        .seen_all(line);
    Some(if refused {
        diagnosis.advise(
            "make it executable (`chmod +x`) where it is mounted from the host; in an image it is for its maker to correct; \
             a mount with `noexec` refuses as well",
        )
    } else {
        diagnosis
            .advise("compare `entrypoint:` and `command:` in the Compose file with what the new image has: `docker image inspect`")
            .advise("if the file is there, what its first line names (`#!…`) is missing, or ends in a carriage return")
    })
}

/// The engine could not start the program, which is not the same as a mount that it could not make.
fn program_error(container: &Container) -> bool {
    let error = container.start_error.to_lowercase();
    let program =
        ["executable file not found", "no such file or directory", "permission denied", "is a directory"];
    (error.contains("exec") || error.contains("starting container process"))
        && !error.contains("mount")
        && program.iter().any(|words| error.contains(words))
}

/// A shell in the image could not start it.
fn ended_so(container: &Container) -> bool {
    container.suffers() && container.start_error.is_empty() && matches!(container.exit_code, 126 | 127)
}
