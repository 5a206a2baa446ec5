use super::*;
use crate::watch::{Patterns, Signal};

const LIMIT: u64 = 512 << 20;
const HALF_AN_HOUR: Millis = 30 * 60_000;

/// Half an hour of a resource, a look every five seconds; percent of the limit.
fn watched(resource: Resource, percent: impl Fn(f64) -> f64) -> Figures {
    let mut figures = Figures::new(Patterns::default(), Sample::default());
    for n in 0_u32..=360 {
        let used = (percent(f64::from(n) / 12.0) / 100.0 * LIMIT as f64) as u64;
        let readings = vec![Reading { resource, used, limit: LIMIT }];
        figures.see(u64::from(n) * 5_000, &Signal::Usage { container: "app".to_owned(), readings });
    }
    figures
}

fn before(resource: Resource, percent: u64) -> Sample {
    let used = LIMIT / 100 * percent;
    let amount = Amount { typical: used, highest: used, limit: LIMIT };
    Sample { containers: [("app".to_owned(), [(resource, amount)].into())].into(), ..Sample::default() }
}

fn at_once(figures: &Figures, before: &Sample, now: Millis, left: Millis) -> Option<String> {
    bad(figures, before, now, 15_000, left).map(|(problem, _)| problem.what)
}

fn at_the_end(figures: &Figures, before: &Sample) -> Option<String> {
    last(figures, before, HALF_AN_HOUR).map(|(problem, doubt)| {
        assert_eq!(doubt, DataDoubt::Unrelated);
        assert!(problem.causes.len() == 2 && !problem.advice.is_empty(), "{problem}");
        problem.what
    })
}

#[test]
fn above_ninety_five_percent_decides_when_it_lasts() {
    let mut figures = Figures::new(Patterns::default(), Sample::default());
    let mut see = |at, used| {
        let readings = vec![Reading { resource: Resource::Memory, used, limit: 100 }];
        figures.see(at, &Signal::Usage { container: "app".to_owned(), readings });
        figures.clone()
    };
    let none = Sample::default();
    assert_eq!(at_once(&see(0, 95), &none, 60_000, 0), None, "at the limit, not above it");
    let full = see(1_000, 96);
    assert_eq!(at_once(&full, &none, 15_999, 0), None);
    let what = at_once(&full, &none, 16_000, 0).unwrap();
    assert_eq!(what, "app uses more than 95 % of its limit of memory for 15 s");
    assert_eq!(at_once(&see(17_000, 94), &none, 60_000, 0), None, "it went down again");
    let mut high = before(Resource::Memory, 100);
    high.containers.get_mut("app").unwrap().get_mut(&Resource::Memory).unwrap().highest = 96;
    assert_eq!(at_once(&full, &high, 60_000, 0), None, "it was so before");
}

#[test]
fn a_leak_decides_before_the_limit_is_reached() {
    let leak = watched(Resource::Memory, |minute| 30.0 + 2.05 * minute); // 91.5 % at the end
    let what = at_once(&leak, &Sample::default(), HALF_AN_HOUR, 10 * 60_000).unwrap();
    assert!(what.contains("will reach its limit of memory in about 4 minutes"), "{what}");
    assert_eq!(at_once(&leak, &Sample::default(), HALF_AN_HOUR, 60_000), None, "the window ends before");
    let levels = watched(Resource::Memory, |minute| 30.0 + 3.1 * minute.min(20.0));
    assert_eq!(at_once(&levels, &Sample::default(), HALF_AN_HOUR, HALF_AN_HOUR), None);
}

#[test]
fn above_eighty_percent_decides_where_it_lasts_throughout() {
    for resource in [Resource::Memory, Resource::Cpu, Resource::Pids, Resource::Files] {
        let what = at_the_end(&watched(resource, |_| 81.0), &Sample::default()).unwrap();
        assert!(what.contains("more than 80 %"), "{what}");
        assert_eq!(at_the_end(&watched(resource, |_| 79.0), &Sample::default()), None);
        assert_eq!(at_the_end(&watched(resource, |_| 81.0), &before(resource, 85)), None, "as before");
        let peaks = watched(resource, |minute| if minute % 5.0 < 4.0 { 81.0 } else { 60.0 });
        assert_eq!(at_the_end(&peaks, &Sample::default()), None, "not throughout");
    }
}

#[test]
fn a_rise_that_reaches_the_limit_within_a_day_decides_at_the_end() {
    let rises = |percent_a_minute: f64| watched(Resource::Memory, move |m| 20.0 + percent_a_minute * m);
    // 77 % are left after half an hour, in 1440 minutes.
    let what = at_the_end(&rises(0.06), &Sample::default()).unwrap();
    assert!(
        what.contains("memory of app rises steadily and will reach its limit in about 21 hours"),
        "{what}"
    );
    assert_eq!(at_the_end(&rises(0.05), &Sample::default()), None, "in more than a day");
    assert!(at_the_end(&rises(0.06), &before(Resource::Memory, 19)).is_some());
    assert_eq!(at_the_end(&rises(0.06), &before(Resource::Memory, 40)), None, "it was as high before");
    assert!(at_the_end(&watched(Resource::Pids, |m| 20.0 + m), &Sample::default()).is_some());
    assert!(at_the_end(&watched(Resource::Files, |m| 20.0 + m), &Sample::default()).is_some());
    assert_eq!(
        at_the_end(&watched(Resource::Cpu, |m| 20.0 + m), &Sample::default()),
        None,
        "that is no leak"
    );
}

#[test]
fn a_rise_that_levels_off_is_kept() {
    let levels = watched(Resource::Memory, |minute| 20.0 + 50.0 * (1.0 - (-minute / 4.0).exp()));
    assert_eq!(at_the_end(&levels, &Sample::default()), None);
}

#[test]
fn without_a_limit_nothing_is_said() {
    let mut figures = Figures::new(Patterns::default(), Sample::default());
    for n in 0_u64..400 {
        let readings = vec![Reading { resource: Resource::Files, used: n * 1_000, limit: 0 }];
        figures.see(n * 5_000, &Signal::Usage { container: "app".to_owned(), readings });
    }
    assert_eq!(at_the_end(&figures, &Sample::default()), None);
    assert_eq!(at_once(&figures, &Sample::default(), HALF_AN_HOUR, HALF_AN_HOUR), None);
}

#[test]
fn a_high_use_is_a_remark_unless_it_was_so_before() {
    let high = watched(Resource::Memory, |minute| if minute < 1.0 { 85.0 } else { 50.0 });
    assert_eq!(remarks(&high, &Sample::default()), ["app used 435 MiB of 512 MiB of its memory"]);
    assert!(remarks(&high, &before(Resource::Memory, 85)).is_empty());
    assert!(remarks(&watched(Resource::Memory, |_| 79.0), &Sample::default()).is_empty());
}

#[test]
fn a_disk_that_fills_up_is_a_warning() {
    let disk = |percent: fn(u64) -> u64| {
        let mut figures = Figures::new(Patterns::default(), Sample::default());
        for n in 0..=360 {
            let used = LIMIT / 1000 * percent(n);
            figures.see(n * 5_000, &Signal::Room { mount: "data".to_owned(), used, total: LIMIT });
        }
        rooms(&figures, HALF_AN_HOUR)
    };
    assert!(disk(|n| 200 + n).first().is_some_and(|w| w.contains("fills up")), "{:?}", disk(|n| 200 + n));
    assert!(
        disk(|n| if n < 180 { 900 } else { 960 }).first().is_some_and(|w| w.contains("only 20 MiB left"))
    );
    assert_eq!(disk(|_| 960), Vec::<String>::new(), "it was so before");
    assert_eq!(disk(|_| 500), Vec::<String>::new());
}
