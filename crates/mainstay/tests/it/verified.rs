//! Backups are looked at again by command, and what is damaged is named and never restored.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::Lab;

fn largest_pack(lab: &Lab) -> PathBuf {
    fn below(dir: &Path, found: &mut Vec<PathBuf>) {
        for item in fs::read_dir(dir).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() { below(&path, found) } else { found.push(path) }
        }
    }
    let mut packs = Vec::new();
    below(&lab.state().join("repository/data"), &mut packs);
    packs.into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap()
}

#[test]
fn backups_are_verified_by_command() {
    let lab = Lab::new("solo").up();
    let id = lab.id("app");
    lab.add_record("kept");
    let backup = lab.mainstay(&["backup", &id]).expect(0);
    let state = |args: &[&str], code| {
        let run = lab.mainstay(args).expect(code);
        let rows: Vec<_> = run.events.iter().filter(|event| event["event"] == "backup").cloned().collect();
        (rows, run)
    };
    let (rows, _) = state(&["verify-backup", &id], 0);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0]["state"].as_str(), rows[0]["run"].as_str()), (Some("good"), None));
    let snapshot = rows[0]["snapshot"].as_str().unwrap().to_owned();
    state(&["verify-backup", &snapshot], 0);
    let doctor = |lab: &Lab| lab.mainstay(&["doctor"]).stdout;
    assert!(doctor(&lab).contains("never looked through"), "{}", doctor(&lab));
    state(&["verify-backup", "--all"], 0);
    assert!(doctor(&lab).contains("looked through as a whole 0 days ago"), "{}", doctor(&lab));

    lab.add_record("written since");
    let before = lab.now();
    let pack = largest_pack(&lab);
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let name = pack.file_name().unwrap().to_str().unwrap();
    for args in [&["verify-backup", &*id][..], &["verify-backup", &snapshot], &["verify-backup", "--all"]] {
        let (rows, run) = state(args, 1);
        assert_eq!(rows[0]["state"], "DAMAGED", "{run}");
        assert_eq!(run.code_of_problem(), "vault-damaged", "{run}");
        assert!(run.words().contains(name), "{run}");
    }
    let target = lab.path("restored");
    let refused = lab.mainstay(&["restore", &id, "--to", target.to_str().unwrap(), "--run", backup.id()]);
    assert_ne!(refused.code, Some(0), "{refused}");
    assert!(
        !target.exists() || fs::read_dir(&target).unwrap().next().is_none(),
        "nothing damaged is left there"
    );
    let in_place = lab.mainstay(&["restore", &id, "--yes"]);
    assert_ne!(in_place.code, Some(0), "{in_place}");
    lab.assert_as_before(&before);
    assert_eq!(lab.mainstay(&["verify-backup", "no-such"]).code, Some(2));
}
