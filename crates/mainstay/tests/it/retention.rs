//! What becomes of old backups: after a run, by hand, and never what a way back needs.

use std::fs::File;

use crate::lab::process::Run;
use crate::lab::{Lab, engine};

/// Everything but the last run's backups goes at once.
const SHORT: &str = "[defaults]\nkeep_days = 0\nkeep_last = 1\n";

fn backups(lab: &Lab) -> Vec<(String, String)> {
    let run = lab.mainstay(&["backups"]).expect(0);
    let rows = run.events.iter().filter(|event| event["event"] == "backup");
    rows.map(|row| (row["run"].as_str().unwrap().to_owned(), row["kind"].as_str().unwrap().to_owned()))
        .collect()
}

fn back_up(lab: &Lab, record: &str) -> Run {
    lab.add_record(record);
    lab.mainstay(&["backup", &lab.id("app")]).expect(0)
}

fn has_directory(lab: &Lab, run: &Run) -> bool {
    lab.state().join("runs").join(run.id()).is_dir()
}

fn of(run: &Run, kind: &str) -> (String, String) {
    (run.id().to_owned(), kind.to_owned())
}

#[test]
fn old_backups_go_after_a_run_and_the_way_back_stays() {
    let lab = Lab::new("solo").up();
    lab.write("mainstay.toml", SHORT);
    let first = back_up(&lab, "before the first backup");
    let before = lab.now();
    let update = lab.update("app", "1.1.0", &[]).expect(0);
    assert_eq!(backups(&lab), [of(&update, "cutover"), of(&update, "live")]);
    assert!(!has_directory(&lab, &first) && has_directory(&lab, &update));

    let second = back_up(&lab, "after the update");
    let third = back_up(&lab, "later");
    let stays = [of(&third, "manual"), of(&update, "cutover"), of(&update, "live")];
    assert_eq!(backups(&lab), stays, "the update can still be undone");
    assert!(!has_directory(&lab, &second) && has_directory(&lab, &update));
    let image = &before.containers[0];
    assert_eq!(
        engine::kept_images(&lab.project).len(),
        2,
        "the old image's and the present one's: {image:?}"
    );

    let rollback = lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    assert_eq!(lab.version(), "1.0.0");
    lab.assert_as_before(&before);
    assert_eq!(
        backups(&lab),
        [of(&rollback, "safety"), of(&third, "manual")],
        "now the update is needed no more"
    );
    let listed = lab.mainstay(&["runs"]).expect(0);
    assert_eq!(
        listed.events.iter().filter(|event| event["event"] == "run").count(),
        5,
        "the journal keeps all"
    );
}

#[test]
fn an_image_that_no_way_back_needs_is_kept_no_longer() {
    let lab = Lab::new("solo").up();
    lab.write("mainstay.toml", SHORT);
    let image = |lab: &Lab| lab.container("app")["Image"].as_str().unwrap().to_owned();
    let kept = |lab: &Lab| -> Vec<String> {
        engine::kept_images(&lab.project).into_iter().map(|(_, id)| id).collect()
    };
    let oldest = image(&lab);
    lab.update("app", "1.1.0", &[]).expect(0);
    assert_eq!(kept(&lab), [oldest]);
    let newer = image(&lab);
    lab.update("app", "2.0.0", &[]).expect(0);
    assert_eq!(kept(&lab), [newer], "the way back from the last update needs this one alone");
    lab.mainstay(&["rollback", &lab.id("app"), "--full", "--yes"]).expect(0);
    assert_eq!(lab.version(), "1.1.0");
}

#[test]
fn pruning_by_hand_says_what_goes_and_why_the_rest_stays() {
    let lab = Lab::new("solo").up();
    let runs = ["one", "two", "three"].map(|record| back_up(&lab, record));
    let fates = |args: &[&str]| -> Vec<String> {
        let run = lab.mainstay(args).expect(0);
        let rows = run.events.iter().filter(|event| event["event"] == "backup");
        rows.map(|row| row["fate"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["stays: newest backup of a mount", "stays: one of the last", "stays: one of the last"];
    assert_eq!(fates(&["prune", "--dry-run"]), all);
    assert_eq!(fates(&["prune"]), all);

    lab.write("mainstay.toml", SHORT);
    let short = ["stays: newest backup of a mount", "goes", "goes"];
    assert_eq!(fates(&["prune", "app", "--dry-run"]), short);
    assert_eq!(fates(&["prune", "somebody", "--dry-run"]), [""; 0]);
    assert_eq!(backups(&lab).len(), 3, "only looked");
    assert_eq!(fates(&["prune", &lab.id("app")]), short);
    assert_eq!(backups(&lab), [of(&runs[2], "manual")]);
    assert_eq!(runs.each_ref().map(|run| has_directory(&lab, run)), [false, false, true]);
    let restored = lab.home().join("restored");
    lab.mainstay(&["restore", "app", "--to", restored.to_str().unwrap()]).expect(0);
}

#[test]
fn what_fails_after_a_run_is_no_part_of_it() {
    let lab = Lab::new("solo").up();
    lab.write("mainstay.toml", SHORT);
    let first = back_up(&lab, "one");
    {
        let lock = File::open(lab.state().join("repository.lock")).unwrap();
        lock.lock_shared().unwrap();
        let second = back_up(&lab, "two");
        assert_eq!(backups(&lab), [of(&second, "manual"), of(&first, "manual")], "somebody was at work");
        let refused = lab.mainstay(&["prune"]).expect(1);
        assert_eq!(refused.code_of_problem(), "vault-in-use");
    }
    // A directory where a file of ours should be.
    let mark = lab.state().join("repository.pruned");
    let _ = std::fs::remove_file(&mark);
    std::fs::create_dir(&mark).unwrap();
    let third = back_up(&lab, "three");
    assert!(third.stdout.contains("warning: old backups could not be removed"), "{third}");
    assert_eq!(third.ended()["verdict"], "done");
    std::fs::remove_dir(&mark).unwrap();
    lab.mainstay(&["prune"]).expect(0);
    assert_eq!(backups(&lab), [of(&third, "manual")]);
}
