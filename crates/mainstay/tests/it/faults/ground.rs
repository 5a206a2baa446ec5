//! The project that a fault happens to, and what the command needs to run into it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::end;
use super::fault::Fault;
use super::phase::Phase;
use crate::killed::gate::Gate;
use crate::lab::clock::Clock;
use crate::lab::disk::Filler;
use crate::lab::own_engine::OwnEngine;
use crate::lab::process::{Run, Running, bounded};
use crate::lab::proxy::{Mood, Proxy};
use crate::lab::{Before, Lab, docker, engine, net};
use crate::power;

/// How long the engine is away.
const WHILE: Duration = Duration::from_secs(3);
/// So far into the first look at the service.
const AT_FIRST: Duration = Duration::from_millis(150);
/// How long a registry that hangs may hold up a run before the test ends it.
const PATIENCE: Duration = Duration::from_secs(100);

/// What must be there at the end, whatever the end is.
pub const RECORD: &str = "must not be lost";

const PROJECT: &str = "\
services:
  app:
    image: IMAGE:TAG # the only line that an update changes
    restart: unless-stopped
    stop_grace_period: 2s
    ports: [\"127.0.0.1:PORT:8080\"]
    volumes: [\"DATA:/data\"]
    healthcheck: {test: [CMD, /fixture, health], interval: 1s, timeout: 2s, retries: 3}
";
const VOLUMES: &str = "volumes: {data: {}}\n";

/// The project, and what stands between it and the command.
pub struct Ground<'a> {
    // Before the disk that it fills.
    filler: Option<Filler>,
    /// The project, in its old version.
    pub lab: Lab,
    /// What it was like.
    pub before: Before,
    /// Which fault it is meant for.
    pub fault: Fault,
    /// What was changed of the Compose file, if it was.
    pub edited: bool,
    engine: Option<Proxy>,
    registry: Option<Proxy>,
    clock: Option<Clock>,
    own_engine: Option<&'a mut OwnEngine>,
}

/// The engine that a fault needs for itself.
pub fn own_engine(fault: Fault) -> Option<OwnEngine> {
    let live = fault == Fault::EngineRestartsLive;
    let number = match fault {
        Fault::EngineRestarts => 0,
        Fault::EngineDies => 1,
        Fault::EngineRestartsLive => 2,
        Fault::EngineFull => 3,
        _ => return None,
    };
    Some(OwnEngine::start(number, live))
}

impl<'a> Ground<'a> {
    /// A project for one cell.
    pub fn on(fault: Fault, own_engine: Option<&'a mut OwnEngine>) -> Self {
        let registry =
            matches!(fault, Fault::RegistryGone | Fault::RegistryHangs).then(Proxy::in_front_of_the_registry);
        let mut lab = match fault {
            Fault::PowerCut | Fault::AllFull => Lab::on_disk(&[]),
            _ => Lab::of(&[]),
        };
        match fault {
            Fault::StateFull => lab.mount_small(&lab.state(), "700m"),
            Fault::FilesFull => lab.mount_small(&lab.directory(), "1m"),
            _ => {}
        }
        let image = own_image(fault, &lab, registry.as_ref());
        let own = image.as_ref().map_or("127.0.0.1:5000/lab/fixture", |(image, _)| image.as_str());
        let tag = if fault == Fault::MoveTag { "stable" } else { "1.0.0" };
        let on_disk = matches!(fault, Fault::PowerCut | Fault::AllFull);
        let data = if on_disk { "./data" } else { "data" };
        let text = PROJECT.replace("IMAGE", own).replace("TAG", tag).replace("DATA", data);
        let text = text.replace("PORT", &lab.port().to_string());
        lab.write("compose.yaml", &(text + if on_disk { "" } else { VOLUMES }));
        lab.own_repositories.extend(image.map(|(image, _)| image));
        let lab = lab.up();
        lab.add_record(RECORD);
        std::fs::create_dir(lab.home().join("tmp")).unwrap();
        if on_disk {
            lab.disk().sync();
        }
        Self {
            before: lab.now(),
            fault,
            edited: false,
            engine: fault.mood().map(|_| Proxy::in_front_of_the_engine(lab.home())),
            registry,
            clock: matches!(fault, Fault::ClockForward | Fault::ClockBack).then(|| Clock::of(&lab)),
            own_engine,
            filler: None,
            lab,
        }
    }

    fn begin(&self, args: &[&str]) -> Running {
        let mut command = self.lab.command(args);
        command.env("TMPDIR", self.lab.home().join("tmp"));
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine.host());
        }
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        Running::begin(command)
    }

    /// The fault in this phase of an update, and what came of it, in a word; and what the command said.
    pub fn suffer(mut self, phase: Phase) -> (String, String) {
        let to = if self.fault == Fault::MoveTag { "stable" } else { phase.version() };
        if self.fault == Fault::MoveTag {
            net::publish(&self.repository(), "stable", phase.version());
        }
        let args = self.lab.update_args("app", to, &["--watch", "4s"]);
        let mut running = self.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
        match phase.step() {
            Some(step) => running.until_started(step),
            None => std::thread::sleep(AT_FIRST),
        }
        let run = match self.strike(running) {
            Some(running) => {
                self.lift_after_a_while();
                let run = self.finish(running);
                self.lift();
                Some(run)
            }
            None => None,
        };
        let run = self.resumed(run);
        let end = end::judge(&self, phase, run.as_ref());
        (end, run.map(|run| run.to_string()).unwrap_or_default())
    }

    /// What is left of the process; none where it is dead.
    fn strike(&mut self, running: Running) -> Option<Running> {
        let container = || engine::container_ids(&self.lab.project).into_iter().next();
        match self.fault {
            Fault::Killed => {
                running.kill();
                return None;
            }
            Fault::PowerCut => {
                power::cut(&self.lab, running, power::UNLESS_STOPPED);
                return None;
            }
            Fault::Interrupted => running.signal(Signal::INT),
            Fault::Terminated => running.signal(Signal::TERM),
            Fault::HungUp => running.signal(Signal::HUP),
            Fault::EngineGone | Fault::EngineBreaks | Fault::EngineHangs | Fault::EngineLate => {
                self.engine.as_ref().unwrap().set(self.fault.mood().unwrap());
            }
            Fault::EngineRestarts | Fault::EngineRestartsLive => {
                let engine = self.own_engine.as_deref_mut().unwrap();
                engine.end(Signal::TERM);
                engine.begin();
            }
            Fault::EngineDies => {
                let engine = self.own_engine.as_deref_mut().unwrap();
                engine.end(Signal::KILL);
                engine.begin();
            }
            Fault::EngineFull | Fault::StateFull | Fault::FilesFull | Fault::AllFull => {
                self.filler = Some(Filler::begin(self.disk().join("filler")));
            }
            Fault::RegistryGone => self.registry.as_ref().unwrap().set(Mood::Breaks),
            Fault::RegistryHangs => self.registry.as_ref().unwrap().set(Mood::Hangs),
            Fault::ClockForward => self.clock.as_ref().unwrap().set(5),
            Fault::ClockBack => self.clock.as_ref().unwrap().set(-5),
            Fault::Up => drop(self.lab.compose(&["up", "-d"])),
            Fault::Down => drop(self.lab.compose(&["down", "-t", "2"])),
            Fault::Stop => drop(container().map(|id| tried(&["stop", "-t", "2", &id]))),
            Fault::Remove => drop(container().map(|id| tried(&["rm", "-f", &id]))),
            Fault::Edit => {
                let text = self.lab.read("compose.yaml") + "# added by somebody else\n";
                self.lab.write("compose.yaml", &text);
                self.edited = true;
            }
            Fault::MoveTag => {
                net::publish(&self.repository(), "stable", "1.1.0");
                docker(&["pull", "--quiet", &format!("{}:stable", self.lab.own_repositories[0])]);
            }
            Fault::Prune => self.prune(),
            Fault::WriteData => {
                std::fs::write(self.data().join("written-by-somebody"), "text").unwrap();
            }
        }
        Some(running)
    }

    /// An engine that is away comes back; everything else stays until the command has ended.
    fn lift_after_a_while(&self) {
        if let Some(engine) = &self.engine {
            std::thread::sleep(WHILE);
            engine.set(Mood::Well);
        }
    }

    fn lift(&mut self) {
        if let Some(registry) = &self.registry {
            registry.set(Mood::Well);
        }
        drop(self.filler.take());
    }

    /// A registry that never answers is nothing that a run waits for without a limit.
    fn finish(&self, running: Running) -> Run {
        let began = Instant::now();
        let run = running.finish();
        assert!(began.elapsed() < PATIENCE, "it took {:?}: {run}", began.elapsed());
        run
    }

    /// What was not over is resumed, unattended; how it ended at last. None where there never was a run.
    fn resumed(&self, run: Option<Run>) -> Option<Run> {
        if !self.lab.state().join("journal.db").exists() {
            return run;
        }
        let resumed = self.begin(&["resume"]).finish();
        let gate = Gate::at(&self.lab.state());
        assert_eq!(gate.unfinished(), 0, "{resumed}");
        if resumed.stdout.contains("nothing to resume") {
            // A killed process may have come to its end before.
            let shown = || self.begin(&["show"]).finish();
            return run.or_else(|| (gate.runs() > 0).then(shown));
        }
        Some(resumed)
    }

    /// Where the service's data is.
    pub fn data(&self) -> PathBuf {
        match self.fault {
            Fault::PowerCut | Fault::AllFull => self.lab.path("data"),
            _ => self.lab.volume("data"),
        }
    }

    fn repository(&self) -> String {
        format!("test/{}", self.lab.project)
    }

    /// The disk that fills up.
    fn disk(&self) -> PathBuf {
        match self.fault {
            Fault::EngineFull => self.own_engine.as_ref().unwrap().data(),
            Fault::StateFull => self.lab.state(),
            Fault::FilesFull => self.lab.directory(),
            _ => self.lab.home().to_owned(),
        }
    }

    /// Both images lose what names they have, and go if no container uses them.
    fn prune(&self) {
        let own = &self.lab.own_repositories[0];
        let kept = engine::kept_images(&self.lab.project).into_iter().map(|(tag, _)| tag);
        let names: Vec<String> = kept.chain(engine::names_of(own)).collect();
        tried(&["rmi", "-f"].into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>());
    }
}

/// The image's name where the fault is about it, so that no other test has it.
fn own_image(fault: Fault, lab: &Lab, registry: Option<&Proxy>) -> Option<(String, String)> {
    let repository = format!("test/{}", lab.project);
    if let Some(registry) = registry {
        return Some((format!("{}/lab/fixture", registry.host()), repository));
    }
    let tags: &[(&str, &str)] = match fault {
        Fault::MoveTag => &[("stable", "1.0.0")],
        Fault::Prune => &[
            ("1.0.0", "1.0.0"),
            (super::phase::GOOD, super::phase::GOOD),
            (super::phase::BAD, super::phase::BAD),
        ],
        _ => return None,
    };
    for (tag, of) in tags {
        net::publish(&repository, tag, of);
    }
    Some((format!("127.0.0.1:5000/{repository}"), repository))
}

/// `docker`, which may fail.
fn tried(args: &[&str]) {
    let mut command = Command::new("docker");
    command.args(args);
    let _ = bounded(command);
}
