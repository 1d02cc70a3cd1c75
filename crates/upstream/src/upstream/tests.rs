use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::Receiver;

use super::{Upstream, UpstreamSettings};
use crate::balancers::{BALANCERS, Pick, PickKey};
use crate::endpoint::Endpoint;
use crate::health::{Cause, Failure, Health, HealthEvent, HealthEvents, OutlierSettings, ProbeHealth};
use crate::probes::ProbeFailure;
use crate::random::Random;
use crate::view::View;

fn upstream(count: usize, consecutive_failures: u32) -> (Upstream, Receiver<HealthEvent>) {
    let address = "127.0.0.1:80".parse().unwrap();
    let endpoints = (0..count).map(|i| Endpoint::new(format!("e{i}"), address, 1)).collect();
    let outliers = OutlierSettings { consecutive_failures, ..OutlierSettings::default() };
    let settings = UpstreamSettings { outliers, ..UpstreamSettings::default() };
    let (events, receiver) = HealthEvents::bounded(1000);
    (Upstream::new("api", endpoints, (BALANCERS[0].make)(), settings, events), receiver)
}

fn causes(receiver: &mut Receiver<HealthEvent>) -> Vec<(&'static str, &'static str, Cause)> {
    std::iter::from_fn(|| receiver.try_recv().ok()).map(|e| (e.from.label(), e.to.label(), e.cause)).collect()
}

#[test]
fn an_ejection_and_its_end_are_told_once() {
    let (upstream, mut receiver) = upstream(2, 3);
    let reports: Vec<bool> =
        (0..5).map(|seed| upstream.report_failure(0, Failure::Reset, 100, seed)).collect();
    assert_eq!(reports, [false, false, true, false, false]);
    let mut view = View::default();
    view.refresh(&upstream, 100);
    let until_ms = view.valid_until_ms();
    let [(_, _, Cause::Failures { last, consecutive: 3, ejections: 1, for_ms })] = causes(&mut receiver)[..]
    else {
        panic!("one event of three failures is expected");
    };
    assert_eq!((last, for_ms), (Failure::Reset, until_ms - 100));
    for _ in 0..3 {
        view.refresh(&upstream, until_ms);
    }
    assert_eq!(causes(&mut receiver), [("ejected", "usable", Cause::EjectionOver)]);
}

#[test]
fn a_success_ends_the_row() {
    let (upstream, _receiver) = upstream(2, 3);
    for _ in 0..10 {
        assert!(!upstream.report_failure(0, Failure::Reset, 0, 0));
        assert!(!upstream.report_failure(0, Failure::Reset, 0, 0));
        upstream.report_success(0);
    }
    assert_eq!(upstream.endpoint(0).unwrap().consecutive_failures(), 0);
}

#[test]
fn a_passing_probe_ends_an_ejection_but_only_of_one_that_is_up() {
    let (upstream, mut receiver) = upstream(2, 1);
    assert!(upstream.report_failure(0, Failure::Connect, 0, 0));
    upstream.probed(0, Ok(()), Some(ProbeHealth::Up), 10);
    assert_eq!(upstream.endpoint(0).unwrap().health(10), Health::Usable);
    assert!(upstream.report_failure(0, Failure::Connect, 20, 0), "its place under the cap is free again");
    upstream.probed(0, Err(ProbeFailure::Refused), Some(ProbeHealth::Down), 30);
    upstream.probed(0, Ok(()), None, 40);
    assert_eq!(upstream.endpoint(0).unwrap().health(40), Health::Down);
    assert!(
        upstream.endpoint(0).unwrap().ejection().until_ms().is_some(),
        "one pass of several is not enough"
    );
    upstream.probed(0, Ok(()), Some(ProbeHealth::Up), 50);
    assert_eq!(upstream.endpoint(0).unwrap().health(50), Health::Usable);
    let steps: Vec<_> = causes(&mut receiver).into_iter().map(|(from, to, _)| (from, to)).collect();
    let expected = [
        ("usable", "ejected"),
        ("ejected", "usable"),
        ("usable", "ejected"),
        ("ejected", "down"),
        ("down", "usable"),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn an_ejection_that_ends_while_probes_fail_is_no_news() {
    let (upstream, mut receiver) = upstream(2, 1);
    upstream.report_failure(0, Failure::Connect, 0, 0);
    upstream.probed(0, Err(ProbeFailure::Refused), Some(ProbeHealth::Down), 1);
    causes(&mut receiver);
    let mut view = View::default();
    view.refresh(&upstream, 1_000_000);
    assert_eq!((view.members(), causes(&mut receiver)), (&[1][..], vec![]));
    assert_eq!(view.valid_until_ms(), u64::MAX);
}

#[test]
fn what_is_known_of_an_endpoint_survives_a_reload() {
    let (old, _receiver) = upstream(4, 2);
    old.report_failure(0, Failure::Connect, 0, 0);
    old.report_failure(0, Failure::Connect, 0, 0);
    old.report_failure(1, Failure::Connect, 0, 0);
    old.probed(2, Err(ProbeFailure::Refused), Some(ProbeHealth::Down), 0);
    let in_flight = old.begin(3);
    let endpoints: Vec<_> = old.endpoints().map(|(_, e)| e.successor(7)).collect();
    let settings = old.settings().clone();
    let new = Upstream::new("api", endpoints, (BALANCERS[0].make)(), settings, HealthEvents::unheard());
    drop(old);
    let mut view = View::default();
    view.refresh(&new, 0);
    assert_eq!((view.members(), new.in_flight()), (&[1, 3][..], 1));
    assert!(new.report_failure(1, Failure::Connect, 0, 0), "its failures count on");
    assert!(
        !(0..9).any(|_| new.report_failure(3, Failure::Connect, 0, 0)),
        "both places under the cap are taken"
    );
    drop(in_flight);
    assert_eq!(new.in_flight(), 0);
}

#[test]
fn endpoints_that_are_not_there_are_no_harm() {
    let (upstream, _receiver) = upstream(1, 1);
    assert!(upstream.begin(1).is_none() && upstream.endpoint(u32::MAX).is_none());
    upstream.report_success(9);
    assert!(!upstream.report_failure(9, Failure::Reset, 0, 0));
    upstream.probed(9, Ok(()), Some(ProbeHealth::Up), 0);
}

#[test]
fn retries_follow_what_is_in_flight() {
    let (upstream, _receiver) = upstream(3, 5);
    let held: Vec<_> = (0..3).map(|_| upstream.try_retry().unwrap()).collect();
    assert!(upstream.try_retry().is_none());
    let live: Vec<_> = (0..20).map(|i| upstream.begin(i % 3)).collect();
    assert!(upstream.try_retry().is_some());
    assert_eq!((upstream.active_retries(), upstream.in_flight()), (3, 20));
    drop((held, live));
    assert_eq!((upstream.active_retries(), upstream.in_flight()), (0, 0));
}

/// Workers that pick, fail and succeed while probes come and go: whatever the order, each view ends up right.
#[test]
fn workers_and_probes_together_end_in_agreement() {
    for seed in 0..20 {
        let (upstream, mut receiver) = upstream(7, 2);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|worker| {
                    scope.spawn({
                        let upstream = &upstream;
                        move || work(upstream, seed * 10 + worker)
                    })
                })
                .collect();
            scope.spawn(|| probe(&upstream, seed, &done));
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            done.store(true, Ordering::Relaxed);
        });
        let now_ms = 10_000_000;
        let mut view = View::default();
        view.refresh(&upstream, now_ms);
        for (index, endpoint) in upstream.endpoints() {
            let usable = endpoint.health(now_ms) == Health::Usable;
            assert!(view.is_panicking() || view.members().contains(&index) == usable, "seed {seed}");
            assert_eq!(endpoint.ejection().until_ms(), None, "seed {seed}");
        }
        assert_eq!((upstream.in_flight(), upstream.active_retries()), (0, 0), "seed {seed}");
        assert!(!upstream.outliers.any(), "seed {seed}");
        assert!(causes(&mut receiver).iter().all(|(from, to, _)| from != to), "seed {seed}");
    }
}

fn work(upstream: &Upstream, seed: u64) {
    let mut random = Random::new(seed);
    let mut view = View::default();
    for turn in 0..2000 {
        let now_ms = turn * 20;
        view.refresh(upstream, now_ms);
        let Pick::Endpoint(endpoint) =
            upstream.pick(&view, &PickKey { turn, seed: random.next(), tried: &[], ..PickKey::default() })
        else {
            continue;
        };
        let _in_flight = upstream.begin(endpoint);
        let _retry = upstream.try_retry();
        match random.below(3) {
            0 => upstream.report_success(endpoint),
            _ => drop(upstream.report_failure(endpoint, Failure::Reset, now_ms, random.next())),
        }
    }
}

fn probe(upstream: &Upstream, seed: u64, done: &AtomicBool) {
    let mut random = Random::new(seed);
    while !done.load(Ordering::Relaxed) {
        let endpoint = random.below(7) as u32;
        let now_ms = random.below(40_000);
        match random.below(2) {
            0 => upstream.probed(endpoint, Ok(()), Some(ProbeHealth::Up), now_ms),
            _ => upstream.probed(endpoint, Err(ProbeFailure::Closed), Some(ProbeHealth::Down), now_ms),
        }
    }
}
