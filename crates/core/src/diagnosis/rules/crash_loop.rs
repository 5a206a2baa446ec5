//! `crash-loop`: its process ends by itself, once or again and again; the lines that matter are picked from its log.

use super::{Container, Diagnosis, Facts};
use crate::diagnosis::telling_lines;
use crate::exit_code;

/// Lines that are shown.
const LINES: usize = 3;

fn crashed(container: &Container, condemned: bool) -> bool {
    // 137 and 143 are what a stop leaves behind.
    let known = !matches!(container.status.as_str(), "" | "created");
    let by_itself = container.start_error.is_empty() && !matches!(container.exit_code, 0 | 137 | 143);
    container.exits > 0
        || container.status == "restarting"
        || (!container.running && known && (by_itself || condemned))
}

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let container = facts.containers.iter().find(|c| crashed(c, facts.condemned))?;
    let (name, code) = (&container.name, container.exit_code);
    let times = match container.exits {
        0 | 1 => "ended by itself".to_owned(),
        times => format!("ended by itself {times} times"),
    };
    let lines = telling_lines(&container.log, LINES);
    let what = match lines.first().filter(|_| code != 0) {
        Some(root) => format!("{name} {times}, with {code}: {root}"),
        None => format!("{name} {times}, with {code}"),
    };
    let meaning = exit_code::meaning(code).map(|meaning| format!(": {meaning}")).unwrap_or_default();
    let seen = format!("exit code {code}{meaning}");
    let diagnosis = Diagnosis::new(what).seen(seen);
    let diagnosis = diagnosis.seen_all(lines.into_iter().map(|line| format!("{name}: {line}")));
    Some(if code == 0 {
        diagnosis.advise(
            "it says that it has done its work: its main process goes to the background, or the command is one that ends",
        )
    } else {
        diagnosis.advise(format!("see what came before: `docker logs --tail 100 {name}`"))
    })
}
