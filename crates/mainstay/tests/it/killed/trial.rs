//! One trial: a command is killed, resumed, perhaps killed again, and resumed to its end; then everything has to be
//! as its end says, to the byte.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::killed::course::{Course, End, GOOD};
use crate::killed::gate::{Gate, Line, When, Written};
use crate::lab::process::{Run, Running};
use crate::lab::{Before, Lab, docker, engine};

/// Where a process is killed.
#[derive(Clone, Debug)]
pub struct Blow {
    /// At which line of the journal.
    pub line: Line,
    /// When, seen from there.
    pub when: When,
}

/// What came of a trial.
#[derive(Debug)]
pub struct Seen {
    /// Where each process that was killed had come to.
    pub killed: Vec<Written>,
    /// How the run ended, in one word.
    pub verdict: String,
    /// What was left of what processes made for themselves.
    pub left: Vec<String>,
}

/// A project in its old version, and what is known of an undisturbed run of the command.
pub struct Bench {
    /// The project.
    pub lab: Lab,
    /// The lines that the journal then has, with the time that each one took.
    pub lines: Vec<Written>,
    course: Course,
    old: Before,
    new: Option<Before>,
}

impl Bench {
    /// Sets it up, and runs the command once to its end.
    pub fn new(course: Course) -> Self {
        let lab = Lab::new(course.project).up();
        lab.add_record("must not be lost");
        lab.furnish(if course.project == "pair" { "worker-data" } else { "data" });
        std::fs::create_dir(lab.home().join("tmp")).unwrap();
        let old = lab.now();
        let mut bench = Self { lab, lines: Vec::new(), course, old, new: None };
        (course.prepare)(&bench.lab);
        let run = bench.begin(&(course.args)(&bench.lab)).finish();
        bench.lines = Gate::at(&bench.lab.state()).lines();
        if course.end == End::New {
            let run = run.expect_kept();
            assert_eq!(bench.lab.version(), GOOD, "{run}");
            bench.new = Some(bench.lab.now());
        }
        assert_eq!(bench.left(), Vec::<String>::new(), "left by a run that nobody killed");
        bench.reset();
        bench
    }

    fn begin(&self, args: &[String]) -> Running {
        let mut command = self.lab.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        command.env("TMPDIR", self.lab.home().join("tmp"));
        Running::begin(command)
    }

    fn resume(&self) -> Running {
        self.begin(&["resume".to_owned()])
    }

    /// Back to the old version.
    fn reset(&self) {
        if self.lab.version() != "1.0.0" {
            self.lab.mainstay(&["rollback", &self.lab.id("app"), "--yes"]).expect_kept();
        }
        self.lab.assert_as_before(&self.old);
    }

    /// Kills the command at the first point, and what resumes it at the others.
    pub fn perform(&self, blows: &[Blow]) -> Seen {
        (self.course.prepare)(&self.lab);
        let gate = Gate::at(&self.lab.state());
        let (runs, mut known) = (gate.runs() + 1, 0);
        let mut killed: Vec<Written> = Vec::new();
        for (nth, blow) in blows.iter().enumerate() {
            let process = if nth == 0 { self.begin(&(self.course.args)(&self.lab)) } else { self.resume() };
            let Some(last) = gate.kill(process, (runs, known), &blow.line, blow.when) else { break };
            known = last.seq;
            killed.push(last);
        }
        let had_ended = gate.unfinished() == 0;
        let verified = gate.lines().iter().any(|line| line.kind == "verify-new done");
        let run = self.resume().finish();
        assert_eq!(gate.unfinished(), 0, "{run}");
        self.assert_end(&run, verified);
        if !had_ended {
            assert!(run.events.iter().any(|event| event["event"] == "run.resumed"), "{run}");
        }
        let lines = gate.lines();
        let end = lines.last().unwrap().kind.strip_prefix("run-ended ");
        let verdict = end.unwrap_or_else(|| panic!("no end: {lines:?}")).to_owned();
        assert_eq!(run.code == Some(5), verdict == "needs-person", "{run}");
        gate.assert_sound();
        self.lab.mainstay(&["show"]).expect(0);
        // Where nothing was resumed, or the repository was not free yet when the run tidied up after itself, the next command
        // does so.
        if had_ended || !self.left().is_empty() {
            self.lab.mainstay(&["prune"]).expect(0);
        }
        let left = self.left();
        self.reset();
        Seen { killed, verdict, left }
    }

    /// The right version answers, on the data that it must have.
    fn assert_end(&self, run: &Run, verified: bool) {
        let lines = Gate::at(&self.lab.state()).lines();
        let kept =
            matches!(lines.last().unwrap().kind.as_str(), "run-ended done" | "run-ended done-with-warnings");
        if self.course.end == End::New {
            assert_eq!(kept, verified, "kept if and only if it had been verified: {run}\n{lines:?}");
        }
        let (version, expected) = match &self.new {
            Some(new) if kept => (GOOD, new),
            _ => ("1.0.0", &self.old),
        };
        assert_eq!(self.lab.version(), version, "{run}");
        self.lab.assert_as_before(expected);
        self.lab.healthy();
        assert_eq!(self.lab.version(), version, "{run}");
    }

    fn left(&self) -> Vec<String> {
        let then = [Some(&self.old), self.new.as_ref()];
        let images = then.into_iter().flatten().flat_map(|then| &then.containers);
        left(&self.lab, &images.map(|container| container.image.as_str()).collect::<Vec<_>>())
    }

    /// The time that the step which a line begins took undisturbed.
    pub fn took(&self, kind: &str) -> Option<Duration> {
        self.lines.iter().find(|line| line.kind == kind)?.took
    }
}

/// What processes made for themselves and is still there, on the engine or in files; `images` are those that may be
/// kept.
pub fn left(lab: &Lab, images: &[&str]) -> Vec<String> {
    let state = lab.state();
    let shown = |path: PathBuf| path.display().to_string();
    let mut left: Vec<String> =
        files(&state).into_iter().filter(|path| is_left_over(path)).map(shown).collect();
    left.extend(files(&lab.home().join("tmp")).into_iter().map(shown));
    for run in std::fs::read_dir(state.join("runs")).unwrap() {
        let run = run.unwrap().file_name().into_string().unwrap();
        let own = docker(&["ps", "-aq", "--filter", &format!("label=mainstay.run={run}")]);
        left.extend(own.lines().map(|id| format!("container {id} of run {run}")));
    }
    // A kept image has one tag for each service that ran it.
    let kept = engine::kept_images(&lab.project);
    let meant =
        |id: &str| images.contains(&id) && kept.iter().filter(|(_, i)| i == id).count() <= images.len();
    left.extend(kept.iter().filter(|(_, id)| !meant(id)).map(|(tag, _)| format!("image {tag}")));
    left
}

/// What is written under one name to be renamed, or is only there while a process works.
fn is_left_over(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let in_locks = path.parent().is_some_and(|parent| parent.ends_with("locks"));
    in_locks
        || name.ends_with(".tmp")
        || name.starts_with(".writing-")
        || name.contains("-tmp-")
        || name.starts_with(".tmp")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        }
        all.push(entry.path());
    }
    all
}
