use std::sync::Arc;

use crate::balancers::{BALANCERS, Pick, PickKey};
use crate::endpoint::Endpoint;
use crate::health::{HealthEvents, ProbeHealth};
use crate::random::Random;
use crate::view::View;
use crate::{Upstream, UpstreamSettings};

fn endpoint(number: u64) -> Endpoint {
    Endpoint::new(format!("e{number}"), "127.0.0.1:80".parse().unwrap(), 1)
}

fn upstream(balancer: usize, endpoints: Vec<Endpoint>) -> Arc<Upstream> {
    let balancer = BALANCERS[balancer % BALANCERS.len()].standard();
    let settings = UpstreamSettings { panic_threshold_percent: 0, ..UpstreamSettings::default() };
    Arc::new(Upstream::new("api", endpoints, balancer, settings, HealthEvents::unheard()))
}

fn next(of: &Upstream, balancer: usize, more: Vec<Endpoint>) -> Arc<Upstream> {
    let kept = of.live_endpoints().map(|(_, e)| e.successor(1));
    let next = upstream(balancer, kept.chain(more).collect());
    next.catch_up(of, 0);
    of.succeeded_by(next.clone());
    next
}

fn usable(upstream: &Upstream) -> Vec<String> {
    let mut view = View::default();
    view.refresh(upstream, 0);
    let mut names: Vec<_> =
        view.members().iter().map(|i| upstream.endpoint(*i).unwrap().name().to_string()).collect();
    names.sort();
    names
}

#[test]
fn who_waits_hears_of_the_next_and_finds_its_endpoints() {
    let first = upstream(0, Vec::new());
    let mut told = Box::pin(first.changes());
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(told.as_mut().poll(cx).is_pending());
    let second = next(&first, 0, vec![endpoint(1)]);
    assert!(told.as_mut().poll(cx).is_ready());
    assert_eq!(usable(&first), [""; 0]);
    first.keep_up();
    assert_eq!(usable(&first), ["e1"]);
    let third = next(&second, 0, vec![endpoint(2)]);
    assert!(Arc::ptr_eq(first.latest().unwrap(), &third) && third.latest().is_none());
    first.keep_up();
    assert_eq!(usable(&first), ["e1", "e2"]);
}

/// Over many reloads and changes of probes it is as the last in line is, and its indexes go on meaning the same.
#[test]
fn it_becomes_as_the_last_in_line_is() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let balancer = random.below(BALANCERS.len() as u64) as usize;
        let first = upstream(balancer, (0..random.below(3)).map(endpoint).collect());
        let mut latest = first.clone();
        let mut names: Vec<String> = Vec::new();
        for step in 0..20 {
            match random.below(4) {
                0 => {
                    let kept: Vec<_> = latest.live_endpoints().map(|(_, e)| e.successor(1)).collect();
                    let kept = kept.into_iter().filter(|_| random.below(4) > 0).collect::<Vec<_>>();
                    let more = (0..random.below(3)).map(|i| endpoint(100 + step * 10 + i));
                    let next = upstream(balancer, kept.into_iter().chain(more).collect());
                    next.catch_up(&latest, 0);
                    latest.succeeded_by(next.clone());
                    latest = next;
                }
                1 => {
                    let count = latest.endpoints().count() as u64;
                    if count > 0 {
                        let verdict = if random.below(2) == 0 { ProbeHealth::Up } else { ProbeHealth::Down };
                        latest.probed(random.below(count) as u32, Ok(()), Some(verdict), step);
                    }
                }
                _ => {
                    first.keep_up();
                    assert_eq!(usable(&first), usable(&latest), "seed {seed} step {step}");
                    let now: Vec<_> = first.endpoints().map(|(_, e)| e.name().to_string()).collect();
                    assert!(now.starts_with(&names), "seed {seed} step {step}: {names:?} {now:?}");
                    names = now;
                    let mut view = View::default();
                    view.refresh(&first, step);
                    let key = PickKey { seed: random.next(), hash: Some(step), ..PickKey::default() };
                    match first.pick(&view, &key) {
                        Pick::Endpoint(picked) => assert!(view.members().contains(&picked), "seed {seed}"),
                        Pick::None(_) => assert!(view.members().is_empty(), "seed {seed} step {step}"),
                    }
                }
            }
        }
    }
}
