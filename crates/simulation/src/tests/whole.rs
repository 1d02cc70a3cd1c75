//! Conservation and determinism, over random scenarios.

use tollgate_upstream::{AdmissionSettings, BALANCERS, BreakerSettings, QueueSettings, UpstreamSettings};

use super::{SECOND, caller, model, scenario, simulate, upstream};
use crate::chance::Chance;
use crate::scenario::TimeLimits;
use crate::{Change, ChangeTo, Down, EndpointModel, Latency, Report, Rules, Scenario};

fn settings(chance: &mut Chance) -> UpstreamSettings {
    let queue = chance.happens(0.7).then(|| QueueSettings {
        length: 1 + chance.below(100) as u32,
        timeout_ms: 50 + chance.below(1000),
        target_ms: chance.happens(0.5).then_some(20),
        interval_ms: 100,
    });
    UpstreamSettings {
        admission: AdmissionSettings {
            upstream: chance.happens(0.5).then(|| 1 + chance.below(60) as u32),
            endpoint: chance.happens(0.5).then(|| 1 + chance.below(20) as u32),
            queue,
            ..AdmissionSettings::default()
        },
        breaker: chance.happens(0.5).then(|| BreakerSettings { open_ms: 500, ..BreakerSettings::default() }),
        ..UpstreamSettings::default()
    }
}

fn endpoint(chance: &mut Chance) -> EndpointModel {
    EndpointModel {
        latency: match chance.below(3) {
            0 => Latency::Constant { us: 1 + chance.below(20_000) },
            1 => Latency::Exponential { mean_us: 1 + chance.below(20_000) },
            _ => Latency::LogNormal { p50_us: 5000, p99_us: 50_000 },
        },
        capacity: chance.happens(0.5).then(|| 1 + chance.below(30) as u32),
        backlog: chance.happens(0.3).then(|| chance.below(20) as u32),
        failures: if chance.happens(0.3) { chance.share() } else { 0.0 },
        connect_failures: if chance.happens(0.2) { chance.share() } else { 0.0 },
        ..EndpointModel::default()
    }
}

fn any(seed: u64) -> (UpstreamSettings, &'static str, Rules, Scenario) {
    let mut chance = Chance::new(seed);
    let endpoints = 1 + chance.below(5);
    let models = (0..endpoints).map(|_| endpoint(&mut chance)).collect();
    let callers = (0..1 + chance.below(3)).map(|number| {
        let mut caller = caller(&format!("c{number}"), 1.0 + chance.below(800) as f64);
        caller.count = 1 + chance.below(4) as u32;
        caller.repeatable = chance.share();
        caller
    });
    let mut scenario = scenario(3, models, callers.collect());
    scenario.seed = seed;
    scenario.changes = (0..chance.below(6))
        .map(|number| {
            let down = [Some(Down::Refusing), Some(Down::Silent), None][chance.below(3) as usize];
            let to = match chance.below(3) {
                0 => ChangeTo { slow: Some(1.0 + chance.share() * 20.0), ..ChangeTo::default() },
                1 => ChangeTo {
                    capacity: Some(1 + chance.below(9) as u32),
                    failures: Some(chance.share()),
                    ..ChangeTo::default()
                },
                _ => ChangeTo { down: Some(down), ..ChangeTo::default() },
            };
            let endpoints = vec![chance.below(endpoints) as u32];
            Change { at_us: number * SECOND / 2, endpoints, to, words: String::new() }
        })
        .collect();
    let limit = |chance: &mut Chance| if chance.happens(0.5) { 10 + chance.below(3000) } else { u64::MAX };
    let limits = TimeLimits {
        connect_ms: 200,
        first_byte_ms: limit(&mut chance),
        try_ms: limit(&mut chance),
        total_ms: limit(&mut chance),
    };
    let retried = if chance.happens(0.5) { vec![(502, 504)] } else { Vec::new() };
    let rules = Rules { attempts: chance.below(4) as u32, retried, limits, ..Rules::default() };
    (settings(&mut chance), BALANCERS[chance.below(BALANCERS.len() as u64) as usize].name, rules, scenario)
}

fn of(seed: u64) -> (Report, u64, u32) {
    let (settings, balancer, rules, scenario) = any(seed);
    let upstream = upstream(balancer, scenario.endpoints.len(), settings);
    let report = simulate(&upstream, &rules, &scenario);
    (report, upstream.0.in_flight(), upstream.0.active_retries())
}

#[test]
fn every_request_ends_once_and_gives_everything_back() {
    for seed in 0..150 {
        let (report, in_flight, retries) = of(seed);
        assert_eq!((in_flight, retries), (0, 0), "seed {seed}");
        let rows = report.phases.iter().chain(&report.intervals).chain([&report.whole]);
        for row in rows {
            let ended = row.answered + row.failures();
            assert_eq!(row.arrived, ended, "seed {seed}: {row:?}");
            let by_caller = row.callers.iter().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
            assert_eq!(by_caller, (row.arrived, row.answered), "seed {seed}: {row:?}");
        }
        for sum in [&report.phases, &report.intervals] {
            let arrived: u64 = sum.iter().map(|row| row.arrived).sum();
            assert_eq!(arrived, report.whole.arrived, "seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_report() {
    for seed in 0..30 {
        let [one, other] = [of(seed).0, of(seed).0];
        assert_eq!(one.to_json(), other.to_json(), "seed {seed}");
        assert_eq!(one.to_page("x"), other.to_page("x"), "seed {seed}");
    }
    assert_ne!(of(1).0.to_json(), of(2).0.to_json());
}

#[test]
fn the_same_requests_come_whatever_becomes_of_them() {
    let (_, _, rules, scenario) = any(3);
    let mut arrived = Vec::new();
    for balancer in ["round_robin", "peak_ewma"] {
        let upstream = upstream(balancer, scenario.endpoints.len(), UpstreamSettings::default());
        let report = simulate(&upstream, &rules, &scenario);
        arrived.push(
            report
                .intervals
                .iter()
                .map(|row| row.callers.iter().map(|c| c.0).collect())
                .collect::<Vec<Vec<_>>>(),
        );
    }
    assert_eq!(arrived[0], arrived[1]);
}

#[test]
fn the_table_is_what_it_was() {
    let model = EndpointModel { capacity: Some(10), ..EndpointModel::default() };
    let mut scenario = scenario(4, vec![model; 2], vec![caller("a", 300.0), caller("b", 100.0)]);
    scenario.even_arrivals = true;
    let slow = ChangeTo { slow: Some(10.0), ..ChangeTo::default() };
    let words = "127.0.0.1:9001 10 times as slow".to_owned();
    scenario.changes = vec![Change { at_us: 2 * SECOND, endpoints: vec![1], to: slow, words }];
    let report =
        simulate(&upstream("two_choices", 2, UpstreamSettings::default()), &Rules::default(), &scenario);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/table.txt");
    let table = report.to_table();
    if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|word| word == "write") {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(path).unwrap(), "TOLLGATE_GOLDEN=write makes it anew");
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_takes_names_as_text() {
    let (mut scenario, rules) = (any(1).3, Rules::default());
    scenario.callers[0].name = "<script>alert(1)</script>".into();
    scenario.callers.push(caller("b", 1.0));
    let upstream = upstream("random", scenario.endpoints.len(), UpstreamSettings::default());
    let page = simulate(&upstream, &rules, &scenario).to_page("a & b");
    assert!(!page.contains("<script") && page.contains("a &amp; b") && page.contains("&lt;script&gt;"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("NaN"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

/// `cargo test --release -p tollgate-simulation -- --ignored --nocapture a_minute`: a minute of 10,000 requests a second with all
/// that guards an upstream is meant to take less than ten seconds.
#[test]
#[ignore = "measures"]
fn a_minute_of_ten_thousand_a_second_takes_seconds() {
    let queue = Some(QueueSettings::default());
    let admission =
        AdmissionSettings { upstream: Some(500), endpoint: Some(100), queue, ..AdmissionSettings::default() };
    let breaker = Some(BreakerSettings::default());
    for (name, p50) in [("usual", 5), ("overload", 60)] {
        let settings =
            UpstreamSettings { admission: admission.clone(), breaker, ..UpstreamSettings::default() };
        let mut callers = caller("all", 10_000.0);
        callers.count = 100;
        let scenario = scenario(60, vec![model(p50, 8 * p50, 200); 10], vec![callers]);
        let upstream = upstream("peak_ewma", 10, settings);
        let began = std::time::Instant::now();
        let report = simulate(&upstream, &Rules::default(), &scenario);
        let took = began.elapsed();
        eprintln!(
            "{name}: {took:?} for {} requests, {} answered",
            report.whole.arrived, report.whole.answered
        );
        assert!(took.as_secs() < 10, "{took:?}");
    }
}
