//! Runs one command in a container, with a time limit.
//!
//! Invariant: it returns within the limit and a few seconds, whatever the command does, and says whether the
//! command may still run. The engine can't end what it started in a container; where its processes can be seen
//! from here, the command and everything that it started is killed, and nothing that isn't in that container.
//! What this module does not do: judge the exit code.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt as _;
use mainstay_core::problem::Problem;
use mainstay_core::redact;
use rustix::process::{Pid, Signal, kill_process};

use crate::engine::Engine;
use crate::process;

/// Lines of output that are kept: the last ones.
const LINES: usize = 20;
/// Characters of a line that are kept.
const LINE: usize = 400;
/// Bytes of the whole output that are kept: the first ones.
const TEXT: usize = 256 * 1024;
/// After a kill, and after the end of the output, the engine may take this long to notice the end.
const NOTICE: Duration = Duration::from_secs(5);
/// So long a command's own shells are given to see the end of what they started.
const IN_ORDER: Duration = Duration::from_secs(2);
/// How often it is asked.
const PACE: Duration = Duration::from_millis(50);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this exit code.
    Exited(i64),
    /// It was given up when its time was up; whether it is known to have ended.
    TimedOut {
        /// No process of it is left.
        gone: bool,
    },
    /// It was given up because the operator asked to stop.
    Interrupted {
        /// No process of it is left.
        gone: bool,
    },
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) ended: Ended,
    /// The last lines of its output, secrets hidden.
    pub(crate) output: Vec<String>,
    /// What it printed, for whoever looks something up in it. May hold secrets.
    pub(crate) said: Said,
}

/// What a command printed.
#[derive(Default)]
pub(crate) struct Said {
    /// On standard output.
    pub(crate) stdout: String,
    /// On standard error.
    pub(crate) stderr: String,
    /// Whether there was more than is kept.
    pub(crate) cut: bool,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Said {
    fn add(&mut self, piece: &LogOutput) {
        let stream = match piece {
            LogOutput::StdErr { .. } => &mut self.stderr,
            _ => &mut self.stdout,
        };
        if stream.len() < TEXT {
            stream.push_str(&String::from_utf8_lossy(piece.as_ref()));
        } else {
            self.cut = true;
        }
    }
}

/// Commands that are run for somebody who may stop waiting, and have not ended.
static UNENDED: AtomicUsize = AtomicUsize::new(0);

/// Such a command, as long as it is not known to have ended.
#[derive(Debug)]
pub(crate) struct Unended(());

impl Unended {
    /// One more.
    pub(crate) fn one() -> Self {
        UNENDED.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        UNENDED.fetch_sub(1, Relaxed);
    }
}

/// Waits until commands in containers that nobody waits for any more are ended, which they are by tasks of their own; for
/// a few seconds at most.
pub async fn all_ended() {
    let give_up = tokio::time::Instant::now() + NOTICE + PACE;
    while UNENDED.load(Relaxed) > 0 && tokio::time::Instant::now() < give_up {
        tokio::time::sleep(PACE).await;
    }
}

/// One command in one container: made by the engine, not yet begun.
#[derive(Clone, Debug)]
pub(crate) struct Exec {
    engine: Engine,
    container: String,
    /// The engine's id of it.
    pub(crate) id: String,
    /// Whether it is ended from its last children on, see [`Exec::leaves_first`].
    leaves_first: bool,
}

impl Exec {
    /// Prepares a command.
    pub(crate) async fn create(
        engine: &Engine,
        container: &str,
        command: &[String],
    ) -> Result<Self, Problem> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let call = engine.docker().create_exec(container, options);
        let made = engine.call("prepare a command in the container", call).await?;
        Ok(Self::known(engine, container, made.id))
    }

    /// One that was created before.
    pub(crate) fn known(engine: &Engine, container: &str, id: String) -> Self {
        Self { engine: engine.clone(), container: container.to_owned(), id, leaves_first: false }
    }

    /// Should it have to be ended, what has no children ends first, so that each parent sees the end of its own. One that dies
    /// before its children leaves them to the container's first process, and if that is PostgreSQL, it takes their end for a
    /// crash of its own and restarts. The price is that a shell may come to its next command meanwhile: only for what
    /// changes nothing.
    pub(crate) fn leaves_first(self) -> Self {
        Self { leaves_first: true, ..self }
    }

    /// Runs it until it ends, its time is up, or `interrupted` is done.
    pub(crate) async fn run(
        &self,
        limit: Duration,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Ran, Problem> {
        let deadline = tokio::time::Instant::now() + limit;
        let options = StartExecOptions { output_capacity: Some(64 * 1024), ..StartExecOptions::default() };
        let start = self.engine.docker().start_exec(&self.id, Some(options));
        let started = self.engine.call("run a command in the container", start).await?;
        let (mut tail, mut said) = (Tail::default(), Said::default());
        let cut = tokio::select! {
            () = listen(started, &mut tail, &mut said) => None,
            () = tokio::time::sleep_until(deadline) => Some(false),
            () = interrupted => Some(true),
        };
        let ended = match cut {
            None => self.exit_code(deadline).await?,
            Some(interrupted) => {
                let gone = self.end().await;
                if interrupted { Ended::Interrupted { gone } } else { Ended::TimedOut { gone } }
            }
        };
        Ok(Ran { ended, output: tail.lines(), said })
    }

    /// The exit code once the output has ended: a command may close its output and go on.
    async fn exit_code(&self, deadline: tokio::time::Instant) -> Result<Ended, Problem> {
        let deadline = deadline.max(tokio::time::Instant::now() + NOTICE);
        loop {
            let inspect = self.inspect().await?;
            match (inspect.running, inspect.exit_code) {
                (Some(false), Some(code)) => return Ok(Ended::Exited(code)),
                _ if tokio::time::Instant::now() > deadline => {
                    return Ok(Ended::TimedOut { gone: self.end().await });
                }
                _ => tokio::time::sleep(PACE).await,
            }
        }
    }

    async fn inspect(&self) -> Result<bollard::models::ExecInspectResponse, Problem> {
        let call = self.engine.docker().inspect_exec(&self.id);
        self.engine.call("ask about a command in the container", call).await
    }

    /// Kills it, if it runs and can be reached; whether it is known to be gone.
    pub(crate) async fn end(&self) -> bool {
        let begun = tokio::time::Instant::now();
        let give_up = begun + NOTICE;
        loop {
            match self.inspect().await {
                Ok(inspect) if inspect.running == Some(true) => {
                    if self.engine.is_local()
                        && let Some(pid) = inspect.pid.and_then(|pid| i32::try_from(pid).ok())
                    {
                        let at_once = !self.leaves_first || begun.elapsed() > IN_ORDER;
                        kill_tree(pid, &self.container, at_once);
                    }
                }
                Ok(_) => return true,
                Err(problem) => return crate::engine::is_not_found(&problem),
            }
            if tokio::time::Instant::now() > give_up {
                return false;
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn listen(started: StartExecResults, tail: &mut Tail, said: &mut Said) {
    let StartExecResults::Attached { mut output, input: _input } = started else { return };
    while let Some(Ok(piece)) = output.next().await {
        said.add(&piece);
        tail.add(&piece.into_bytes());
    }
}

/// Kills of a process of this container and everything below it what may end now. A process id may be another one's by now, so
/// that only what is in the container's control group is touched.
fn kill_tree(pid: i32, container: &str, all_at_once: bool) {
    for pid in doomed(pid, &processes(), all_at_once) {
        if process::is_of(i64::from(pid), container)
            && let Some(pid) = Pid::from_raw(pid)
        {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// What to kill of a tree of processes: all of it, or what has no children. A command that is just beginning has the id 0 in what
/// the engine tells: that of the parent of all, below which the container's own process is, too.
fn doomed(root: i32, all: &[(i32, i32)], all_at_once: bool) -> BTreeSet<i32> {
    if root <= 0 {
        return BTreeSet::new();
    }
    let mut tree = BTreeSet::from([root]);
    while let Some((child, _)) =
        all.iter().find(|(child, parent)| tree.contains(parent) && !tree.contains(child))
    {
        tree.insert(*child);
    }
    tree.retain(|pid| all_at_once || !all.iter().any(|(_, parent)| parent == pid));
    tree
}

/// Every process that can be seen from here, with its parent.
fn processes() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|pid: i32| {
            Some((pid, parent(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect()
}

/// The parent's id in `/proc/PID/stat`: the second field after the name, which may hold anything.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The last lines of an output.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            // A line without an end must not take memory without an end.
            let room = (4 * LINE).saturating_sub(self.open.len());
            self.open.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let line = String::from_utf8_lossy(&self.open).trim_end().chars().take(LINE).collect::<String>();
        self.open.clear();
        if !line.is_empty() {
            self.lines.push_back(line);
        }
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    fn lines(mut self) -> Vec<String> {
        self.close();
        // As one text, because a key may stretch over several lines.
        let text = self.lines.make_contiguous().join("\n");
        redact::line(&text).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_without_secrets() {
        let mut tail = Tail::default();
        for n in 0..50 {
            tail.add(format!("line {n}\n").as_bytes());
        }
        tail.add(b"login with pass");
        tail.add(b"word=hunter2\n\nno end");
        let lines = tail.lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[lines.len() - 3..], ["line 49", "login with password=[hidden]", "no end"]);
    }

    #[test]
    fn a_line_without_an_end_stays_small() {
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.add(&[b'.'; 1000]);
        }
        assert!(tail.open.len() <= 4 * LINE);
        assert_eq!(tail.lines(), [".".repeat(LINE)]);
    }

    #[test]
    fn what_is_not_kept_of_an_output_is_told() {
        let mut said = Said::default();
        let piece = LogOutput::StdOut { message: vec![b'x'; TEXT / 2].into() };
        for cut in [false, false, true] {
            said.add(&piece);
            assert_eq!(said.cut, cut);
        }
        assert_eq!(said.stdout.len(), TEXT);
        said.add(&LogOutput::StdErr { message: "kept apart".into() });
        assert_eq!(said.stderr, "kept apart");
    }

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (a) b) c) S 7 12 12 0"), Some(7));
        assert_eq!(parent("nonsense"), None);
    }

    #[test]
    fn children_end_before_their_parents() {
        let all = [(1, 0), (7, 2), (8, 7), (9, 8), (10, 7), (11, 1)];
        assert_eq!(doomed(7, &all, false), BTreeSet::from([9, 10]));
        assert_eq!(doomed(7, &[(7, 2), (8, 7)], false), BTreeSet::from([8]));
        assert_eq!(doomed(7, &[(7, 2)], false), BTreeSet::from([7]));
        assert_eq!(doomed(7, &all, true), BTreeSet::from([7, 8, 9, 10]));
    }

    #[test]
    fn a_command_that_has_no_process_yet_is_not_the_parent_of_all() {
        let all = [(1, 0), (2, 0), (10, 1), (11, 10)];
        assert_eq!(doomed(1, &all, true), BTreeSet::from([1, 10, 11]));
        for all_at_once in [false, true] {
            assert_eq!(doomed(0, &all, all_at_once), BTreeSet::new());
        }
    }

    #[test]
    fn what_is_not_in_the_container_is_not_killed() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        kill_tree(i32::try_from(child.id()).unwrap(), "0123456789abcdef-of-no-container", true);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
