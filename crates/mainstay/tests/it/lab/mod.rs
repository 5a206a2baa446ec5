//! A project to update, in a directory, under a name and on a port of its own.
//!
//! Invariant: when a [`Lab`] is dropped, nothing that carries its project's name is left on the engine; if
//! something could not be removed, the test fails.

mod before;
pub mod clock;
pub mod disk;
pub mod engine;
pub mod net;
pub mod own_engine;
pub mod process;
pub mod proxy;
pub mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use before::Before;
use disk::{Disk, Small};
use net::Port;
use process::{Output, Run, Running, bounded};

/// The repository that this test was built from.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).unwrap()
}

/// Asks until there is an answer; what stays without one is a failure.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(45);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `docker`, which has to succeed.
pub fn docker(args: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(args);
    bounded(command).success(&format!("docker {args:?}"))
}

/// A version that the lab's images were built with, for example `PG_OLD`.
pub fn built(name: &str) -> String {
    let cache = std::env::var("MAINSTAY_LAB_CACHE").unwrap_or_else(|_| "/var/cache/mainstay-lab".to_owned());
    let text = std::fs::read_to_string(Path::new(&cache).join("versions.env")).expect("script/bootstrap");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
    line.to_owned()
}

/// A project to update.
pub struct Lab {
    /// Compose's project name.
    pub project: String,
    // Before the directory that they are mounted at or below.
    small: Option<Small>,
    disk: Option<Disk>,
    home: TempDir,
    port: Port,
    v1: bool,
    files: Vec<String>,
    shell: Vec<(String, String)>,
    /// Repositories that only this test has.
    pub own_repositories: Vec<String>,
}

impl Lab {
    /// A copy of a project of `lab/projects`.
    pub fn new(template: &str) -> Self {
        let lab = Self::empty();
        copy(&repository().join("lab/projects").join(template), &lab.directory());
        if template == "shop" {
            let mut ca = Command::new(repository().join("lab/ca"));
            ca.arg(lab.path("certs"));
            bounded(ca).success("lab/ca");
        }
        let port = lab.port().to_string();
        lab.replace("compose.yaml", &["18080", "18443", "15432"], &port);
        if lab.path(".env").exists() {
            let env = lab.read(".env");
            let env = env.lines().map(|line| match line.split_once('=') {
                Some(("PG_TAG", _)) => format!("PG_TAG={}\n", built("PG_OLD")),
                Some(("NGINX_TAG", _)) => format!("NGINX_TAG={}\n", built("NGINX")),
                _ => format!("{line}\n"),
            });
            lab.write(".env", &env.collect::<String>());
        }
        lab
    }

    /// A project of these files. `PORT` in them becomes the port, `IMAGE` the fixture without its tag.
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self::empty().with(files)
    }

    /// The same, with everything, mainstay's state too, on a disk of its own.
    pub fn on_disk(files: &[(&str, &str)]) -> Self {
        let mut lab = Self::empty();
        lab.disk = Some(Disk::mount(lab.home.path()));
        std::fs::create_dir(lab.directory()).unwrap();
        lab.with(files)
    }

    fn with(self, files: &[(&str, &str)]) -> Self {
        for (name, text) in files {
            let text = text.replace("PORT", &self.port().to_string());
            self.write(name, &text.replace("IMAGE", "127.0.0.1:5000/lab/fixture"));
        }
        self
    }

    /// From now on a directory of this test is on a small disk of its own, empty.
    pub fn mount_small(&mut self, at: &Path, size: &str) {
        self.small = Some(Small::mount(at, size));
    }

    /// The disk of [`Lab::on_disk`].
    pub fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("project")).unwrap();
        let project = format!("it{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self {
            project,
            small: None,
            disk: None,
            home,
            port: Port::free(),
            v1: false,
            files: Vec::new(),
            shell: Vec::new(),
            own_repositories: Vec::new(),
        }
    }

    /// By `docker-compose`, the Python program.
    pub fn v1(mut self) -> Self {
        self.v1 = true;
        self
    }

    /// In a shell that has this variable.
    pub fn shell(mut self, name: &str, value: &str) -> Self {
        self.shell.push((name.to_owned(), value.to_owned()));
        self
    }

    /// By these Compose files, in this order.
    pub fn files(mut self, files: &[&str]) -> Self {
        self.files = files.iter().map(|f| (*f).to_owned()).collect();
        self
    }

    /// The port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// `project/service`.
    pub fn id(&self, service: &str) -> String {
        format!("{}/{service}", self.project)
    }

    /// Where everything of this test is.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The project's directory.
    pub fn directory(&self) -> PathBuf {
        self.home.path().join("project")
    }

    /// A file of the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// mainstay's state directory.
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// The text of a file of the project.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn replace(&self, name: &str, old: &[&str], new: &str) {
        let text = old.iter().fold(self.read(name), |text, old| text.replace(old, new));
        self.write(name, &text);
    }

    /// Compose on this project.
    pub fn compose(&self, args: &[&str]) -> Output {
        let mut command = if self.v1 { Command::new("docker-compose") } else { Command::new("docker") };
        if !self.v1 {
            command.arg("compose");
        }
        command.current_dir(self.directory()).args(["-p", &self.project]);
        for file in &self.files {
            command.args(["-f", file]);
        }
        command.args(args);
        process::clean(&mut command);
        command.envs(self.shell.iter().cloned());
        bounded(command)
    }

    /// Starts the project and waits until all of it is healthy and, where the fixture is published, answers.
    pub fn up(self) -> Self {
        self.compose(&["up", "-d"]).success("up");
        self.healthy();
        if self.read_compose().contains(":8080\"") {
            eventually("the first answer", || self.get("/version").ok());
        }
        self
    }

    fn read_compose(&self) -> String {
        let name = self.files.first().map_or("compose.yaml", String::as_str);
        std::fs::read_to_string(self.path(name))
            .or_else(|_| std::fs::read_to_string(self.path("docker-compose.yml")))
            .unwrap()
    }

    /// Waits until every container with a health check is healthy.
    pub fn healthy(&self) {
        let good = |container: &Value| match container["State"]["Health"]["Status"].as_str() {
            Some(status) => status == "healthy",
            None => true,
        };
        eventually("every container healthy", || {
            engine::containers(&self.project).iter().all(good).then_some(())
        });
    }

    /// The only container of a service, as `docker inspect` shows it.
    pub fn container(&self, service: &str) -> Value {
        let label = |container: &Value| {
            container["Config"]["Labels"]["com.docker.compose.service"].as_str().map(str::to_owned)
        };
        let all = engine::containers(&self.project);
        let mut own: Vec<Value> = all.into_iter().filter(|c| label(c).as_deref() == Some(service)).collect();
        assert_eq!(own.len(), 1, "containers of {service}");
        own.remove(0)
    }

    /// The id of the only container of a service.
    pub fn container_id(&self, service: &str) -> String {
        self.container(service)["Id"].as_str().unwrap().to_owned()
    }

    /// What the service answers on its published port, or why it does not: 200 is the only good answer.
    pub fn get(&self, path: &str) -> Result<String, String> {
        net::get(&format!("127.0.0.1:{}", self.port()), path)
    }

    /// What a service of the fixture answers at its container's address.
    pub fn get_inside(&self, service: &str, path: &str) -> Result<String, String> {
        let networks = &self.container(service)["NetworkSettings"]["Networks"];
        let address = networks.as_object().unwrap().values().find_map(|n| n["IPAddress"].as_str()).unwrap();
        net::get(&format!("{address}:8080"), path)
    }

    /// The version that answers, waiting for it: a restarted container may need a moment.
    pub fn version(&self) -> String {
        eventually("an answer", || self.get("/version").ok())
    }

    /// Adds a record to the fixture's data.
    pub fn add_record(&self, text: &str) {
        net::post(&format!("127.0.0.1:{}", self.port()), "/records", &format!("{{\"text\": \"{text}\"}}"));
    }

    /// Asks the database.
    pub fn psql(&self, service: &str, sql: &str) -> String {
        docker(&["exec", &self.container_id(service), "psql", "-U", "postgres", "-tAc", sql])
            .trim()
            .to_owned()
    }

    /// The directory of a volume of the project.
    pub fn volume(&self, name: &str) -> PathBuf {
        let name = format!("{}_{name}", self.project);
        let volumes = engine::volumes(&self.project);
        volumes.into_iter().find(|(volume, _)| *volume == name).unwrap().1.into()
    }

    /// Puts into a volume what a store of files may hold: all kinds, odd modes, owners and names.
    pub fn furnish(&self, volume: &str) {
        let script = "mkdir -p deep/er empty && printf secret >deep/er/key && chmod 600 deep/er/key && \
            chown 1001:1002 deep/er/key && ln -s key deep/er/link && ln deep/er/key deep/twin && \
            : >none && chmod 1777 empty && mkfifo pipe && truncate -s 5M sparse && touch -- '-n' 'ü\n' && \
            head -c 3000000 /dev/urandom >'two words'";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(self.volume(volume));
        bounded(shell).success("files of a volume");
    }

    /// A command of mainstay on this project, with `--json`.
    pub fn mainstay(&self, args: &[&str]) -> Run {
        self.begin(args).finish()
    }

    /// The same, while it runs.
    pub fn begin(&self, args: &[&str]) -> Running {
        Running::begin(self.command(args))
    }

    /// The command, to change it before it runs.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = process::mainstay(&self.state(), &self.home().join("lock"));
        command.arg("--json").args(args).envs(self.shell.iter().cloned());
        command
    }

    /// `update SERVICE --to TAG`, not asking, with short limits that `more` may change.
    pub fn update(&self, service: &str, to: &str, more: &[&str]) -> Run {
        self.mainstay(&self.update_args(service, to, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The arguments of [`Lab::update`].
    pub fn update_args(&self, service: &str, to: &str, more: &[&str]) -> Vec<String> {
        let mut args = vec!["update".to_owned(), self.id(service), "--to".to_owned(), to.to_owned()];
        args.push("--yes".to_owned());
        for (name, value) in
            [("--watch", "1s"), ("--startup", "20s"), ("--probe-grace", "2s"), ("--probe-interval", "300ms")]
        {
            if !more.contains(&name) {
                args.extend([name.to_owned(), value.to_owned()]);
            }
        }
        args.extend(more.iter().map(|a| (*a).to_owned()));
        args
    }

    /// The files of the run's own directory, by name.
    pub fn run_file(&self, run: &Run, name: &str) -> String {
        std::fs::read_to_string(self.state().join("runs").join(run.id()).join(name)).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Compose mounts a volume without a name by its id when it makes a container again, and then leaves it behind.
        let nameless = engine::nameless_volumes(&self.project);
        let down = self.compose(&["down", "-v", "--remove-orphans", "-t", "2"]);
        let kept = engine::kept_images(&self.project).into_iter().map(|(tag, _)| tag);
        let images: Vec<String> =
            kept.chain(self.own_repositories.iter().flat_map(|own| engine::names_of(own))).collect();
        if !images.is_empty() {
            let mut remove = Command::new("docker");
            remove.arg("rmi").args(images);
            let _ = bounded(remove);
        }
        for volume in nameless {
            let mut remove = Command::new("docker");
            remove.args(["volume", "rm", &volume]);
            let _ = bounded(remove);
        }
        let containers = engine::container_ids(&self.project);
        let left = containers.len()
            + engine::volumes(&self.project).len()
            + engine::networks(&self.project).len()
            + engine::kept_images(&self.project).len()
            + self.own_repositories.iter().flat_map(|own| engine::names_of(own)).count();
        for id in containers {
            docker(&["rm", "-fv", &id]);
        }
        let complaint = format!("{left} things of {} stayed on the engine: {}", self.project, down.stderr);
        assert!(left == 0 || std::thread::panicking(), "{complaint}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
