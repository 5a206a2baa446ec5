//! Backups, restoring them, undoing kept updates, and the commands that only look.

use std::path::Path;
use std::process::Command;

use crate::lab::process::bounded;
use crate::lab::tree::Tree;
use crate::lab::{Before, Lab};

/// The rows of a listing.
fn rows(lab: &Lab, command: &str) -> Vec<serde_json::Value> {
    let run = lab.mainstay(&[command]).expect(0);
    let name = command.trim_end_matches('s');
    run.events.into_iter().filter(|event| event["event"] == name).collect()
}

fn text(lab: &Lab, args: &[&str]) -> String {
    let mut command = crate::lab::process::mainstay(&lab.state(), &lab.home().join("lock"));
    command.args(args);
    let output = bounded(command);
    assert!(matches!(output.code, Some(0 | 3)), "{args:?}: {}{}", output.stdout, output.stderr);
    output.stdout + &output.stderr
}

#[test]
fn a_backup_comes_back_byte_for_byte() {
    let lab = Lab::new("solo").up();
    let (id, volume) = (lab.id("app"), lab.volume("data"));
    lab.add_record("in the backup");
    lab.furnish("data");
    let before = lab.now();
    let backup = lab.mainstay(&["backup", &id]).expect(0);
    lab.assert_untouched(&before);
    assert_eq!(backup.steps(), ["confirm", "keep-image", "save-configuration", "back-up-live", "document"]);

    lab.add_record("after the backup");
    let mut spoil = Command::new("sh");
    spoil
        .args(["-c", "rm -r deep && echo new >none && chmod 700 empty && echo more >more"])
        .current_dir(&volume);
    bounded(spoil).success("changed files");
    let changed = Tree::of(&volume);
    let run = lab.mainstay(&["restore", &id, "--yes"]).expect(0);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    assert!(run.steps().contains(&"verify-old"), "{run}");
    assert_ne!(lab.now().containers, before.containers, "it stood still while its data was exchanged");

    // What was overwritten is not lost.
    let kinds: Vec<String> =
        rows(&lab, "backups").iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["safety", "manual"], "newest first");
    let aside = lab.home().join("aside");
    lab.mainstay(&["restore", &id, "--kind", "safety", "--to", aside.to_str().unwrap()]).expect(0);
    assert_eq!(Tree::of(&aside), changed);

    let now = lab.now();
    let elsewhere = lab.home().join("elsewhere");
    let to = elsewhere.to_str().unwrap();
    lab.mainstay(&["restore", "app", "--run", backup.id(), "--to", to]).expect(0);
    assert_eq!(Tree::of(&elsewhere), Tree::of(&volume));
    lab.assert_untouched(&now);
    // A directory that holds something is not restored into.
    let again = lab.mainstay(&["restore", "app", "--run", backup.id(), "--to", to]);
    assert!(!matches!(again.code, Some(0 | 3)), "{again}");
    assert_eq!(Tree::of(&elsewhere), Tree::of(&volume));
}

#[test]
fn one_path_of_a_backup_comes_back_by_itself() {
    let lab = Lab::new("solo").up();
    let (id, volume) = (lab.id("app"), lab.volume("data"));
    lab.furnish("data");
    lab.mainstay(&["backup", &id]).expect(0);
    let now = lab.now();
    let to = |name: &str| lab.home().join(name);
    let restore =
        |path: &str, to: &Path| lab.mainstay(&["restore", &id, "--to", to.to_str().unwrap(), "--only", path]);
    let mount = format!("{}_data:two words", lab.project);
    for (number, path) in ["two words", "/data/two words", &mount].into_iter().enumerate() {
        let directory = to(&format!("file-{number}"));
        restore(path, &directory).expect(0);
        assert_eq!(Tree::of(&directory).0.len(), 2, "{path}");
        let content = |root: &Path| std::fs::read(root.join("two words")).unwrap();
        assert_eq!(content(&directory), content(&volume), "{path}");
    }
    restore("/data/deep", &to("directory")).expect(0);
    assert_eq!(Tree::of(&to("directory/deep")), Tree::of(&volume.join("deep")));

    let refused = restore("/etc/passwd", &to("none")).expect(2);
    assert_eq!(refused.code_of_problem(), "unknown-path");
    assert_eq!(restore("deep/none", &to("none")).expect(2).code_of_problem(), "unknown-path");
    let in_place = lab.mainstay(&["restore", &id, "--only", "two words", "--yes"]).expect(2);
    assert_eq!(in_place.code_of_problem(), "usage");
    let compose = lab.path("compose.yaml");
    let confused =
        ["--file", compose.to_str().unwrap(), "restore", &id, "--to", to("none").to_str().unwrap()]
            .map(str::to_owned);
    let confused: Vec<&str> = confused.iter().map(String::as_str).collect();
    assert_eq!(lab.mainstay(&confused).expect(2).code_of_problem(), "usage");
    assert!(!to("none").exists());
    lab.assert_untouched(&now);
}

#[test]
fn a_backup_is_exported_and_unpacked_without_mainstay() {
    let lab = Lab::new("solo").up();
    let (id, volume) = (lab.id("app"), lab.volume("data"));
    lab.furnish("data");
    lab.mainstay(&["backup", &id]).expect(0);
    let (now, wanted) = (lab.now(), Tree::of(&volume));
    let snapshot = rows(&lab, "backups")[0]["snapshot"].as_str().unwrap().to_owned();
    let file = lab.home().join("out.tar.zst");
    let to = file.to_str().unwrap();
    lab.mainstay(&["backup", "export", &id, "--to", to]).expect(0);
    let again = lab.mainstay(&["backup", "export", "app", "--to", to]);
    assert!(!matches!(again.code, Some(0 | 3)), "{again}");
    lab.mainstay(&["backup", "export", &snapshot, "--to", to, "--overwrite"]).expect(0);
    let unpacked = lab.home().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let sh = |command: String| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(&unpacked);
        bounded(shell).success(&command)
    };
    let tar = "tar --xattrs --xattrs-include='*' --numeric-owner -xpf -";
    sh(format!("zstd -dc '{to}' | {tar}"));
    assert_eq!(Tree::of(&unpacked.join(format!("{}_data", lab.project))), wanted);

    // The same into a pipe.
    let mut command = crate::lab::process::mainstay(&lab.state(), &lab.home().join("lock"));
    command.args(["backup", "export", "app", "--to", "-"]);
    let piped = lab.home().join("piped.tar.zst");
    command.stdout(std::fs::File::create(&piped).unwrap());
    assert!(command.status().unwrap().success());
    assert_eq!(std::fs::read(&piped).unwrap(), std::fs::read(&file).unwrap());

    assert_eq!(
        lab.mainstay(&["backup", "export", &id, "--to", "x.tgz"]).expect(2).code_of_problem(),
        "usage"
    );
    let unknown = lab.mainstay(&["backup", "export", "nothing", "--to", to]).expect(2);
    assert_eq!(unknown.code_of_problem(), "unknown-backup");
    // A service of that name is still reached, through its project.
    let service = lab.mainstay(&["backup", &format!("{}/export", lab.project)]).expect(2);
    assert_eq!(service.code_of_problem(), "unknown-service");
    lab.assert_untouched(&now);
}

/// A kept update from 1.0.0, and what was there before.
fn kept(to: &str) -> (Lab, Before) {
    let lab = Lab::new("solo").up();
    lab.add_record("before the update");
    let before = lab.now();
    lab.update("app", to, &[]).expect(0);
    lab.add_record("after the update");
    (lab, before)
}

#[test]
fn a_kept_update_is_undone_with_its_data() {
    let (lab, before) = kept("2.0.0");
    let run = lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    assert_eq!(run.tier(), "full");
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    let newest = &rows(&lab, "backups")[0];
    assert_eq!(newest["kind"], "safety", "what users wrote meanwhile is kept aside: {newest}");
    let again = lab.mainstay(&["rollback", &lab.id("app"), "--yes"]).expect(2);
    assert_eq!(again.code_of_problem(), "unknown-run", "it is undone already");
}

#[test]
fn a_kept_update_is_undone_by_its_image_alone() {
    let (lab, before) = kept("1.1.0");
    let data = lab.now().data;
    let run = lab.mainstay(&["rollback", &lab.id("app"), "--image-only", "--yes"]).expect(0);
    assert_eq!(run.tier(), "image-only");
    assert_eq!(lab.version(), "1.0.0");
    let now = lab.now();
    assert_eq!(now.files, before.files);
    assert_eq!(now.data, data, "what users wrote meanwhile stays");
    assert!(lab.get("/records").unwrap().contains("after the update"));
    lab.assert_old_version(&before);
}

/// The old version can't read what the new one left: that is noticed, and the data goes back as well.
#[test]
fn an_image_alone_that_does_not_suffice() {
    let (lab, before) = kept("2.0.0");
    let run = lab.mainstay(&["rollback", &lab.id("app"), "--image-only", "--yes"]).expect(0);
    assert_eq!(run.tier(), "full");
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
}

#[test]
fn a_plan_touches_nothing_and_tells_everything() {
    let lab = Lab::new("solo").up();
    let (id, before) = (lab.id("app"), lab.now());
    let run = lab.mainstay(&["plan", &id, "--to", "2.0.0", "--watch", "7m"]).expect(0);
    lab.assert_untouched(&before);
    assert!(!lab.state().exists() && !lab.home().join("lock").exists(), "not even of its own");
    let plan = &run.events[0]["plan"];
    let service = &plan["unit"]["services"][0];
    for image in [&service["from"], &service["to"]] {
        assert!(image["digest"].as_str().unwrap().starts_with("sha256:"), "{plan}");
    }
    assert!(plan["edits"][0]["diff"].as_str().unwrap().contains("+    image: "), "{plan}");
    assert_eq!(plan["data"][0]["name"], format!("{}_data", lab.project));
    assert_eq!(plan["limits"]["watch_ms"], 7 * 60_000);
    assert_eq!(plan["probes"]["inside"]["port"], 8080);
    let file = lab.path("compose.yaml");
    let by_file = lab.mainstay(&["-f", file.to_str().unwrap(), "plan", &id, "--to", "2.0.0"]).expect(0);
    assert_eq!(by_file.events[0]["plan"]["unit"], plan["unit"], "found by its file as by its labels");
    let told = text(&lab, &["plan", &id, "--to", "2.0.0"]);
    for part in ["fixture:1.0.0", "fixture:2.0.0", "way back", "_data", "watched for 30m", "quiesce"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains('\u{1b}'), "no escapes into a pipe");
}

#[test]
fn what_ran_can_be_listed_and_shown_again() {
    let lab = Lab::new("solo").up();
    let id = lab.id("app");
    lab.mainstay(&["check", &id]).expect(0);
    let first = lab.update("app", "1.1.0", &[]).expect(0);
    let second = lab.update("app", "1.1.0-exit-at-start", &[]).expect(4);
    let shown: Vec<_> = rows(&lab, "runs").iter().map(|r| (r["run"].clone(), r["verdict"].clone())).collect();
    assert_eq!(shown, [(second.id().into(), "rolled-back".into()), (first.id().into(), "done".into())]);

    for run in [&first, &second] {
        let again = lab.mainstay(&["show", run.id()]).expect(0);
        let of_journal = |events: &[serde_json::Value]| -> Vec<serde_json::Value> {
            events.iter().filter(|event| event["seq"].is_u64()).cloned().collect()
        };
        let journaled = of_journal(&run.events);
        assert!(!journaled.is_empty());
        assert_eq!(of_journal(&again.events)[..journaled.len() - 1], journaled[..journaled.len() - 1]);
    }
    let told = text(&lab, &["show", second.id()]);
    assert!(told.contains("Rolled back") && told.contains("exit-at-start"), "{told}");

    let status = lab.mainstay(&["status"]).expect(0);
    let row = status.events.iter().find(|event| event["service"] == id.as_str()).unwrap();
    assert_eq!(row["version"], "1.1.0");
    assert_eq!(row["last_run"], "update rolled-back");
    assert!(row["last_backup"].as_str().unwrap().len() > 5, "{row}");

    let doctor = lab.mainstay(&["doctor"]);
    assert!(matches!(doctor.code, Some(0 | 3)), "{doctor}");
    let seen: Vec<_> = doctor.findings().iter().map(|f| f["check"].as_str().unwrap().to_owned()).collect();
    for check in ["engine", "compose", "permissions", "state", "repository", "journal"] {
        assert!(seen.iter().any(|s| s == check), "{check}: {doctor}");
    }
}

/// The commands of a text: what is indented and begins with this word.
fn commands<'a>(text: &'a str, program: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix("    ").filter(|line| line.starts_with(program)))
}

/// You can leave: the instructions that every run writes work with stock programs alone.
#[test]
fn the_instructions_work_without_mainstay() {
    let lab = Lab::new("solo").up();
    let volume = lab.volume("data");
    lab.furnish("data");
    let before = Tree::of(&volume);
    let run = lab.update("app", "2.0.0", &[]).expect(0);
    let info = lab.run_file(&run, "BACKUP_INFO.txt");
    let sh = |command: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).env("RESTIC_CACHE_DIR", lab.home().join("cache"));
        bounded(shell).success(command)
    };
    let restic: Vec<&str> = commands(&info, "restic").collect();
    assert_eq!(restic.len(), 3, "check, and the data of cutover and live pass: {info}");
    for (number, command) in restic.iter().enumerate() {
        let target = lab.home().join(format!("stock-{number}"));
        std::fs::create_dir(&target).unwrap();
        sh(&command.replace("/path/to/an/empty/directory", target.to_str().unwrap()));
        if number > 0 {
            let restored = target.join(volume.strip_prefix("/").unwrap());
            assert_eq!(Tree::of(&restored), before, "{command}");
        }
    }

    // The old version on the restored data, as the text says.
    let docker: Vec<&str> = commands(&info, "docker compose").collect();
    assert_eq!(docker.len(), 1, "{info}");
    lab.compose(&["stop", "-t", "2"]).success("stop");
    let restored = lab.home().join("stock-1").join(volume.strip_prefix("/").unwrap());
    sh(&format!("rm -r '{0}'/* && cp -a '{1}'/. '{0}'/", volume.display(), restored.display()));
    let list = lab.run_file(&run, "configuration/files.txt");
    for line in list.lines() {
        let (number, path) = line.split_once(' ').unwrap();
        let name = Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
        let saved = lab.run_file(&run, &format!("configuration/{number}-{name}"));
        std::fs::write(path, saved).unwrap();
    }
    sh(docker[0]);
    assert_eq!(lab.version(), "1.0.0");
    assert_eq!(Tree::of(&volume), before);
}
