//! How a container's processes have ended lately, from the engine's events: an automatic restart hides it from everything
//! else.

use std::collections::HashMap;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;

use crate::engine::{Engine, wants_an_end};
use crate::survey::ContainerFacts;

/// How far back; engines keep the last few hundred events only.
const SECONDS: i64 = 15 * 60;

/// What came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exits {
    /// Ends that nobody asked for.
    pub by_itself: u64,
    /// The code of the last of them.
    pub last_code: Option<i64>,
    /// Whether one of them was for want of memory.
    pub out_of_memory: bool,
}

pub(super) async fn exits(engine: &Engine, facts: &ContainerFacts) -> Exits {
    let now = jiff::Timestamp::now().as_second();
    let events = ["oom", "die", "kill"].map(str::to_owned).to_vec();
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("container".to_owned(), vec![facts.id.clone()]),
        ("event".to_owned(), events),
    ]);
    let options = EventsOptionsBuilder::default()
        .since(&(now - SECONDS).to_string())
        .until(&now.to_string())
        .filters(&filters);
    let mut stream = std::pin::pin!(engine.docker().events(Some(options.build())));
    let stop_signal = facts.inspect.0["Config"]["StopSignal"].as_str();
    let mut seen = Vec::new();
    while let Some(Ok(event)) = stream.next().await {
        let attributes = event.actor.and_then(|actor| actor.attributes);
        let action = event.action.unwrap_or_default();
        if action == "kill" && !wants_an_end(attributes.as_ref(), stop_signal) {
            continue;
        }
        seen.push((action, attributes.and_then(|a| a.get("exitCode")?.parse().ok())));
    }
    fold(&seen)
}

fn fold(events: &[(String, Option<i64>)]) -> Exits {
    let (mut exits, mut asked) = (Exits::default(), false);
    for (action, code) in events {
        match action.as_str() {
            "kill" => asked = true,
            "oom" => exits.out_of_memory = true,
            "die" if std::mem::take(&mut asked) => {}
            "die" => {
                exits.by_itself += 1;
                exits.last_code = *code;
            }
            _ => {}
        }
    }
    exits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_somebody_asked_for_are_no_crashes() {
        let events =
            [("die", Some(1)), ("kill", None), ("die", Some(137)), ("oom", None), ("die", Some(137))];
        let events = events.map(|(action, code)| (action.to_owned(), code));
        assert_eq!(fold(&events), Exits { by_itself: 2, last_code: Some(137), out_of_memory: true });
        assert_eq!(fold(&events[1..3]), Exits::default());
    }
}
