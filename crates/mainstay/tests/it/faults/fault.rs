//! What goes wrong.

use crate::lab::proxy::Mood;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process is killed.
    Killed,
    /// Ctrl-C.
    Interrupted,
    /// The machine is shut down, or somebody ends the process.
    Terminated,
    /// The terminal is closed.
    HungUp,
    /// The power is cut, and comes back.
    PowerCut,
    /// The engine's socket is gone for a while.
    EngineGone,
    /// It breaks connections for a while.
    EngineBreaks,
    /// It takes questions and answers none for a while.
    EngineHangs,
    /// It answers late.
    EngineLate,
    /// It is restarted, and its containers with it.
    EngineRestarts,
    /// It dies and is started again.
    EngineDies,
    /// It is restarted, and its containers live on.
    EngineRestartsLive,
    /// Its disk is full.
    EngineFull,
    /// The disk with the journal, the repository and the run's directory is full.
    StateFull,
    /// The disk with the operator's files is full.
    FilesFull,
    /// Files, state and data are on one disk, and that is full.
    AllFull,
    /// The registry breaks every connection.
    RegistryGone,
    /// The registry takes connections and answers nothing.
    RegistryHangs,
    /// Somebody sets the clock five hours forward,
    ClockForward,
    /// or back.
    ClockBack,
    /// Somebody starts the project.
    Up,
    /// Somebody takes it down.
    Down,
    /// Somebody stops the container,
    Stop,
    /// or removes it.
    Remove,
    /// Somebody edits the Compose file.
    Edit,
    /// Somebody lets the new tag mean another image.
    MoveTag,
    /// Somebody removes the images that no container uses.
    Prune,
    /// Somebody writes into the volume.
    WriteData,
}

/// All of them, in the order of the table.
pub const ALL: &[Fault] = &[
    Fault::Killed,
    Fault::Interrupted,
    Fault::Terminated,
    Fault::HungUp,
    Fault::PowerCut,
    Fault::EngineGone,
    Fault::EngineBreaks,
    Fault::EngineHangs,
    Fault::EngineLate,
    Fault::EngineRestarts,
    Fault::EngineDies,
    Fault::EngineRestartsLive,
    Fault::EngineFull,
    Fault::StateFull,
    Fault::FilesFull,
    Fault::AllFull,
    Fault::RegistryGone,
    Fault::RegistryHangs,
    Fault::ClockForward,
    Fault::ClockBack,
    Fault::Up,
    Fault::Down,
    Fault::Stop,
    Fault::Remove,
    Fault::Edit,
    Fault::MoveTag,
    Fault::Prune,
    Fault::WriteData,
];

impl Fault {
    /// A row of the table.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Killed => "kill -9",
            Self::Interrupted => "SIGINT",
            Self::Terminated => "SIGTERM",
            Self::HungUp => "SIGHUP",
            Self::PowerCut => "power cut",
            Self::EngineGone => "engine gone for 3 s",
            Self::EngineBreaks => "engine breaks connections",
            Self::EngineHangs => "engine hangs for 3 s",
            Self::EngineLate => "engine late for 3 s",
            Self::EngineRestarts => "engine restarted",
            Self::EngineDies => "engine killed",
            Self::EngineRestartsLive => "engine restarted, live-restore",
            Self::EngineFull => "engine's disk full",
            Self::StateFull => "state's disk full",
            Self::FilesFull => "files' disk full",
            Self::AllFull => "one disk for all full",
            Self::RegistryGone => "registry gone",
            Self::RegistryHangs => "registry hangs",
            Self::ClockForward => "clock 5 h forward",
            Self::ClockBack => "clock 5 h back",
            Self::Up => "others: up -d",
            Self::Down => "others: down",
            Self::Stop => "others: stop",
            Self::Remove => "others: rm -f",
            Self::Edit => "others: edit the file",
            Self::MoveTag => "others: move the tag",
            Self::Prune => "others: prune images",
            Self::WriteData => "others: write data",
        }
    }

    /// What the engine in front of the command does for a while.
    pub fn mood(self) -> Option<Mood> {
        Some(match self {
            Self::EngineGone => Mood::Gone,
            Self::EngineBreaks => Mood::Breaks,
            Self::EngineHangs => Mood::Hangs,
            Self::EngineLate => Mood::Late,
            _ => return None,
        })
    }

    /// Whether somebody else does something to the service, so that more than the command decides what is there at the end.
    pub fn is_of_others(self) -> bool {
        self >= Self::Up
    }
}
