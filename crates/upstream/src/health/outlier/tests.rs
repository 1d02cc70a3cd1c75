use std::sync::atomic::Ordering;

use super::{Ejection, OutlierSettings, Outliers, Rule};
use crate::endpoint::Endpoint;
use crate::health::Failure;
use crate::random::Random;

fn endpoints(count: usize) -> Vec<Endpoint> {
    let address = "127.0.0.1:80".parse().unwrap();
    (0..count).map(|i| Endpoint::new(format!("e{i}"), address, 1)).collect()
}

/// One failure as an upstream reports it: counted, then the expired settled, then perhaps ejected.
fn fail(outliers: &Outliers, all: &[Endpoint], at: usize, now_ms: u64, seed: u64) -> bool {
    outliers.failed(&all[at], Failure::Reset, now_ms).is_some() && {
        for endpoint in all {
            outliers.settle(endpoint, now_ms);
        }
        outliers.eject(&all[at], Rule::Consecutive5xx, now_ms, seed).is_some()
    }
}

fn eject(outliers: &Outliers, endpoint: &Endpoint, now_ms: u64, seed: u64) -> Option<Ejection> {
    outliers.eject(endpoint, Rule::Consecutive5xx, now_ms, seed)
}

fn ejected(all: &[Endpoint]) -> usize {
    all.iter().filter(|e| e.ejection().mark().is_some()).count()
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let all = endpoints(2);
    let outliers = Outliers::new(OutlierSettings::default(), &all);
    for round in 0..10 {
        for _ in 0..4 {
            assert!(!fail(&outliers, &all, 0, round, 0));
        }
        outliers.succeeded(&all[0]);
    }
    assert_eq!((0..5).map(|seed| fail(&outliers, &all, 0, 0, seed)).filter(|e| *e).count(), 1);
    assert_eq!(all[0].ejection().failures(), 0);
    assert_eq!(
        outliers.failed(&all[0], Failure::Reset, 1),
        None,
        "late failures of an ejected endpoint do not count"
    );
    assert_eq!(all[0].ejection().failures(), 0);
}

#[test]
fn the_cap_is_a_share_but_never_none_of_two_and_never_all() {
    let most = |percent, count| {
        OutlierSettings { max_ejected_percent: percent, ..OutlierSettings::default() }.most_ejected(count)
    };
    assert_eq!([0, 1, 2, 3, 4, 10, 1000].map(|n| most(50, n)), [0, 0, 1, 1, 2, 5, 500]);
    assert_eq!([0, 1, 2, 3, 10].map(|n| most(10, n)), [0, 0, 1, 1, 1]);
    assert_eq!([0, 1, 2, 3, 10].map(|n| most(100, n)), [0, 0, 1, 2, 9]);
    assert_eq!([0, 1, 2, 1000].map(|n| most(0, n)), [0, 0, 0, 0]);
}

#[test]
fn the_only_endpoint_one_without_weight_and_a_switched_off_detection_never_eject() {
    let one = endpoints(1);
    let outliers = Outliers::new(OutlierSettings::default(), &one);
    assert!((0..100).all(|i| !fail(&outliers, &one, 0, i, i)));

    let mut three = endpoints(2);
    three.push(Endpoint::new("drained", "127.0.0.1:80".parse().unwrap(), 0));
    let outliers = Outliers::new(OutlierSettings::default(), &three);
    assert!((0..100).all(|i| !fail(&outliers, &three, 2, i, i)));

    let off = OutlierSettings { consecutive_5xx: 0, ..OutlierSettings::default() };
    let outliers = Outliers::new(off, &three);
    assert!((0..100).all(|i| !fail(&outliers, &three, 0, i, i)));
}

#[test]
fn ejections_grow_and_are_forgiven() {
    let settings = OutlierSettings { consecutive_5xx: 1, ..OutlierSettings::default() };
    for seed in 0..200 {
        let all = endpoints(2);
        let outliers = Outliers::new(settings, &all);
        let mut now_ms = seed * 1000;
        for number in 1..=40u64 {
            let ejection = eject(&outliers, &all[0], now_ms, seed).expect("there is room");
            let length_ms = (number * 10_000).min(300_000);
            let lasted = ejection.until_ms - now_ms;
            assert_eq!(u64::from(ejection.number), number, "seed {seed}");
            assert!((length_ms..=length_ms + length_ms / 10).contains(&lasted), "seed {seed}: {lasted}");
            assert_eq!(outliers.settle(&all[0], ejection.until_ms - 1), None);
            let ended = outliers.settle(&all[0], ejection.until_ms).expect("its time is over");
            assert_eq!((ended.until_ms, ended.shadow), (ejection.until_ms, false));
            now_ms = ejection.until_ms + 9_999;
        }
        let rested = now_ms - 9_999 + 10_000 * 38;
        assert_eq!(eject(&outliers, &all[0], rested, seed).map(|e| e.number), Some(3), "seed {seed}");
        assert!(outliers.release(&all[0], rested + 1));
        assert_eq!(
            eject(&outliers, &all[0], rested + 1_000_000, seed).map(|e| e.number),
            Some(1),
            "seed {seed}"
        );
    }
}

#[test]
fn any_order_of_events_keeps_the_count_and_the_cap() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let all = endpoints(1 + random.below(12) as usize);
        let settings = OutlierSettings {
            consecutive_5xx: 1 + random.below(3) as u32,
            base_ejection_ms: random.below(100),
            max_ejection_ms: random.below(400),
            max_ejected_percent: random.below(150) as u32,
            jitter_percent: random.below(120) as u32,
            shadow: random.below(4) == 0,
            ..OutlierSettings::default()
        };
        let outliers = Outliers::new(settings, &all);
        let mut now_ms = 0;
        for step in 0..500 {
            now_ms += random.below(30);
            let at = random.below(all.len() as u64) as usize;
            match random.below(10) {
                0..7 => {
                    fail(&outliers, &all, at, now_ms, random.next());
                }
                7 => outliers.succeeded(&all[at]),
                8 => {
                    outliers.release(&all[at], now_ms);
                }
                _ => {
                    outliers.settle(&all[at], now_ms);
                }
            }
            let marked = ejected(&all);
            assert!(
                marked as u32 <= outliers.most_ejected.load(Ordering::Acquire),
                "seed {seed} step {step}"
            );
            assert_eq!(outliers.any(), marked > 0, "seed {seed} step {step}");
            assert!(marked < all.len(), "seed {seed} step {step}");
        }
    }
}

#[test]
fn threads_together_keep_the_cap_and_fill_it() {
    let settings = OutlierSettings { consecutive_5xx: 2, ..OutlierSettings::default() };
    for seed in 0..50 {
        let all = endpoints(9);
        let outliers = Outliers::new(settings, &all);
        let won: usize = std::thread::scope(|scope| {
            let run = |thread: u64| {
                let mut random = Random::new(seed * 10 + thread);
                (0..300).filter(|_| fail(&outliers, &all, random.below(9) as usize, 0, 0)).count()
            };
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || run(thread))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!((won, ejected(&all)), (4, 4), "seed {seed}");
        assert_eq!(outliers.ejected.into_inner(), 4, "seed {seed}");
    }
}

#[test]
fn threads_that_eject_and_release_lose_no_place() {
    let settings = OutlierSettings { consecutive_5xx: 1, ..OutlierSettings::default() };
    for seed in 0..50 {
        let all = endpoints(6);
        let outliers = Outliers::new(settings, &all);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (outliers, all) = (&outliers, &all);
                scope.spawn(move || {
                    let mut random = Random::new(seed * 10 + thread);
                    for now_ms in 0..500 {
                        let at = random.below(6) as usize;
                        match random.below(3) {
                            0 => {
                                outliers.release(&all[at], now_ms);
                            }
                            _ => {
                                fail(outliers, all, at, now_ms * 50, random.next());
                            }
                        }
                    }
                });
            }
        });
        assert!(ejected(&all) <= 3, "seed {seed}");
        for endpoint in &all {
            outliers.release(endpoint, 0);
        }
        assert_eq!(outliers.ejected.into_inner(), 0, "seed {seed}");
    }
}

/// What an ejection is, told by a list of all that happened to one endpoint.
#[derive(Default)]
struct History {
    /// Number and when it was over.
    ended: Option<(u64, u64)>,
    until_ms: Option<u64>,
}

impl History {
    fn eject(&mut self, settings: &OutlierSettings, now_ms: u64) -> (u64, std::ops::RangeInclusive<u64>) {
        let (number, ended_ms) = self.ended.unwrap_or((0, 0));
        // One is forgiven for each whole base of good health.
        let mut left = number;
        let mut at_ms = ended_ms + settings.base_ejection_ms.max(1);
        while left > 0 && at_ms <= now_ms {
            left -= 1;
            at_ms += settings.base_ejection_ms.max(1);
        }
        let number = left + 1;
        let length_ms = (settings.base_ejection_ms * number).min(settings.max_ejection_ms).max(1);
        let longest_ms = length_ms + length_ms * u64::from(settings.jitter_percent) / 100;
        self.ended = Some((number, ended_ms));
        (number, length_ms..=longest_ms)
    }
}

#[test]
fn times_grow_shrink_and_jitter_as_a_plain_reading_of_the_rules_has_it() {
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let settings = OutlierSettings {
            base_ejection_ms: random.below(50),
            max_ejection_ms: random.below(400),
            jitter_percent: random.below(60) as u32,
            shadow: random.below(2) == 0,
            ..OutlierSettings::default()
        };
        let all = endpoints(2);
        let outliers = Outliers::new(settings, &all);
        let mut history = History::default();
        let mut now_ms = 0;
        for step in 0..100 {
            now_ms += random.below(120);
            let place = format!("seed {seed} step {step}");
            if let Some(until_ms) = history.until_ms {
                let ended = outliers.settle(&all[0], now_ms);
                assert_eq!(ended.is_some(), until_ms <= now_ms, "{place}");
                if ended.is_some() {
                    history.until_ms = None;
                    history.ended = history.ended.map(|(number, _)| (number, until_ms));
                }
                assert_eq!(
                    all[0].ejection().until_ms().is_some(),
                    ended.is_none() && !settings.shadow,
                    "{place}"
                );
                continue;
            }
            let (number, length) = history.eject(&settings, now_ms);
            let ejection = eject(&outliers, &all[0], now_ms, random.next()).expect(&place);
            assert_eq!(u64::from(ejection.number), number, "{place}");
            assert!(length.contains(&(ejection.until_ms - now_ms)), "{place}: {ejection:?} {length:?}");
            history.until_ms = Some(ejection.until_ms);
        }
        assert!(outliers.total(Rule::Consecutive5xx) > 10, "seed {seed}");
        assert_eq!(outliers.total(Rule::SuccessRate), 0);
    }
}
