//! Data behind an engine, as the vault reads it and puts it back.
//!
//! Invariant: the helper that reads lives as long as the [`Place`], the one that puts back as long as one change; what
//! the engine says of a failure is kept, since the vault can't understand it.

use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use mainstay_core::plan::DataMount;
use mainstay_core::problem::Problem;
use mainstay_vault::Elsewhere;
use tokio::runtime::Handle;

use super::helper::Helper;
use super::payload::Payload;
use super::{DATA, stream};
use crate::engine::Engine;
use crate::files::RunDir;

/// What is to be reached.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Who reaches it.
    pub(crate) engine: Engine,
    /// An image that the engine has.
    pub(crate) image: String,
    /// The data.
    pub(crate) mount: DataMount,
    /// The run that this is done for.
    pub(crate) run: String,
}

/// Data that can be read.
#[derive(Debug)]
pub(crate) struct Place {
    target: Target,
    runtime: Handle,
    reader: Helper,
    /// Where it is noted that a change has begun.
    note: (RunDir, PathBuf),
    problem: Mutex<Option<Problem>>,
}

impl Place {
    /// Makes the helper that reads.
    pub(crate) fn open(target: Target, runtime: &Handle, note: (RunDir, PathBuf)) -> Result<Self, Problem> {
        let reader = runtime.block_on(Helper::to_read(&target))?;
        Ok(Self { target, runtime: runtime.clone(), reader, note, problem: Mutex::default() })
    }

    /// The data as a tar archive.
    pub(crate) fn archive(&self) -> impl Read + Send + use<> {
        stream::get(&self.runtime, &self.target.engine, &self.reader.id, DATA)
    }

    /// The engine's time in seconds since 1970: without it nobody could tell what changes while it is read.
    pub(crate) fn now(&self) -> io::Result<i64> {
        let told = self.runtime.block_on(self.target.engine.info()).map_err(|problem| self.say(problem))?;
        let time = told.system_time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        time.map(jiff::Timestamp::as_second)
            .ok_or_else(|| io::Error::other("the engine doesn't tell its time"))
    }

    /// Whether a change has begun, in this process or in an earlier one.
    pub(crate) fn begun(&self) -> bool {
        self.note.0.path().join(&self.note.1).exists()
    }

    /// Removes the helper. What the engine said, if something failed.
    pub(crate) fn close(self) -> (Option<Problem>, Result<(), Problem>) {
        let said = self.problem.into_inner().unwrap_or_else(PoisonError::into_inner);
        (said, self.runtime.block_on(self.reader.remove()))
    }

    fn say(&self, problem: Problem) -> io::Error {
        let error = io::Error::other(problem.what.clone());
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
        error
    }

    /// Sends this program, and the list of what is to be removed.
    fn send(&self, helper: &Helper, payload: &Payload, remove: &[PathBuf]) -> io::Result<()> {
        let (writer, reader) = stream::pipe();
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| self.runtime.block_on(helper.send(reader)));
            let written = payload.write(remove, BufWriter::with_capacity(1 << 18, writer));
            match sending.join() {
                Ok(Ok(())) => written,
                Ok(Err(problem)) => Err(self.say(problem)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Has the helper make what is written.
    fn feed(
        &self,
        helper: &Helper,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let (writer, reader) = stream::pipe();
        std::thread::scope(|scope| {
            let feeding = scope.spawn(|| self.runtime.block_on(helper.feed(reader)));
            let mut writer = BufWriter::with_capacity(1 << 18, writer);
            let written = write(&mut writer).and_then(|()| writer.flush());
            // Not written any further: what can't be read to its end is not taken for the whole.
            drop(writer.into_parts());
            match feeding.join() {
                Ok(Ok(())) => written,
                // Where nobody takes it any more, the other end says why.
                Ok(Err(problem))
                    if written.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::BrokenPipe) =>
                {
                    drop(problem);
                    written
                }
                Ok(Err(problem)) => Err(self.say(problem)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Elsewhere for Place {
    fn read(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.archive()))
    }

    fn begin(&self) -> io::Result<()> {
        self.note.0.write(&self.note.1, b"begun\n").map_err(|error| self.say(error.into()))
    }

    fn change(
        &self,
        remove: &[PathBuf],
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let payload = Payload::of_this_program()?;
        let helper = self.runtime.block_on(Helper::to_put_back(&self.target, &payload));
        let helper = helper.map_err(|problem| self.say(problem))?;
        let changed = self.send(&helper, &payload, remove).and_then(|()| self.feed(&helper, write));
        let removed = self.runtime.block_on(helper.remove()).map_err(|problem| self.say(problem));
        changed.and(removed)
    }
}
