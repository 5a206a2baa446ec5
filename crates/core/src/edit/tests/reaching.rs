//! How far an edit may reach.

use serde_json::{Value, json};

use super::*;

fn project(tag: &str) -> Value {
    json!({
        "name": "p",
        "services": {
            "worker": {"image": format!("r:5000/x:{tag}"), "environment": {"VERSION": tag}},
            "app": {
                "image": format!("r:5000/x:{tag}"),
                "environment": {"VERSION": tag, "PASSWORD": "hunter2"},
                "labels": {"version": format!("release-{tag}-{tag}")},
                "build": {"tags": [format!("x:{tag}"), "x:latest"]},
            },
            "db": {"image": "postgres:15", "environment": {"PASSWORD": "hunter2"}},
        },
        "x-image": format!("r:5000/x:{tag}"),
    })
}

fn prove_to(after: &Value) -> Result<Vec<String>, Problem> {
    prove(&project("1.0"), after, "app", "1.0", "1.1", &["NEW".to_owned()])
}

#[test]
fn the_unit_is_every_service_that_gets_the_tag() {
    assert_eq!(prove_to(&project("1.1")).unwrap(), ["app", "worker"]);
    let mut after = project("1.0");
    after["services"]["app"]["image"] = json!("r:5000/x:1.1");
    assert_eq!(prove_to(&after).unwrap(), ["app"]);
    after["services"]["app"]["environment"]["NEW"] = json!("secret");
    assert_eq!(prove_to(&after).unwrap(), ["app"]);
}

#[test]
fn a_variable_may_hold_a_part_of_the_tag() {
    let project = |tag: &str| {
        json!({"services": {"app": {
            "image": format!("x:v{tag}-alpine"),
            "environment": {"VERSION": tag, "URL": format!("http://h/{tag}/x")},
        }}})
    };
    let proven = prove(&project("1.0"), &project("1.1"), "app", "v1.0-alpine", "v1.1-alpine", &[]);
    assert_eq!(proven.unwrap(), ["app"]);
}

#[test]
fn a_part_of_a_number_is_no_part_of_a_tag() {
    let project = |tag: &str, port: &str| json!({"services": {"app": {"image": format!("x:v{tag}"), "environment": {"PORT": port}}}});
    let proven = |from: &str, to: &str| prove(&project("1", from), &project("2", to), "app", "v1", "v2", &[]);
    assert_eq!(proven("1", "2").unwrap(), ["app"]);
    assert_eq!(proven("80/1", "80/2").unwrap(), ["app"]);
    assert_eq!(proven("8081", "8082").unwrap_err().code, "edit-reaches-further");
}

#[test]
fn an_image_may_get_its_first_tag() {
    let project = |image: &str, other: &str| json!({"services": {"app": {"image": image, "labels": {"image": other}}}, "x-image": image});
    let (before, after) = (project("r:5000/x", "r:5000/x"), project("r:5000/x:1", "r:5000/x:1"));
    assert_eq!(prove(&before, &after, "app", "", "1", &[]).unwrap(), ["app"]);
    let after = project("r:5000/x:1", "other:1");
    assert_eq!(prove(&before, &after, "app", "", "1", &[]).unwrap_err().code, "edit-reaches-further");
}

#[test]
fn everything_else_is_refused_by_name() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 12] = [
        ("services.db.environment.VERSION", |c| c["services"]["db"]["environment"]["VERSION"] = json!("1.1")),
        ("services.db.image", |c| c["services"]["db"]["image"] = json!("postgres:1.1")),
        ("services.worker.image", |c| c["services"]["worker"]["image"] = json!("r:5000/x:1.2")),
        ("services.app.environment.PASSWORD", |c| {
            c["services"]["app"]["environment"]["PASSWORD"] = json!("hunter3");
        }),
        ("services.app.environment.OTHER", |c| c["services"]["app"]["environment"]["OTHER"] = json!("x")),
        ("services.db.environment.NEW", |c| c["services"]["db"]["environment"]["NEW"] = json!("hunter3")),
        ("services.app.labels.version", |c| c["services"]["app"]["labels"]["version"] = json!("other")),
        ("services.app.labels", |c| c["services"]["app"]["labels"] = Value::Null),
        ("services.new", |c| {
            c["services"]["new"] = json!({"image": "x:1", "environment": {"PASSWORD": "hunter2"}})
        }),
        ("services.db", |c| {
            c["services"].as_object_mut().unwrap().remove("db");
        }),
        ("name", |c| c["name"] = json!("q")),
        ("x-image", |c| c["x-image"] = json!("other")),
    ];
    for (path, change) in cases {
        let mut after = project("1.1");
        change(&mut after);
        let problem = prove_to(&after).unwrap_err();
        assert_eq!(problem.code, "edit-reaches-further", "{path}");
        let named = problem.causes.iter().filter(|cause| cause.starts_with(&format!("{path}: "))).count();
        assert_eq!(named, 1, "{path}: {problem}");
        let alone = problem.causes.len() == 1 || path == "services.worker.image";
        assert!(alone, "a worker of another version is no member, so its variable is told too: {problem}");
        assert!(!format!("{problem:?}").contains("hunter"), "{problem:?}");
        assert!(!problem.advice.is_empty());
    }
}

#[test]
fn an_edit_without_effect_is_no_success() {
    let problem = prove_to(&project("1.0")).unwrap_err();
    assert_eq!(problem.code, "edit-without-effect");
    let mut after = project("1.1");
    after["services"]["app"]["image"] = json!("other:1.1");
    assert_eq!(prove_to(&after).unwrap_err().code, "edit-without-effect");
}

#[test]
fn changes_are_as_deep_as_possible() {
    let before = json!({"a": {"b": [1, 2], "c": [1]}, "d": 1, "same": {"x": []}});
    let after = json!({"a": {"b": [1, 3], "c": [1, 2]}, "e": null, "f": 2, "same": {"x": []}});
    let found = changes(&before, &after);
    let paths: Vec<String> = found.iter().map(|c| c.path.join(".")).collect();
    assert_eq!(paths, ["a.b.1", "a.c", "d", "f"]);
    assert_eq!((&found[2].before, &found[2].after), (&json!(1), &Value::Null));
}
