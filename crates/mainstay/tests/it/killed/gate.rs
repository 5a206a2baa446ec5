//! Where a process stands in its run, and how it is stopped exactly there.
//!
//! The journal is SQLite: whoever holds its write lock decides when the next line can be written. So a process is
//! seen at a line, held before its next one, and killed, without any help from the command under test. What is
//! reported is where it really was, which is read while it is held.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::lab::process::Running;

/// How closely the journal is looked at. A commit waits for the disk, which mostly takes longer.
const LOOK: Duration = Duration::from_micros(500);
/// Nothing takes longer to come to the next line.
const PATIENCE: Duration = Duration::from_secs(120);
/// The command waits ten seconds for the journal; it is killed before it gives up.
const HELD: Duration = Duration::from_secs(8);

/// When, seen from a line of the journal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// As soon as the line is on the disk.
    After,
    /// So long after it, in the middle of what it announces.
    Within(Duration),
    /// Whatever it announces has been done, and the next line would be written now.
    BeforeNext,
}

/// Which line of the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The first one that says this, as the journal names it: `stop started`, `stop done`.
    Named(String),
    /// So many lines after what was there when the process began.
    Nth(u64),
}

/// A line that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Its number.
    pub seq: u64,
    /// What it says.
    pub kind: String,
    /// How long it took to the next one, where there is one.
    pub took: Option<Duration>,
}

/// The journal of one state directory, seen from outside.
pub struct Gate {
    db: Connection,
}

impl Gate {
    /// The journal's file has to be there; who makes it has made its tables a moment later.
    pub fn at(state: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let db = Connection::open_with_flags(state.join("journal.db"), flags).unwrap();
        db.busy_timeout(Duration::ZERO).unwrap();
        // A statement, because `table_exists` asks what this connection has read of the tables once, which may be none.
        let is_made = || db.query_row("select 1 from entry limit 1", [], |_| Ok(())).optional().is_ok();
        let until = Instant::now() + PATIENCE;
        while !is_made() {
            assert!(Instant::now() < until, "there is no journal in {}", state.display());
            std::thread::sleep(LOOK);
        }
        Self { db }
    }

    /// How many runs there are.
    pub fn runs(&self) -> u64 {
        self.number("select count(*) from run")
    }

    /// How many of them have not ended.
    pub fn unfinished(&self) -> u64 {
        self.number("select count(*) from run where ended_at is null")
    }

    /// SQLite finds nothing wrong, and every run has its lines without a gap.
    pub fn assert_sound(&self) {
        let text = |sql: &str| self.db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(text("pragma integrity_check"), "ok");
        let gaps = "select count(*) from (select run from entry group by run having max(seq) <> count(*))";
        assert_eq!(self.number(gaps), 0, "lines are missing");
    }

    /// The lines of the newest run.
    pub fn lines(&self) -> Vec<Written> {
        let sql = "select seq, kind, at, lead(at) over (order by seq) from entry
                   where run = (select max(id) from run) order by seq";
        let mut statement = self.db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            let (at, next): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            let took = next.map(|next| Duration::from_millis(u64::try_from(next - at).unwrap_or(0)));
            Ok(Written { seq: row.get::<_, i64>(0)?.cast_unsigned(), kind: row.get(1)?, took })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    fn number(&self, sql: &str) -> u64 {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.db.query_row(sql, [], |row| row.get::<_, i64>(0)) {
                Ok(number) => return number.try_into().unwrap(),
                // Who opens a journal has it for a moment.
                Err(error) => assert!(Instant::now() < until, "{sql}: {error}"),
            }
            std::thread::sleep(LOOK);
        }
    }

    fn hold(&self) {
        let until = Instant::now() + PATIENCE;
        while self.db.execute_batch("begin immediate").is_err() {
            assert!(Instant::now() < until, "the journal can't be held");
        }
    }

    fn let_go(&self) {
        self.db.execute_batch("rollback").unwrap();
    }

    /// Kills a process at a line of the newest run, beyond the first `known` ones; `runs` is how many there have to be.
    /// What the last line was then. `None` where the process has ended before it came there: it was not killed.
    pub fn kill(
        &self,
        mut process: Running,
        (runs, known): (u64, u64),
        line: &Line,
        when: When,
    ) -> Option<Written> {
        let until = Instant::now() + PATIENCE;
        let is_there = |gate: &Self| {
            gate.runs() >= runs
                && match line {
                    Line::Nth(nth) => gate.number(NEWEST) >= known + nth,
                    Line::Named(kind) => gate.lines().iter().any(|l| l.seq > known && l.kind == *kind),
                }
        };
        // Cheap, and different after every commit.
        let version = || self.number("pragma data_version");
        let mut seen = version();
        while !is_there(self) {
            loop {
                assert!(Instant::now() < until, "{line:?} never came");
                if process.has_ended() {
                    return None;
                }
                let now = version();
                if now != seen {
                    seen = now;
                    break;
                }
                std::thread::sleep(LOOK);
            }
        }
        match when {
            When::After | When::BeforeNext => self.hold(),
            When::Within(time) => {
                std::thread::sleep(time);
                self.hold();
            }
        }
        if when == When::BeforeNext {
            waits(&process);
        }
        let ended = process.has_ended();
        let last = self.lines().pop();
        process.kill();
        self.let_go();
        last.filter(|_| !ended)
    }
}

const NEWEST: &str = "select coalesce(max(seq), 0) from entry where run = (select max(id) from run)";

/// Until the process sleeps, looks at the journal, and sleeps again: that is how SQLite waits for a lock. What does not
/// come to write within that time is killed as it is.
fn waits(process: &Running) {
    let until = Instant::now() + HELD;
    let mut sleeping = 0;
    while sleeping < 20 && Instant::now() < until {
        // The first field is the number of the system call that the first thread is in: clock_nanosleep has 230 on
        // x86-64, 115 on arm64.
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", process.pid())).unwrap_or_default();
        match call.split(' ').next() {
            Some("230" | "115") => sleeping += 1,
            Some("running") => {}
            _ => sleeping = 0,
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
