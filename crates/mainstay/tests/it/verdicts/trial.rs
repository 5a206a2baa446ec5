//! One case, tried: the real command on a real project, and what came of it.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};

use super::case::{Case, Decisive};
use super::project::tag;
use crate::lab::process::Run;
use crate::lab::{Before, Lab};

/// What came of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// `kept`, `rolled back`, or another word for how it ended.
    pub verdict: String,
    /// How far a rollback reached.
    pub tier: Option<String>,
    /// The most telling diagnosis.
    pub diagnosis: Option<String>,
    /// What the command says happened.
    pub said: String,
    /// Seconds from the decisive event to the start of the rollback.
    pub decision: Option<f64>,
}

/// Tries a case. What goes wrong with the trial itself is a verdict, too, and never the expected one.
pub fn run(case: &Case) -> Observed {
    catch_unwind(AssertUnwindSafe(|| observe(case))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let said: String = text.unwrap_or_default().chars().take(1_500).collect();
        Observed { verdict: "the trial failed".to_owned(), said, ..Observed::default() }
    })
}

fn observe(case: &Case) -> Observed {
    let lab = case.project.start(case);
    let (before, data) = (lab.now(), case.project.data(&lab).unwrap());
    let engine = EngineEvents::follow(&lab);
    let run = lab.update(
        case.project.service(),
        &tag(case.to),
        &options(case, &lab).iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let exits = engine.stop();
    let mut observed = read(&run);
    observed.decision = decision(case, &run, &exits);
    if let Some(wrong) = aftermath(case, &lab, &before, &data, &observed) {
        observed.verdict = format!("{}, but {wrong}", observed.verdict);
    }
    observed
}

fn options(case: &Case, lab: &Lab) -> Vec<String> {
    let directory = lab.directory();
    let fill = |text: &&str| {
        let text = text.replace("PORT", &lab.port().to_string());
        text.replace("DIR", directory.to_str().unwrap())
    };
    let mut options: Vec<String> = case.options.iter().map(fill).collect();
    for (name, value) in [
        ("--watch", case.watch.to_owned()),
        ("--startup", format!("{}s", case.startup)),
        ("--probe-grace", format!("{}s", case.grace)),
    ] {
        options.extend([name.to_owned(), value]);
    }
    options
}

fn read(run: &Run) -> Observed {
    let (ended, conclusion) = (run.ended(), &run.ended()["conclusion"]);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let verdict = match conclusion["verdict"].as_str() {
        Some("kept") => "kept".to_owned(),
        Some(other) => other.replace('-', " "),
        None => text(&ended["verdict"]).unwrap_or_default(),
    };
    let problem = run.problem();
    let said = text(&problem["what"]).unwrap_or_default();
    let causes = problem["causes"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    Observed {
        verdict,
        tier: text(&conclusion["tier"]),
        diagnosis: text(&conclusion["failure"]["diagnosis"][0]["id"]),
        said: causes.fold(said, |said, cause| format!("{said}: {cause}")),
        decision: None,
    }
}

/// What is not as it has to be after this end.
fn aftermath(case: &Case, lab: &Lab, before: &Before, data: &str, observed: &Observed) -> Option<String> {
    let looked = catch_unwind(AssertUnwindSafe(|| match observed.verdict.as_str() {
        "as before" => lab.assert_untouched(before),
        "rolled back" if case.project.stands_still() => lab.assert_as_before(before),
        "rolled back" => lab.assert_old_version(before),
        _ => {}
    }));
    if looked.is_err() {
        return Some("not everything is as before".to_owned());
    }
    let now = case.project.data(lab);
    (now.as_deref() != Ok(data)).then(|| format!("its data said {data:?} before and says {now:?}"))
}

/// Seconds from the moment on that a case can be known to be bad to the start of the rollback.
fn decision(case: &Case, run: &Run, events: &[EngineEvent]) -> Option<f64> {
    let begun = |step: &str| {
        let started = |e: &&serde_json::Value| e["event"] == "step.started" && e["step"] == step;
        run.events.iter().find(started).and_then(|e| e["at"].as_i64())
    };
    let (start, decided) = (begun("start-new")?, begun("confirm-way-back")?);
    let within = |event: &&EngineEvent| (start..=decided).contains(&event.at);
    let last = |what: &str| events.iter().filter(within).filter(|e| e.what == what).map(|e| e.at).max();
    let first_start = events.iter().filter(within).find(|e| e.what == "start").map(|e| e.at);
    let seconds = |seconds: u64| i64::try_from(seconds * 1000).unwrap_or(i64::MAX);
    let decisive = match case.decisive {
        Decisive::None => return None,
        Decisive::Exit => last("die")?,
        Decisive::OutOfMemory => last("oom")?,
        Decisive::StartError => last("die").unwrap_or(start),
        Decisive::NeverUp => start + seconds(case.startup),
        Decisive::Goes(after) => first_start? + seconds(after) + seconds(case.grace),
        Decisive::WindowEnd => begun("watch")? + seconds(case.watch.trim_end_matches('s').parse().ok()?),
    };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a few minutes")]
    let late = (decided - decisive) as f64 / 1000.0;
    Some(late)
}

/// What the engine says happened to a container, when.
struct EngineEvent {
    /// Milliseconds since the epoch.
    at: i64,
    what: String,
}

/// The engine's own events of a project, written down while a run is under way: the engine remembers few.
struct EngineEvents {
    child: Child,
    file: std::path::PathBuf,
}

impl EngineEvents {
    fn follow(lab: &Lab) -> Self {
        let file = lab.home().join("engine-events");
        let mut command = Command::new("docker");
        command.args(["events", "--format", "{{.TimeNano}} {{.Action}}", "--filter", "type=container"]);
        command.arg("--filter").arg(format!("label=com.docker.compose.project={}", lab.project));
        for event in ["start", "die", "oom"] {
            command.arg("--filter").arg(format!("event={event}"));
        }
        command.stdin(Stdio::null()).stdout(File::create(&file).unwrap()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), file }
    }

    fn stop(mut self) -> Vec<EngineEvent> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let event = |line: &str| {
            let (nanos, what) = line.split_once(' ')?;
            Some(EngineEvent { at: nanos.parse::<i64>().ok()? / 1_000_000, what: what.to_owned() })
        };
        text.lines().filter_map(event).collect()
    }
}

impl Drop for EngineEvents {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
