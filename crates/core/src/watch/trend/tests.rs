use proptest::prelude::*;

use super::*;

const MIB: f64 = 1_048_576.0;

/// Half an hour, a point every five seconds.
fn half_an_hour(of: impl Fn(f64) -> f64) -> Vec<Point> {
    (0_u32..=360).map(|n| (u64::from(n) * 5_000, of(f64::from(n) * 5.0).max(0.0) as u64)).collect()
}

/// Between -1 and 1, and looks like chance.
fn noise(t: f64) -> f64 {
    (t * 12.9898).sin() * 43_758.545_3 % 1.0
}

#[test]
fn a_leak_is_seen_through_noise_and_its_time_to_the_limit_is_known() {
    let leak = half_an_hour(|t| (100.0 + t / 60.0 + noise(t)) * MIB);
    let left = reaches(&leak, 512 << 20).unwrap();
    // 130 MiB at the end, one more a minute.
    let minutes = left as f64 / 60_000.0;
    assert!((370.0..400.0).contains(&minutes), "{minutes}");
}

#[test]
fn what_levels_off_does_not_reach_anything() {
    for (name, levels) in [
        ("steps to a plateau", half_an_hour(|t| (100.0 + t.min(600.0) / 6.0) * MIB)),
        ("saturates", half_an_hour(|t| (300.0 - 200.0 * (-t / 300.0).exp() + noise(t)) * MIB)),
        ("logarithm", half_an_hour(|t| (100.0 + 50.0 * (1.0 + t).ln()) * MIB)),
        ("constant", half_an_hour(|_| 100.0 * MIB)),
        ("noise", half_an_hour(|t| (100.0 + 20.0 * noise(t)) * MIB)),
        ("garbage collector", half_an_hour(|t| (100.0 + (t % 240.0) / 2.0) * MIB)),
        ("slow garbage collector", half_an_hour(|t| (100.0 + (t % 700.0) / 5.0) * MIB)),
        ("falls", half_an_hour(|t| (300.0 - t / 60.0) * MIB)),
    ] {
        assert_eq!(reaches(&levels, 512 << 20), None, "{name}");
    }
}

#[test]
fn what_gets_faster_is_seen_as_well() {
    assert!(reaches(&half_an_hour(|t| (100.0 + t * t / 40_000.0) * MIB), 512 << 20).is_some());
}

#[test]
fn a_few_points_say_nothing() {
    let few: Vec<Point> = (0..15).map(|n| (n * 5_000, (n << 20) + (100 << 20))).collect();
    assert_eq!(reaches(&few, 512 << 20), None);
    assert_eq!(reaches(&[], 1), None);
    assert_eq!(slope(&[(0, 1)]), None);
    assert_eq!(slope(&[(5, 1), (5, 9)]), None, "no time has passed");
}

#[test]
fn nothing_is_foretold_further_than_it_was_watched() {
    assert_eq!(horizon(30 * 60_000), 24 * 3_600_000);
    assert_eq!(horizon(8 * 3_600_000), 24 * 3_600_000);
    assert_eq!(horizon(20_000), 16 * 60_000);
}

proptest! {
    #[test]
    fn the_slope_of_a_line_is_exact(base in 0_u64..1 << 40, rise in 0_u64..1 << 20, points in 2_u64..60) {
        let line: Vec<Point> = (0..points).map(|n| (n * 1_000, base + n * rise * 1_000)).collect();
        prop_assert_eq!(slope(&line), Some(rise as f64));
    }

    #[test]
    fn a_quarter_of_wild_points_moves_it_little(wild in prop::collection::vec((0_usize..40, 0_u64..1 << 50), 0..10)) {
        let mut line: Vec<Point> = (0..40).map(|n| (n * 1_000, (1 << 30) + n * 1_000_000)).collect();
        for (at, value) in wild {
            line[at].1 = value;
        }
        let slope = slope(&line).unwrap();
        prop_assert!((0.0..3_000.0).contains(&slope), "{}", slope);
    }

    #[test]
    fn the_slope_turns_with_the_series(values in prop::collection::vec(0_u64..1 << 40, 2..40)) {
        let up: Vec<Point> = (0..).zip(&values).map(|(n, v)| (n * 1_000, *v)).collect();
        let down: Vec<Point> = up.iter().map(|(at, v)| (*at, (1 << 40) - v)).collect();
        let (up, down) = (slope(&up).unwrap(), slope(&down).unwrap());
        prop_assert!((up + down).abs() < 1e-3, "{} {}", up, down);
    }

    #[test]
    fn what_never_goes_up_does_not_rise(mut values in prop::collection::vec(0_u64..1 << 40, 0..60)) {
        values.sort_unstable_by(|a, b| b.cmp(a));
        let falls: Vec<Point> = (0..).zip(values).map(|(n, v)| (n * 1_000, v)).collect();
        prop_assert!(!rises(&falls));
        prop_assert_eq!(reaches(&falls, 1 << 41), None);
    }
}
