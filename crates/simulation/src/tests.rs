//! What must hold of any simulation, and what the algorithms must achieve in some.

mod outcomes;
mod whole;

use tollgate_upstream::{
    BalancerSettings, Class, Endpoint, HealthEvents, Upstream, UpstreamSettings, balancers,
};

use crate::{Caller, EndpointModel, Given, Latency, RateStep, Report, Rules, Scenario, run};

const SECOND: u64 = 1_000_000;

fn upstream(balancer: &str, endpoints: usize, settings: UpstreamSettings) -> (Upstream, HealthEvents) {
    let (events, _) = HealthEvents::bounded(1);
    let endpoint = |number: usize| {
        let name = format!("127.0.0.1:{}", 9000 + number);
        Endpoint::new(name.as_str(), name.parse().unwrap(), 1)
    };
    let balancer = (balancers::balancer(balancer).unwrap().make)(&BalancerSettings::default());
    let endpoints = (0..endpoints).map(endpoint).collect();
    (Upstream::new("api", endpoints, balancer, settings, events.clone()), events)
}

fn caller(name: &str, per_second: f64) -> Caller {
    let rate = vec![RateStep { at_us: 0, per_second, over_us: 0 }];
    Caller { name: name.into(), count: 1, rate, class: Class::Normal, repeatable: 1.0 }
}

fn scenario(seconds: u64, endpoints: Vec<EndpointModel>, callers: Vec<Caller>) -> Scenario {
    Scenario {
        duration_us: seconds * SECOND,
        workers: 2,
        even_arrivals: false,
        callers,
        endpoints,
        changes: Vec::new(),
        seed: 1,
    }
}

fn model(p50_ms: u64, p99_ms: u64, capacity: u32) -> EndpointModel {
    let latency = Latency::LogNormal { p50_us: p50_ms * 1000, p99_us: p99_ms * 1000 };
    EndpointModel { latency, capacity: Some(capacity), ..EndpointModel::default() }
}

fn simulate((upstream, health): &(Upstream, HealthEvents), rules: &Rules, scenario: &Scenario) -> Report {
    run(Given { upstream, health, rules, scenario }, &mut |_| {})
}
