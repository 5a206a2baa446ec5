//! The journal: an append-only log of events in SQLite, on disk before anything happens.
//!
//! Write-ahead log, `synchronous = FULL`: what was appended survives a power cut. A journal that can't be
//! written stops the run before its next effect, because the effect's [`Permit`] is never made.

mod reserve;

use std::path::{Path, PathBuf};

use mainstay_core::event::{Entry, Event, Outcome};
use mainstay_core::plan::Plan;
use mainstay_core::state::{IllegalEntry, RunState};
use mainstay_core::step::Step;
use mainstay_core::time::Timestamp;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use reserve::Reserve;

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;

/// The id of a run: the time of its start and a random part, so that ids sort by age.
pub type RunId = String;

/// Leave to perform one effect. Only the journal makes one, after the intent is on disk, and
/// [`Journal::finish`] consumes it.
#[derive(Debug)]
pub struct Permit {
    run: RunId,
    step: Step,
    again: bool,
}

impl Permit {
    /// The step that may be performed.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The run that it belongs to.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Whether the step was begun before by a process that did not live to end it: what is there may be
    /// undone, done, or half done.
    #[must_use]
    pub fn again(&self) -> bool {
        self.again
    }
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file can't be opened or made.
    #[error("the journal {path} can't be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// It was written by a later version.
    #[error("the journal {path} has format {found}; this version knows {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is known here.
        known: i64,
    },
    /// A read or write failed.
    #[error("the journal can't be {doing}")]
    Sql {
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// An entry is not JSON of an event.
    #[error("entry {seq} of run {run} can't be understood")]
    Entry {
        /// The run.
        run: RunId,
        /// The entry.
        seq: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Entries are in an order that no run can write.
    #[error("the journal of run {run} is damaged")]
    Illegal {
        /// The run.
        run: RunId,
        /// Which entry.
        #[source]
        source: IllegalEntry,
    },
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(RunId),
}

impl JournalError {
    fn read(source: rusqlite::Error) -> Self {
        Self::Sql { doing: "read", source }
    }

    fn write(source: rusqlite::Error) -> Self {
        Self::Sql { doing: "written", source }
    }

    /// Whether the disk has no room left for the log, or for its index.
    fn is_full(&self) -> bool {
        let Self::Sql { source, .. } = self else { return false };
        let index = source.sqlite_error().is_some_and(|e| e.extended_code == SQLITE_IOERR_SHMSIZE);
        index || source.sqlite_error_code() == Some(ErrorCode::DiskFull)
    }
}

/// One line of the list of runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RunSummary {
    /// The run's id.
    pub id: RunId,
    /// Compose project.
    pub project: String,
    /// The service that the operator named.
    pub service: String,
    /// update, rollback, backup, restore.
    pub kind: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is unfinished.
    pub ended_at: Option<Timestamp>,
    /// How it ended, in one word.
    pub verdict: Option<String>,
}

/// The journal of one state directory.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    reserve: Reserve,
}

impl Journal {
    /// Opens the journal, making it if there is none.
    ///
    /// # Errors
    /// [`JournalError::Open`] where the file can't be opened or written, [`JournalError::Newer`] where a later
    /// version wrote it.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let open = |source| JournalError::Open { path: path.to_owned(), source };
        let mut db = Connection::open(path).map_err(open)?;
        db.busy_timeout(std::time::Duration::from_secs(10)).map_err(open)?;
        db.pragma_update(None, "journal_mode", "wal").map_err(open)?;
        db.pragma_update(None, "synchronous", "full").map_err(open)?;
        db.pragma_update(None, "foreign_keys", true).map_err(open)?;
        let transaction =
            db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(open)?;
        let found: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open)?;
        if found > SCHEMA_VERSION {
            return Err(JournalError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
        }
        if found == 0 {
            transaction.execute_batch(SCHEMA).map_err(open)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(open)?;
        }
        transaction.commit().map_err(open)?;
        Ok(Self { db, reserve: Reserve::beside(path) })
    }

    /// Begins a run: its first event freezes the plan.
    ///
    /// # Errors
    /// Where it can't be written; no run exists then.
    pub fn start(&mut self, run: &str, plan: &Plan, at: Timestamp) -> Result<Entry, JournalError> {
        let entry = Entry { seq: 1, at, event: Event::RunStarted { plan: Box::new(plan.clone()) } };
        let transaction = self.db.transaction().map_err(JournalError::write)?;
        transaction
            .execute(
                "insert into run (id, project, service, kind, started_at) values (?1, ?2, ?3, ?4, ?5)",
                params![run, plan.unit.project.name, plan.unit.service, plan.kind.word(), at.0],
            )
            .map_err(JournalError::write)?;
        insert(&transaction, run, &entry)?;
        transaction.commit().map_err(JournalError::write)?;
        self.reserve.take();
        Ok(entry)
    }

    /// Journals the intent to perform `step`, and gives leave to do so.
    ///
    /// # Errors
    /// Where it can't be written: the effect must not happen then, and can't.
    pub fn begin(
        &mut self,
        run: &str,
        state: &RunState,
        step: Step,
        at: Timestamp,
    ) -> Result<(Permit, Entry), JournalError> {
        let again = state.running() == Some(step);
        let entry = self.append(run, state, Event::StepStarted { step }, at)?;
        Ok((Permit { run: run.to_owned(), step, again }, entry))
    }

    /// Journals how the effect ended; the permit is spent.
    ///
    /// # Errors
    /// Where it can't be written: the effect is in doubt then, and is looked at when the run is resumed.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is spent by the effect that it allowed")]
    pub fn finish(
        &mut self,
        permit: Permit,
        state: &RunState,
        outcome: Outcome,
        at: Timestamp,
    ) -> Result<Entry, JournalError> {
        self.append(&permit.run, state, Event::StepEnded { step: permit.step, outcome }, at)
    }

    /// Appends any other event.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn append(
        &mut self,
        run: &str,
        state: &RunState,
        event: Event,
        at: Timestamp,
    ) -> Result<Entry, JournalError> {
        let entry = Entry { seq: state.seq() + 1, at, event };
        while let Err(error) = self.write(run, &entry) {
            if !error.is_full() || !self.reserve.give() {
                return Err(error);
            }
        }
        Ok(entry)
    }

    fn write(&mut self, run: &str, entry: &Entry) -> Result<(), JournalError> {
        let transaction = self.db.transaction().map_err(JournalError::write)?;
        insert(&transaction, run, entry)?;
        if let Event::RunEnded { conclusion } = &entry.event {
            transaction
                .execute(
                    "update run set ended_at = ?2, verdict = ?3 where id = ?1",
                    params![run, entry.at.0, conclusion.word()],
                )
                .map_err(JournalError::write)?;
        }
        transaction.commit().map_err(JournalError::write)
    }

    /// Every entry of a run, in order.
    ///
    /// # Errors
    /// [`JournalError::NoRun`] where there is none; otherwise where an entry can't be read.
    pub fn entries(&self, run: &str) -> Result<Vec<Entry>, JournalError> {
        let mut statement = self
            .db
            .prepare("select seq, body from entry where run = ?1 order by seq")
            .map_err(JournalError::read)?;
        let rows = statement
            .query_map([run], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .map_err(JournalError::read)?;
        let mut entries = Vec::new();
        for row in rows {
            let (seq, body) = row.map_err(JournalError::read)?;
            entries.push(serde_json::from_str(&body).map_err(|source| JournalError::Entry {
                run: run.to_owned(),
                seq: u64::try_from(seq).unwrap_or_default(),
                source,
            })?);
        }
        if entries.is_empty() { Err(JournalError::NoRun(run.to_owned())) } else { Ok(entries) }
    }

    /// The plan and the state of a run, folded from its entries.
    ///
    /// # Errors
    /// As [`Journal::entries`], and [`JournalError::Illegal`] where the entries can't follow each other.
    pub fn replay(&self, run: &str) -> Result<(Plan, RunState), JournalError> {
        RunState::replay(&self.entries(run)?)
            .map_err(|source| JournalError::Illegal { run: run.to_owned(), source })
    }

    /// The runs, newest first: in the order in which they were begun, whatever the clock said.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn runs(&self) -> Result<Vec<RunSummary>, JournalError> {
        let mut statement = self
            .db
            .prepare(
                "select id, project, service, kind, started_at, ended_at, verdict from run
                 order by rowid desc",
            )
            .map_err(JournalError::read)?;
        let rows = statement
            .query_map([], |row| {
                Ok(RunSummary {
                    id: row.get(0)?,
                    project: row.get(1)?,
                    service: row.get(2)?,
                    kind: row.get(3)?,
                    started_at: Timestamp(row.get(4)?),
                    ended_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
                    verdict: row.get(6)?,
                })
            })
            .map_err(JournalError::read)?;
        rows.collect::<Result<_, _>>().map_err(JournalError::read)
    }

    /// The newest run that has not ended, if any.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub fn unfinished(&self) -> Result<Option<RunId>, JournalError> {
        self.db
            .query_row("select id from run where ended_at is null order by rowid desc limit 1", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(JournalError::read)
    }
}

fn insert(db: &Connection, run: &str, entry: &Entry) -> Result<(), JournalError> {
    let seq = i64::try_from(entry.seq).unwrap_or(i64::MAX);
    let body = serde_json::to_string(entry).map_err(|source| JournalError::Entry {
        run: run.to_owned(),
        seq: entry.seq,
        source,
    })?;
    db.execute(
        "insert into entry (run, seq, at, kind, body) values (?1, ?2, ?3, ?4, ?5)",
        params![run, seq, entry.at.0, kind(&entry.event), body],
    )
    .map_err(JournalError::write)?;
    Ok(())
}

fn kind(event: &Event) -> String {
    match event {
        Event::RunStarted { .. } => "run-started".to_owned(),
        Event::StepStarted { step } => format!("{step} started"),
        Event::StepEnded { step, outcome: Outcome::Done { .. } } => format!("{step} done"),
        Event::StepEnded { step, outcome: Outcome::Failed { .. } } => format!("{step} failed"),
        Event::Observed { finding } => format!("observed {}", finding.check),
        Event::Interrupted { .. } => "interrupted".to_owned(),
        Event::Resumed => "resumed".to_owned(),
        Event::RunEnded { conclusion } => format!("run-ended {}", conclusion.word()),
        Event::Unknown => "unknown".to_owned(),
    }
}
