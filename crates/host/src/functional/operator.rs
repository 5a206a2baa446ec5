//! Questions to the operator, for what only a person can see.
//!
//! Invariant: a question ends with its answer, with its time, or when nobody waits for it any more. It doesn't know how the
//! operator is reached: whoever runs mainstay says that.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mainstay_core::functional::Answer;

use super::spec::Unattended;
use super::{Place, bad};

/// One question.
#[derive(Debug)]
pub struct Question {
    /// What is to be answered with yes or no.
    pub text: String,
    deadline: Instant,
    withdrawn: Arc<AtomicBool>,
}

impl Question {
    /// Whether an answer is of no use any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.withdrawn.load(Relaxed) || Instant::now() > self.deadline
    }
}

/// Asks the operator, and waits: yes, no, or no answer.
#[derive(Clone)]
pub struct Operator(Arc<Answering>);

type Answering = dyn Fn(&Question) -> Option<bool> + Send + Sync;

impl Operator {
    /// Who is asked like this. The function may block, and has to return soon after the question is over.
    pub fn new(ask: impl Fn(&Question) -> Option<bool> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operator")
    }
}

/// Takes the question back where the wait for its answer ends before it comes.
struct Withdraw(Arc<AtomicBool>);

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

pub(super) async fn ask(place: &Place, text: &str, unattended: Unattended, limit: Duration) -> Answer {
    let Some(operator) = place.operator.clone() else {
        return nobody(unattended, "nobody was there to answer");
    };
    let withdrawn = Arc::new(AtomicBool::new(false));
    let _withdraw = Withdraw(Arc::clone(&withdrawn));
    let question = Question { text: text.to_owned(), deadline: Instant::now() + limit, withdrawn };
    let answer = tokio::task::spawn_blocking(move || (operator.0)(&question)).await;
    match answer {
        Ok(Some(good)) => {
            let detail = if good { "the operator says yes" } else { "the operator says no" }.to_owned();
            Answer { good, detail, last: true, ..Answer::default() }
        }
        Ok(None) => nobody(unattended, "the operator did not answer in time"),
        Err(error) => Answer { last: true, ..bad(format!("the question could not be asked: {error}")) },
    }
}

fn nobody(unattended: Unattended, why: &str) -> Answer {
    let (good, what) = match unattended {
        Unattended::Skip => (true, "skipped"),
        Unattended::Fail => (false, "counts as no"),
    };
    Answer { good, detail: format!("{what}: {why}"), last: true, ..Answer::default() }
}
