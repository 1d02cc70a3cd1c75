//! What holds for every balancer of the registry.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::{BALANCERS, Balancer, BalancerRow, BalancerSettings, BoundedLoad, Pick, PickKey, balancer};
use crate::endpoint::Endpoint;
use crate::health::{Failure, HealthEvents, OutlierSettings, ProbeHealth};
use crate::loads::{Load, Loads, NotedLoads, RecordedLoads};
use crate::random::Random;
use crate::upstream::{Upstream, UpstreamSettings};
use crate::view::{Vacancy, View};

/// The hash balancers once more, with bounded loads.
const BOUNDED: &[BalancerRow] = &[
    BalancerRow { name: "ring_hash, bounded", doc: "", make: |_| bounded("ring_hash") },
    BalancerRow { name: "maglev, bounded", doc: "", make: |_| bounded("maglev") },
];

fn bounded(name: &str) -> Box<dyn Balancer> {
    let bounded_load = Some(BoundedLoad::from_percent(125));
    (balancer(name).unwrap().make)(&BalancerSettings { bounded_load, ..small() })
}

/// Tables that are made quickly.
fn small() -> BalancerSettings {
    BalancerSettings { maglev_size: 2003, ..BalancerSettings::default() }
}

fn upstream(row: &BalancerRow, weights: &[u32], panic_threshold_percent: u32) -> Upstream {
    let address = "127.0.0.1:80".parse().unwrap();
    let endpoints =
        weights.iter().enumerate().map(|(i, w)| Endpoint::new(format!("e{i}"), address, *w)).collect();
    let outliers = OutlierSettings { consecutive_5xx: 1, ..OutlierSettings::default() };
    let settings = UpstreamSettings { panic_threshold_percent, outliers, ..UpstreamSettings::default() };
    Upstream::new("api", endpoints, (row.make)(&small()), settings, HealthEvents::unheard())
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
    for row in BALANCERS.iter().chain(BOUNDED) {
        // Tables take their time, without optimisation.
        let seeds = if (row.make)(&small()).uses_table() { seeds.div_ceil(8) } else { seeds };
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
        if random.below(2) == 0 {
            upstream.report_latency(endpoint, random.below(100_000), random.below(5_000_000));
        }
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
            let (hash, now_us) = (Some(random.next()).filter(|hash| hash % 2 == 0), 5_000_000);
            let loads = Loads::Noted(&noted);
            let pick = upstream.pick(
                &view,
                &PickKey { turn, seed, hash, now_us, tried: &tried, loads, ..PickKey::default() },
            );
            picks.push((turn, seed, hash, tried.clone(), start..noted.len(), pick));
            tried.extend(if let Pick::Endpoint(endpoint) = pick { Some(endpoint) } else { None });
        }
        drop(in_flight);
        let _others: Vec<_> = (0..random.below(9)).map(|_| upstream.begin(0)).collect();
        for endpoint in 0..upstream.endpoints().count() as u32 {
            upstream.report_latency(endpoint, random.below(1 << 40), 6_000_000);
        }
        upstream.set_weight(0, Some(random.below(9) as u32));
        let (noted, view) = (noted.get_mut(), View::for_record(&Arc::new(view)));
        for &(turn, seed, hash, ref tried, ref range, pick) in &picks {
            let recorded = RecordedLoads::new(&noted[range.clone()]);
            let loads = Loads::Recorded(&recorded);
            let again = upstream
                .pick(&view, &PickKey { turn, seed, hash, now_us: 0, tried, loads, ..PickKey::default() });
            assert_eq!(again, pick);
            assert!(recorded.are_used_up());
        }
    });
}

#[test]
fn a_record_that_does_not_fit_is_told_and_harms_nothing() {
    for_all(50, |row, seed| {
        let upstream = upstream(row, &[1, 1, 1], 10);
        let view = fresh(&upstream, 0);
        let recorded =
            RecordedLoads::new(&[Load { endpoint: 77, in_flight: 3, weight: 1, latency_us: 0, full: false }]);
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
    let rows = ["least_requests", "two_choices", "peak_ewma"].map(|name| *balancer(name).unwrap());
    for row in rows.iter().chain(BOUNDED) {
        for seed in 0..200 {
            let upstream = upstream(row, &[1, 1, 1, 1], 10);
            let view = fresh(&upstream, 0);
            let _busy: Vec<_> = (0..50).map(|_| upstream.begin(2)).collect();
            let key = PickKey { turn: seed, seed, tried: &[], ..PickKey::default() };
            assert_ne!(picked(&upstream, &view, &key), 2, "{} seed {seed}", row.name);
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

#[test]
fn slow_endpoints_are_spared_by_the_one_that_measures() {
    let row = balancer("peak_ewma").unwrap();
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let upstream = upstream(row, &[1, 1, 1, 1], 10);
        let view = fresh(&upstream, 0);
        let slow = random.below(4) as u32;
        let mut counts = [0u32; 4];
        let mut now_us = 0;
        let pick = |now_us: u64, random: &mut Random| {
            let key = PickKey { turn: random.next(), seed: random.next(), now_us, ..PickKey::default() };
            picked(&upstream, &view, &key)
        };
        for _ in 0..2000 {
            let endpoint = pick(now_us, &mut random);
            counts[endpoint as usize] += 1;
            let latency = if endpoint == slow { 50_000 } else { 1_000 + random.below(500) };
            now_us += 1_000;
            upstream.report_latency(endpoint, latency, now_us);
        }
        assert!((1..20).contains(&counts[slow as usize]), "seed {seed}: {counts:?}, {slow} is slow");
        // It is quick again, and nobody else is asked for a while: it gets its share back.
        now_us += 100_000_000;
        (0..4).for_each(|endpoint| upstream.report_latency(endpoint, 1_000, now_us));
        let back = (0..400).filter(|_| pick(now_us, &mut random) == slow).count();
        assert!(back > 50, "seed {seed}: {back}");
        // Failures are no speed.
        upstream.report_failed_latency(slow, 10, now_us);
        assert!((0..100).all(|_| pick(now_us, &mut random) != slow), "seed {seed}");
    }
}

#[test]
fn nothing_is_measured_for_those_that_do_not_ask() {
    for row in BALANCERS.iter().filter(|row| row.name != "peak_ewma") {
        let upstream = upstream(row, &[1, 1], 10);
        upstream.report_latency(0, 500, 0);
        upstream.report_failed_latency(0, 500, 0);
        let load = PickKey::default().load(&upstream, &fresh(&upstream, 0), 0).unwrap();
        assert_eq!((load.latency_us, upstream.latency_decay()), (0, None), "{}", row.name);
    }
}

/// With many endpoints it looks at some only, and still none is left out or flooded.
#[test]
fn least_requests_spreads_load_over_many() {
    let row = balancer("least_requests").unwrap();
    for seed in 0..5 {
        let mut random = Random::new(seed);
        let weights: Vec<u32> = (0..500).map(|at| if at % 100 == 0 { 50 } else { 1 }).collect();
        let upstream = upstream(row, &weights, 10);
        let view = fresh(&upstream, 0);
        let total: u32 = weights.iter().sum();
        let mut held = Vec::new();
        for turn in 0..u64::from(total) * 8 {
            let key = PickKey { turn, seed: random.next(), ..PickKey::default() };
            held.push(upstream.begin(picked(&upstream, &view, &key)));
        }
        for ((_, endpoint), weight) in upstream.endpoints().zip(&weights) {
            let per_weight = f64::from(endpoint.in_flight()) / f64::from(*weight);
            assert!((6.0..=10.0).contains(&per_weight), "seed {seed}: {per_weight} at weight {weight}");
        }
    }
}
