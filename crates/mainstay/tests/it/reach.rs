//! Data that the process can't read as a directory: of an engine whose volumes are closed to it, of one that is reached
//! over the network, and of one whose paths only look like ours. All of it goes through the engine's archive API.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::process::{Run, Running, bounded};
use crate::lab::tree::Tree;
use crate::lab::{Lab, docker, eventually};

/// Nobody whom the system knows.
const USER: &str = "47110";
const SOCKET: &str = "/var/run/docker.sock";

/// A project of a user who may talk to the engine and read none of its directories.
struct Unprivileged {
    lab: Lab,
    program: PathBuf,
}

impl Unprivileged {
    fn new() -> Self {
        let lab = Lab::new("solo").up();
        lab.furnish("data");
        lab.add_record("must not be lost");
        Self::of(lab)
    }

    fn of(lab: Lab) -> Self {
        let mut own = Command::new("chown");
        own.args(["-R", &format!("{USER}:{USER}"), "--from=0"]).arg(lab.home());
        bounded(own).success("chown");
        // Where everybody may execute it, and root's as before: a link is the same file.
        let program = lab.home().join("mainstay");
        std::fs::hard_link(env!("CARGO_BIN_EXE_mainstay"), &program)
            .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_mainstay"), &program).map(drop))
            .unwrap();
        Self { lab, program }
    }

    fn begin(&self, args: &[&str]) -> Running {
        let group = std::fs::metadata(SOCKET).unwrap().gid().to_string();
        let as_root = self.lab.command(args);
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--groups", &group, "--inh-caps=-all"]);
        command.arg(&self.program).args(as_root.get_args()).env("HOME", self.lab.home());
        for (name, value) in as_root.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Running::begin(command)
    }

    fn run(&self, args: &[&str]) -> Run {
        self.begin(args).finish()
    }

    fn update(&self, to: &str) -> Run {
        let args = self.lab.update_args("app", to, &[]);
        self.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// When everything in a directory changed last, itself left out.
fn times(directory: &Path) -> BTreeMap<OsString, i64> {
    let mut all = BTreeMap::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.insert(path.strip_prefix(directory).unwrap().into(), meta.mtime());
    }
    all.remove(OsString::new().as_os_str());
    all
}

fn evidence(run: &Run, check: &str) -> String {
    let findings = run.findings();
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check}: {run}"))["evidence"].to_string()
}

/// Nothing that a run made to reach data is there any more.
fn assert_nothing_left(lab: &Lab, run: &Run) {
    assert_eq!(helpers(run.id(), true), "", "containers");
    assert!(!lab.state().join("runs").join(run.id()).join("reach").exists(), "a copy of the data");
}

fn helpers(run: &str, all: bool) -> String {
    let label = format!("label=mainstay.run={run}");
    docker(&["ps", if all { "-aq" } else { "-q" }, "--filter", &label]).trim().to_owned()
}

#[test]
fn data_of_a_closed_directory_is_backed_up_and_comes_back() {
    let user = Unprivileged::new();
    let (lab, id) = (&user.lab, user.lab.id("app"));
    let volume = lab.volume("data");
    let before = lab.now();
    let backup = user.run(&["backup", &id, "--yes"]).expect(3);
    lab.assert_untouched(&before);
    assert!(evidence(&backup, "archive-api").contains("only root can read"), "{backup}");
    assert!(evidence(&backup, "archive-api").contains("extended attributes"), "{backup}");
    assert_nothing_left(lab, &backup);
    user.run(&["verify-backup", &id]).expect(0);
    let again = user.run(&["backup", &id, "--yes"]).expect(3);
    let added = again.fact("back-up-live")["backups"][0]["added_bytes"].as_u64().unwrap();
    assert!(added < 200_000, "{added}: {again}");

    // Everywhere else it is a backup like any other; that root reads it here is for the owners' sake.
    let aside = lab.home().join("aside");
    lab.mainstay(&["restore", &id, "--to", aside.to_str().unwrap()]).expect(0);
    assert_eq!(Tree::of(&aside), Tree::of(&volume));
    assert_eq!(times(&aside), times(&volume));
    let exported = lab.home().join("out.tar");
    user.run(&["backup", "export", &id, "--to", exported.to_str().unwrap()]).expect(0);

    let wanted = (Tree::of(&volume), times(&volume));
    let mut spoil = Command::new("sh");
    spoil
        .args([
            "-c",
            "rm -r deep && echo new >none && chmod 700 empty && mkdir -p more/below && echo x >more/below/x",
        ])
        .current_dir(&volume);
    bounded(spoil).success("changed files");
    let run = user.run(&["restore", &id, "--run", backup.id(), "--yes"]).expect(3);
    assert_eq!(lab.version(), "1.0.0");
    assert_eq!((Tree::of(&volume), times(&volume)), wanted, "{run}");
    assert_nothing_left(lab, &run);
}

#[test]
fn an_update_is_kept_and_undone_without_access_to_the_data() {
    let user = Unprivileged::new();
    let lab = &user.lab;
    let before = lab.now();
    let run = user.update("2.0.0").expect(3);
    assert_eq!((lab.version().as_str(), lab.get("/schema").as_deref()), ("2.0.0", Ok("2")));
    assert_nothing_left(lab, &run);
    let undone = user.run(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    assert_nothing_left(lab, &undone);
}

#[test]
fn a_bad_update_takes_its_data_back_without_access_to_it() {
    let user = Unprivileged::new();
    let lab = &user.lab;
    let (before, volume) = (lab.now(), lab.volume("data"));
    let run = user.update("2.0.0-migration-fails-half-way").expect(4);
    assert_eq!(run.tier(), "full", "{run}");
    assert!(run.steps().contains(&"restore-data"), "{run}");
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    assert!(lab.get("/records").unwrap().contains("must not be lost"));
    assert!(volume.join("sparse").exists());
    assert_nothing_left(lab, &run);
}

/// A mounted file can't be exchanged: it is written where it is.
#[test]
fn bind_mounts_of_a_directory_and_of_a_file_come_back() {
    let compose = "services:\n  app:\n    image: IMAGE:1.0.0\n    ports:\n      - \"127.0.0.1:PORT:8080\"\n    \
                   volumes:\n      - ./data:/data\n      - ./app.conf:/etc/app.conf\n";
    let user = Unprivileged::of(Lab::of(&[("compose.yaml", compose), ("app.conf", "one\n")]).up());
    let (lab, id) = (&user.lab, user.lab.id("app"));
    let (file, data) = (lab.path("app.conf"), lab.path("data"));
    std::fs::write(data.join("kept"), "as it was").unwrap();
    let inode = std::fs::metadata(&file).unwrap().ino();
    let wanted = (Tree::of(&data), times(&data));
    let backup = user.run(&["backup", &id, "--yes"]).expect(3);
    assert_eq!(backup.fact("back-up-live")["backups"].as_array().unwrap().len(), 2, "{backup}");
    std::fs::write(&file, "changed").unwrap();
    std::fs::write(data.join("surplus"), "more").unwrap();
    std::fs::remove_file(data.join("kept")).unwrap();
    let run = user.run(&["restore", &id, "--yes"]).expect(3);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n");
    assert_eq!(std::fs::metadata(&file).unwrap().ino(), inode);
    assert_eq!((Tree::of(&data), times(&data)), wanted);
    assert_nothing_left(lab, &run);
}

/// What was half put back is finished by whoever goes on.
#[test]
fn putting_back_that_was_killed_is_finished() {
    let user = Unprivileged::new();
    let (lab, id) = (&user.lab, user.lab.id("app"));
    let volume = lab.volume("data");
    let mut more = Command::new("sh");
    more.args([
        "-c",
        "mkdir many && cd many && for i in $(seq 400); do head -c 100000 /dev/urandom >f$i; done",
    ]);
    more.current_dir(&volume);
    bounded(more).success("many files");
    let backup = user.run(&["backup", &id, "--yes"]).expect(3);
    let wanted = (Tree::of(&volume), times(&volume));
    std::fs::remove_dir_all(volume.join("many")).unwrap();
    std::fs::write(volume.join("surplus"), "not in the backup").unwrap();

    let mut running = user.begin(&["restore", &id, "--run", backup.id(), "--yes"]);
    let named = running.until("the run's name", |event| event["run"].is_string());
    let run = named["run"].as_str().unwrap().to_owned();
    running.until_started("restore-data");
    eventually("some of it put back", || volume.join("many").exists().then_some(()));
    running.kill();
    assert_ne!(Tree::of(&volume), wanted.0, "it was killed too late to show anything");
    let resumed = user.run(&["resume", &run]).expect(3);
    assert_eq!(lab.version(), "1.0.0");
    assert_eq!((Tree::of(&volume), times(&volume)), wanted, "{resumed}");
    assert_nothing_left(lab, &resumed);
}

/// The engine's socket at a port of the loopback interface, for as long as the test lasts.
fn over_the_network() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let engine = UnixStream::connect(SOCKET).unwrap();
            let (mut there, mut back) = (connection.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || pass(&mut there, &mut &engine, || engine.shutdown(Shutdown::Write)));
            std::thread::spawn(move || {
                pass(&mut back, &mut &connection, || TcpStream::shutdown(&connection, Shutdown::Write));
            });
        }
    });
    format!("tcp://{address}")
}

fn pass(from: &mut impl std::io::Read, to: &mut impl std::io::Write, end: impl Fn() -> std::io::Result<()>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = end();
}

/// Every path of the engine exists here and can be read, and yet it is none of ours.
#[test]
fn an_engine_behind_the_network_is_not_read_by_its_paths() {
    let lab = Lab::new("solo").up();
    lab.furnish("data");
    lab.add_record("must not be lost");
    let (id, volume) = (lab.id("app"), lab.volume("data"));
    let host = over_the_network();
    let before = lab.now();
    let backup = lab.mainstay(&["--host", &host, "backup", &id, "--yes"]).expect(3);
    assert!(evidence(&backup, "archive-api").contains("not asked through a socket"), "{backup}");
    lab.assert_untouched(&before);
    std::fs::remove_dir_all(volume.join("deep")).unwrap();
    let run = lab.mainstay(&["--host", &host, "restore", &id, "--yes"]).expect(3);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    assert_nothing_left(&lab, &run);
}

/// Another directory of the same name, as in another mount namespace.
#[test]
fn another_directory_of_the_same_name_is_not_taken_for_the_data() {
    let lab = Lab::new("solo").up();
    lab.furnish("data");
    let (id, volume) = (lab.id("app"), lab.volume("data"));
    let wanted = Tree::of(&volume);
    let plain = lab.command(&["backup", &id, "--yes"]);
    let mut elsewhere = Command::new("unshare");
    elsewhere.args(["--mount", "--propagation", "private", "sh", "-c"]);
    elsewhere.args(["mount -t tmpfs tmpfs \"$0\" && echo another >\"$0/store.json\" && exec \"$@\""]);
    elsewhere.arg(&volume).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => elsewhere.env(name, value),
            None => elsewhere.env_remove(name),
        };
    }
    let backup = Running::begin(elsewhere).finish().expect(3);
    assert!(evidence(&backup, "archive-api").contains("not what the container sees"), "{backup}");
    let aside = lab.home().join("aside");
    lab.mainstay(&["restore", &id, "--to", aside.to_str().unwrap()]).expect(0);
    assert_eq!(Tree::of(&aside), wanted);
    // Where it is the same directory, it is read as such.
    let direct = lab.mainstay(&["backup", &id, "--yes"]).expect(0);
    assert!(direct.findings().iter().all(|finding| finding["check"] != "archive-api"), "{direct}");
}
