//! The simulated world: one service as mainstay and its operator see it, small enough to be told apart.
//!
//! What is kept is only what a step of the real world could see or change; what a step does with it is in
//! `steps`, what others do in `deeds`, what has to hold at the end in `judge`.

use mainstay_core::step::Step;

/// A version of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The one that ran before.
    Old,
    /// The one that the update brings.
    New,
}

impl Version {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

/// The operator's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum File {
    /// As it was planned with.
    Before,
    /// As the run edits it.
    After,
    /// Changed by somebody else; it names this version.
    Foreign(Version),
}

impl File {
    /// The version that it names.
    #[must_use]
    pub fn names(self) -> Version {
        match self {
            Self::Before => Version::Old,
            Self::After => Version::New,
            Self::Foreign(version) => version,
        }
    }
}

/// What a volume holds, by its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// The old version's, as the live pass finds it.
    Early,
    /// The old version's, as users have left it by the cutover.
    Old,
    /// As before, with what users wrote through a new version that leaves data as it is.
    OldUsed,
    /// Migrated by the new version.
    New,
    /// Migrated, with what users wrote since.
    NewUsed,
    /// Written by the old version after the new one had.
    Mixed,
    /// Put back in part.
    HalfBack,
}

/// The content of the volume, and whether somebody else wrote to it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Data {
    /// What the service made of it.
    pub content: Content,
    /// Whether somebody wrote to it past the service.
    pub touched: bool,
}

impl Data {
    pub(crate) const fn of(content: Content) -> Self {
        Self { content, touched: false }
    }

    /// Whether it is from before the update.
    pub(crate) fn is_old(self) -> bool {
        matches!(self.content, Content::Early | Content::Old)
    }
}

/// A container of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// Whether it was there when the plan was made.
    pub planned: bool,
    /// Whether it runs.
    pub running: bool,
    /// Whether it ever ran.
    pub ever_ran: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether what runs before a backup has run in it, and what runs after it has not, since.
    pub prepared: bool,
    /// Whether it was there when the way back was looked at, or the data kept, last.
    pub noted: bool,
    /// Whether it was started since.
    pub ran_since: bool,
}

impl Container {
    pub(crate) const CREATED: Self = Self {
        planned: false,
        running: false,
        ever_ran: false,
        paused: false,
        prepared: false,
        noted: false,
        ran_since: false,
    };
    pub(crate) const PLANNED: Self = Self { planned: true, running: true, ever_ran: true, ..Self::CREATED };
}

/// What the repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot {
    /// The step that took it.
    pub step: Step,
    /// What was read.
    pub data: Data,
    /// Whether it was read back and compared.
    pub verified: bool,
}

/// The snapshots of a repository, each of which is there or not: one bit for each that there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Repository(u128);

impl Repository {
    const STEPS: [Step; 4] = [Step::BackUpLive, Step::BackUpStill, Step::BackUpCutover, Step::BackUpSafety];
    const CONTENTS: [Content; 7] = [
        Content::Early,
        Content::Old,
        Content::OldUsed,
        Content::New,
        Content::NewUsed,
        Content::Mixed,
        Content::HalfBack,
    ];

    /// The number of a snapshot, below 128.
    pub(crate) fn number(snapshot: Snapshot) -> usize {
        let at = |found: Option<usize>| found.unwrap_or_default();
        let step = at(Self::STEPS.iter().position(|s| *s == snapshot.step));
        let content = at(Self::CONTENTS.iter().position(|c| *c == snapshot.data.content));
        let flags = usize::from(snapshot.data.touched) * 2 + usize::from(snapshot.verified);
        (step * 7 + content) * 4 + flags
    }

    /// The snapshot with a number, if there can be one.
    pub(crate) fn snapshot(number: usize) -> Option<Snapshot> {
        let (step, content, flags) = (number / 28, number / 4 % 7, number % 4);
        let data = Data { content: Self::CONTENTS[content], touched: flags / 2 == 1 };
        Some(Snapshot { step: *Self::STEPS.get(step)?, data, verified: flags % 2 == 1 })
    }

    pub(crate) fn insert(&mut self, snapshot: Snapshot) {
        self.0 |= 1 << Self::number(snapshot);
    }

    pub(crate) fn remove(&mut self, snapshot: Snapshot) {
        self.0 &= !(1 << Self::number(snapshot));
    }

    /// What is there.
    pub fn iter(self) -> impl Iterator<Item = Snapshot> {
        (0..112).filter(move |number| self.0 >> number & 1 == 1).filter_map(Self::snapshot)
    }
}

/// How the two versions behave, and what makes the update one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a dimension of its own")]
pub struct Service {
    /// Whether starting the new version changes the data.
    pub migrates: bool,
    /// Whether the old version refuses data that the new one has changed.
    pub old_refuses_new_data: bool,
    /// Whether the engine can't start the new version at all.
    pub never_starts: bool,
    /// Whether the tag is the same and means another image: then no file is edited.
    pub moved_tag: bool,
}

impl Service {
    /// Its new version migrates the data, and the old one refuses it then.
    pub const USUAL: Self =
        Self { migrates: true, old_refuses_new_data: true, never_starts: false, moved_tag: false };
}

/// What the real steps are careful about. A step without one of these is a fault that has to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is broken by itself")]
pub struct Care {
    /// A backup counts only once it was read back.
    pub reads_back: bool,
    /// A safety backup is compared with the one of the cutover.
    pub compares: bool,
    /// Data is replaced only where the safety snapshot holds it as it is now.
    pub guards_data: bool,
    /// Whatever needs the service to stand still stops it again.
    pub stops_again: bool,
    /// A file that somebody else changed is left alone.
    pub respects_files: bool,
    /// Whether the new version ever ran is looked at, where nobody should have started it.
    pub sees_strangers_start: bool,
    /// Whether something ran since the data was looked at, or is gone, is asked before the old container is made.
    pub asks_what_ran: bool,
    /// A service without a container doesn't work.
    pub sees_missing_containers: bool,
    /// An old image that was pruned is pulled again.
    pub pulls_old_image: bool,
}

impl Care {
    /// As the real steps are.
    pub const FULL: Self = Self {
        reads_back: true,
        compares: true,
        guards_data: true,
        stops_again: true,
        respects_files: true,
        sees_strangers_start: true,
        asks_what_ran: true,
        sees_missing_containers: true,
        pulls_old_image: true,
    };
}

/// One service, its file, its data, and the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "what is there, and what is not")]
pub struct World {
    /// What the operator's file says.
    pub file: File,
    /// What the tag means, where it stays the same.
    pub tag: Version,
    /// The container of the old version.
    pub old: Option<Container>,
    /// The container of the new version.
    pub new: Option<Container>,
    /// Whether the old image is there.
    pub old_image: bool,
    /// Whether the new image is there.
    pub new_image: bool,
    /// What the volume holds.
    pub data: Data,
    /// What the repository holds.
    pub repository: Repository,
    /// How the versions behave.
    pub service: Service,
    /// What the steps are careful about.
    pub care: Care,
    /// A start that was reported as failed, and comes true after the next step.
    pub late: Option<Version>,
    /// The version that was found good last, and not bad since.
    pub verified: Option<Version>,
    /// Whether the new version was ever found good.
    pub new_was_good: bool,
    /// Whether what runs after a backup was tried, and failed.
    pub after_failed: bool,
    /// Whether the way back was looked at.
    pub way_back_seen: bool,
    /// Whether there is a note of what was there when the way back was looked at, or the data kept, last.
    pub noting: bool,
    /// Whether a container is gone that was noted.
    pub noted_gone: bool,
    /// How often somebody pruned the old image: that has to be borne.
    pub old_image_pruned: u8,
    /// Whether somebody else did something more.
    pub interfered: bool,
    /// Whether somebody else did something since the service was last found good.
    pub disturbed: bool,
}

impl World {
    /// A service that runs the old version on its data.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self {
            file: File::Before,
            tag: Version::Old,
            old: Some(Container::PLANNED),
            new: None,
            old_image: true,
            new_image: false,
            data: Data::of(Content::Early),
            repository: Repository::default(),
            service,
            care: Care::FULL,
            late: None,
            verified: None,
            new_was_good: false,
            after_failed: false,
            way_back_seen: false,
            noting: false,
            noted_gone: false,
            old_image_pruned: 0,
            interfered: false,
            disturbed: false,
        }
    }

    /// A service that an earlier update left on the new version; the repository has the data from its cutover.
    #[must_use]
    pub fn updated(service: Service) -> Self {
        let mut world = Self {
            file: File::After,
            tag: Version::New,
            old: None,
            new: Some(Container::PLANNED),
            new_image: true,
            data: Data::of(if service.migrates { Content::NewUsed } else { Content::OldUsed }),
            ..Self::new(service)
        };
        world.repository.insert(cutover());
        world
    }

    /// The same service, with a backup to restore.
    #[must_use]
    pub fn with_backup(mut self) -> Self {
        self.repository.insert(cutover());
        self.data = Data::of(Content::OldUsed);
        self
    }

    /// What Compose makes of file and tag.
    pub(crate) fn wanted(&self) -> Version {
        if self.service.moved_tag { self.tag } else { self.file.names() }
    }

    pub(crate) fn container(&mut self, version: Version) -> &mut Option<Container> {
        match version {
            Version::Old => &mut self.old,
            Version::New => &mut self.new,
        }
    }

    pub(crate) fn containers(&self) -> impl Iterator<Item = Container> {
        self.old.into_iter().chain(self.new)
    }

    /// Removes a container.
    pub(crate) fn remove(&mut self, version: Version) {
        if let Some(removed) = self.container(version).take() {
            self.noted_gone |= removed.noted;
        }
    }

    /// Notes what is there, for a later look.
    pub(crate) fn note(&mut self) {
        (self.noting, self.noted_gone) = (true, false);
        self.each_container().for_each(|c| (c.noted, c.ran_since) = (true, false));
    }

    /// Nobody asks for the note any more, so that it tells no states apart.
    pub(crate) fn forget_note(&mut self) {
        (self.noting, self.noted_gone) = (false, false);
        self.each_container().for_each(|c| (c.noted, c.ran_since) = (false, false));
    }

    /// Whether something may have run since the last note: it did, or it is gone and can't tell. That is kept, or what
    /// is there is noted: whoever asks is about to remove it.
    /// Where nothing new ever ran, starts of the old container are none.
    pub(crate) fn may_have_run(&mut self, never: bool) -> bool {
        let doubt = self.noted_gone || self.containers().any(|c| c.ran_since && !(never && c.planned));
        self.note();
        self.noted_gone = doubt;
        doubt
    }

    pub(crate) fn each_container(&mut self) -> impl Iterator<Item = &mut Container> {
        self.old.iter_mut().chain(self.new.iter_mut())
    }

    /// The version that runs.
    #[must_use]
    pub fn runs(&self) -> Option<Version> {
        let running = |container: Option<Container>| container.is_some_and(|c| c.running && !c.paused);
        if running(self.new) { Some(Version::New) } else { running(self.old).then_some(Version::Old) }
    }

    /// Whether something runs that can write.
    pub(crate) fn writes(&self) -> bool {
        self.containers().any(|c| c.running && !c.paused)
    }

    /// Whether a backup that counts holds this content, whoever else wrote to it.
    pub(crate) fn keeps(&self, content: Content) -> bool {
        self.repository.iter().any(|s| s.verified && s.data.content == content)
    }

    /// A version starts, whoever wanted it: what it does with the data. Whether it stays up.
    pub(crate) fn launch(&mut self, version: Version) -> bool {
        if version == Version::New && self.service.never_starts {
            return false;
        }
        let noting = self.noting;
        if let Some(container) = self.container(version) {
            container.ever_ran = true;
            container.ran_since = noting;
        }
        let foreign = matches!(self.data.content, Content::New | Content::NewUsed | Content::Mixed);
        self.data.content = match (version, self.data.content) {
            (_, Content::HalfBack) => {
                self.data.touched = true;
                Content::HalfBack
            }
            (Version::Old, Content::New | Content::NewUsed) => Content::Mixed,
            (Version::New, Content::Early | Content::Old | Content::OldUsed) if self.service.migrates => {
                Content::New
            }
            (_, content) => content,
        };
        !(version == Version::Old && foreign && self.service.old_refuses_new_data)
    }
}

/// What an earlier run backed up at its cutover.
pub(crate) fn cutover() -> Snapshot {
    Snapshot { step: Step::BackUpCutover, data: Data::of(Content::Old), verified: true }
}
