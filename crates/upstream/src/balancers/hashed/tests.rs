use std::sync::Arc;

use super::{BoundedLoad, Busyness};
use crate::balancers::{BalancerSettings, Pick, PickKey, balancer};
use crate::endpoint::{Endpoint, InFlight};
use crate::health::{HealthEvents, ProbeHealth};
use crate::random::Random;
use crate::upstream::{Upstream, UpstreamSettings};
use crate::view::View;

const BOTH: [&str; 2] = ["ring_hash", "maglev"];

fn upstream(name: &str, endpoints: Vec<Endpoint>, bounded_percent: Option<u32>) -> Upstream {
    let bounded_load = bounded_percent.map(BoundedLoad::from_percent);
    let settings = BalancerSettings { bounded_load, maglev_size: 5003, ..BalancerSettings::default() };
    let balancer = (balancer(name).unwrap().make)(&settings);
    let settings = UpstreamSettings { panic_threshold_percent: 0, ..UpstreamSettings::default() };
    Upstream::new("api", endpoints, balancer, settings, HealthEvents::unheard())
}

/// An endpoint that is the same whenever it has the same number.
fn endpoint(number: u32, weight: u32) -> Endpoint {
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::from(0xc000_0200 + number), 80));
    Endpoint::new(address.to_string(), address, weight)
}

fn fresh(upstream: &Upstream) -> View {
    let mut view = View::default();
    view.refresh(upstream, 0);
    view
}

/// The name of the endpoint of a key.
fn of(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Arc<str> {
    match upstream.pick(view, key) {
        Pick::Endpoint(endpoint) => Arc::clone(upstream.endpoint(endpoint).unwrap().name()),
        Pick::None(vacancy) => panic!("nobody: {vacancy}"),
    }
}

/// The endpoints of many keys.
fn all(upstream: &Upstream, keys: u64) -> Vec<Arc<str>> {
    let view = fresh(upstream);
    (0..keys).map(|hash| of(upstream, &view, &PickKey { hash: Some(hash), ..PickKey::default() })).collect()
}

#[test]
fn the_bound_follows_the_average_by_weight() {
    let has_room = |percent, with_this, weight, total, weights| {
        BoundedLoad::from_percent(percent).has_room(Busyness { with_this, weight }, total, weights)
    };
    assert!(has_room(125, 1, 1, 0, 1000), "an idle endpoint takes one");
    // 99 and this one over ten of equal weight: 12.5 each, rounded up.
    assert!(has_room(125, 13, 1, 99, 10) && !has_room(125, 14, 1, 99, 10));
    assert!(has_room(125, 38, 3, 99, 10) && !has_room(125, 39, 3, 99, 10));
    assert!(!has_room(1, 12, 1, 99, 10) && has_room(1, 11, 1, 99, 10), "110 % at least");
    assert!(has_room(u32::MAX, u64::from(u32::MAX), u64::from(u32::MAX), u64::MAX, 0));
}

#[test]
fn a_key_has_its_endpoint_whatever_the_order_the_turn_and_the_seed() {
    for name in BOTH {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let weights: Vec<u32> = (0..1 + random.below(12)).map(|_| 1 + random.below(9) as u32).collect();
            let endpoints = || (0..).zip(&weights).map(|(number, weight)| endpoint(number, *weight));
            let forwards = upstream(name, endpoints().collect(), None);
            let mut others: Vec<Endpoint> = endpoints().collect();
            for at in (1..others.len()).rev() {
                others.swap(at, random.below(at as u64 + 1) as usize);
            }
            let shuffled = upstream(name, others, None);
            let (view, other_view) = (fresh(&forwards), fresh(&shuffled));
            for _ in 0..200 {
                let hash = Some(random.next());
                let mut key =
                    || PickKey { hash, turn: random.next(), seed: random.next(), ..PickKey::default() };
                let first = of(&forwards, &view, &key());
                assert_eq!(first, of(&forwards, &view, &key()), "{name} seed {seed}");
                assert_eq!(first, of(&shuffled, &other_view, &key()), "{name} seed {seed}");
            }
        }
    }
}

/// The keys of an endpoint that goes down spread over the others, all others stay, and all are back with it.
#[test]
fn only_the_keys_of_the_unusable_move_and_they_come_back() {
    for name in BOTH {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let count = 3 + random.below(20) as u32;
            let endpoints = (0..count).map(|number| endpoint(number, 1 + random.below(4) as u32));
            let upstream = upstream(name, endpoints.collect(), None);
            let before = all(&upstream, 2000);
            let downs: Vec<u32> =
                (0..count).filter(|_| random.below(4) == 0).take(count as usize - 1).collect();
            downs.iter().for_each(|e| upstream.endpoint(*e).unwrap().set_probe_health(ProbeHealth::Down));
            let is_down =
                |name: &Arc<str>| downs.iter().any(|e| upstream.endpoint(*e).unwrap().name() == name);
            let mut heirs = std::collections::HashSet::new();
            for (was, is) in before.iter().zip(all(&upstream, 2000)) {
                assert!(!is_down(&is), "{name} seed {seed}");
                assert!(is_down(was) || *was == is, "{name} seed {seed}: a key moved without need");
                heirs.extend(is_down(was).then_some(is));
            }
            let usable = count as usize - downs.len();
            assert!(downs.is_empty() || heirs.len() * 2 > usable, "{name} seed {seed}: {heirs:?}");
            downs.iter().for_each(|e| upstream.endpoint(*e).unwrap().set_probe_health(ProbeHealth::Up));
            assert_eq!(before, all(&upstream, 2000), "{name} seed {seed}");
        }
    }
}

/// Of a ring, only the keys of the endpoint that comes or goes move; of a Maglev table few others.
#[test]
fn only_the_keys_of_who_comes_or_goes_for_good_move() {
    const KEYS: u64 = 2000;
    for name in BOTH {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let (count, weight) = (3 + random.below(30) as u32, 1 + random.below(7) as u32);
            let gone = random.below(u64::from(count)) as u32;
            let with = upstream(name, (0..count).map(|n| endpoint(n, weight)).collect(), None);
            let without = (0..count).filter(|n| *n != gone).map(|n| endpoint(n, weight));
            let without = upstream(name, without.collect(), None);
            let its = Arc::clone(with.endpoint(gone).unwrap().name());
            let (with, without) = (all(&with, KEYS), all(&without, KEYS));
            let moved = with.iter().zip(&without).filter(|(a, b)| **a != its && a != b).count();
            let most = if name == "maglev" { KEYS as usize / 12 } else { 0 };
            assert!(moved <= most, "{name} seed {seed}: {moved} of {KEYS} keys, {count} endpoints");
        }
    }
}

#[test]
fn where_nearly_nobody_is_usable_keys_still_have_their_endpoint() {
    for name in BOTH {
        let upstream = upstream(name, (0..3000).map(|n| endpoint(n, 1)).collect(), None);
        let usable = [5u32, 1700, 2999];
        for (index, endpoint) in upstream.endpoints() {
            if !usable.contains(&index) {
                endpoint.set_probe_health(ProbeHealth::Down);
            }
        }
        let first = all(&upstream, 600);
        assert_eq!(first, all(&upstream, 600), "{name}");
        for index in usable {
            let own = first.iter().filter(|of| *of == upstream.endpoint(index).unwrap().name()).count();
            assert!(own > 100, "{name}: {own}");
        }
    }
}

/// The bound holds at each pick, whatever keys come: also where all exchanges have the same.
#[test]
fn bounded_loads_are_never_exceeded_while_another_has_room() {
    for name in BOTH {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let weights: Vec<u32> = (0..2 + random.below(12)).map(|_| 1 + random.below(9) as u32).collect();
            let endpoints = (0..).zip(&weights).map(|(n, w)| endpoint(n, *w)).collect();
            let percent = 110 + random.below(100) as u32;
            let upstream = upstream(name, endpoints, Some(percent));
            let (view, keys) = (fresh(&upstream), 1 + random.below(5));
            let total_weight: u32 = weights.iter().sum();
            let mut held: Vec<InFlight> = Vec::new();
            for _ in 0..400 {
                let key = PickKey { hash: Some(random.below(keys)), ..PickKey::default() };
                let Pick::Endpoint(picked) = upstream.pick(&view, &key) else { panic!("seed {seed}") };
                held.push(upstream.begin(picked).unwrap());
                let weight = weights[picked as usize];
                let ideal = held.len() as f64 * f64::from(weight) / f64::from(total_weight);
                let most = (ideal * f64::from(percent) / 100.0 - 1e-9).ceil() as u32;
                let load = upstream.endpoint(picked).unwrap().in_flight();
                assert!(load <= most, "{name} seed {seed}: {load} of at most {most} at weight {weight}");
                if random.below(3) == 0 {
                    drop(held.swap_remove(random.below(held.len() as u64) as usize));
                }
            }
        }
    }
}

#[test]
fn the_count_of_all_outlives_a_reload_and_ends_with_the_bound() {
    let first = upstream("maglev", (0..3).map(|n| endpoint(n, 1)).collect(), Some(125));
    let held: Vec<_> = (0..3).map(|index| first.begin(index)).collect();
    let successors = |of: &Upstream| of.endpoints().map(|(_, e)| e.successor(1)).collect();
    let second = upstream("ring_hash", successors(&first), Some(150));
    let more = second.begin(0);
    assert_eq!((first.counted_in_flight(), second.counted_in_flight()), (4, 4));
    drop((held, first));
    assert_eq!(second.counted_in_flight(), 1);
    let third = upstream("ring_hash", successors(&second), None);
    let _uncounted = third.begin(0);
    assert_eq!((second.counted_in_flight(), third.counted_in_flight()), (1, 0));
    drop(more);
}

#[test]
fn views_share_the_table_and_those_for_the_record_have_none() {
    for name in BOTH {
        let upstream = upstream(name, (0..100).map(|n| endpoint(n, 1)).collect(), None);
        let (view, other) = (Arc::new(fresh(&upstream)), fresh(&upstream));
        let balancer = upstream.balancing().balancer();
        let place = |view: &View| view.with_table(balancer, |table| std::ptr::from_ref(table).addr());
        assert_eq!(place(&view), place(&other), "{name}");
        let kept = View::for_record(&view);
        assert_ne!(place(&kept), place(&view), "{name}");
        for hash in 0..50 {
            let key = PickKey { hash: Some(hash), ..PickKey::default() };
            assert_eq!(upstream.pick(&kept, &key), upstream.pick(&view, &key), "{name}");
        }
        assert!(kept.bytes() < 16_000, "{name}: {}", kept.bytes());
    }
}
