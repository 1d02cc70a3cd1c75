//! What holds for every view: who takes part, and with which share.

use std::sync::Arc;

use super::{Exclusion, IfNone, Locality, Subset, Vacancy, View};
use crate::balancers::{BALANCERS, Pick, PickKey};
use crate::endpoint::{Endpoint, Labels, Traits};
use crate::health::{Failure, HealthEvents, OutlierSettings, ProbeHealth};
use crate::probes::ProbeFailure;
use crate::random::Random;
use crate::slow_start::SlowStart;
use crate::upstream::{Upstream, UpstreamSettings};

const SLOW: SlowStart = SlowStart { window_ms: 2_000, aggression: 1.0, min_percent: 10 };

fn traits(priority: u32, zone: Option<&str>, version: &str) -> Arc<Traits> {
    let labels = Labels::new([("version", version)]);
    Arc::new(Traits { priority, zone: zone.map(Into::into), labels })
}

fn endpoint(index: usize, weight: u32, traits: &Arc<Traits>) -> Endpoint {
    Endpoint::new(format!("e{index}"), "127.0.0.1:80".parse().unwrap(), weight).with(Arc::clone(traits))
}

fn upstream(endpoints: Vec<Endpoint>, settings: UpstreamSettings) -> Upstream {
    let outliers =
        OutlierSettings { consecutive_5xx: 1, max_ejected_percent: 100, ..OutlierSettings::default() };
    let settings = UpstreamSettings { outliers, ..settings };
    Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard())
}

fn probed(upstream: &Upstream, endpoint: u32, up: bool, now_ms: u64) {
    let (outcome, verdict) = match up {
        true => (Ok(()), ProbeHealth::Up),
        false => (Err(ProbeFailure::Refused), ProbeHealth::Down),
    };
    upstream.probed(endpoint, outcome, Some(verdict), now_ms);
}

fn fresh(upstream: &Upstream, now_ms: u64) -> View {
    let mut view = View::default();
    view.refresh(upstream, now_ms);
    view
}

/// The parts of the traffic of all endpoints, in percent.
fn shares(view: &View, endpoints: u32) -> Vec<u32> {
    let total: f64 = view.weights().iter().map(|weight| f64::from(*weight)).sum();
    (0..endpoints).map(|e| (f64::from(view.weight(e)) / total * 100.0).round() as u32).collect()
}

struct State {
    upstream: Upstream,
    subset: Option<Arc<Subset>>,
    now_ms: u64,
}

/// An upstream in a random state, with any of tiers, zones, labels and slow start.
fn random_state(random: &mut Random) -> State {
    let (tiers, zones, versions) = (1 + random.below(3), 1 + random.below(3), 1 + random.below(3));
    let locality = (random.below(2) == 0).then(|| Locality {
        zone: "z0".into(),
        min_usable_percent: random.below(101) as u32,
        min_endpoints: random.below(3) as u32,
    });
    let settings = UpstreamSettings {
        panic_threshold_percent: random.below(101) as u32,
        overprovisioning_percent: 100 + random.below(100) as u32,
        slow_start: (random.below(2) == 0).then_some(SLOW),
        locality,
        ..UpstreamSettings::default()
    };
    let endpoints = (0..1 + random.below(12) as usize).map(|index| {
        let zone = format!("z{}", random.below(zones));
        let version = format!("v{}", random.below(versions));
        let traits = traits(random.below(tiers) as u32, Some(&zone), &version);
        let weight = [0, 1, 5, 1 + random.below(60_000) as u32][random.below(4) as usize];
        let endpoint = endpoint(index, weight, &traits);
        if random.below(4) == 0 { endpoint.joining() } else { endpoint }
    });
    let upstream = upstream(endpoints.collect(), settings);
    let mut now_ms = random.below(1000);
    for endpoint in 0..upstream.slots() as u32 {
        now_ms += random.below(500);
        match random.below(8) {
            0 => probed(&upstream, endpoint, false, now_ms),
            1 => drop(upstream.report_failure(endpoint, Failure::Reset, now_ms, random.next())),
            2 => drop(upstream.set_drained(endpoint, true)),
            3 => {
                probed(&upstream, endpoint, false, now_ms);
                probed(&upstream, endpoint, true, now_ms + 1);
            }
            _ => {}
        }
    }
    let if_none = if random.below(2) == 0 { IfNone::Any } else { IfNone::Fail };
    let subset = Subset { labels: Labels::new([("version", "v0")]), if_none };
    let subset = (random.below(3) == 0).then(|| Arc::new(subset));
    State { upstream, subset, now_ms: now_ms + random.below(2500) }
}

#[test]
fn members_are_usable_and_have_weight_and_others_have_a_reason() {
    for seed in 0..6000 {
        let State { upstream, subset, now_ms } = random_state(&mut Random::new(seed));
        let mut view = subset.map_or_else(View::default, View::of);
        view.refresh(&upstream, now_ms);
        let usable = |e: u32| view.exclusion(e).is_none();
        for index in 0..upstream.slots() as u32 {
            let exclusion = view.exclusion(index);
            assert_eq!(view.is_member(index), view.members().contains(&index), "seed {seed}");
            match exclusion {
                None => assert!(view.is_member(index), "seed {seed}: {index} is usable"),
                Some(other) if view.is_member(index) => {
                    assert!(view.is_panicking() && !other.is_meant() && !other.is_spare(), "seed {seed}");
                }
                Some(other) if other.is_spare() => {
                    assert!(view.may_keep(index) && !view.members().is_empty(), "seed {seed}: {index}");
                }
                Some(_) => {}
            }
        }
        assert!(view.weights().iter().all(|weight| *weight > 0), "seed {seed}");
        assert_eq!(view.weights().len(), view.lasting_weights().len(), "seed {seed}");
        assert!(view.members().is_sorted() && view.members().len() == view.weights().len(), "seed {seed}");
        let any = (0..upstream.slots() as u32).any(usable);
        assert!(!any || !view.members().is_empty(), "seed {seed}");
        let again = {
            let mut again = view.subset().cloned().map_or_else(View::default, View::of);
            again.refresh(&upstream, now_ms);
            again
        };
        assert_eq!((again.members(), again.weights()), (view.members(), view.weights()), "seed {seed}");
    }
}

#[test]
fn a_subset_is_pure_unless_nobody_of_it_is_usable_and_any_will_do() {
    let (mut beside, mut pure) = (0, 0);
    for seed in 0..6000 {
        let State { upstream, now_ms, .. } = random_state(&mut Random::new(seed));
        let has = |e: u32| upstream.endpoint(e).unwrap().traits().labels.iter().any(|l| l.1 == "v0");
        for if_none in [IfNone::Any, IfNone::Fail] {
            let subset = Subset { labels: Labels::new([("version", "v0")]), if_none };
            let mut view = View::of(Arc::new(subset));
            view.refresh(&upstream, now_ms);
            let any = (0..upstream.slots() as u32)
                .any(|e| has(e) && (view.exclusion(e).is_none() || view.exclusion(e).unwrap().is_spare()));
            if view.is_beside_subset() {
                beside += 1;
                assert!(if_none == IfNone::Any && !any, "seed {seed}");
                let whole = fresh(&upstream, now_ms);
                assert_eq!(view.members(), whole.members(), "seed {seed}");
            } else {
                pure += 1;
                assert!(if_none == IfNone::Fail || any, "seed {seed}");
                assert!(view.members().iter().all(|e| has(*e)), "seed {seed}");
            }
        }
    }
    assert!(beside > 100 && pure > 1000, "{beside} {pure}");
}

#[test]
fn the_next_tier_gets_what_the_first_cannot_carry_and_nothing_else() {
    let first = (0..10).map(|i| endpoint(i, 10, &traits(0, None, "")));
    let backups = (10..12).map(|i| endpoint(i, 1, &traits(1, None, "")));
    let settings = UpstreamSettings { panic_threshold_percent: 10, ..UpstreamSettings::default() };
    let upstream = upstream(first.chain(backups).collect(), settings);
    for down in 0..=10u32 {
        let view = fresh(&upstream, 0);
        let first: f64 = (0..10).map(|e| f64::from(view.weight(e))).sum();
        let all: f64 = view.weights().iter().map(|weight| f64::from(*weight)).sum();
        let expected = (f64::from(10 - down) / 10.0 * 1.4).min(1.0);
        assert!((first / all - expected).abs() < 1e-5, "{down}: {}", first / all);
        assert_eq!(view.exclusion(10), (expected >= 1.0).then_some(Exclusion::Standby), "{down}");
        if down < 10 {
            probed(&upstream, down, false, 0);
        }
    }
    assert_eq!(shares(&fresh(&upstream, 0), 12)[10..], [50, 50]);
}

#[test]
fn all_tiers_panic_together_when_none_is_left() {
    let endpoints = vec![endpoint(0, 3, &traits(0, None, "")), endpoint(1, 1, &traits(7, None, ""))];
    let upstream = upstream(endpoints, UpstreamSettings::default());
    probed(&upstream, 0, false, 0);
    let view = fresh(&upstream, 0);
    assert_eq!((view.members(), view.is_panicking()), (&[1][..], false));
    probed(&upstream, 1, false, 0);
    let view = fresh(&upstream, 0);
    assert_eq!((view.members(), view.is_panicking()), (&[0, 1][..], true));
    assert_eq!(shares(&view, 2), [75, 25]);
}

#[test]
fn the_own_zone_is_preferred_as_far_as_it_carries() {
    let locality = Locality { zone: "a".into(), min_usable_percent: 50, min_endpoints: 1 };
    let settings = UpstreamSettings { locality: Some(locality), ..UpstreamSettings::default() };
    let zones = [Some("a"), Some("b"), Some("a"), None, Some("a"), Some("a"), Some("b"), None];
    let endpoints = zones.iter().enumerate().map(|(i, zone)| endpoint(i, 2, &traits(0, *zone, ""))).collect();
    let upstream = upstream(endpoints, settings);
    assert_eq!(shares(&fresh(&upstream, 0), 8), [25, 0, 25, 0, 25, 25, 0, 0]);
    assert_eq!(fresh(&upstream, 0).exclusion(3), Some(Exclusion::OtherZone));
    probed(&upstream, 0, false, 0);
    probed(&upstream, 2, false, 0);
    assert_eq!(shares(&fresh(&upstream, 0), 8), [0, 0, 0, 0, 50, 50, 0, 0]);
    probed(&upstream, 4, false, 0);
    let view = fresh(&upstream, 0);
    assert_eq!(shares(&view, 8), [0, 13, 0, 13, 0, 50, 13, 13]);
    assert_eq!(view.share(5).map(|share| (share * 100.0).round()), Some(50.0));
    probed(&upstream, 5, false, 0);
    let view = fresh(&upstream, 0);
    assert_eq!((shares(&view, 8), view.share(1)), (vec![0, 25, 0, 25, 0, 0, 25, 25], None));
}

#[test]
fn who_joins_or_comes_back_rises_step_by_step_to_its_share() {
    // Each makes a schedule of thousands of turns twenty times.
    for seed in 0..250 {
        let mut random = Random::new(seed);
        let weights: Vec<u32> = (0..2 + random.below(6)).map(|_| 1 + random.below(60_000) as u32).collect();
        let settings = UpstreamSettings { slow_start: Some(SLOW), ..UpstreamSettings::default() };
        let plain = traits(0, None, "");
        let endpoints = weights.iter().enumerate().map(|(i, w)| endpoint(i, *w, &plain));
        let joins = random.below(2) == 0;
        let endpoints = endpoints.map(|e| if joins && &**e.name() == "e0" { e.joining() } else { e });
        let upstream = upstream(endpoints.collect(), settings);
        let mut now = random.below(1 << 30);
        if !joins {
            assert_eq!(fresh(&upstream, now).weights(), weights, "seed {seed}: at the start of the process");
            match random.below(3) {
                0 => {
                    probed(&upstream, 0, false, now);
                    probed(&upstream, 0, true, now);
                }
                1 => {
                    upstream.report_failure(0, Failure::Reset, now, seed);
                    now = fresh(&upstream, now).valid_until_ms();
                }
                _ => {
                    upstream.set_drained(0, true);
                    fresh(&upstream, now);
                    upstream.set_drained(0, false);
                }
            }
        }
        let (mut view, began, mut before) = (fresh(&upstream, now), now, 0.0);
        while now < began + SLOW.window_ms {
            let warmth = view.warmth(0).expect("not warm yet");
            let share = view.share(0).unwrap();
            let own = f64::from(weights[0]) * warmth;
            let expected = own / (own + weights[1..].iter().map(|w| f64::from(*w)).sum::<f64>());
            assert!((share - expected).abs() < 1e-6, "seed {seed}: {share} {expected}");
            assert!(share >= before && view.weight(0) > 0, "seed {seed}");
            assert_eq!(view.lasting_weights(), weights, "seed {seed}");
            (now, before) = (view.valid_until_ms(), share);
            assert!(view.refresh(&upstream, now), "seed {seed}");
        }
        let is_over = view.warmth(0).is_none() && view.valid_until_ms() == u64::MAX;
        assert!(is_over && view.weights() == weights, "seed {seed}");
    }
}

#[test]
fn without_slow_start_nobody_warms_up_not_even_after_a_reload_that_brings_it() {
    let first = upstream(vec![endpoint(0, 1, &traits(0, None, "")).joining()], UpstreamSettings::default());
    assert!(fresh(&first, 5).warmth(0).is_none());
    let settings = || UpstreamSettings { slow_start: Some(SLOW), ..UpstreamSettings::default() };
    let second = upstream(vec![first.endpoint(0).unwrap().successor(1)], settings());
    assert!(fresh(&second, 6).warmth(0).is_none());
    probed(&second, 0, false, 6);
    probed(&second, 0, true, 7);
    let third = upstream(vec![second.endpoint(0).unwrap().successor(1)], settings());
    assert_eq!(fresh(&third, 1007).warmth(0), Some(0.5), "a reload goes on where it was");
}

#[test]
fn shares_reach_the_picks_of_every_balancer() {
    // A table is made of the endpoints' own weights: keys do not move while an endpoint warms up.
    for row in BALANCERS.iter().filter(|row| !matches!(row.name, "ring_hash" | "maglev")) {
        let slow = UpstreamSettings { slow_start: Some(SLOW), ..UpstreamSettings::default() };
        let plain = traits(0, None, "");
        let endpoints = (0..4).map(|i| endpoint(i, 2, &plain));
        let endpoints = endpoints.map(|e| if &**e.name() == "e3" { e.joining() } else { e }).collect();
        let upstream = Upstream::new("api", endpoints, row.standard(), slow, HealthEvents::unheard());
        let view = fresh(&upstream, 0);
        let (mut random, mut counts) = (Random::new(7), [0u32; 4]);
        let mut held = std::collections::VecDeque::new();
        for turn in 0..31_000 {
            let key = PickKey { turn, seed: random.next(), ..PickKey::default() };
            let Pick::Endpoint(picked) = upstream.pick(&view, &key) else { panic!("nobody") };
            counts[picked as usize] += 1;
            held.push_back(upstream.begin(picked));
            if held.len() > 200 {
                held.pop_front();
            }
        }
        // A tenth of its share: 1 of 31.
        assert!(counts[3].abs_diff(1000) < 200, "{}: {counts:?}", row.name);
    }
}

#[test]
fn a_retry_goes_to_a_spare_endpoint_before_one_is_tried_twice() {
    for row in BALANCERS {
        let tiers = [0, 0, 1, 1, 2];
        let endpoints = tiers.iter().enumerate().map(|(i, tier)| endpoint(i, 1, &traits(*tier, None, "")));
        let settings = UpstreamSettings::default();
        let upstream =
            Upstream::new("api", endpoints.collect(), row.standard(), settings, HealthEvents::unheard());
        probed(&upstream, 3, false, 0);
        let view = fresh(&upstream, 0);
        for seed in 0..500 {
            let mut tried = Vec::new();
            for turn in 0..4 {
                let key = PickKey { turn: seed + turn, seed, tried: &tried, ..PickKey::default() };
                let Pick::Endpoint(picked) = upstream.pick(&view, &key) else { panic!("nobody") };
                match turn {
                    0 | 1 => assert!(picked < 2 && !tried.contains(&picked), "{} seed {seed}", row.name),
                    2 => assert_eq!(picked, 2, "{} seed {seed}", row.name),
                    _ => assert!(picked < 2, "{} seed {seed}", row.name),
                }
                tried.push(picked);
            }
        }
    }
}

#[test]
fn sessions_may_stay_where_only_new_ones_are_not_wanted() {
    let settings = UpstreamSettings { panic_threshold_percent: 0, ..UpstreamSettings::default() };
    let tiers = [0, 0, 0, 0, 1];
    let endpoints = tiers.iter().enumerate().map(|(i, tier)| {
        let weight = u32::from(i != 2);
        endpoint(i, weight, &traits(*tier, None, if i == 3 { "v1" } else { "v2" }))
    });
    let upstream = upstream(endpoints.collect(), settings);
    upstream.set_drained(1, true);
    let view = fresh(&upstream, 40);
    assert_eq!((0..6).map(|e| view.may_keep(e)).collect::<Vec<_>>(), [true, true, true, true, true, false]);
    assert_eq!((view.drained_since_ms(1), view.drained_since_ms(0)), (Some(40), None));
    probed(&upstream, 1, false, 50);
    let view = fresh(&upstream, 50);
    assert_eq!((view.may_keep(1), view.drained_since_ms(1)), (false, Some(40)));
    let subset = Subset { labels: Labels::new([("version", "v2")]), if_none: IfNone::Fail };
    let mut view = View::of(Arc::new(subset));
    view.refresh(&upstream, 50);
    assert_eq!((view.may_keep(0), view.may_keep(3)), (true, false));
    let nobody = Subset { labels: Labels::new([("version", "v9")]), if_none: IfNone::Fail };
    let mut view = Arc::new(View::of(Arc::new(nobody)));
    let held = Arc::clone(&view);
    View::refresh_shared(&mut view, &upstream, 50);
    assert_eq!((view.members().len(), view.vacancy(), held.members().len()), (0, Vacancy::NoLabels, 0));
}
