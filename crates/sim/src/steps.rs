//! What each step does to the simulated world, as the real ones in `mainstay-host` do it: it looks first, then
//! acts in moves, and may be cut off between any two of them.
//!
//! The laws are looked at with every move, not only at the end.

use mainstay_core::event::Fact;
use mainstay_core::plan::{Kind, Plan};
use mainstay_core::state::RunState;
use mainstay_core::step::Step;
use mainstay_core::verdict::{Cause, DataDoubt, Tier};

mod data;

pub(crate) use data::record;
use data::{named, targets};

use crate::world::{Container, Content, File, Version, World};

/// Why a step went no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It was cut off before its next move.
    Cut,
    /// It looked, and can't or won't.
    Failed(Cause),
    /// A law is broken.
    Broken(String),
}

type Done = Result<Fact, Halt>;

/// What a step is given.
#[derive(Clone, Copy)]
pub(crate) struct Act<'a> {
    pub plan: &'a Plan,
    pub state: &'a RunState,
    pub step: Step,
    /// Whether it was begun before by a process that died.
    pub again: bool,
}

impl Act<'_> {
    /// The version that the step is about.
    fn means(&self) -> Version {
        match self.step {
            Step::StartOld | Step::VerifyOld => Version::Old,
            _ => Version::New,
        }
    }
}

/// How many moves a step may make before it is cut off.
pub(crate) struct Moves(pub Option<u8>);

impl Moves {
    fn next(&mut self) -> Result<(), Halt> {
        match &mut self.0 {
            Some(0) => Err(Halt::Cut),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

const FOREIGN: Halt = Halt::Failed(Cause::Foreign);
const UNABLE: Halt = Halt::Failed(Cause::Step);
const BAD: Halt = Halt::Failed(Cause::Version(DataDoubt::Possible));

fn law(holds: bool, which: &str) -> Result<(), Halt> {
    if holds { Ok(()) } else { Err(Halt::Broken(which.to_owned())) }
}

impl World {
    /// One step, from whatever is there.
    pub(crate) fn act(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        match act.step {
            Step::Confirm => self.confirm(act.plan),
            Step::KeepImage if !self.old_image => Err(UNABLE),
            Step::SaveConfiguration if !self.containers().any(|c| c.planned) => Err(UNABLE),
            Step::KeepImage | Step::SaveConfiguration | Step::Document => {
                moves.next().map(|()| Fact::Nothing)
            }
            Step::RunBeforeBackup | Step::RunBeforeCutover | Step::RunAfterBackup => {
                self.run_hooks(act.step, moves)
            }
            Step::BackUpLive | Step::BackUpCutover | Step::BackUpSafety => self.back_up(act, moves),
            Step::BackUpStill => self.back_up_still(act, moves),
            Step::Unpause => self.unpause(moves),
            Step::PullImage => self.pull(moves),
            Step::EditFiles => self.edit_files(moves),
            Step::TakeBaseline => self.measure(),
            Step::CreateContainers => self.create_containers(act, moves),
            Step::RecreateOld => self.recreate_old(act, moves),
            Step::StartNew | Step::StartOld => self.start(act, moves),
            Step::VerifyNew | Step::VerifyOld | Step::Watch => self.look_at_version(act, moves),
            Step::ConfirmWayBack => self.confirm_way_back(moves),
            Step::Stop => self.stop(act, moves),
            Step::RestoreFiles => self.restore_files(act, moves),
            Step::RestoreTag => self.restore_tag(moves),
            Step::RestoreData => self.restore_data(act, moves),
        }
    }

    fn confirm(&self, plan: &Plan) -> Done {
        let changes_nothing = matches!(plan.kind, Kind::Restore { .. });
        let same = self.containers().all(|c| c.planned) && self.containers().count() == 1;
        let planned = plan.kind != Kind::Update || self.file == File::Before;
        if planned && (same || changes_nothing) { Ok(Fact::Nothing) } else { Err(FOREIGN) }
    }

    fn run_hooks(&mut self, step: Step, moves: &mut Moves) -> Done {
        let interfered = self.interfered;
        let newer = self.runs() == Some(Version::New);
        let Some(container) = self.each_container().find(|c| c.running && !c.paused) else {
            law(interfered, "a command is run in a container that doesn't run")?;
            return Err(FOREIGN);
        };
        moves.next()?;
        container.prepared = step != Step::RunAfterBackup;
        law(interfered || !newer, "a command is run in a container that is not the old one")?;
        Ok(Fact::Nothing)
    }

    fn unpause(&mut self, moves: &mut Moves) -> Done {
        moves.next()?;
        self.each_container().for_each(|c| c.paused = false);
        Ok(Fact::Nothing)
    }

    fn pull(&mut self, moves: &mut Moves) -> Done {
        moves.next()?;
        self.new_image = true;
        if self.service.moved_tag {
            moves.next()?;
            self.tag = Version::New;
        }
        Ok(Fact::Nothing)
    }

    fn write_file(&mut self, from: File, to: File, moves: &mut Moves) -> Done {
        if self.service.moved_tag || self.file == to {
            return Ok(Fact::Nothing);
        }
        if self.file != from && self.care.respects_files {
            return Err(FOREIGN);
        }
        moves.next()?;
        law(self.file == from, "law 5: a file that somebody else changed is overwritten")?;
        self.file = to;
        Ok(Fact::Nothing)
    }

    fn edit_files(&mut self, moves: &mut Moves) -> Done {
        self.write_file(File::Before, File::After, moves)
    }

    fn measure(&self) -> Done {
        law(self.interfered || self.runs() == Some(Version::Old), "figures of another version are taken")?;
        Ok(Fact::Measured { measured: Box::default() })
    }

    fn create_containers(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        let same = self.containers().all(|c| c.planned) && self.containers().count() == 1;
        // What a process that died left half done has containers of one version or both.
        let ours = if act.again { self.containers().next().is_some() } else { same };
        if !ours && self.care.sees_strangers_start {
            return Err(FOREIGN);
        }
        self.create(Version::New, moves)
    }

    /// As Compose does it: the new container beside the old one, which is then stopped and removed.
    fn create(&mut self, version: Version, moves: &mut Moves) -> Done {
        let (file, image) = match version {
            Version::Old => (File::Before, self.old_image),
            Version::New => (File::After, self.new_image),
        };
        if !self.service.moved_tag && self.file != file {
            law(self.interfered, "Compose would create what the file says, and that is something else")?;
            return Err(FOREIGN);
        }
        if self.wanted() != version || !image {
            law(self.interfered || image, "the image that is needed is not there")?;
            return Err(UNABLE);
        }
        if self.container(version).is_none() {
            moves.next()?;
            *self.container(version) = Some(Container::CREATED);
        }
        if let Some(container) = self.container(version.other()) {
            if container.running {
                moves.next()?;
                container.running = false;
            }
            moves.next()?;
            self.remove(version.other());
        }
        Ok(Fact::Nothing)
    }

    /// Starts whatever containers the unit has.
    fn start(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        self.forget_note();
        let version = match (self.old, self.new) {
            (Some(_), _) if act.means() == Version::Old => Version::Old,
            (_, Some(_)) => Version::New,
            (Some(_), None) => Version::Old,
            (None, None) if !self.care.sees_missing_containers => return Ok(Fact::Nothing),
            (None, None) => return Err(FOREIGN),
        };
        let meant = matches!(act.plan.kind, Kind::Restore { .. }) || version == act.means();
        law(meant || self.interfered, "another version is started than was meant")?;
        let Some(container) = *self.container(version) else { return Err(FOREIGN) };
        if container.running {
            return Ok(Fact::Nothing);
        }
        if version == Version::New && self.service.never_starts {
            return Err(Halt::Failed(Cause::NeverRan));
        }
        moves.next()?;
        self.may_start(act, version, container)?;
        let stays = self.launch(version);
        if !stays {
            return Err(BAD);
        }
        moves.next()?;
        if let Some(container) = self.container(version) {
            container.running = true;
        }
        Ok(Fact::Nothing)
    }

    /// Laws 1 and 3: what a version may change when it starts has been backed up.
    fn may_start(&self, act: Act<'_>, version: Version, container: Container) -> Result<(), Halt> {
        let content = self.data.content;
        law(content != Content::HalfBack || self.data.touched, "a version is started on half of its data")?;
        let taken =
            |step| named(act.state.backups(step)).filter(|s| s.verified).any(|s| s.data.content == content);
        if version == Version::New && act.means() == version && !container.ever_ran {
            let old = targets(act).iter().any(|t| t.verified && t.data.is_old() && t.data.content == content);
            law(old, "law 1: the new version is started without a backup of the data that it finds")?;
        }
        if version == Version::Old && act.means() == version && !container.ever_ran {
            let harmless =
                matches!(content, Content::Early | Content::Old | Content::OldUsed | Content::HalfBack);
            let kept = harmless || taken(Step::BackUpSafety);
            law(kept, "law 3: the old version gets the only copy of newer data")?;
        }
        Ok(())
    }

    /// A look that was cut off begins with a start of what doesn't run, and with all that is asked of a start.
    fn look_at_version(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        let Act { step, again, .. } = act;
        if again && self.runs().is_none() && self.containers().next().is_some() {
            self.start(act, moves)?;
        }
        if self.containers().next().is_none() && !self.care.sees_missing_containers {
            // Of what isn't there nothing is missing.
            self.disturbed = false;
            self.verified = Some(if step == Step::VerifyOld { Version::Old } else { Version::New });
            return Ok(Fact::Nothing);
        }
        let Some(running) = self.runs() else {
            self.verified = None;
            return Err(if self.containers().next().is_none() { FOREIGN } else { BAD });
        };
        self.disturbed = false;
        if step != Step::Watch || again {
            self.verified = Some(running);
        }
        if running == Version::New {
            self.new_was_good = true;
            self.data.content = match self.data.content {
                Content::Early | Content::Old => Content::OldUsed, // users go on
                Content::New => Content::NewUsed,
                other => other,
            };
        }
        Ok(Fact::Verified { startup_ms: 1, downtime_ms: None, observations: Vec::new() })
    }

    /// Whether it ever ran; where there is no container at all, nobody can say that it didn't.
    fn new_version_ran(&self) -> bool {
        self.new.is_some_and(|c| c.ever_ran && !c.planned) || self.containers().next().is_none()
    }

    fn recreate_old(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        self.restore_tag(moves)?; // somebody may have pruned the image since
        let never = matches!(act.state.turned_back(), Some((Tier::NeverStarted, _)));
        let ran_meanwhile = self.care.asks_what_ran && self.may_have_run(never);
        self.create(Version::Old, moves)?;
        Ok(Fact::Created { containers: Vec::new(), ran_meanwhile })
    }

    fn have_old_image(&mut self, moves: &mut Moves) -> Result<(), Halt> {
        if !self.old_image {
            if !self.care.pulls_old_image {
                return Err(UNABLE);
            }
            moves.next()?;
            self.old_image = true;
        }
        Ok(())
    }

    fn confirm_way_back(&mut self, moves: &mut Moves) -> Done {
        if !self.service.moved_tag && matches!(self.file, File::Foreign(_)) && self.care.respects_files {
            return Err(FOREIGN);
        }
        self.have_old_image(moves)?;
        self.way_back_seen = true;
        self.note();
        Ok(Fact::WayBack { new_version_ran: self.care.sees_strangers_start && self.new_version_ran() })
    }

    fn stop(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        let changes_version = matches!(act.plan.kind, Kind::Update | Kind::Rollback { .. });
        law(!changes_version || self.way_back_seen, "the service is stopped without a look at the way back")?;
        // A container that was never replaced is the way back itself, where no data is moved.
        let stays =
            |c: Container| c.planned && matches!(act.state.turned_back(), Some((Tier::NeverStarted, _)));
        if self.containers().any(|c| c.running && !stays(c)) {
            moves.next()?;
            let stopped = self.each_container().filter(|c| !stays(**c));
            stopped.for_each(|c| (c.running, c.paused) = (false, false));
        }
        Ok(Fact::Nothing)
    }

    fn restore_files(&mut self, act: Act<'_>, moves: &mut Moves) -> Done {
        let only_files = matches!(act.state.turned_back(), Some((Tier::Files, _)));
        if only_files && matches!(self.file, File::Foreign(_)) && self.care.respects_files {
            return Ok(Fact::Nothing); // left as it is, and said so
        }
        let harmless = self.interfered || self.runs() != Some(Version::New);
        law(harmless, "the file is put back while the new version still runs")?;
        self.write_file(File::After, File::Before, moves)
    }

    fn restore_tag(&mut self, moves: &mut Moves) -> Done {
        self.have_old_image(moves)?;
        if self.tag != Version::Old {
            moves.next()?;
            self.tag = Version::Old;
        }
        Ok(Fact::Nothing)
    }
}
