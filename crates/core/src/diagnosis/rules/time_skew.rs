//! `time-skew`: a clock differs from this machine's: tokens and certificates are refused as expired or not yet valid.

use super::{Diagnosis, Facts};

/// Less is nothing that anybody notices.
const NOTICEABLE_MS: i64 = 10_000;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let wrong = facts.clocks.iter().filter(|c| c.ahead_ms.abs() > NOTICEABLE_MS + c.within_ms.abs());
    let wrong: Vec<_> = wrong.collect();
    let first = wrong.first()?;
    let describe = |ms: i64| format!("{} s {}", ms.abs() / 1000, if ms < 0 { "behind" } else { "ahead" });
    let what = format!("the clock of {} is {} of this machine's", first.whose, describe(first.ahead_ms));
    Some(
        Diagnosis::new(what)
            .seen_all(wrong.iter().map(|c| format!("{}: {}", c.whose, describe(c.ahead_ms))))
            .advise("set both clocks by NTP: `timedatectl` says whether that is on"),
    )
}
