use super::{KEYS, parse};

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let problem = parse("[service.app]\nurl = \"x\"\nwacth = \"5m\"\n").unwrap_err();
    assert!(problem.what.contains("line 3"), "{}", problem.what);
    assert_eq!(problem.advice[0], "did you mean `watch`?");
}

#[test]
fn what_is_closer_to_the_service_wins() {
    let text =
        "[defaults]\nwatch = \"1m\"\nport = 1\n[service.app]\nport = 2\n[service.\"shop/app\"]\nport = 3\n";
    let settings = parse(text).unwrap().for_service("shop", "app");
    assert_eq!((settings.port, settings.watch.unwrap().millis()), (Some(3), 60_000));
}

#[test]
fn retention_is_the_default_where_nothing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let of = |service| super::retention(Some(dir.path()), "shop", service).unwrap();
    assert_eq!(of("app"), mainstay_vault::Retention { keep_days: 7, keep_last: 3 });
    let text = "[defaults]\nkeep_last = 9\n[service.app]\nkeep_days = 30\n";
    std::fs::write(dir.path().join("mainstay.toml"), text).unwrap();
    assert_eq!(of("app"), mainstay_vault::Retention { keep_days: 30, keep_last: 9 });
    assert_eq!(of("db"), mainstay_vault::Retention { keep_days: 7, keep_last: 9 });
    std::fs::write(dir.path().join("mainstay.toml"), "[defaults]\nkeep_day = 1\n").unwrap();
    assert!(super::retention(Some(dir.path()), "shop", "app").is_err(), "no rule that nobody wrote");
}

#[test]
fn commands_are_lines_for_a_shell_or_lists_of_words() {
    let text = "[defaults]\nhook_timeout = \"5s\"\nbefore_backup = \"sync\"\n\
                [service.db]\nbefore_backup = \"pg_dump >/d/x\"\nafter_backup = [\"/bin/rm\", \"/d/x\"]\n\
                [service.\"shop/app\"]\nbefore_backup = \"\"\n[service.\"other/app\"]\nquiesce = \"pause\"\n";
    let wishes = super::around::wishes(&[parse(text).unwrap(), Default::default()], "shop");
    let words = |wish: &mainstay_host::plan::HookWish| wish.before.as_ref().map(|c| c.0.join(" "));
    assert_eq!(words(&wishes.others).as_deref(), Some("sh -c sync"));
    assert_eq!(words(&wishes.by_service["db"]).as_deref(), Some("sh -c pg_dump >/d/x"));
    assert_eq!(wishes.by_service["db"].after.as_ref().unwrap().0, ["/bin/rm", "/d/x"]);
    assert_eq!(wishes.by_service["db"].timeout_ms, 5_000);
    assert_eq!(words(&wishes.by_service["app"]), None, "an empty one takes the default away");
    assert!(wishes.by_service["app"].said, "and says that nothing is to be run");
    assert_eq!(wishes.by_service.len(), 2, "another project's is none of ours");
}

#[test]
fn what_log_lines_mean_is_checked_before_anything_begins() {
    let of = |text: &str| parse(text).unwrap().for_service("shop", "app").log_rules();
    let rules = of("[defaults]\nlog_ignore = ['a+']\n[service.app]\nlog_fatal = ['b', 'c']\n").unwrap();
    assert_eq!((rules.fatal.len(), rules.alert.len(), rules.ignore.len()), (2, 0, 1));
    let problem = of("[service.app]\nlog_alert = ['(']\n").unwrap_err();
    assert!(problem.what.contains("log_alert"), "{problem}");
}

#[test]
fn a_backup_disturbs_nobody_unless_it_is_said() {
    let settings = parse("[defaults]\nquiesce = \"pause\"\n").unwrap().for_service("shop", "app");
    assert_eq!(super::Settings::default().still(None), None);
    assert_eq!(settings.still(None), Some(super::Quiesce::Pause));
    assert_eq!(settings.still(Some(super::QuiesceMode::None)), None);
    assert!(parse("[defaults]\nquiesce = \"freeze\"\n").is_err());
}

/// Regenerate with: `mainstay config-schema > docs/mainstay.schema.json`.
#[test]
fn the_schema_that_ships_is_this_one() {
    let shipped = include_str!("../../../../docs/mainstay.schema.json");
    assert_eq!(shipped.trim_end(), super::schema());
}

#[test]
fn every_key_of_the_schema_is_known_to_the_nearest_key_search() {
    let schema: serde_json::Value = serde_json::from_str(&super::schema()).unwrap();
    for (of, known) in [("Settings", KEYS), ("CheckConfig", super::checks::KEYS)] {
        let keys = schema["$defs"][of]["properties"].as_object().unwrap().keys();
        for key in keys {
            assert!(known.contains(&key.as_str()), "{key}");
        }
    }
}
