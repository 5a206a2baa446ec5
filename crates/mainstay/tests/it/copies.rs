//! Where backups are kept and copied to: another disk, a bucket; what is left when the host is lost.

use std::path::PathBuf;

use crate::lab::Lab;
use crate::lab::process::{Run, bounded, mainstay};
use crate::lab::tree::Tree;

/// A command on another host: an empty state directory, and the password from the operator's copy.
fn elsewhere(lab: &Lab, repository: &str, password: &str, args: &[&str]) -> crate::lab::process::Output {
    let mut command = mainstay(&lab.home().join("another host"), &lab.home().join("lock"));
    command.args(["--repository", repository]).args(args);
    command.env("MAINSTAY_REPOSITORY_PASSWORD", password).envs(credentials());
    bounded(command)
}

#[cfg(feature = "remote")]
fn credentials() -> [(&'static str, &'static str); 2] {
    [("AWS_ACCESS_KEY_ID", crate::s3::ID), ("AWS_SECRET_ACCESS_KEY", crate::s3::SECRET)]
}

#[cfg(not(feature = "remote"))]
fn credentials() -> [(&'static str, &'static str); 0] {
    []
}

fn take_password(lab: &Lab) -> String {
    let password = std::fs::read_to_string(lab.state().join("repository.password")).unwrap();
    password.trim().to_owned()
}

fn notes(run: &Run) -> Vec<&str> {
    run.events.iter().filter(|e| e["event"] == "note").filter_map(|e| e["text"].as_str()).collect()
}

#[test]
fn a_copy_on_another_disk_is_enough_when_the_host_is_lost() {
    let lab = Lab::new("solo").up();
    let copy = lab.home().join("disk");
    std::fs::create_dir(&copy).unwrap();
    lab.write("mainstay.toml", &format!("copy_to = {copy:?}\n"));
    lab.furnish("data");
    let volume = lab.volume("data");
    let first = Tree::of(&volume);
    let run = lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    assert!(notes(&run).iter().any(|n| n.starts_with("Copied to") && n.contains("1 backup(s)")), "{run}");
    let observed = run.events.iter().find(|e| e["finding"]["check"] == "repository-password");
    assert!(observed.is_some(), "who doesn't know of the password can't keep a copy: {run}");
    let password = take_password(&lab);
    lab.add_record("later");
    let second = Tree::of(&volume);
    let run = lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    assert!(notes(&run).iter().any(|n| n.contains("1 were there")), "{run}");

    // Another host, which has the disk and the password.
    std::fs::remove_dir_all(lab.state()).unwrap();
    let copy = copy.to_str().unwrap();
    let listed = elsewhere(&lab, copy, &password, &["backups"]).success("list");
    assert_eq!(listed.lines().filter(|line| line.contains("manual")).count(), 2, "{listed}");
    let run_of_first = listed.lines().last().unwrap().split_whitespace().last().unwrap();
    for (run, expected) in [(Some(run_of_first), first), (None, second)] {
        let target = lab.home().join(format!("restored {}", run.unwrap_or("newest")));
        let mut args = vec!["restore", "app", "--to", target.to_str().unwrap()];
        args.extend(run.iter().flat_map(|run| ["--run", *run]));
        elsewhere(&lab, copy, &password, &args).success("restore");
        assert_eq!(Tree::of(&target), expected);
    }
    let wrong = elsewhere(&lab, copy, "not it", &["backups"]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("MAINSTAY_REPOSITORY_PASSWORD"), "{wrong:?}");
}

#[test]
fn a_copy_that_fails_is_a_warning_and_changes_no_verdict() {
    let lab = Lab::new("solo").up();
    let missing = lab.home().join("no/such/disk");
    let args = ["backup", &lab.id("app"), "--copy-to", missing.to_str().unwrap()];
    let run = lab.mainstay(&args).expect(3);
    assert_eq!(run.ended()["verdict"], "done-with-warnings");
    let found = run.findings();
    let warning = found.iter().find(|f| f["check"] == "copy").unwrap_or_else(|| panic!("{run}"));
    assert!(warning["advice"].as_str().unwrap().contains("mainstay copy"), "{warning}");
    assert!(!lab.home().join("no").exists());
    let runs = lab.mainstay(&["runs"]).expect(0);
    let row = runs.events.iter().find(|e| e["event"] == "run").unwrap();
    assert_eq!(row["verdict"], "done", "the run itself was good: {runs}");

    // By hand, once the disk is there.
    std::fs::create_dir_all(missing.parent().unwrap()).unwrap();
    let copied = lab.mainstay(&["copy", "--copy-to", missing.to_str().unwrap()]).expect(0);
    assert!(notes(&copied).iter().any(|n| n.contains("1 backup(s)")), "{copied}");
    lab.mainstay(&["copy"]).expect(2);
}

#[test]
fn a_run_goes_on_with_the_repository_that_it_began_with() {
    let lab = Lab::new("solo").up();
    let first = lab.home().join("first");
    let before = lab.now();
    let args = lab.update_args("app", "2.0.0", &["--repository", first.to_str().unwrap()]);
    lab.mainstay(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    assert!(first.join("config").exists() && !lab.state().join("repository").exists());
    // Configured differently since.
    lab.write("mainstay.toml", "repository = \"../second\"\n");
    lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    assert_eq!(lab.version(), "1.0.0");
    assert_eq!(lab.now().data, before.data, "out of the repository that the update used");
    assert!(!lab.home().join("second").exists());
    lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    let second: PathBuf = lab.directory().join("../second");
    assert!(second.join("config").exists(), "a relative path is from the file that says it");
}

#[test]
fn a_place_that_is_none_and_a_password_given_twice_are_usage_errors() {
    let lab = Lab::new("solo").up();
    let run = lab.mainstay(&["backups", "--repository", "s3:https://me:s3cr3t@host/bucket"]).expect(2);
    assert!(!(run.stdout.clone() + &run.stderr).contains("s3cr3t"), "{}", run.words());
    let mut twice = lab.command(&["backups"]);
    twice.env("MAINSTAY_REPOSITORY_PASSWORD", "s3cr3t").env("MAINSTAY_REPOSITORY_PASSWORD_FILE", "/p");
    let output = bounded(twice);
    assert_eq!(output.code, Some(2));
    assert!(!output.stdout.contains("s3cr3t") && !output.stderr.contains("s3cr3t"), "{output:?}");
}

/// Every file of the state directory that holds one of these texts.
#[cfg(feature = "remote")]
fn holders(directory: &std::path::Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holders(&path, texts));
        } else {
            let content = std::fs::read(&path).unwrap();
            let holds = |text: &str| content.windows(text.len()).any(|part| part == text.as_bytes());
            found.extend(texts.iter().any(|text| holds(text)).then_some(path));
        }
    }
    found
}

#[cfg(feature = "remote")]
#[test]
fn an_update_keeps_its_backups_in_a_bucket_and_comes_back_from_there() {
    use crate::s3::{ID, S3, SECRET};
    const PASSWORD: &str = "the-password-of-the-bucket";
    let s3 = S3::start();
    let place = s3.location("host").to_string();
    let lab = Lab::new("solo").up();
    lab.furnish("data");
    let (before, volume) = (lab.now(), lab.volume("data"));
    let tree = Tree::of(&volume);
    let run = |args: &[&str], secret: &str| {
        let mut command = lab.command(args);
        command.env("MAINSTAY_REPOSITORY", &place).env("MAINSTAY_REPOSITORY_PASSWORD", PASSWORD);
        command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", secret);
        crate::lab::process::Running::begin(command).finish()
    };
    let args = lab.update_args("app", "2.0.0", &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let update = run(&args, SECRET).expect(0);
    assert!(!update.findings().iter().any(|f| f["check"] == "disk"), "{update}");
    lab.add_record("in the new version");
    run(&["rollback", &lab.id("app"), "--full", "--yes"], SECRET).expect(0);
    lab.assert_as_before(&before);
    assert_eq!(holders(&lab.state(), &[SECRET, ID, PASSWORD]), Vec::<PathBuf>::new());
    assert!(!lab.state().join("repository").exists());

    // Without mainstay.
    let info = lab.run_file(&update, "BACKUP_INFO.txt");
    for needed in ["RESTIC_PASSWORD", "AWS_SECRET_ACCESS_KEY"] {
        assert!(info.contains(needed), "{info}");
    }
    let command = info.lines().find(|line| line.contains(" restore ")).unwrap();
    let target = lab.home().join("by restic");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command.replace("/path/to/an/empty/directory", "\"$TARGET\"")]).env("TARGET", &target);
    shell
        .env("RESTIC_CACHE_DIR", lab.home().join("cache"))
        .env("RESTIC_PASSWORD", PASSWORD)
        .envs(credentials());
    bounded(shell).success(command);
    assert_eq!(Tree::of(&target.join(volume.strip_prefix("/").unwrap())), tree);

    // Refused by the server: said without secrets, and the service isn't touched.
    let now = lab.now();
    let refused = run(&["backup", &lab.id("app")], "another-secret").expect(1);
    assert!(refused.words().contains("denies access"), "{refused}");
    assert!(!(refused.stdout.clone() + &refused.stderr).contains("another-secret"), "{}", refused.words());
    lab.assert_untouched(&now);
    let doctor = run(&["doctor"], SECRET);
    assert!(doctor.findings().iter().any(|f| f["message"].to_string().contains(&place)), "{doctor}");
}
