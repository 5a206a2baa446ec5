//! What Compose says when it refuses a file, made into a problem that names file, line and reason.
//!
//! Pure. Values that Compose quotes from the file may be secrets: they are cut out before anything is passed
//! on, and so are its warnings about unset variables, which quote pieces of passwords that hold a `$`.

use std::path::PathBuf;
use std::sync::LazyLock;

use mainstay_core::problem::Problem;
use mainstay_core::redact;
use regex::Regex;

/// How much of a long complaint is passed on.
const TAIL: usize = 12;

static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bline (\d+)").ok());
static FILE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:validating |parsing |[Ff]ile '|in "|open )([^'":\n]+\.[A-Za-z]+)"#).ok()
});

/// `compose-file-invalid`, with what Compose's words tell.
#[must_use]
pub fn invalid(stderr: &str, files: &[PathBuf]) -> Problem {
    let reasons = reasons(stderr);
    let text = reasons.join("\n");
    let named = capture(&FILE, &text).map(|f| f.trim_start_matches("./").to_owned());
    let file = match (named, files) {
        (Some(name), _) => files
            .iter()
            .find(|f| {
                f.to_string_lossy() == name || f.file_name().is_some_and(|n| n.to_string_lossy() == name)
            })
            .map_or(name, |f| f.display().to_string()),
        (None, [only]) => only.display().to_string(),
        (None, many) => many.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" with "),
    };
    let place = capture(&LINE, &text).map_or(file.clone(), |line| format!("{file}, line {line}"));
    let mut problem =
        Problem::new("compose-file-invalid", format!("Compose does not accept the Compose file: {place}"));
    problem.causes = reasons;
    problem.advise(
        "correct the file; `docker compose config --quiet` (or `docker-compose config --quiet`) checks it",
    )
}

/// The last lines of what a command said, without warnings, terminal escapes and quoted values.
#[must_use]
pub fn reasons(stderr: &str) -> Vec<String> {
    let lines: Vec<String> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("level=warning") && !line.starts_with("WARNING:"))
        .map(without_values)
        .map(|line| redact::line(&line))
        .collect();
    let mut kept: Vec<String> = Vec::new();
    let mut after_interpolation = false;
    for line in lines.into_iter().rev().take(TAIL).rev() {
        // v2 puts the raw value on the line after this advice.
        if after_interpolation {
            after_interpolation = false;
            continue;
        }
        after_interpolation = line.starts_with("You may need to escape");
        kept.push(line);
    }
    kept
}

/// `Invalid interpolation format for "environment" option in service "a": "VALUE"`: without the value.
fn without_values(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    match (lower.starts_with("invalid interpolation format"), line.find(": ")) {
        (true, Some(colon)) => line[..colon].to_owned(),
        _ => line.trim_start_matches("ERROR: ").to_owned(),
    }
}

fn capture(regex: &LazyLock<Option<Regex>>, text: &str) -> Option<String> {
    Some(regex.as_ref()?.captures(text)?.get(1)?.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<PathBuf> {
        vec!["/srv/shop/compose.yml".into()]
    }

    #[test]
    fn v2_yaml_error_has_a_line_and_gets_the_only_file() {
        let problem = invalid("yaml: line 4: mapping values are not allowed in this context\n", &files());
        assert_eq!(problem.code, "compose-file-invalid");
        assert!(problem.what.ends_with("/srv/shop/compose.yml, line 4"), "{}", problem.what);
    }

    #[test]
    fn v1_yaml_error_names_file_and_line() {
        let text = "ERROR: yaml.scanner.ScannerError: mapping values are not allowed here\n  in \"./compose.yml\", line 4, column 7\n";
        let problem = invalid(text, &files());
        assert!(problem.what.ends_with("/srv/shop/compose.yml, line 4"), "{}", problem.what);
    }

    #[test]
    fn schema_errors_name_the_key() {
        let v2 = "validating /srv/shop/compose.yml: services.a Additional property imge is not allowed\n";
        let v1 = "ERROR: The Compose file './compose.yml' is invalid because:\nUnsupported config option for services.a: 'imge'\n";
        for text in [v1, v2] {
            let problem = invalid(text, &files());
            assert!(problem.what.ends_with(": /srv/shop/compose.yml"), "{}", problem.what);
            assert!(problem.causes.join(" ").contains("imge"));
        }
    }

    #[test]
    fn quoted_values_and_warnings_do_not_travel() {
        let v1 = "Invalid interpolation format for \"environment\" option in service \"a\": \"${hunter2\"\n";
        let v2 = "time=\"2026\" level=warning msg=\"The \\\"hunter2\\\" variable is not set.\"\n\
                  invalid interpolation format for services.a.environment.P.\n\
                  You may need to escape any $ with another $.\n${hunter2\n";
        for text in [v1, v2] {
            let problem = invalid(text, &files());
            assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
            assert!(problem.causes[0].to_lowercase().starts_with("invalid interpolation"));
        }
    }
}
