//! The wording of functional checks.

use mainstay_core::functional::{Before, Bounds, Check};
use mainstay_host::functional::Planned;

use super::millis;

/// A check of a plan, for people.
pub fn planned(check: &Check) -> String {
    let mut text = format!("  check     {}: {}", check.name, what(check));
    if let Some(bounds) = &check.figure {
        text += &format!(", {}", limits(bounds));
    }
    let mut notes = vec![format!("within {}", millis(check.timeout_ms))];
    match check.before {
        Before::Good { figure: Some(figure) } => notes.push(format!("now {figure}")),
        Before::Bad => notes.push("fails already, so that it decides nothing".to_owned()),
        Before::Good { figure: None } | Before::NotAsked => {}
    }
    if !check.required {
        notes.push("only wanted".to_owned());
    }
    text + &format!(" ({})", notes.join("; "))
}

/// What a check says of the version that runs.
pub fn asked(planned: &Planned) -> String {
    let check = &planned.check;
    let says = match &planned.answer {
        Some(answer) if check.before == Before::Bad => format!("bad: {}", answer.detail),
        Some(answer) => format!("good: {}", answer.detail),
        None => "asked of a new version alone".to_owned(),
    };
    format!("check {} ({}): {says}", check.name, what(check))
}

/// What is asked. The scripts of profiles are long, and stand in the documentation.
fn what(check: &Check) -> String {
    match &check.profile {
        Some(profile) => format!("profile {profile}"),
        None => format!("{} {}", check.kind.word(), check.shown),
    }
}

fn limits(bounds: &Bounds) -> String {
    let said = [
        (bounds.at_least, "at least", ""),
        (bounds.at_most, "at most", ""),
        (bounds.min_ratio, "at least", " times what it was"),
        (bounds.max_ratio, "at most", " times what it was"),
    ];
    let said: Vec<String> = said
        .into_iter()
        .filter_map(|(limit, how, of)| limit.map(|limit| format!("{how} {limit}{of}")))
        .collect();
    match said.as_slice() {
        [] if bounds.equal => "equal to what it was".to_owned(),
        [] => "not less than it was".to_owned(),
        said => said.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use mainstay_core::functional::Kind;

    use super::*;

    #[test]
    fn a_check_is_shown_with_its_limits_and_what_it_says_now() {
        let check = Check {
            service: "db".into(),
            name: "rows".into(),
            kind: Kind::Command,
            required: false,
            shown: "figure of count".into(),
            timeout_ms: 30_000,
            every_ms: None,
            figure: Some(Bounds { min_ratio: Some(0.9), ..Bounds::default() }),
            before: Before::Good { figure: Some(1000.0) },
            profile: None,
            index: 0,
        };
        let shown = "  check     rows: command figure of count, at least 0.9 times what it was (within 30s; now 1000; only wanted)";
        assert_eq!(planned(&check), shown);
        let of_profile = Check { profile: Some("postgres".into()), required: true, ..check };
        let shown =
            "  check     rows: profile postgres, at least 0.9 times what it was (within 30s; now 1000)";
        assert_eq!(planned(&of_profile), shown);
    }
}
