//! What holds for every balancer of the registry.

use std::collections::{HashSet, VecDeque};

use super::{BALANCERS, BalancerRow, Pick, PickKey, balancer};
use crate::endpoint::Endpoint;
use crate::health::{Failure, HealthEvents, OutlierSettings, ProbeHealth};
use crate::loads::{Load, Loads, NotedLoads, RecordedLoads};
use crate::random::Random;
use crate::upstream::{Upstream, UpstreamSettings};
use crate::view::{Vacancy, View};

fn upstream(row: &BalancerRow, weights: &[u32], panic_threshold_percent: u32) -> Upstream {
    let address = "127.0.0.1:80".parse().unwrap();
    let endpoints =
        weights.iter().enumerate().map(|(i, w)| Endpoint::new(format!("e{i}"), address, *w)).collect();
    let outliers = OutlierSettings { consecutive_failures: 1, ..OutlierSettings::default() };
    let settings = UpstreamSettings { panic_threshold_percent, outliers, ..UpstreamSettings::default() };
    Upstream::new("api", endpoints, (row.make)(), settings, HealthEvents::unheard())
}

fn fresh(upstream: &Upstream, now_ms: u64) -> View {
    let mut view = View::default();
    view.refresh(upstream, now_ms);
    view
}

fn picked(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> u32 {
    match upstream.pick(view, key) {
        Pick::Endpoint(endpoint) => endpoint,
        Pick::None(vacancy) => panic!("nobody: {vacancy}"),
    }
}

/// Runs `case` for many seeds on each balancer, and names both where it fails.
fn for_all(seeds: u64, case: impl Fn(&BalancerRow, u64)) {
    for row in BALANCERS {
        for seed in 0..seeds {
            let run = std::panic::AssertUnwindSafe(|| case(row, seed));
            if std::panic::catch_unwind(run).is_err() {
                panic!("balancer {} seed {seed}", row.name);
            }
        }
    }
}

#[test]
fn the_registry_is_in_order() {
    let mut names = HashSet::new();
    for row in BALANCERS {
        assert!(names.insert(row.name), "{} stands twice", row.name);
        assert!(row.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", row.name);
        assert!(row.doc.ends_with('.') && row.doc.len() > 20, "{}", row.name);
        assert_eq!(balancer(row.name).map(|found| found.name), Some(row.name));
    }
    assert!(balancer("fastest").is_none());
}

/// Makes `picks` picks of which `held` are in flight at a time, the oldest ending first. Returns the share
/// of each.
fn shares(upstream: &Upstream, picks: u64, held: usize, random: &mut Random) -> Vec<f64> {
    let view = fresh(upstream, 0);
    let mut counts = vec![0u64; upstream.endpoints().count()];
    let mut in_flight = VecDeque::new();
    let start = random.next();
    for pick in 0..picks {
        while in_flight.len() > held {
            in_flight.pop_front();
        }
        let key =
            PickKey { turn: start.wrapping_add(pick), seed: random.next(), tried: &[], ..PickKey::default() };
        let endpoint = picked(upstream, &view, &key);
        counts[endpoint as usize] += 1;
        in_flight.push_back(upstream.begin(endpoint));
    }
    counts.into_iter().map(|count| count as f64 / picks as f64).collect()
}

fn assert_fair(shares: &[f64], weights: &[u32], within: f64) {
    let total: u32 = weights.iter().sum();
    for (share, weight) in shares.iter().zip(weights) {
        let ideal = f64::from(*weight) / f64::from(total);
        assert!((share - ideal).abs() <= within, "{shares:?} for {weights:?}");
    }
}

#[test]
fn shares_follow_the_weights_while_quiet() {
    for_all(40, |row, seed| {
        let mut random = Random::new(seed);
        let weights: Vec<u32> =
            (0..1 + random.below(8)).map(|_| random.below(20) as u32).chain([3]).collect();
        let shares = shares(&upstream(row, &weights, 10), 4000, 0, &mut random);
        assert_fair(&shares, &weights, 0.04);
    });
}

#[test]
fn shares_follow_the_weights_under_load() {
    for_all(40, |row, seed| {
        let mut random = Random::new(seed);
        let weights: Vec<u32> = (0..1 + random.below(5)).map(|_| random.below(9) as u32).chain([3]).collect();
        let shares = shares(&upstream(row, &weights, 10), 8000, 400, &mut random);
        assert_fair(&shares, &weights, 0.06);
    });
}

#[test]
fn one_and_a_thousand_endpoints_are_served() {
    for_all(5, |row, seed| {
        let mut random = Random::new(seed);
        assert_eq!(shares(&upstream(row, &[7], 10), 100, 10, &mut random), [1.0]);
        let many = vec![2; 1000];
        assert_fair(&shares(&upstream(row, &many, 10), 20_000, 500, &mut random), &many, 0.001_5);
        let mixed: Vec<u32> = (0..1000).map(|_| random.below(100) as u32).collect();
        let shares = shares(&upstream(row, &mixed, 10), 20_000, 0, &mut random);
        assert_fair(&shares, &mixed, 0.002_5);
    });
}

/// An upstream in a random state: weights, probes, ejections and exchanges in flight.
fn random_state(row: &BalancerRow, random: &mut Random) -> (Upstream, Vec<crate::endpoint::InFlight>) {
    let weights: Vec<u32> =
        (0..1 + random.below(12)).map(|_| (random.below(6) * random.below(40)) as u32).collect();
    let upstream = upstream(row, &weights, random.below(101) as u32);
    let mut in_flight = Vec::new();
    for endpoint in 0..weights.len() as u32 {
        let health = [ProbeHealth::Unknown, ProbeHealth::Up, ProbeHealth::Down][random.below(3) as usize];
        upstream.endpoint(endpoint).unwrap().set_probe_health(health);
        if random.below(4) == 0 {
            upstream.report_failure(endpoint, Failure::Reset, 0, random.next());
        }
        in_flight.extend((0..random.below(6)).filter_map(|_| upstream.begin(endpoint)));
    }
    (upstream, in_flight)
}

#[test]
fn only_members_are_picked_and_those_tried_only_when_nobody_else_is_left() {
    for_all(1500, |row, seed| {
        let mut random = Random::new(seed);
        let (upstream, _in_flight) = random_state(row, &mut random);
        let view = fresh(&upstream, 1);
        let mut tried = Vec::new();
        for turn in 0..20 {
            let key =
                PickKey { turn: random.next(), seed: random.next(), tried: &tried, ..PickKey::default() };
            let pick = upstream.pick(&view, &key);
            assert_eq!(pick, upstream.pick(&view, &key), "the same arguments, another choice");
            let Pick::Endpoint(endpoint) = pick else {
                assert!(view.members().is_empty());
                assert_eq!(pick, Pick::None(view.vacancy()));
                return;
            };
            assert!(view.members().contains(&endpoint), "turn {turn}");
            assert!(view.is_panicking() || view.exclusion(endpoint).is_none(), "turn {turn}");
            let untried = view.members().iter().any(|member| !tried.contains(member));
            assert_eq!(untried, !tried.contains(&endpoint), "turn {turn}: {endpoint} after {tried:?}");
            tried.push(endpoint);
        }
    });
}

/// What `why` rests on: with the view and the counts of then, the same endpoint, whatever has become of it.
#[test]
fn a_pick_made_again_from_its_record_is_the_same() {
    for_all(1500, |row, seed| {
        let mut random = Random::new(seed);
        let (upstream, in_flight) = random_state(row, &mut random);
        let view = fresh(&upstream, 1);
        let (mut tried, mut picks, mut noted) = (Vec::new(), Vec::new(), NotedLoads::default());
        for _ in 0..4 {
            let (turn, seed, start) = (random.next(), random.next(), noted.len());
            let key =
                PickKey { turn, seed, tried: &tried, loads: Loads::Noted(&noted), ..PickKey::default() };
            let pick = upstream.pick(&view, &key);
            picks.push((turn, seed, tried.clone(), start..noted.len(), pick));
            tried.extend(if let Pick::Endpoint(endpoint) = pick { Some(endpoint) } else { None });
        }
        drop(in_flight);
        let _others: Vec<_> = (0..random.below(9)).map(|_| upstream.begin(0)).collect();
        let noted = noted.get_mut();
        for (turn, seed, tried, range, pick) in &picks {
            let recorded = RecordedLoads::new(&noted[range.clone()]);
            let key = PickKey {
                turn: *turn,
                seed: *seed,
                tried,
                loads: Loads::Recorded(&recorded),
                ..PickKey::default()
            };
            assert_eq!(upstream.pick(&view, &key), *pick);
            assert!(recorded.are_used_up());
        }
    });
}

#[test]
fn a_record_that_does_not_fit_is_told_and_harms_nothing() {
    for_all(50, |row, seed| {
        let upstream = upstream(row, &[1, 1, 1], 10);
        let view = fresh(&upstream, 0);
        let recorded = RecordedLoads::new(&[Load { endpoint: 77, in_flight: 3, weight: 1, full: false }]);
        let key =
            PickKey { turn: seed, seed, tried: &[], loads: Loads::Recorded(&recorded), ..PickKey::default() };
        assert!(matches!(upstream.pick(&view, &key), Pick::Endpoint(_)));
        assert!(!recorded.are_used_up());
    });
}

#[test]
fn tried_endpoints_that_are_gone_or_heavy_do_not_confuse() {
    for_all(200, |row, seed| {
        let weights = [u32::MAX, 1, 1, 0];
        let upstream = upstream(row, &weights, 10);
        let view = fresh(&upstream, 0);
        let key = PickKey { turn: seed, seed, tried: &[0, 99, u32::MAX, 0], ..PickKey::default() };
        assert!(matches!(picked(&upstream, &view, &key), 1 | 2));
        let key = PickKey { turn: seed, seed, tried: &[0, 1, 2], ..PickKey::default() };
        assert!(picked(&upstream, &view, &key) <= 2);
    });
}

#[test]
fn nobody_is_picked_where_nobody_is() {
    for_all(10, |row, seed| {
        let key = PickKey { turn: seed, seed, tried: &[], ..PickKey::default() };
        let none = |weights: &[u32], view: Option<View>| {
            let upstream = upstream(row, weights, 0);
            upstream.endpoints().for_each(|(_, e)| e.set_probe_health(ProbeHealth::Down));
            upstream.pick(&view.unwrap_or_else(|| fresh(&upstream, 0)), &key)
        };
        assert_eq!(none(&[], None), Pick::None(Vacancy::NoEndpoints));
        assert_eq!(none(&[0, 0], None), Pick::None(Vacancy::NoWeight));
        assert_eq!(none(&[0, 1], None), Pick::None(Vacancy::NoneUsable));
        assert!(
            matches!(none(&[1], Some(View::default())), Pick::None(_)),
            "a view that was never refreshed"
        );
    });
}

#[test]
fn busy_endpoints_are_spared_by_those_that_look() {
    for name in ["least_requests", "two_choices"] {
        let row = balancer(name).unwrap();
        for seed in 0..200 {
            let upstream = upstream(row, &[1, 1, 1, 1], 10);
            let view = fresh(&upstream, 0);
            let _busy: Vec<_> = (0..50).map(|_| upstream.begin(2)).collect();
            let key = PickKey { turn: seed, seed, tried: &[], ..PickKey::default() };
            assert_ne!(picked(&upstream, &view, &key), 2, "{name} seed {seed}");
        }
    }
}

#[test]
fn least_requests_finds_the_least_for_its_weight() {
    let row = balancer("least_requests").unwrap();
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let weights: Vec<u32> = (0..2 + random.below(10)).map(|_| 1 + random.below(9) as u32).collect();
        let upstream = upstream(row, &weights, 10);
        let _held: Vec<_> = (0..weights.len() as u32)
            .flat_map(|e| (0..1 + random.below(9)).map(move |_| e).collect::<Vec<_>>())
            .map(|endpoint| upstream.begin(endpoint))
            .collect();
        let view = fresh(&upstream, 0);
        let endpoint = picked(
            &upstream,
            &view,
            &PickKey { turn: random.next(), seed, tried: &[], ..PickKey::default() },
        ) as usize;
        let load = |e: usize| {
            f64::from(upstream.endpoint(e as u32).unwrap().in_flight() + 1) / f64::from(weights[e])
        };
        assert!((0..weights.len()).all(|e| load(endpoint) <= load(e)), "seed {seed}");
    }
}
