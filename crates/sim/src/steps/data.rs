//! Steps on data: back up, and put back.

use mainstay_core::event::{BackupRecord, Fact};
use mainstay_core::plan::Quiesce;
use mainstay_core::step::Step;

use super::{Act, Done, FOREIGN, Halt, Moves, UNABLE, law};
use crate::world::{Content, Data, Repository, Snapshot, Version, World};

impl World {
    pub(super) fn back_up(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        match act.step {
            Step::BackUpCutover
                if self.care.sees_strangers_start
                    && (self.containers().any(|c| c.running) || self.new_version_ran()) =>
            {
                return Err(FOREIGN);
            }
            Step::BackUpSafety => {
                self.let_nothing_run(moves)?;
                self.note();
            }
            _ => {}
        }
        let live = act.step == Step::BackUpLive;
        law(live || self.interfered || !self.writes(), "a backup of data that is being written")?;
        let mut snapshot = Snapshot { step: act.step, data: self.data, verified: false };
        moves.next()?;
        self.repository.insert(snapshot);
        if self.care.reads_back {
            moves.next()?;
            self.repository.remove(snapshot);
            snapshot.verified = true;
            self.repository.insert(snapshot);
        }
        if live && self.runs() == Some(Version::Old) && self.data.content == Content::Early {
            self.data.content = Content::Old; // users go on
        }
        let targets = targets(act);
        let changed = match act.step {
            Step::BackUpSafety if !self.care.compares => Some(false),
            Step::BackUpSafety if !targets.is_empty() => Some(targets.iter().any(|t| t.data != self.data)),
            _ => None,
        };
        Ok(Fact::BackedUp { backups: vec![record(snapshot)], changed_since_cutover: changed })
    }

    pub(super) fn back_up_still(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        if act.plan.still != Some(Quiesce::Pause) {
            self.let_nothing_run(moves)?;
            return self.back_up(act, moves);
        }
        if !act.again && self.containers().any(|c| c.paused) {
            return Err(FOREIGN);
        }
        moves.next()?;
        self.each_container().filter(|c| c.running).for_each(|c| c.paused = true);
        let fact = self.back_up(act, moves)?;
        moves.next()?;
        self.each_container().for_each(|c| c.paused = false);
        Ok(fact)
    }

    pub(super) fn let_nothing_run(&mut self, moves: &mut Moves) -> Result<(), Halt> {
        if self.care.stops_again && self.containers().any(|c| c.running) {
            moves.next()?;
            self.each_container().for_each(|c| (c.running, c.paused) = (false, false));
        }
        Ok(())
    }

    pub(super) fn restore_data(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        self.let_nothing_run(moves)?;
        law(!self.writes(), "data is moved under a running service")?;
        let Some(target) = targets(act).first().copied() else {
            return Err(Halt::Broken("there is nothing to restore from".to_owned()));
        };
        if self.data == target.data {
            return Ok(Fact::Nothing);
        }
        let saved =
            |data: Data| named(act.state.backups(Step::BackUpSafety)).any(|s| s.verified && s.data == data);
        if self.data.content == Content::HalfBack {
            if self.data.touched {
                return Err(UNABLE); // somebody else's, among what is moved
            }
        } else {
            if self.care.guards_data && !saved(self.data) {
                return Err(UNABLE);
            }
            moves.next()?;
            law(saved(self.data), "law 3: the only copy of the present data is overwritten")?;
            self.data = Data::of(Content::HalfBack);
        }
        moves.next()?;
        self.data = target.data;
        Ok(Fact::Restored { files: 1, bytes: 1 })
    }
}

/// The backups to which the data can be put back.
pub(super) fn targets(act: Act<'_>) -> Vec<Snapshot> {
    named(act.state.way_back(act.plan)).collect()
}

pub(super) fn named(records: &[BackupRecord]) -> impl Iterator<Item = Snapshot> {
    records.iter().filter_map(|record| Repository::snapshot(record.snapshot.parse().ok()?))
}

/// What the journal says of a snapshot: its id says what it is, so that equal worlds have equal journals.
pub(crate) fn record(snapshot: Snapshot) -> BackupRecord {
    BackupRecord {
        mount: "data".into(),
        snapshot: Repository::number(snapshot).to_string(),
        files: 1,
        bytes: 1,
        added_bytes: 1,
        changed_while_reading: 0,
        manifest: String::new(),
    }
}
