//! The operator at the terminal: questions that are answered with yes or no.
//!
//! Invariant: nothing is read from standard input that isn't the answer to a question, and a question that is over is left
//! within a moment. Whether an answer is needed at all is not known here.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use mainstay_host::functional::{Operator, Question};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::render::Show;

/// How long a wait for a line is, before it is looked whether the question is over.
const GLANCE: Duration = Duration::from_millis(100);

/// Whoever sits at the terminal; `None` where nobody does.
pub fn at_terminal(show: &dyn Show) -> Option<Operator> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let clear = show.clear_the_way()?;
    Some(Operator::new(move |question| {
        clear();
        let answer = ask(question);
        if answer.is_none() {
            let _ = writeln!(std::io::stderr()); // the question's line has no end yet
        }
        answer
    }))
}

fn ask(question: &Question) -> Option<bool> {
    let mut err = std::io::stderr();
    loop {
        let _ = write!(err, "\n  {} [y/n] ", question.text);
        let _ = err.flush();
        match line(question)?.trim().to_lowercase().as_str() {
            "y" | "yes" => return Some(true),
            "n" | "no" => return Some(false),
            _ => {}
        }
    }
}

/// A line, unless the question is over before it comes, or the terminal is gone.
fn line(question: &Question) -> Option<String> {
    let stdin = std::io::stdin();
    let glance = Timespec::try_from(GLANCE).ok()?;
    while !question.is_over() {
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        if matches!(poll(&mut ready, Some(&glance)), Ok(count) if count > 0) {
            let mut line = String::new();
            let read = stdin.lock().read_line(&mut line).ok()?;
            return (read > 0).then_some(line);
        }
    }
    None
}
