//! Processes: bounded in time, and the command under test with its stream of events.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::engine;

/// No command of a test takes longer; one that does is ended, and the test fails. A migration of 40 seconds on a busy
/// machine is the longest.
const LIMIT: Duration = Duration::from_secs(180);

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

impl Output {
    /// What it printed, given that it succeeded.
    pub fn success(&self, what: &str) -> String {
        assert_eq!(self.code, Some(0), "{what}: {}{}", self.stdout, self.stderr);
        self.stdout.clone()
    }
}

/// Runs a command to its end.
pub fn bounded(mut command: Command) -> Output {
    engine::direct(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let code = wait(&mut child, &shown);
    Output { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.unwrap().read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, shown: &str) -> Option<i32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("did not end: {shown}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Takes out of the environment what would change the projects or the command.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("MAINSTAY_") || name.starts_with("COMPOSE_") {
            command.env_remove(name);
        }
    }
    for name in ["APP_PORT", "HTTPS_PORT", "PG_PORT", "REGISTRY", "APP_TAG", "PG_TAG", "NGINX_TAG"] {
        command.env_remove(name);
    }
}

/// The command under test.
pub fn mainstay(state: &Path, lock: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    clean(&mut command);
    command.arg("--state-dir").arg(state).arg("--lock-dir").arg(lock);
    command
}

/// The command under test while it runs. Ended, if a test is over before it is.
pub struct Running {
    child: Child,
    shown: String,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it.
    pub fn begin(mut command: Command) -> Self {
        engine::direct(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take());
        let (tell, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, shown, lines, seen: Vec::new(), stderr: Some(stderr) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads events until one is wanted. The run ending before is a failure.
    pub fn until(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let event: Value = serde_json::from_str(&line).unwrap();
                    self.seen.push(line);
                    if wanted(&event) {
                        return event;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("never came: {what}\n{}", self.seen.join("\n")),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before {what}:\n{}", self.seen.join("\n"))
                }
            }
        }
    }

    /// Reads events until a step starts.
    pub fn until_started(&mut self, step: &str) {
        self.until(step, |event| event["event"] == "step.started" && event["step"] == step);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it outright, as a power cut would, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end. Every line must be an event, and the last one say how it ended.
    pub fn finish(mut self) -> Run {
        let code = wait(&mut self.child, &self.shown);
        self.seen.extend(self.lines.iter());
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let parsed = self.seen.iter().map(|line| serde_json::from_str(line));
        let events: Result<Vec<Value>, _> = parsed.collect();
        let stdout = self.seen.join("\n");
        let Ok(events) = events else { panic!("not JSON: {}\n{stdout}\n{stderr}", self.shown) };
        let run = Run { shown: self.shown.clone(), code, stdout, stderr, events };
        assert!(run.events.iter().all(|event| event["v"] == 1), "{run}");
        assert_eq!(run.ended()["event"], "run.ended", "the last line: {run}");
        // What `show` shows is how the run ended, not how showing it did.
        if !run.shown.contains("\"show\"") || run.code != Some(0) {
            assert_eq!(run.ended()["exit_code"].as_i64(), run.code.map(i64::from), "{run}");
        }
        assert!(run.ended()["verdict"].is_string(), "{run}");
        run
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command with `--json` that has ended.
pub struct Run {
    shown: String,
    /// Its exit status.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
    /// What it printed, line by line.
    pub events: Vec<Value>,
}

impl Run {
    /// It ended with this exit status.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// It kept what it did, perhaps with warnings.
    pub fn expect_kept(self) -> Self {
        assert!(matches!(self.code, Some(0 | 3)), "{self}");
        self
    }

    /// The last line.
    pub fn ended(&self) -> &Value {
        self.events.last().unwrap_or(&Value::Null)
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        self.events.iter().find_map(|event| event["run"].as_str()).unwrap_or_else(|| panic!("no id: {self}"))
    }

    /// How far a rollback reached.
    pub fn tier(&self) -> &str {
        self.ended()["conclusion"]["tier"].as_str().unwrap_or_else(|| panic!("no tier: {self}"))
    }

    /// The problem: of the conclusion, or of what ended it before a run.
    pub fn problem(&self) -> &Value {
        let of_run = &self.ended()["conclusion"]["failure"]["problem"];
        if of_run.is_null() { &self.ended()["problem"] } else { of_run }
    }

    /// The problem's code.
    pub fn code_of_problem(&self) -> &str {
        self.problem()["code"].as_str().unwrap_or_else(|| panic!("no problem: {self}"))
    }

    /// Everything that the problem says: what, why, and advice, of which there has to be some.
    pub fn words(&self) -> String {
        let problem = self.problem();
        assert!(problem["advice"].as_array().is_some_and(|a| !a.is_empty()), "no advice: {self}");
        problem.to_string()
    }

    /// The steps that were started, in order.
    pub fn steps(&self) -> Vec<&str> {
        let started = self.events.iter().filter(|event| event["event"] == "step.started");
        started.filter_map(|event| event["step"].as_str()).collect()
    }

    /// What came of a step.
    pub fn fact(&self, step: &str) -> &Value {
        let of_step = |e: &&Value| e["event"] == "step.ended" && e["step"] == step;
        let ended = self.events.iter().rev().find(of_step);
        &ended.unwrap_or_else(|| panic!("no {step}: {self}"))["outcome"]["fact"]
    }

    /// Everything that checks found, before and during the run.
    pub fn findings(&self) -> Vec<&Value> {
        let planned = self
            .events
            .iter()
            .filter(|e| e["event"] == "plan")
            .filter_map(|e| e["plan"]["findings"].as_array());
        let seen = self.events.iter().filter(|e| e["event"] == "finding").map(|e| &e["finding"]);
        planned.flatten().chain(seen).collect()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ended with {:?}\n{}", self.shown, self.code, self.stderr)?;
        for event in self.events.iter().filter(|event| event["event"] != "progress") {
            let line =
                if event["event"] == "run.started" { "run.started".to_owned() } else { event.to_string() };
            writeln!(f, "{}", line.chars().take(2_000).collect::<String>())?;
        }
        Ok(())
    }
}
