//! Runs one command with a time limit, in a process group of its own.
//!
//! However the wait ends (time, or a caller that stops waiting), the whole group is gone afterwards. Only the end of
//! this process leaves the command behind: see [`run_marked`]. What the command says is kept for the caller and never
//! logged: Compose prints secrets in clear.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

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

    /// Asks it to end, and ends it.
    async fn end(&self, child: &mut Child) {
        self.signal(Signal::TERM);
        let _status = tokio::time::timeout(GRACE, child.wait()).await;
        self.signal(Signal::KILL);
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
    let command = command(args, directory, docker_host)?;
    let ended = to_its_end(command, limit, input).await;
    ended.map_err(|e| not_run(args, directory, &e))?.ok_or_else(|| late(args, limit))
}

/// As [`run`], for a command that must not be begun again while it still runs, though this process was killed. It
/// holds a lock on a file in `mark` as long as it lives, as its standard input; and what it says goes into files
/// rather than into pipes, whose other end would be gone: it would die of its next word, half done.
///
/// # Errors
///
/// As [`run`]; `compose-timeout` also where one that was left behind does not end.
pub async fn run_marked(
    args: &[String],
    directory: &Path,
    docker_host: Option<&str>,
    limit: Duration,
    mark: &Path,
) -> Result<Output, Problem> {
    let lock = alone(mark, limit).await?;
    let mut command = command(args, directory, docker_host)?;
    let broken = |e: std::io::Error| not_run(args, directory, &e);
    let said = || tempfile::tempfile_in(mark).and_then(|file| Ok((file.try_clone()?, file)));
    let ((stdout, out), (stderr, err)) = (said().map_err(broken)?, said().map_err(broken)?);
    command.process_group(0).kill_on_drop(true).stdin(lock).stdout(stdout).stderr(stderr);
    let mut child = command.spawn().map_err(broken)?;
    // What was handed over to the child is still open in the command.
    drop(command);
    let mut group = Group::of(&child);
    let Ok(status) = tokio::time::timeout(limit, child.wait()).await else {
        group.end(&mut child).await;
        return Err(late(args, limit));
    };
    group.0 = None;
    let (stdout, stderr) = (reread(out), reread(err));
    Ok(Output { code: status.map_err(broken)?.code(), stdout, stderr })
}

/// Waits until no command that a dead process began with [`run_marked`] runs any more, and keeps others from being
/// begun until what is returned is closed.
///
/// # Errors
///
/// `compose-timeout`; `compose-failed` where the file can't be used.
pub async fn alone(mark: &Path, limit: Duration) -> Result<File, Problem> {
    const LOOK_AGAIN: Duration = Duration::from_millis(50);
    let path = mark.join("compose.lock");
    let unusable = |e: &std::io::Error| {
        Problem::new("compose-failed", format!("{} can't be used", path.display())).because(e)
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(|e| unusable(&e))?;
    let until = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(unusable(&error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                let what = format!(
                    "Compose, begun by a process of this run that was killed, did not end within {} s",
                    limit.as_secs()
                );
                let who = format!("see who it is, and end it: `fuser -v {}`", path.display());
                return Err(Problem::new("compose-timeout", what).advise(who));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

fn command(args: &[String], directory: &Path, docker_host: Option<&str>) -> Result<Command, Problem> {
    let Some((program, rest)) = args.split_first() else {
        return Err(Problem::new("compose-failed", "no command to run"));
    };
    let mut command = Command::new(program);
    command.args(rest).current_dir(directory);
    if let Some(host) = docker_host {
        command.env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT");
    }
    Ok(command)
}

fn late(args: &[String], limit: Duration) -> Problem {
    let what = format!("`{}` did not end within {} s and was killed", brief(args), limit.as_secs());
    Problem::new("compose-timeout", what).advise("see whether the engine answers: `docker ps`")
}

/// What was written into a file by somebody else who had it open.
fn reread(mut file: File) -> String {
    let mut bytes = Vec::new();
    // What was read until an error is still worth having.
    let _partial = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
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
    group.end(&mut child).await;
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

fn not_run(args: &[String], directory: &Path, error: &std::io::Error) -> Problem {
    let program = args.first().map_or("", String::as_str);
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
    async fn a_marked_command_is_waited_for_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        // As a process that was killed leaves it: nobody waits for it.
        let lock = alone(dir.path(), GRACE).await.unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1; echo first >>order"]).current_dir(dir.path()).stdin(lock);
        let mut left = command.spawn().unwrap();
        drop(command);
        let early = alone(dir.path(), Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(early.code, "compose-timeout");
        let args = sh("echo second >>order; cat order; echo aside >&2; exit 7");
        let output = run_marked(&args, dir.path(), None, GRACE, dir.path()).await.unwrap();
        assert_eq!((output.code, output.stdout.as_str()), (Some(7), "first\nsecond\n"));
        assert_eq!(output.stderr, "aside\n");
        left.wait().await.unwrap();
        let late =
            run_marked(&sh("sleep 60"), dir.path(), None, Duration::from_millis(100), dir.path()).await;
        assert_eq!(late.unwrap_err().code, "compose-timeout");
        alone(dir.path(), GRACE).await.unwrap();
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
