//! Whether what came back is what the check expects, and the figure in it. Pure; what it says is for people, and to be
//! redacted by the caller.

use serde_json::Value;

use super::spec::{Figure, Http, Text, json_path};

/// How much of an answer is quoted where it does not fit.
const QUOTED: usize = 120;

/// What a server said.
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// The first expectation that an HTTP answer does not meet.
pub(super) fn http(expected: &Http, reply: &Reply) -> Result<(), String> {
    let fits =
        if expected.status.is_empty() { reply.status < 400 } else { expected.status.contains(&reply.status) };
    if !fits {
        let wanted: Vec<String> = expected.status.iter().map(ToString::to_string).collect();
        let wanted = if wanted.is_empty() { "one below 400".to_owned() } else { wanted.join(" or ") };
        return Err(format!("HTTP {}, expected {wanted}{}", reply.status, quote(&reply.body)));
    }
    for (name, part) in &expected.header {
        let mut values = reply.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
        if !values.clone().any(|value| value.contains(part.as_str())) {
            let found = values.next().map_or("missing".to_owned(), |value| format!("\"{}\"", cut(value)));
            return Err(format!(
                "HTTP {}: the header {name} is {found}, expected \"{part}\" in it",
                reply.status
            ));
        }
    }
    text(&expected.text, &reply.body).map_err(|why| format!("HTTP {}: {why}", reply.status))?;
    if expected.json.is_empty() {
        return Ok(());
    }
    let value = parsed(&reply.body).map_err(|why| format!("HTTP {}: {why}", reply.status))?;
    expected.json.iter().try_for_each(|(path, wanted)| json(&value, path, wanted.as_ref()))
}

/// Whether a text says what it has to.
pub(super) fn text(expected: &Text, found: &str) -> Result<(), String> {
    if let Some(part) = expected.contains.as_ref().filter(|part| !found.contains(part.as_str())) {
        return Err(format!("\"{part}\" is not in the answer{}", quote(found)));
    }
    match expected.regex()? {
        Some(pattern) if !pattern.is_match(found) => {
            Err(format!("nothing in the answer matches `{pattern}`{}", quote(found)))
        }
        _ => Ok(()),
    }
}

fn json(value: &Value, path: &str, wanted: Option<&Value>) -> Result<(), String> {
    let found = json_path(path)?.query(value).all();
    match (found.as_slice(), wanted) {
        ([], _) => Err(format!("nothing stands at {path}")),
        (_, None) => Ok(()),
        (all, Some(wanted)) if all.contains(&wanted) => Ok(()),
        ([first, ..], Some(wanted)) => {
            Err(format!("{} stands at {path}, expected {wanted}", cut(&first.to_string())))
        }
    }
}

/// The figure in an answer: the answer itself, or what stands at a place of it.
pub(super) fn figure(figure: &Figure, answer: &str) -> Result<f64, String> {
    let Some(path) = &figure.json else {
        let line = answer.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        return number(line).ok_or_else(|| format!("no number is the answer{}", quote(answer)));
    };
    let value = parsed(answer)?;
    let found = json_path(path)?.query(&value).all();
    let [one] = found.as_slice() else {
        return Err(format!("{} values stand at {path}, expected one number", found.len()));
    };
    let figure = one.as_f64().or_else(|| one.as_str().and_then(|text| number(text.trim())));
    figure.ok_or_else(|| format!("{} stands at {path}, expected a number", cut(&one.to_string())))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| format!("the answer is not JSON{}", quote(text)))
}

fn quote(text: &str) -> String {
    let plain: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.is_empty() { ", which is empty".to_owned() } else { format!("; it begins \"{}\"", cut(&plain)) }
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED).collect();
    if text.chars().count() > QUOTED {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use mainstay_core::functional::Bounds;

    fn reply(status: u16, body: &str) -> Reply {
        let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
        Reply { status, headers, body: body.to_owned() }
    }

    #[test]
    fn the_first_expectation_that_fails_is_told() {
        let says = |expected: &Http, reply: &Reply| http(expected, reply).unwrap_err();
        assert_eq!(http(&Http::default(), &reply(302, "")), Ok(()));
        assert!(
            says(&Http::default(), &reply(403, "no"))
                .contains("HTTP 403, expected one below 400; it begins \"no\"")
        );
        let only = Http { status: vec![200, 204], ..Http::default() };
        assert!(says(&only, &reply(302, "")).contains("expected 200 or 204, which is empty"));
        let header =
            |part: &str| Http { header: vec![("Content-Type".into(), part.into())], ..Http::default() };
        assert_eq!(http(&header("text/html"), &reply(200, "")), Ok(()));
        assert!(says(&header("json"), &reply(200, "")).contains("text/html"));
        let text = |contains: &str, matches: &str| Http {
            text: Text { contains: Some(contains.into()), matches: Some(matches.into()) },
            ..Http::default()
        };
        assert_eq!(http(&text("Welcome", r"user \d+"), &reply(200, "Welcome, user 7")), Ok(()));
        assert!(says(&text("Welcome", "."), &reply(200, "Log in")).contains("Welcome"));
        assert!(says(&text("user", r"user \d+"), &reply(200, "user x")).contains("matches"));
    }

    #[test]
    fn places_in_json_have_their_values() {
        let body = r#"{"ok": true, "users": [{"id": 1}, {"id": 2}]}"#;
        let expect = |path: &str, value: Option<Value>| {
            let expected = Http { json: vec![(path.into(), value)], ..Http::default() };
            http(&expected, &reply(200, body))
        };
        assert_eq!(expect("$.ok", Some(json!(true))), Ok(()));
        assert_eq!(expect("$.users[*].id", Some(json!(2))), Ok(()));
        assert_eq!(expect("$.users[0]", None), Ok(()));
        assert!(expect("$.ok", Some(json!(false))).unwrap_err().contains("true stands at $.ok"));
        assert!(expect("$.gone", None).unwrap_err().contains("nothing stands at"));
        let not = Http { json: vec![("$".into(), None)], ..Http::default() };
        assert!(http(&not, &reply(200, "<html>")).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn figures_are_found_or_their_absence_is_told() {
        let of = |json: Option<&str>, answer: &str| {
            figure(&Figure { json: json.map(str::to_owned), bounds: Bounds::default() }, answer)
        };
        assert_eq!(of(None, " count\n 1000 \n\n"), Ok(1000.0));
        assert_eq!(of(Some("$.count"), r#"{"count": 3}"#), Ok(3.0));
        assert_eq!(of(Some("$.count"), r#"{"count": "3"}"#), Ok(3.0));
        assert!(of(None, "ERROR: no such table").unwrap_err().contains("no such table"));
        assert!(of(None, "NaN").is_err() && of(None, "").is_err());
        assert!(of(Some("$.x"), "{}").unwrap_err().contains("0 values"));
        assert!(of(Some("$.x[*]"), r#"{"x": [1, 2]}"#).unwrap_err().contains("2 values"));
    }
}
