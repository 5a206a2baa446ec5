//! Functional checks beside the new version: just before the cutover, where data is restored, and where nobody waits for them.

use crate::functional::{configure, functional_findings, observations, scripted, solo};
use crate::lab::eventually;

/// A command on this host that counts how often it was asked, and fails as the shell's `test` says of that number.
fn counted(name: &str, test: &str) -> String {
    format!(
        "name = \"{name}\"\nhost_command = 'n=$(cat \"{name}\" 2>/dev/null || echo 0); echo $((n + 1)) >\"{name}\"; \
         test $n {test}'"
    )
}

/// Good when the plan is made and bad ever since: while the old version ran. What is bad once is good.
#[test]
fn what_goes_bad_before_the_cutover_condemns_nothing() {
    let lab = solo(&[&counted("gone", "-lt 1"), &counted("once", "-ne 1")]);
    let run = lab.update("app", "1.1.0", &["--watch", "3s"]).expect(3);
    assert_eq!(run.fact("take-baseline")["measured"]["bad"], serde_json::json!(["gone"]), "{run}");
    let findings: Vec<String> =
        functional_findings(&run).iter().map(|f| f["message"].as_str().unwrap().to_owned()).collect();
    assert!(findings[0].starts_with("the check gone fails just before the cutover"), "{run}");
    assert!(findings.iter().all(|message| !message.contains("once")), "{run}");
    assert_eq!(lab.version(), "1.1.0");
}

#[test]
fn a_restoration_is_checked_and_no_check_undoes_it() {
    let lab = solo(&[
        "name = \"records\"\nhttp = \"/records\"\nmatches = 'count.:3\\b'",
        "name = \"version\"\nhttp = \"/version\"\ncontains = \"9.9\"",
        "name = \"look\"\nquestion = \"Does it look right?\"\nunattended = \"fail\"",
    ]);
    lab.mainstay(&["backup", &lab.id("app")]).expect(0);
    lab.add_record("after the backup");
    let run = lab.mainstay(&["restore", &lab.id("app"), "--yes"]).expect(3);
    assert!(observations(&run, "verify-old").contains("records: HTTP 200"), "{run}");
    let findings = functional_findings(&run);
    assert_eq!(findings.len(), 1, "{run}");
    assert!(findings[0]["message"].as_str().unwrap().contains("the check version fails"), "{run}");
    assert!(lab.get("/records").unwrap().contains("\"count\":3"), "what was restored stays");
    configure(&lab, "app", &["name = \"records\"\nhttp = \"/records\""]);
    lab.mainstay(&["restore", &lab.id("app"), "--kind", "safety", "--yes"]).expect(0);
    assert!(lab.get("/records").unwrap().contains("\"count\":4"));
}

#[test]
fn a_figure_behind_more_output_than_is_kept_is_bad() {
    let lab = scripted(
        "true",
        &[
            "name = \"long\"\ncommand = \"head -c 400000 /dev/zero | tr '\\\\0' x; echo; echo 7\"\nfigure = true",
        ],
    );
    let run = lab.mainstay(&["check", &lab.id("app")]);
    assert!(run.stdout.contains("it printed more than is looked at"), "{run}\n{}", run.stdout);
}

#[test]
fn a_command_that_nobody_waits_for_any_more_is_ended() {
    let lab = scripted("true", &["name = \"long\"\ncommand = \"sleep 986\"\ntimeout = \"60s\""]);
    let running = lab.begin(&["check", &lab.id("app")]);
    let sleeps = || {
        let listed = crate::lab::docker(&["top", &lab.container_id("app"), "-eo", "pid,args"]);
        listed.lines().any(|line| line.contains("sleep 986"))
    };
    eventually("the command", || sleeps().then_some(()));
    running.signal(rustix::process::Signal::INT);
    running.finish().expect(130);
    assert!(!sleeps(), "it is ended before the process that began it");
}
