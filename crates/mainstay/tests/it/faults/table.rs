//! All faults in all phases, beside each other, and the table of what came of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::fault::{self, Fault};
use super::phase::{self, Phase};
use super::row;
use crate::killed::soak::number;

/// How many rows are tried at once, unless `SOAK_JOBS` says otherwise: they mostly wait.
const JOBS: u64 = 4;

type Cells = BTreeMap<(Fault, Phase), Result<String, String>>;

/// Fills it: the table with the totals, and whether nothing was lost and no cell is empty.
pub fn fill() -> (String, bool) {
    let only = std::env::var("SOAK_ONLY").unwrap_or_default();
    let named =
        |fault: Fault, phase: Phase| fault.heading().contains(&only) || phase.heading().contains(&only);
    let phases =
        |fault| phase::ALL.iter().copied().filter(move |phase| named(fault, *phase)).collect::<Vec<_>>();
    let faults: Vec<Fault> = fault::ALL.iter().copied().filter(|fault| !phases(*fault).is_empty()).collect();
    let (next, cells) = (AtomicUsize::new(0), Mutex::new(Cells::new()));
    std::thread::scope(|scope| {
        for _ in 0..number("SOAK_JOBS").unwrap_or(JOBS) {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    row(*fault, &phases(*fault), |phase, seen| {
                        let _ = writeln!(std::io::stderr(), "{fault:?} in {phase:?}: {seen:?}");
                        cells.lock().unwrap().insert((*fault, phase), seen);
                    });
                }
            });
        }
    });
    let cells = cells.into_inner().unwrap();
    let lost: Vec<String> =
        cells.iter().filter_map(|(at, seen)| Some(format!("{at:?}: {}", seen.as_ref().err()?))).collect();
    let all: usize = faults.iter().map(|fault| phases(*fault).len()).sum();
    let totals = json!({
        "fault_cells": all,
        "fault_cells_empty": all - cells.len(),
        "fault_losses": lost.len(),
    });
    let mut report = written(&faults, &cells);
    for what in &lost {
        let _ = writeln!(report, "{}", what.chars().take(3_000).collect::<String>());
    }
    let _ = writeln!(report, "{totals}");
    if let Ok(file) = std::env::var("SOAK_REPORT") {
        std::fs::write(file, &report).unwrap();
    }
    (report, lost.is_empty() && all == cells.len())
}

fn written(faults: &[Fault], cells: &Cells) -> String {
    let headings: String = phase::ALL.iter().map(|phase| format!("{:<12}", phase.heading())).collect();
    let mut text = format!("{:<31}{}\n", "fault", headings.trim_end());
    for fault in faults {
        let line: String = phase::ALL
            .iter()
            .map(|phase| match cells.get(&(*fault, *phase)) {
                Some(Ok(end)) => format!("{end:<12}"),
                Some(Err(_)) => format!("{:<12}", "LOST"),
                None => format!("{:<12}", "-"),
            })
            .collect();
        let _ = writeln!(text, "{:<31}{}", fault.heading(), line.trim_end());
    }
    text
}
