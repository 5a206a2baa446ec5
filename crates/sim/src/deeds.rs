//! What others do between two steps, or while a run that died waits for somebody to resume it.

use crate::world::{Container, File, Version, World};

/// Something that the operator does, or the engine by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The containers are removed: `docker rm -f`.
    Remove,
    /// The containers are stopped: `docker stop`.
    Stop,
    /// The containers are started: `docker start`, or a restart policy after a restart of the engine.
    Start,
    /// `docker compose up -d`, by hand or by a unit that does it at boot.
    Up,
    /// Images that no container uses are removed, whatever tags they have: `docker image prune -a`.
    Prune,
    /// The operator's file is changed.
    EditFile,
    /// Something is written to the volume, past the service.
    TouchVolume,
    /// The operator asks the run to stop.
    Interrupt,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Remove,
        Self::Stop,
        Self::Start,
        Self::Up,
        Self::Prune,
        Self::EditFile,
        Self::TouchVolume,
        Self::Interrupt,
    ];
}

impl World {
    /// Somebody does it. Whether it made a difference; an interruption is no matter of the world.
    pub fn suffer(&mut self, deed: Deed) -> bool {
        let before = *self;
        match deed {
            Deed::Remove => [Version::Old, Version::New].into_iter().for_each(|v| self.remove(v)),
            Deed::Stop => self.each_container().for_each(|c| (c.running, c.paused) = (false, false)),
            Deed::Start => {
                let version = if self.old.is_some() { Version::Old } else { Version::New };
                self.start_by_hand(version);
            }
            Deed::Up => self.up(),
            Deed::Prune if self.old_image && self.old.is_none() => {
                self.old_image = false;
                self.old_image_pruned += 1;
                return true;
            }
            Deed::Prune => self.new_image &= self.new.is_some(),
            Deed::EditFile if !self.service.moved_tag => self.file = File::Foreign(self.file.names()),
            Deed::TouchVolume => self.data.touched = true,
            Deed::EditFile | Deed::Interrupt => {}
        }
        let changed = *self != before;
        if changed {
            (self.interfered, self.disturbed) = (true, true);
        }
        changed
    }

    /// As Compose does it: what the file says, and nothing else.
    fn up(&mut self) {
        let version = self.wanted();
        // A file with other settings gives another container.
        if self.container(version).is_none() || matches!(self.file, File::Foreign(_)) {
            self.remove(version);
            *self.container(version) = Some(Container::CREATED);
        }
        self.remove(version.other());
        match version {
            Version::Old => self.old_image = true,
            Version::New => self.new_image = true,
        }
        self.start_by_hand(version);
    }

    fn start_by_hand(&mut self, version: Version) {
        if self.container(version).is_some_and(|c| !c.running) {
            let stays = self.launch(version);
            if let Some(container) = self.container(version) {
                container.running = stays;
            }
        }
    }
}
