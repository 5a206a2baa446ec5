//! The containers' logs: followed while a version is judged, and the last lines of them.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures_util::StreamExt as _;
use mainstay_core::baseline::Sample;
use mainstay_core::time::Timestamp;
use mainstay_core::watch::{Figures, Patterns, Signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::{Setup, Subject};
use crate::clock::{now, on_the_wall};
use crate::engine::Engine;

/// A log that ended (the container did) is followed again after this long.
const AGAIN: Duration = Duration::from_millis(100);
/// Reading the end of a log takes no longer.
const TAIL_LIMIT: Duration = Duration::from_secs(10);
/// How far back a log is read to know what is normal,
const HISTORY_MS: i64 = 10 * 60_000;
/// and how many lines of it.
const HISTORY_LINES: usize = 5_000;

/// Starts following the logs from the moment that the setup names.
pub(super) fn spawn(sources: &mut JoinSet<()>, setup: &Setup<'_>, sender: &Sender<Signal>) {
    for subject in setup.subjects {
        sources.spawn(follow(setup.engine.clone(), subject.clone(), setup.since, sender.clone()));
    }
}

async fn follow(engine: Engine, subject: Subject, since: Timestamp, sender: Sender<Signal>) {
    let mut since = i32::try_from(on_the_wall(since).0.div_euclid(1000)).unwrap_or(0);
    let mut read = AsFar::default();
    loop {
        read.anew();
        // A clock that was set back since would have the engine leave out everything until then.
        let present = i32::try_from(on_the_wall(now()).0.div_euclid(1000)).unwrap_or(since);
        let options = options().follow(true).since(since.min(present)).timestamps(true).build();
        let mut stream = std::pin::pin!(engine.docker().logs(&subject.container.id, Some(options)));
        while let Some(Ok(piece)) = stream.next().await {
            for (time, line) in stamped(&piece) {
                if !read.is_new(&time) {
                    continue;
                }
                since = second(&time).unwrap_or(since);
                let signal = Signal::Log { container: subject.container.name.clone(), line };
                if sender.send(signal).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// How far a log was read: where following begins anew, the lines up to there come again. Within one stream every line is
/// new, whatever its time, since the engine's clock may have been set back.
#[derive(Default)]
struct AsFar {
    /// The time of the last line, as the engine wrote it.
    last: String,
    again: bool,
}

impl AsFar {
    /// Following begins anew.
    fn anew(&mut self) {
        self.again = !self.last.is_empty();
    }

    /// Whether a line of this time was not read before.
    fn is_new(&mut self, time: &str) -> bool {
        let read = self.again && !time.is_empty() && *time <= *self.last;
        self.again = read && time != self.last;
        if !read {
            time.clone_into(&mut self.last);
        }
        !read
    }
}

fn options() -> LogsOptionsBuilder {
    LogsOptionsBuilder::default().stdout(true).stderr(true)
}

/// The lines of a piece of a log, each with its time.
fn stamped(piece: &LogOutput) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(piece.as_ref()).into_owned();
    let split = |line: &str| {
        let (time, rest) = line.split_once(' ').unwrap_or((line, ""));
        (time.to_owned(), rest.trim_end().to_owned())
    };
    text.lines().map(split).collect()
}

fn second(time: &str) -> Option<i32> {
    i32::try_from(time.parse::<jiff::Timestamp>().ok()?.as_second()).ok()
}

/// The last lines of a container's log, oldest first. What can't be read is left out: it is evidence, wanted
/// but not required.
pub async fn tail(engine: &Engine, id: &str, lines: usize) -> Vec<String> {
    read(engine, id, options().tail(&lines.to_string()).build()).await
}

/// Lines of a log, as options choose them; those that came before it ended or hung.
pub(crate) async fn read(engine: &Engine, id: &str, options: LogsOptions) -> Vec<String> {
    let mut stream = std::pin::pin!(engine.docker().logs(id, Some(options)));
    let mut text = String::new();
    let all = async {
        while let Some(Ok(piece)) = stream.next().await {
            text.push_str(&String::from_utf8_lossy(piece.as_ref()));
        }
    };
    let _partial = tokio::time::timeout(TAIL_LIMIT, all).await;
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Errors a minute in the last ten minutes of a container's log, counted as those of a version that is watched: a stack
/// trace is one.
pub async fn errors_per_minute(
    engine: &Engine,
    subject: &Subject,
    patterns: Patterns,
    now: Timestamp,
) -> f64 {
    let mut figures = Figures::new(patterns, Sample::default());
    let over = count(engine, subject, now, |signal| {
        figures.see(0, &signal);
    });
    let over = over.await;
    figures.sample(over).errors_per_minute
}

/// Has `see` see what a container's log says of the last minutes; the time that this is from, in milliseconds.
pub(super) async fn count(
    engine: &Engine,
    subject: &Subject,
    now: Timestamp,
    mut see: impl FnMut(Signal),
) -> u64 {
    let history = history(engine, subject, now).await;
    for line in history.lines {
        see(Signal::Log { container: subject.container.name.clone(), line });
    }
    history.millis
}

/// The last minutes of a container's log.
#[derive(Debug, Default)]
struct History {
    /// The lines, oldest first.
    lines: Vec<String>,
    /// The time that they are from, in milliseconds.
    millis: u64,
}

/// What a container's log says of the last ten minutes, or since the container runs.
async fn history(engine: &Engine, subject: &Subject, now: Timestamp) -> History {
    let id = &subject.container.id;
    let now = on_the_wall(now);
    let begin = Timestamp(now.0 - HISTORY_MS);
    let since = i32::try_from(begin.0.div_euclid(1000)).unwrap_or(0);
    let options = options().since(since).tail(&HISTORY_LINES.to_string()).timestamps(true).build();
    let inspected = engine.call("inspect a container", engine.docker().inspect_container(id, None));
    let (read, inspected) = tokio::join!(read(engine, id, options), inspected);
    let started = inspected.ok().and_then(|answer| millis(&answer.state?.started_at?));
    let lines: Vec<(&str, &str)> =
        read.iter().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    let first = lines.first().and_then(|(time, _)| millis(time));
    // A log that was cut off is as old as its first line; a container that was restarted has lines from before.
    let began = match first {
        Some(first) if lines.len() >= HISTORY_LINES => first,
        _ => started.into_iter().chain(first).min().unwrap_or(begin.0).max(begin.0),
    };
    History {
        lines: lines.iter().map(|(_, line)| (*line).to_owned()).collect(),
        millis: now.since(Timestamp(began)),
    }
}

fn millis(time: &str) -> Option<i64> {
    Some(time.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_come_again_are_left_out_also_where_the_clock_was_set_back() {
        let mut read = AsFar::default();
        let mut new = |anew: bool, times: &[&str]| -> Vec<bool> {
            if anew {
                read.anew();
            }
            times.iter().map(|time| read.is_new(time)).collect()
        };
        assert_eq!(new(true, &["13:01", "13:02"]), [true, true]);
        assert_eq!(new(true, &["13:01", "13:02", "13:03"]), [false, false, true]);
        // Set back while it is followed, and then again while it isn't.
        assert_eq!(new(false, &["08:01", "08:02"]), [true, true]);
        assert_eq!(new(true, &["08:02", "08:03", "03:01"]), [false, true, true]);
        assert_eq!(new(true, &["03:01", "03:02"]), [false, true]);
        assert_eq!(new(true, &["02:59", "03:02", "01:00"]), [false, false, true]);
    }

    #[test]
    fn times_are_told_from_lines() {
        let message = "2026-01-01T00:00:01.000000005Z hello world\n".into();
        let lines = stamped(&LogOutput::StdOut { message });
        assert_eq!(lines[0].1, "hello world");
        assert_eq!(second(&lines[0].0), Some(1_767_225_601));
    }
}
