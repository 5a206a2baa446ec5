//! Runs one command with a time limit, in a process group of its own.
//!
//! However the wait ends (time, or a caller that stops waiting), the whole group is gone afterwards. What the
//! command says is kept for the caller and never logged: Compose prints secrets in clear.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mainstay_core::problem::Problem;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};

/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(3);

/// How a command ended and what it said.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output. May hold secrets.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("code", &self.code).finish_non_exhaustive()
    }
}

/// The group of a child; killed when dropped, unless the child is known to be gone.
pub struct Group(Option<Pid>);

impl Group {
    /// The group that a child was made the leader of.
    pub fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // A group that is gone already is what we want.
            let _gone = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Runs `args[0]` with the rest as its arguments, in `directory`, with this process's environment and
/// `DOCKER_HOST` as given. What is to be read from standard input may hold secrets: it is in no argument and in
/// no file.
///
/// # Errors
///
/// `compose-not-installed` where the program does not exist, `compose-timeout` when the time is up,
/// `compose-failed` where it can't be run.
pub async fn run(
    args: &[String],
    directory: &Path,
    docker_host: Option<&str>,
    limit: Duration,
    input: Option<&[u8]>,
) -> Result<Output, Problem> {
    let Some((program, rest)) = args.split_first() else {
        return Err(Problem::new("compose-failed", "no command to run"));
    };
    let mut command = Command::new(program);
    command.args(rest).current_dir(directory);
    if let Some(host) = docker_host {
        command.env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT");
    }
    let ended = to_its_end(command, limit, input).await;
    ended.map_err(|e| not_run(program, directory, &e))?.ok_or_else(|| {
        Problem::new(
            "compose-timeout",
            format!("`{}` did not end within {} s and was killed", brief(args), limit.as_secs()),
        )
        .advise("see whether the engine answers: `docker ps`")
    })
}

/// Runs a command in a group of its own. `None` where its time was up: then the group has been killed.
///
/// # Errors
///
/// Where it can't be run.
pub async fn to_its_end(
    mut command: Command,
    limit: Duration,
    input: Option<&[u8]>,
) -> std::io::Result<Option<Output>> {
    command
        .process_group(0)
        .kill_on_drop(true)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut group = Group::of(&child);
    let (to, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(write(to, input), read(out), read(err), child.wait()) };
    if let Ok(((), stdout, stderr, status)) = tokio::time::timeout(limit, all).await {
        group.0 = None;
        return Ok(Some(Output { code: status?.code(), stdout, stderr }));
    }
    group.signal(Signal::TERM);
    let _status = tokio::time::timeout(GRACE, child.wait()).await;
    group.signal(Signal::KILL);
    Ok(None)
}

/// A child that doesn't read to the end says why by its exit status.
async fn write(stream: Option<impl AsyncWrite + Unpin>, input: Option<&[u8]>) {
    if let (Some(mut stream), Some(input)) = (stream, input) {
        let _partial = stream.write_all(input).await;
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What was read until an error is still worth having.
        let _partial = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn not_run(program: &str, directory: &Path, error: &std::io::Error) -> Problem {
    if error.kind() == std::io::ErrorKind::NotFound && directory.is_dir() {
        return Problem::new("compose-not-installed", format!("`{program}` is not installed")).advise(
            "install the Compose that the project is run with: https://docs.docker.com/compose/install/",
        );
    }
    let problem = Problem::new("compose-failed", format!("`{program}` could not be run")).because(error);
    if directory.is_dir() {
        problem
    } else {
        problem.because(format!("the project directory {} does not exist", directory.display()))
    }
}

/// The command line without its files, for messages.
#[must_use]
pub fn brief(args: &[String]) -> String {
    let program = args.iter().take(2).take_while(|a| !a.starts_with('-'));
    let verbs = ["config", "up", "version"];
    let rest = args.iter().skip_while(|a| !verbs.contains(&a.as_str()));
    program.chain(rest).map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(String::from).to_vec()
    }

    #[tokio::test]
    async fn output_and_status_come_back() {
        let output = run(&sh("echo a; echo b >&2; exit 3"), Path::new("/"), None, GRACE, None).await.unwrap();
        assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (Some(3), "a\n", "b\n"));
        assert!(!format!("{output:?}").contains("stdout"));
    }

    #[tokio::test]
    async fn the_whole_group_dies_when_time_is_up() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sleep 60 & echo $! > pid; wait";
        let problem = run(&sh(script), dir.path(), None, Duration::from_millis(300), None).await.unwrap_err();
        assert_eq!(problem.code, "compose-timeout");
        let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
        for _ in 0..50 {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            if status.map_or(true, |s| s.contains(") Z ")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the grandchild still runs");
    }

    #[tokio::test]
    async fn a_missing_program_is_not_installed() {
        let args = ["no-such-program-here".to_owned()];
        let problem = run(&args, Path::new("/"), None, GRACE, None).await.unwrap_err();
        assert_eq!(problem.code, "compose-not-installed");
    }

    #[tokio::test]
    async fn a_missing_directory_is_not_mistaken_for_a_missing_program() {
        let problem = run(&sh("true"), Path::new("/nonexistent"), None, GRACE, None).await.unwrap_err();
        assert_eq!(problem.code, "compose-failed");
    }

    #[tokio::test]
    async fn standard_input_is_passed_on() {
        let input = b"secret".as_slice();
        let output = run(&sh("cat; cat"), Path::new("/"), None, GRACE, Some(input)).await.unwrap();
        assert_eq!(output.stdout, "secret");
        assert!(run(&sh("exit 0"), Path::new("/"), None, GRACE, Some(&[b'x'; 1 << 20])).await.is_ok());
    }

    #[tokio::test]
    async fn the_engine_is_passed_on() {
        let output =
            run(&sh("echo $DOCKER_HOST"), Path::new("/"), Some("tcp://x:1"), GRACE, None).await.unwrap();
        assert_eq!(output.stdout, "tcp://x:1\n");
    }

    #[test]
    fn messages_leave_the_files_out() {
        let args = ["docker", "compose", "--file", "/x", "config", "--hash", "*"].map(String::from);
        assert_eq!(brief(&args), "docker compose config --hash *");
    }
}
