//! What an exit code says by itself.

/// What it means that a container's process ended with `code`, for people. Codes above 128 are signals; 126 and 127 are
/// the shell's and the engine's (POSIX, *Shell Command Language*, 2.8.2).
#[must_use]
pub(crate) fn meaning(code: i64) -> Option<&'static str> {
    Some(match code {
        126 => "the program can't be executed (permission, or another architecture)",
        127 => "the program or a shared library is missing",
        132 => "illegal instruction (SIGILL): built for a newer processor",
        134 => "it aborted (SIGABRT)",
        135 | 138 => "bus error (SIGBUS)",
        137 => "it was killed (SIGKILL)",
        139 => "it crashed (SIGSEGV)",
        _ => return None,
    })
}
