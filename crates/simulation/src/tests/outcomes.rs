//! The algorithms in situations that they are made for.

use tollgate_upstream::{
    AdmissionSettings, BreakerSettings, QueueSettings, RetryBudgetSettings, UpstreamSettings,
};

use super::{SECOND, caller, model, scenario, simulate, upstream};
use crate::{Change, ChangeTo, Down, EndpointModel, Report, Rules, Scenario};

fn p99_us(report: &Report) -> u64 {
    report.whole.latency_us[2].unwrap()
}

#[test]
fn a_slow_endpoint_of_ten_is_felt_with_turns_and_not_with_loads_or_latencies() {
    let mut models = vec![model(5, 20, 100); 10];
    models[3] = model(50, 200, 100);
    let scenario = scenario(20, models, vec![caller("all", 2000.0)]);
    let of = |balancer| {
        p99_us(&simulate(&upstream(balancer, 10, UpstreamSettings::default()), &Rules::default(), &scenario))
    };
    let (turns, loads, latencies) = (of("round_robin"), of("two_choices"), of("peak_ewma"));
    assert!(loads * 3 < turns * 2, "two_choices {loads} µs, round_robin {turns} µs");
    assert!(latencies * 3 < turns, "peak_ewma {latencies} µs, round_robin {turns} µs");
}

/// Fifty callers within their share and one that sends fifty times as much as each of them.
fn noisy(takes_turns: bool, with_noise: bool) -> f64 {
    let mut quiet = caller("quiet", 1000.0);
    quiet.count = 50;
    let noise = caller("noisy", if with_noise { 1000.0 } else { 0.0 });
    // Places for 1,250 requests a second: the quiet ones fit in, both do not.
    let scenario = scenario(20, vec![model(8, 8, 100); 1], vec![quiet, noise]);
    let queue = QueueSettings { length: 200, timeout_ms: 1000, ..QueueSettings::default() };
    let admission =
        AdmissionSettings { upstream: Some(10), queue: Some(queue), ..AdmissionSettings::default() };
    let settings = UpstreamSettings { admission, ..UpstreamSettings::default() };
    let rules = Rules { takes_turns, ..Rules::default() };
    let report = simulate(&upstream("least_requests", 1, settings), &rules, &scenario);
    report.whole.callers[0].1 as f64
}

#[test]
fn a_noisy_caller_costs_the_others_little_where_callers_take_turns() {
    let alone = noisy(true, false);
    let (turns, line) = (noisy(true, true) / alone, noisy(false, true) / alone);
    assert!(turns > 0.9, "with turns {turns}");
    assert!(line < 0.8, "in one line {line}");
}

fn failing_in_between() -> Scenario {
    let mut scenario = scenario(40, vec![model(5, 20, 100); 3], vec![caller("all", 500.0)]);
    let change = |at: u64, failures: f64| Change {
        at_us: at * SECOND,
        endpoints: vec![0, 1, 2],
        to: ChangeTo { failures: Some(failures), ..ChangeTo::default() },
        words: format!("{failures}"),
    };
    scenario.changes = vec![change(10, 0.9), change(20, 0.0)];
    scenario
}

#[test]
fn the_circuit_opens_and_closes_again() {
    let breaker = BreakerSettings { window_ms: 2000, open_ms: 2000, ..BreakerSettings::default() };
    let settings = UpstreamSettings { breaker: Some(breaker), ..UpstreamSettings::default() };
    let report = simulate(&upstream("two_choices", 3, settings), &Rules::default(), &failing_in_between());
    let attempts = |second: usize| report.intervals[second].attempts.iter().sum::<u64>();
    assert!((15..20).all(|second| attempts(second) < 50), "open: {:?}", report.happened);
    assert!(report.phases[1].failed.iter().any(|(word, _)| word == "circuit_open"));
    let last = &report.intervals[39];
    assert_eq!(last.answered, last.arrived, "closed: {:?}", report.happened);
    let is_told = |word: &str| report.happened.iter().any(|(_, words)| words.contains(word));
    assert!(is_told("open: of the last") && is_told("half_open") && is_told("trials went well"));
}

#[test]
fn retries_stay_within_the_budget() {
    let rules = Rules { attempts: 3, retried: vec![(500, 599)], ..Rules::default() };
    let failing = |min, percent| {
        let retries = RetryBudgetSettings { min, percent };
        let settings = UpstreamSettings { retries, ..UpstreamSettings::default() };
        let report = simulate(&upstream("random", 3, settings), &rules, &failing_in_between());
        let most = report.samples.iter().map(|sample| sample.retries).max();
        (report.phases[1].retries, report.retries_refused, most.unwrap())
    };
    let (none, refused, most) = failing(0, 0);
    assert!(none == 0 && refused > 1000 && most == 0, "{none} {refused} {most}");
    let (few, refused, most) = failing(2, 0);
    assert!(few > 100 && refused > 100 && most <= 2, "{few} {refused} {most}");
    let (many, refused, _) = failing(1000, 0);
    assert!(many > 5 * few && refused == 0, "{many} {refused}");
}

#[test]
fn an_endpoint_that_goes_down_is_ejected_and_its_requests_are_saved() {
    let mut scenario = scenario(20, vec![model(5, 20, 100); 4], vec![caller("all", 1000.0)]);
    let to = ChangeTo { down: Some(Some(Down::Refusing)), ..ChangeTo::default() };
    scenario.changes = vec![Change { at_us: 5 * SECOND, endpoints: vec![2], to, words: "down".into() }];
    let rules = Rules { attempts: 2, ..Rules::default() };
    let report = simulate(&upstream("round_robin", 4, UpstreamSettings::default()), &rules, &scenario);
    assert_eq!(report.whole.failures(), 0, "{:?}", report.whole);
    assert!(
        report.happened.iter().any(|(_, words)| words.contains("usable -> ejected")),
        "{:?}",
        report.happened
    );
    assert!(report.intervals[8].attempts[2] < 30, "{:?}", report.intervals[8]);
}

#[test]
fn requests_beyond_a_capacity_wait_at_the_endpoint() {
    let one = EndpointModel { capacity: Some(1), ..EndpointModel::default() };
    // 5 ms each: 200 a second are served.
    let scenario = scenario(10, vec![one], vec![caller("all", 100.0)]);
    let report = simulate(&upstream("random", 1, UpstreamSettings::default()), &Rules::default(), &scenario);
    // M/D/1 at half its capacity: the mean wait is half a service time.
    let waits_us = report.endpoints[0].in_flight * 1e7 / report.endpoints[0].count as f64 - 5000.0;
    assert!((1800.0..3400.0).contains(&waits_us), "{waits_us} µs");
}
