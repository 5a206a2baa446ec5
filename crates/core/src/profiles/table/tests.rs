//! The table's commands are lines that any POSIX shell reads; what they do is tested in real containers, by `mainstay`'s tests.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::super::{Live, Profile, all};

/// Every command of a profile, with its name.
fn commands(profile: &'static Profile) -> Vec<(String, &'static str)> {
    let asks = profile.figures.iter().map(|figure| &figure.ask).chain([&profile.ready]);
    let mut commands: Vec<_> = asks.map(|ask| (ask.name.to_owned(), ask.command)).collect();
    if let Live::Prepared { before } = profile.live {
        commands.push((format!("{} before a copy", profile.name), before));
    }
    commands
}

/// What a shell says to a script, and whether it went well.
fn shell(options: &[&str], script: &str, environment: &[(&str, &str)]) -> (bool, String) {
    let mut child = Command::new("/bin/sh")
        .args(options)
        .env_clear()
        .envs(environment.iter().copied())
        .env("PATH", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn every_command_is_shell() {
    for (name, command) in all().iter().flat_map(commands) {
        let (good, said) = shell(&["-n"], command, &[]);
        assert!(good, "{name}: {said}");
        for bashism in ["[[", "<<<", "=~", "function ", "$'", "local ", "pipefail"] {
            // The scripts of MongoDB's shell have functions of their own.
            let own = name.starts_with("mongodb") && bashism == "function ";
            assert!(own || !command.contains(bashism), "{name}: {bashism} is not POSIX");
        }
    }
}

/// A figure that can't be had is no figure: without any client, and before the first byte of an answer, every command fails and
/// prints no number as its last line.
#[test]
fn every_command_fails_where_its_program_is_missing() {
    for profile in all().iter().filter(|profile| !profile.figures.is_empty()) {
        for (name, command) in commands(profile) {
            let (good, said) = shell(&[], command, &[]);
            assert!(!good, "{name} went well: {said}");
            let number = said.lines().last().is_some_and(|line| line.trim().parse::<f64>().is_ok());
            assert!(!number, "{name} prints a number: {said}");
        }
    }
}

#[test]
fn no_password_is_an_argument_or_printed() {
    for (name, command) in all().iter().flat_map(commands) {
        let words: Vec<&str> = command.split_whitespace().collect();
        for option in ["--pass", "-pass", "-a", "--token", "--user", "-p$", "-p\""] {
            assert!(!words.iter().any(|word| word.starts_with(option)), "{name}: {option}");
        }
        assert!(!words.contains(&"-x") && !command.contains("set -x"), "{name} echoes what it does");
    }
}

#[test]
fn a_login_is_taken_from_a_variable_or_the_file_that_one_names() {
    let directory = tempfile();
    let file = format!("{directory}/password");
    std::fs::write(&file, "from a file\n").unwrap();
    let given = |environment: &[(&str, &str)]| {
        let script = concat!(given!(), "cat() { read -r line <\"$1\"; echo \"$line\"; }\ngiven FIRST SECOND");
        shell(&[], script, environment)
    };
    assert_eq!(given(&[("SECOND", "b"), ("FIRST", "a b")]), (true, "a b".to_owned()));
    assert_eq!(given(&[("SECOND", "$b'\"")]), (true, "$b'\"".to_owned()));
    assert_eq!(given(&[("FIRST", ""), ("FIRST_FILE", &file)]), (true, "from a file".to_owned()));
    assert_eq!(given(&[("SECOND_FILE", &file)]), (true, "from a file".to_owned()));
    assert_eq!(given(&[]).1, "");
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempfile() -> String {
    let directory = std::env::temp_dir().join(format!("mainstay-profiles-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.to_str().unwrap().to_owned()
}
