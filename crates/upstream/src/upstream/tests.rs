use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::Receiver;

use super::{Upstream, UpstreamSettings};
use crate::admission::{AdmissionSettings, Entry, QueueSettings, Ticket, Why as NotAdmitted};
use crate::balancers::{BALANCERS, Pick, PickKey};
use crate::endpoint::Endpoint;
use crate::health::{
    Cause, EjectionCause, Failure, Health, HealthEvents, OutlierSettings, ProbeHealth, Rule, SuccessRate,
    UpstreamEvent, Why,
};
use crate::probes::{ProbeFailure, ProbePlan, TcpProbe};
use crate::random::Random;
use crate::view::View;

fn upstream(count: usize, consecutive_5xx: u32) -> (Upstream, Receiver<UpstreamEvent>) {
    with_outliers(count, OutlierSettings { consecutive_5xx, ..OutlierSettings::default() })
}

fn with_outliers(count: usize, outliers: OutlierSettings) -> (Upstream, Receiver<UpstreamEvent>) {
    let address = "127.0.0.1:80".parse().unwrap();
    let endpoints = (0..count).map(|i| Endpoint::new(format!("e{i}"), address, 1)).collect();
    let settings = UpstreamSettings { outliers, ..UpstreamSettings::default() };
    let (events, receiver) = HealthEvents::bounded(1000);
    (Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, events), receiver)
}

fn causes(receiver: &mut Receiver<UpstreamEvent>) -> Vec<(&'static str, &'static str, Cause)> {
    let told = |event| match event {
        UpstreamEvent::Health(event) => (event.from.label(), event.to.label(), event.cause),
        UpstreamEvent::Circuit(event) => panic!("{event}"),
    };
    std::iter::from_fn(|| receiver.try_recv().ok()).map(told).collect()
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
    let why = Why::Row { rule: Rule::Consecutive5xx, failures: 3, last: Failure::Reset };
    let cause = EjectionCause { why, ejections: 1, for_ms: until_ms - 100, shadow: false };
    assert_eq!(causes(&mut receiver), [("usable", "ejected", Cause::Ejected(cause))]);
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
fn in_shadow_everything_is_told_and_nothing_done() {
    let (upstream, mut receiver) =
        with_outliers(4, OutlierSettings { consecutive_5xx: 2, shadow: true, ..OutlierSettings::default() });
    let mut view = View::default();
    view.refresh(&upstream, 0);
    let version = upstream.version();
    for _ in 0..50 {
        assert!(!upstream.report_failure(0, Failure::Status(500), 0, 0));
    }
    assert_eq!((upstream.version(), upstream.endpoint(0).unwrap().health(0)), (version, Health::Usable));
    let told = causes(&mut receiver);
    assert!(
        matches!(
            told[..],
            [("usable", "usable", Cause::Ejected(EjectionCause { shadow: true, ejections: 1, .. }))]
        ),
        "{told:?}"
    );
    assert!(!upstream.report_failure(0, Failure::Status(500), 20_000, 0));
    assert!(!upstream.report_failure(0, Failure::Status(500), 20_000, 0));
    assert_eq!((causes(&mut receiver).len(), upstream.ejections(Rule::Consecutive5xx)), (1, 2));
}

#[test]
fn endpoints_are_compared_by_what_an_interval_has_counted() {
    let rule = SuccessRate { min_requests: 10, ..SuccessRate::default() };
    let settings =
        OutlierSettings { success_rate: Some(rule), consecutive_5xx: 0, ..OutlierSettings::default() };
    let (upstream, mut receiver) = with_outliers(5, settings);
    let interval = |bad: u32| {
        for exchange in 0..100 {
            match exchange % 5 {
                endpoint if endpoint == bad && exchange % 2 == 0 => {
                    assert!(!upstream.report_failure(endpoint, Failure::Status(500), 0, 0));
                }
                endpoint => upstream.report_success(endpoint),
            }
        }
    };
    interval(9);
    assert_eq!(upstream.compare_endpoints(10_000, 1), 0);
    interval(3);
    assert_eq!(upstream.compare_endpoints(20_000, 1), 1);
    let told = causes(&mut receiver);
    let [("usable", "ejected", Cause::Ejected(EjectionCause { why: Why::Interval(why), .. }))] = told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((why.counts.attempts, why.counts.failed, why.mean), (20, 10, Some(9000)));
    // Four are left, which are too few; and what was counted before is forgotten.
    interval(1);
    assert_eq!((upstream.compare_endpoints(20_001, 1), upstream.compare_endpoints(100_000, 1)), (0, 0));
    assert_eq!(upstream.endpoint(3).unwrap().health(100_000), Health::Usable);
    assert_eq!((upstream.ejections(Rule::SuccessRate), upstream.ejections(Rule::Consecutive5xx)), (1, 0));
    let after = with_outliers(5, settings).0;
    after.catch_up(&upstream, 0);
    assert_eq!(after.ejections(Rule::SuccessRate), 1);
}

#[test]
fn the_worst_of_many_are_ejected_and_never_more_than_the_cap() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let rule = SuccessRate { min_requests: 1, min_endpoints: 1, ..SuccessRate::default() };
        let count = 2 + random.below(20) as usize;
        let settings = OutlierSettings {
            success_rate: Some(SuccessRate { deviations_thousandths: random.below(1500) as u32, ..rule }),
            consecutive_5xx: 0,
            max_ejected_percent: 1 + random.below(100) as u32,
            ..OutlierSettings::default()
        };
        let (upstream, _receiver) = with_outliers(count, settings);
        let mut failures = vec![0u64; count];
        for (endpoint, failures) in (0..).zip(&mut failures) {
            *failures = random.below(31);
            for attempt in 0..30 {
                match attempt < *failures {
                    true => drop(upstream.report_failure(endpoint, Failure::Reset, 0, seed)),
                    false => upstream.report_success(endpoint),
                }
            }
        }
        let ejected = upstream.compare_endpoints(0, seed);
        let most = (count * settings.max_ejected_percent as usize / 100).clamp(1, count - 1);
        let out = |index: usize| upstream.endpoint(index as u32).unwrap().health(0) != Health::Usable;
        assert_eq!((0..count).filter(|index| out(*index)).count(), ejected, "seed {seed}");
        assert!(ejected <= most, "seed {seed}: {ejected} of {most}");
        let least_bad = (0..count).filter(|index| out(*index)).map(|index| failures[index]).min();
        let worst_left = (0..count).filter(|index| !out(*index)).map(|index| failures[index]).max();
        assert!(least_bad.is_none() || least_bad >= worst_left, "seed {seed}");
    }
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
    // Without probes, what they have said would be forgotten.
    let probes = Some(ProbePlan::new(Arc::new(TcpProbe::default())));
    let settings = UpstreamSettings { probes, ..old.settings().clone() };
    let new = Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard());
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

/// Copies for mirrors ask so: they must not take the place of a request in the queue.
#[test]
fn who_has_no_time_joins_no_queue_and_pushes_nobody_out() {
    let address = "127.0.0.1:80".parse().unwrap();
    let queue = Some(QueueSettings { length: 2, ..QueueSettings::default() });
    let admission = AdmissionSettings { upstream: Some(1), queue, ..AdmissionSettings::default() };
    let settings = UpstreamSettings { admission, ..UpstreamSettings::default() };
    let endpoints = vec![Endpoint::new("e0", address, 1)];
    let upstream =
        Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard());
    let mut view = View::default();
    view.refresh(&upstream, 0);
    let hurried = Ticket { deadline_ms: 0, ..Ticket::default() };
    let enter = |ticket| upstream.enter(&view, 1_000, || ticket).unwrap();
    // A place that is free is for everybody.
    let Entry::Admitted(permit) = enter(hurried) else { panic!("the place is free") };
    let mut waiting = Vec::new();
    // While nobody waits, while there is room to wait, and where the queue is full of one key's.
    for _ in 0..3 {
        match enter(hurried) {
            Entry::Refused(refused) => assert_eq!(refused.why, NotAdmitted::WaitTooLong),
            other => panic!("{other:?}"),
        }
        if waiting.len() < 2 {
            let Entry::Waiting(one) = enter(Ticket { key: 1, ..Ticket::default() }) else { panic!() };
            waiting.push(one);
        }
    }
    drop(permit);
    let mut waiting = waiting.into_iter();
    let first = waiting.next().unwrap().time_out(2_000).expect("its turn has come");
    drop(first);
    assert!(waiting.next().unwrap().time_out(2_000).is_ok(), "nobody was pushed out");
}
