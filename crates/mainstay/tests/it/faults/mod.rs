//! What goes wrong, in every phase of an update: processes that die, a cut of the power, an engine that goes away or is
//! started anew, disks that are full, a registry that is gone, a clock that jumps, and other people.
//!
//! Invariant: the command is not told of the fault. After it, whatever was not over is resumed unattended; then the new
//! version answers, or the old one with its data, or a person is asked and the data from before is there to be had. The table
//! says which of these it was.
//! What it does not do: hit an exact line of the journal, which [`crate::killed`] does. A fault comes as soon as the phase has begun;
//! what takes a moment (a disk that fills up, an image that is pulled) may be there only in the next one. Full disks, the
//! registry's absence and a clock that was set last until the command has ended.
//!
//! Every test run tries a sample; [`every_fault_in_every_phase`] fills the table, and `script/soak` runs it.

mod end;
mod fault;
mod ground;
mod phase;
mod table;

pub use fault::Fault;
pub use phase::Phase;

use std::io::Write as _;

use ground::Ground;

use crate::killed::soak::attempt;

/// One cell: what came of it, in a word, and what was said.
fn cell(fault: Fault, phase: Phase) -> (String, String) {
    let mut engine = ground::own_engine(fault);
    Ground::on(fault, engine.as_mut()).suffer(phase)
}

/// Phases of one fault, on one engine where it needs its own.
fn row(fault: Fault, phases: &[Phase], mut seen: impl FnMut(Phase, Result<String, String>)) {
    let mut engine = None;
    for phase in phases {
        let tried = attempt(|| {
            if engine.is_none() {
                engine = ground::own_engine(fault);
            }
            Ground::on(fault, engine.as_mut()).suffer(*phase)
        });
        if tried.is_err() {
            // Nobody knows what it looks like now.
            engine = None;
        }
        // Why is worth a look, though it may be right.
        if let Some((_, said)) = tried.as_ref().ok().filter(|(end, _)| end == "a person") {
            let _ = writeln!(std::io::stderr(), "{fault:?} in {phase:?}: {said}");
        }
        seen(*phase, tried.map(|(end, _)| end));
    }
}

fn ends(fault: Fault, phase: Phase, as_one_of: &[&str]) {
    let (end, run) = cell(fault, phase);
    assert!(as_one_of.contains(&end.as_str()), "{fault:?} in {phase:?} ended {end}: {run}");
}

#[test]
fn a_clock_that_is_set_forward_changes_nothing_of_a_backup() {
    ends(Fault::ClockForward, Phase::BackUp, &["kept"]);
}

#[test]
fn a_clock_that_is_set_forward_ends_no_watch() {
    ends(Fault::ClockForward, Phase::Watch, &["kept"]);
}

#[test]
fn a_clock_that_is_set_back_changes_nothing_of_a_verification() {
    ends(Fault::ClockBack, Phase::Verify, &["kept"]);
}

#[test]
fn a_clock_that_is_set_back_changes_nothing_of_a_way_back() {
    ends(Fault::ClockBack, Phase::WayBack, &["rolled back"]);
}

#[test]
fn a_registry_that_is_gone_while_the_image_is_pulled() {
    ends(Fault::RegistryGone, Phase::BackUp, &["as before"]);
}

#[test]
fn a_registry_that_hangs_on_the_way_back() {
    ends(Fault::RegistryHangs, Phase::WayBack, &["rolled back"]);
}

#[test]
fn a_disk_of_our_own_that_is_full_at_the_cutover() {
    ends(Fault::StateFull, Phase::CutOver, &["kept", "rolled back"]);
}

#[test]
fn a_disk_of_the_files_that_is_full_when_they_are_edited() {
    ends(Fault::FilesFull, Phase::BackUp, &["as before"]);
}

#[test]
fn a_disk_of_the_files_that_is_full_when_they_are_put_back() {
    ends(Fault::FilesFull, Phase::WayBack, &["rolled back", "a person"]);
}

#[test]
fn an_engine_that_is_restarted_while_the_new_version_is_watched() {
    ends(Fault::EngineRestarts, Phase::Watch, &["kept"]);
}

#[test]
fn an_engine_that_is_restarted_while_containers_live_on() {
    ends(Fault::EngineRestartsLive, Phase::CutOver, &["kept", "rolled back"]);
}

#[test]
fn an_engine_that_dies_while_the_data_is_put_back() {
    ends(Fault::EngineDies, Phase::DataBack, &["rolled back"]);
}

#[test]
fn an_engine_whose_disk_is_full_when_the_image_is_pulled() {
    ends(Fault::EngineFull, Phase::BackUp, &["as before"]);
}

#[test]
fn a_project_that_somebody_takes_down_at_the_cutover() {
    ends(Fault::Down, Phase::SecondBackUp, &["rolled back"]);
}

#[test]
fn a_service_that_somebody_stops_while_it_is_watched() {
    ends(Fault::Stop, Phase::Watch, &["rolled back"]);
}

/// `SOAK_ONLY` is a piece of the faults' or the phases' names, `SOAK_REPORT` the file for the table and the totals.
#[test]
#[ignore = "takes half an hour: script/soak runs it"]
fn every_fault_in_every_phase() {
    let (table, good) = table::fill();
    println!("{table}");
    assert!(good, "something was lost, or cells are empty");
}
