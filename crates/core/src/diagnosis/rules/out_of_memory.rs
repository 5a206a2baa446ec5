//! `out-of-memory`: the kernel, or the program itself, ran out of the memory that it may use.

use super::{Container, Diagnosis, Facts, flagged, mebibytes, quoted};
use crate::redflags::Flag;

/// Limits are suggested in steps of this.
const STEP: u64 = 64 << 20;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let lines = if facts.suffers() { flagged(facts, Flag::OutOfMemory) } else { Vec::new() };
    let killed = facts.containers.iter().find(|c| c.out_of_memory);
    let short = facts.containers.iter().find(|c| facts.short_of_memory && c.memory_limit.is_some());
    let container = killed.or_else(|| lines.first().map(|(container, _)| *container)).or(short)?;
    let name = &container.name;
    let what = match (killed, container.memory_limit) {
        (Some(_), Some(limit)) => {
            format!("{name} was killed for want of memory: it may use {}", mebibytes(limit))
        }
        (Some(_), None) => format!("{name} was killed for want of memory, which the whole machine lacks"),
        (None, _) if lines.is_empty() => format!("{name} is about to use up its memory"),
        (None, _) => format!("{name} says that it ran out of memory"),
    };
    Some(figures(Diagnosis::new(what), container).seen_all(quoted(&lines)).advise(advice(container)))
}

fn figures(diagnosis: Diagnosis, container: &Container) -> Diagnosis {
    let limit = container.memory_limit.map(|limit| format!("limit {}", mebibytes(limit)));
    let peak = container
        .memory_peak
        .map(|peak| format!("most in use since its start, caches included: {}", mebibytes(peak)));
    let exit = (container.exit_code == 137).then(|| "exit code 137 (SIGKILL)".to_owned());
    diagnosis.seen_all([limit, peak, exit].into_iter().flatten())
}

fn advice(container: &Container) -> String {
    let Some(limit) = container.memory_limit else {
        return "free memory on the machine, or give each container a limit (`mem_limit`) that leaves room for the others"
            .to_owned();
    };
    format!(
        "raise its limit to {} or more (`mem_limit`, or `deploy.resources.limits.memory`); if that is used up as \
         well, the version leaks",
        mebibytes(suggested(limit, container.memory_peak))
    )
}

/// Half as much again as was not enough, at least one step more.
fn suggested(limit: u64, peak: Option<u64>) -> u64 {
    let most = limit.max(peak.unwrap_or(0));
    (most / 2 * 3).max(most + STEP).div_ceil(STEP) * STEP
}

#[cfg(test)]
mod tests {
    use super::suggested;

    #[test]
    fn the_suggested_limit_is_more_than_what_was_not_enough() {
        const MIB: u64 = 1 << 20;
        assert_eq!(suggested(64 * MIB, None), 128 * MIB);
        assert_eq!(suggested(100 * MIB, Some(99 * MIB)), 192 * MIB);
        assert_eq!(suggested(2048 * MIB, Some(2048 * MIB)), 3072 * MIB);
    }
}
