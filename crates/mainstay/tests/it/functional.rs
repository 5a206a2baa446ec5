//! Functional checks: each kind, good and bad, asked of real versions.

use serde_json::Value;

use crate::lab::process::Run;
use crate::lab::{Lab, built, docker, eventually};

/// A project in `mainstay.toml`'s words: `[[service.app.check]]` and its keys, for each check.
pub fn configure(lab: &Lab, service: &str, checks: &[&str]) {
    let tables = checks.iter().map(|keys| format!("[[service.{service}.check]]\n{keys}\n\n"));
    lab.write("mainstay.toml", &tables.collect::<String>());
}

pub fn solo(checks: &[&str]) -> Lab {
    let lab = Lab::new("solo").up();
    configure(&lab, "app", checks);
    lab
}

/// Two versions of a shell script, told apart by `$V`: the tags of two releases of an image that has a shell.
pub fn scripted(script: &str, checks: &[&str]) -> Lab {
    let text = "services:
  app:
    image: 127.0.0.1:5000/lab/postgres:${V}
    entrypoint: [\"sh\", \"-c\", \"trap 'exit 0' TERM; OLD=OLDTAG; SCRIPT; while :; do sleep 0.1; done\"]
    environment:
      V: ${V}
    stop_grace_period: 3s
    mem_limit: 64m
    healthcheck:
      disable: true
    volumes:
      - data:/data
volumes:
  data:
";
    let text = text.replace("SCRIPT", &script.replace('$', "$$")).replace("OLDTAG", &built("PG_OLD"));
    let lab = Lab::of(&[("compose.yaml", &text), (".env", &format!("V={}\n", built("PG_OLD")))]).up();
    configure(&lab, "app", checks);
    lab
}

fn update_scripted(lab: &Lab, more: &[&str]) -> Run {
    // The image exposes a port on which the script does not listen.
    lab.update("app", &built("PG_NEW"), &[&["--force", "inside"], more].concat())
}

fn failed(run: &Run) -> &Value {
    &run.ended()["conclusion"]["failure"]
}

pub fn observations(run: &Run, step: &str) -> String {
    run.fact(step)["observations"].to_string()
}

pub fn functional_findings(run: &Run) -> Vec<&Value> {
    run.findings().into_iter().filter(|f| f["check"] == "functional").collect()
}

/// It went back because of a check, and works again.
fn went_back(lab: &Lab, run: &Run, check: &str) {
    assert_eq!(run.code_of_problem(), "version-check-failed", "{run}");
    assert!(run.words().contains(check), "{run}");
    assert!(run.steps().contains(&"verify-old"), "{run}");
    lab.healthy();
}

#[test]
fn a_good_version_passes_checks_of_every_kind() {
    let lab = solo(&[
        "name = \"records\"\nhttp = \"/records\"\nstatus = 200\nheader = { Content-Type = \"json\" }\n\
         json = { \"$.records[0].id\" = 1 }\njson_exists = [\"$.count\"]\nmatches = 'count.:\\d'",
        "name = \"new record\"\nhttp = \"/records\"\nmethod = \"POST\"\nbody = '{\"text\": \"by a check\"}'\n\
         headers = { Content-Type = \"application/json\" }\nstatus = [200, 201]",
        "name = \"health\"\ncommand = [\"/fixture\", \"health\"]",
        "name = \"from here\"\nhost_command = 'echo \"$MAINSTAY_SERVICE ${MAINSTAY_STATE_DIR:-nothing}\"'\n\
         contains = \"app nothing\"",
        "name = \"count\"\nhttp = \"/records\"\nfigure = \"$.count\"\nmin_ratio = 1.0",
    ]);
    let run = lab.update("app", "2.0.0", &["--watch", "2s"]).expect(0);
    let names: Vec<&Value> =
        run.events[0]["plan"]["checks"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["records", "new record", "health", "from here", "count"]);
    assert_eq!(run.fact("take-baseline")["measured"]["figures"][0]["check"], "count");
    for name in ["records: HTTP 200", "new record: HTTP 201", "health: exit code 0", "from here: exit code 0"]
    {
        assert!(observations(&run, "verify-new").contains(name), "{name}: {run}");
    }
    assert!(observations(&run, "verify-new").contains("before the update"), "{run}");
    assert!(observations(&run, "watch").contains("records: HTTP 200"), "{run}");
}

#[test]
fn a_version_that_comes_up_empty_goes_back_with_its_data() {
    let lab = solo(&["name = \"count\"\nhttp = \"/records\"\nfigure = \"$.count\""]);
    lab.add_record("must not be lost");
    let before = lab.now();
    let run = lab.update("app", "2.0.0-comes-up-empty", &["--startup", "5s"]).expect(4);
    went_back(&lab, &run, "0, before the update 4");
    assert_eq!((run.tier(), failed(&run)["cause"]["data"].as_str()), ("full", Some("certain")));
    lab.assert_as_before(&before);
}

#[test]
fn a_version_that_corrupts_its_data_quietly_is_caught() {
    let lab = solo(&["name = \"first record\"\nhttp = \"/records\"\ncontains = '\"first light\"'"]);
    let before = lab.now();
    let run = lab.update("app", "2.0.0-corrupt-data", &["--startup", "5s"]).expect(4);
    went_back(&lab, &run, "first light");
    assert_eq!(run.tier(), "full", "it had changed the data");
    lab.assert_as_before(&before);
}

#[test]
fn a_command_in_the_container_decides() {
    let lab = scripted(
        "true",
        &[
            "name = \"version\"\ncommand = 'test \"$V\" = \"$OLD\" || echo \"not $OLD\"; test \"$V\" = VERSION'",
        ],
    );
    let keys = lab.read("mainstay.toml").replace("VERSION", &built("PG_OLD"));
    lab.write("mainstay.toml", &keys);
    let run = update_scripted(&lab, &["--startup", "7s"]).expect(4);
    went_back(&lab, &run, "exit code 1, expected 0");
    assert_eq!(run.tier(), "image-only", "the data is as it was");
}

#[test]
fn a_command_on_this_host_decides_and_is_killed_with_its_group() {
    let lab = solo(&[]);
    let (flag, pids) = (lab.home().join("hang"), lab.home().join("pids"));
    let command =
        format!("if [ -e {0} ]; then sleep 987 & echo $! >>{1}; wait; fi", flag.display(), pids.display());
    configure(&lab, "app", &[&format!("name = \"outer\"\nhost_command = '{command}'\ntimeout = \"1s\"")]);
    let args = lab.update_args("app", "1.1.0", &["--watch", "30s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    std::fs::write(&flag, "").unwrap();
    // Back to good, so that the way back is not hindered.
    eventually("three failures", || {
        std::fs::read_to_string(&pids).is_ok_and(|text| text.lines().count() >= 4).then_some(())
    });
    std::fs::remove_file(&flag).unwrap();
    let run = running.finish();
    let run = if run.code == Some(4) { run } else { panic!("{run}") };
    went_back(&lab, &run, "did not end within 1 s");
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        let gone = || {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (!String::from_utf8_lossy(&line).contains("987")).then_some(())
        };
        eventually("the end of what the command had started", gone);
    }
}

#[test]
fn what_is_only_wanted_is_a_warning() {
    let lab = solo(&["name = \"same version\"\nhttp = \"/version\"\ncontains = \"1.0.0\"\nrequired = false"]);
    let run = lab.update("app", "1.1.0", &[]).expect(3);
    let findings = functional_findings(&run);
    assert!(findings.iter().any(|f| f["message"].to_string().contains("same version fails")), "{run}");
    assert_eq!(lab.version(), "1.1.0");
}

#[test]
fn what_was_bad_before_condemns_nothing() {
    let lab = solo(&["name = \"nonsense\"\nhttp = \"/gone\"\nstatus = 200"]);
    let run = lab.update("app", "1.1.0", &[]).expect(3);
    let finding = &functional_findings(&run)[0];
    assert!(finding["message"].to_string().contains("before the update"), "{run}");
    assert!(finding["evidence"].to_string().contains("404"), "{run}");
    assert_eq!(lab.version(), "1.1.0");
}

#[test]
fn a_check_that_goes_bad_in_the_watch_turns_the_version_back() {
    let lab = solo(&["name = \"records\"\nhttp = \"/records\"\nmatches = 'count.:3\\b'"]);
    let args = lab.update_args("app", "1.1.0", &["--watch", "30s"]);
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    lab.add_record("one too many");
    let run = running.finish().expect(4);
    went_back(&lab, &run, "nothing in the answer matches");
    assert!(lab.get("/records").unwrap().contains("\"count\":3"), "the data from before the update is back");
}

/// The program is missing, which is no matter of the data, so that the image alone goes back first; but the new version
/// has eaten a file, and the figure says so.
#[test]
fn an_image_only_rollback_that_lost_data_goes_on_to_full() {
    let script = "if [ $V = $OLD ]; then [ -e /data/a ] || touch /data/a /data/b; else sleep 7; rm -f /data/b; exit 127; fi";
    let lab = scripted(script, &["name = \"files\"\ncommand = \"ls /data | wc -l\"\nfigure = true"]);
    let files = || docker(&["exec", &lab.container_id("app"), "ls", "/data"]);
    eventually("the data", || (files().lines().count() == 2).then_some(()));
    let run = update_scripted(&lab, &["--watch", "30s"]).expect(4);
    assert_eq!(run.code_of_problem(), "version-exits", "{run}");
    assert_eq!((run.tier(), failed(&run)["cause"]["data"].as_str()), ("full", Some("unrelated")), "{run}");
    assert_eq!(run.steps().iter().filter(|step| **step == "verify-old").count(), 2, "{run}");
    assert_eq!(files(), "a\nb\n");
}

#[test]
fn check_asks_and_plan_shows_them_without_secrets() {
    let lab = solo(&[
        "name = \"login\"\nhttp = \"/version?token=hunter2\"\nheaders = { Authorization = \"Bearer hunter2hunter2\" }",
        "name = \"count\"\nhttp = \"/records\"\nfigure = \"$.count\"\nat_least = 1",
        "name = \"look\"\nquestion = \"Does the start page look right?\"",
    ]);
    let check = lab.mainstay(&["check", &lab.id("app")]).expect(0);
    for says in
        ["login (http GET /version, inside", "good: HTTP 200", "good: 3", "asked of a new version alone"]
    {
        assert!(check.stdout.contains(says), "{says}: {check}\n{}", check.stdout);
    }
    let plan = lab.mainstay(&["plan", &lab.id("app"), "--to", "1.1.0"]).expect(0);
    let run = lab.update("app", "1.1.0", &[]).expect(0);
    for text in [&check.stdout, &plan.stdout, &run.stdout, &lab.run_file(&run, "report.txt")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(
        lab.run_file(&run, "checks/0").contains("hunter2"),
        "what is really asked is kept, for its owner alone"
    );
}

#[test]
fn mistakes_in_checks_are_told_before_anything_is_done() {
    let lab = solo(&[]);
    let before = lab.now();
    for (keys, says) in [
        ("name = \"x\"\nhttp = \"/\"\nmatches = \"(\"", "no regular expression"),
        ("name = \"x\"\nhttp = \"/\"\nstatsu = 200", "did you mean `status`?"),
        ("name = \"x\"\nhttp = \"/\"\ncommand = \"true\"", "exactly one of the keys"),
    ] {
        configure(&lab, "app", &[keys]);
        let run = lab.update("app", "1.1.0", &[]).expect(2);
        assert_eq!(run.code_of_problem(), "config-invalid");
        assert!(run.words().contains(says), "{run}");
    }
    configure(&lab, "app", &[]);
    lab.assert_untouched(&before);
}

#[test]
fn nobody_to_ask_skips_a_question_or_counts_as_no() {
    let keys = "name = \"look\"\nquestion = \"Does it look right?\"";
    let lab = solo(&[keys]);
    let run = lab.update("app", "1.1.0", &[]).expect(0);
    assert!(observations(&run, "verify-new").contains("skipped: nobody was there"), "{run}");
    configure(&lab, "app", &[&format!("{keys}\nunattended = \"fail\"")]);
    let run = lab.update("app", "1.2.0", &[]).expect(4);
    went_back(&lab, &run, "counts as no");
    assert_eq!(lab.version(), "1.1.0");
}

/// On a terminal, made by script(1): the first answer begins the run, the second one decides.
#[test]
fn the_operator_answers_at_the_terminal() {
    let lab = solo(&["name = \"look\"\nquestion = \"Does it look right?\""]);
    let no = at_terminal(&lab, "1.1.0", &["y", "n"]);
    assert!(no.contains("Does it look right? [y/n]"), "{no}");
    assert!(no.contains("the operator says no") && no.contains("Rolled back"), "{no}");
    assert_eq!(lab.version(), "1.0.0");
    let yes = at_terminal(&lab, "1.1.0", &["y", "what?", "y"]);
    assert_eq!(yes.matches("[y/n]").count(), 2, "asked again: {yes}");
    assert!(yes.contains("Kept"), "{yes}");
    assert_eq!(lab.version(), "1.1.0");
}

fn at_terminal(lab: &Lab, to: &str, answers: &[&str]) -> String {
    use std::io::Write as _;
    let mut update = lab.command(&[]);
    let words: Vec<String> = std::iter::once(update.get_program())
        .chain(update.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .filter(|word| word != "--json")
        .chain(lab.update_args("app", to, &[]).into_iter().filter(|word| word != "--yes"))
        .collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    update = std::process::Command::new("timeout");
    update.args(["90", "script", "-qec", &quoted.join(" "), "/dev/null"]);
    crate::lab::process::clean(&mut update);
    update.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = update.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for answer in answers {
        writeln!(stdin, "{answer}").unwrap();
    }
    // Its end would be the end of the terminal.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Every example of the document at once, on the application that it speaks of.
#[test]
fn the_examples_of_the_document_are_good() {
    let document = crate::lab::repository().join("docs/functional-checks.md");
    let text = std::fs::read_to_string(document).unwrap();
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5, "{examples:?}");
    let lab = Lab::new("shop").up();
    // Only what the document shows is counted.
    lab.write("mainstay.toml", &(examples.concat() + "\n[defaults]\nprofile = \"none\"\n"));
    for (service, good) in [("app", 6), ("db", 1)] {
        let run = lab.mainstay(&["check", &lab.id(service), "--url", "none"]).expect_kept();
        assert_eq!(run.stdout.matches(": good: ").count(), good, "{run}\n{}", run.stdout);
        assert!(!run.stdout.contains(": bad: "), "{run}\n{}", run.stdout);
    }
}
