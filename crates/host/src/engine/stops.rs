//! Whether an engine's event `kill` tells of somebody who wanted a container to end.
//!
//! A signal can also mean "read your files again": it excuses no exit that comes later.

use std::collections::HashMap;

/// Signals that programs take for a message (Linux, x86 and ARM): HUP, USR1, USR2, CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG,
/// WINCH, IO. `signal(7)`.
const MESSAGES: [&str; 12] = ["1", "10", "12", "17", "18", "19", "20", "21", "22", "23", "28", "29"];

/// The same by their names, as an image's `StopSignal` may have them.
const NAMES: [(&str, &str); 4] = [("HUP", "1"), ("USR1", "10"), ("USR2", "12"), ("WINCH", "28")];

/// Whether the signal of an event, by its `attributes`, wants the container to end; `stop_signal` is the one that its
/// image or Compose file asks for.
pub(crate) fn wants_an_end(attributes: Option<&HashMap<String, String>>, stop_signal: Option<&str>) -> bool {
    let Some(signal) = attributes.and_then(|attributes| attributes.get("signal")) else { return true };
    let own = stop_signal.map(|own| own.trim_start_matches("SIG"));
    let own = own.map(|own| NAMES.iter().find(|(name, _)| *name == own).map_or(own, |(_, number)| *number));
    own == Some(signal) || !MESSAGES.contains(&signal.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_no_wish_for_an_end_unless_the_image_says_so() {
        let by = |signal: &str, own| {
            wants_an_end(Some(&HashMap::from([("signal".to_owned(), signal.to_owned())])), own)
        };
        for (signal, own, wants) in [
            ("15", None, true),
            ("9", None, true),
            ("3", Some("SIGQUIT"), true),
            ("1", None, false),
            ("1", Some("SIGTERM"), false),
            ("10", Some("SIGQUIT"), false),
            // Apache's image is stopped so.
            ("28", Some("SIGWINCH"), true),
            ("28", Some("28"), true),
            ("28", None, false),
        ] {
            assert_eq!(by(signal, own), wants, "{signal}, {own:?}");
        }
        assert!(wants_an_end(None, None), "an engine that does not say which");
    }
}
