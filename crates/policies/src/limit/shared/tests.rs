use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tollgate_policy::{Gate, Mode, Policy};
use tollgate_stores::disk::{QuotaSettings, Quotas};
use tollgate_stores::memory::Table;
use tollgate_stores::redis::{Address, LeaseSettings, RedisSettings, Topology};
use tollgate_stores::{Gcra, KeyHash, Limit, Period};
use tollgate_testkit::{RedisServer, redis_is_missing, refusing};

use super::*;
use crate::limit::fields::Style;
use crate::limit::key::KeySource;
use crate::limit::quota::{self, Ledger, Quota};
use crate::limit::rate::{self, Counters, Rate, RateLimit};
use crate::limit::{Amounts, Cost};
use crate::sample::{Sample, response};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn shared(runtime: &Runtime, address: SocketAddr, leased: bool) -> Shared {
    let address = Address { host: address.ip().to_string(), port: address.port() };
    // Nothing here depends on how fast the machine is.
    let settings =
        RedisSettings { timeout: Duration::from_secs(10), ..RedisSettings::new(Topology::Single(address)) };
    let store = RedisStore::start(settings, runtime.handle());
    let hour = LeaseSettings { lifetime: Duration::from_secs(3600), ..LeaseSettings::default() };
    let _inside = runtime.enter();
    let leases = leased.then(|| Leases::start(store.clone(), hour));
    Shared { what: "Redis shared".to_owned(), store, leases, limit: "rate named r".to_owned() }
}

fn counters() -> Counters {
    Counters { table: Arc::new(Table::new(100)), hash: Arc::new(KeyHash::from_secret([1, 2])) }
}

/// So many a day, all at once.
fn rate(count: u64, delay_us: u64, counter: Counter<Counters>) -> RateLimit {
    let day_us = 86_400_000_000;
    let rate = Rate { limit: Limit::Gcra(Gcra::new(count, day_us, count)), quota: count, window_s: 86_400 };
    let settings = rate::Settings {
        name: String::new(),
        by: KeySource::Route,
        rates: Amounts::new(rate, Vec::new(), |rate| rate.quota),
        cost: Cost::default(),
        style: Style::Draft,
        delay_us,
    };
    RateLimit::new(settings, counter)
}

/// Asks once, with what came of the wait before.
fn once(policy: &impl Policy, gate: &mut Gate, mode: Mode<'_>, resolution: Option<Resolution>) -> Verdict {
    let sample = Sample::new("GET /", "");
    let mut asked = sample.asked();
    (asked.mode, asked.moment.wall_us) = (mode, 1_795_350_602_000_000);
    policy.decide(&asked, gate, resolution)
}

/// Asks until there is a verdict. How often it waited, and for what the last time.
fn serve(runtime: &Runtime, policy: &impl Policy, gate: &mut Gate) -> (Verdict, Vec<String>) {
    let (mut resolution, mut waits) = (None, Vec::new());
    loop {
        let _inside = runtime.enter();
        match once(policy, gate, Mode::Serve, resolution.take()) {
            Verdict::Wait(wait) => {
                waits.push(wait.what.to_string());
                resolution = Some(runtime.block_on(wait.future));
            }
            verdict => return (verdict, waits),
        }
    }
}

#[test]
fn each_request_asks_and_is_decided_by_the_answer() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let policy = rate(2, 0, Counter::Shared(shared(&runtime, server.address(), false), IfDown::Closed));
    for left in [1, 0] {
        let mut gate = Gate::default();
        let (verdict, waits) = serve(&runtime, &policy, &mut gate);
        assert!(matches!(verdict, Verdict::Continue(Some(l)) if l == left), "{verdict:?}");
        assert_eq!(waits, ["Redis shared"]);
        let told = response(&gate);
        assert!(told.contains(&format!("RateLimit: \"default\";r={left};t=")), "{told}");
    }
    let (Verdict::Refuse(refused), _) = serve(&runtime, &policy, &mut Gate::default()) else { panic!() };
    assert_eq!(refused.reason, Reason::RateLimited);
    assert!(refused.retry_after_s.is_some_and(|seconds| seconds > 40_000), "{refused:?}");
}

#[test]
fn what_is_leased_is_decided_at_once() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let policy = rate(1000, 0, Counter::Shared(shared(&runtime, server.address(), true), IfDown::Closed));
    let (verdict, waits) = serve(&runtime, &policy, &mut Gate::default());
    assert!(matches!(verdict, Verdict::Continue(_)), "{verdict:?}");
    assert_eq!(waits, ["Redis shared"]);
    // The runtime stands still now: nothing can be asked.
    let verdict = once(&policy, &mut Gate::default(), Mode::Serve, None);
    assert!(matches!(verdict, Verdict::Continue(Some(_))), "{verdict:?}");
}

#[test]
fn explaining_asks_nobody() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    for leased in [false, true] {
        let shared = shared(&runtime, server.address(), leased);
        let policy = rate(2, 0, Counter::Shared(shared, IfDown::Closed));
        for _ in 0..5 {
            let verdict = once(&policy, &mut Gate::default(), Mode::Explain(None), None);
            assert!(matches!(&verdict, Verdict::Wait(wait) if wait.what == "Redis shared"), "{verdict:?}");
        }
        let (verdict, _) = serve(&runtime, &policy, &mut Gate::default());
        assert!(matches!(verdict, Verdict::Continue(_)), "{verdict:?}");
        assert_eq!(server.command(&["FLUSHALL"]), "+OK\r\n");
    }
}

#[test]
fn requests_wait_for_their_turn_by_the_count_of_all() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    // One in twelve hours, one at once after a pause, and four may wait.
    let instance = || {
        let counter = Counter::Shared(shared(&runtime, server.address(), false), IfDown::Closed);
        rate(2, 4 * 43_200_000_000, counter)
    };
    let instances = [instance(), instance()];
    let _inside = runtime.enter();
    let asked = |number: usize| {
        let policy = &instances[number % 2];
        let Verdict::Wait(wait) = once(policy, &mut Gate::default(), Mode::Serve, None) else { panic!() };
        assert!(!wait.is_effect);
        once(policy, &mut Gate::default(), Mode::Serve, Some(runtime.block_on(wait.future)))
    };
    for number in 0..2 {
        assert!(matches!(asked(number), Verdict::Continue(_)));
    }
    for turn in 1..=4u64 {
        let Verdict::Wait(wait) = asked(turn as usize) else { panic!() };
        assert!(wait.is_effect);
        assert_eq!(wait.what, format!("its turn for {} ms", turn * 43_200_000));
    }
    assert!(matches!(asked(0), Verdict::Refuse(_)));
    let come = Box::new(rate::TurnHasCome);
    let verdict = once(&instances[0], &mut Gate::default(), Mode::Serve, Some(come));
    assert!(matches!(verdict, Verdict::Continue(_)), "{verdict:?}");
}

#[test]
fn without_the_store_each_limit_does_what_it_says() {
    let ((gone, _guard), runtime) = (refusing(), runtime());
    for leased in [false, true] {
        let shared = || shared(&runtime, gone, leased);
        let told = |note: &str| {
            assert!(note.starts_with("Redis shared does not decide (unreachable: "), "{note}");
        };

        let open = rate(1, 0, Counter::Shared(shared(), IfDown::Open));
        for _ in 0..3 {
            let mut gate = Gate::default();
            let (verdict, _) = serve(&runtime, &open, &mut gate);
            let Verdict::Noted(None, note) = verdict else { panic!("{verdict:?}") };
            told(&note);
            assert!(note.ends_with("so it passed uncounted"), "{note}");
            assert_eq!(response(&gate), "", "nobody knows what is left");
        }

        let closed = rate(1, 0, Counter::Shared(shared(), IfDown::Closed));
        let (Verdict::Refuse(refused), _) = serve(&runtime, &closed, &mut Gate::default()) else { panic!() };
        assert_eq!((refused.reason, refused.retry_after_s), (Reason::LimitUnavailable, Some(2)));
        told(refused.note.as_deref().unwrap());

        let local = rate(2, 0, Counter::Shared(shared(), IfDown::Local(counters())));
        for left in [1, 0] {
            let (verdict, _) = serve(&runtime, &local, &mut Gate::default());
            let Verdict::Noted(Some(remaining), note) = verdict else { panic!("{verdict:?}") };
            told(&note);
            assert!(note.ends_with("so this instance counted it alone"), "{note}");
            assert_eq!(remaining, left);
        }
        let (Verdict::Refuse(refused), _) = serve(&runtime, &local, &mut Gate::default()) else { panic!() };
        assert_eq!(refused.reason, Reason::RateLimited);
        let note = refused.note.unwrap();
        told(&note);
        assert!(note.contains("alone; the next one could pass in "), "{note}");

        // It is known to be down by now, so that explaining can tell what would happen, and uses nothing up.
        for _ in 0..2 {
            let verdict = once(&closed, &mut Gate::default(), Mode::Explain(None), None);
            assert!(matches!(verdict, Verdict::Refuse(_)), "{verdict:?}");
        }
    }
}

fn monthly(limit: u64, shared: Shared, if_down: IfDown<Ledger>) -> Quota {
    let settings = quota::Settings {
        name: "plan".to_owned(),
        by: KeySource::Route,
        period: Period::Month,
        limit: Amounts::new(limit, Vec::new(), |limit| *limit),
        cost: Cost::default(),
        style: Style::Draft,
    };
    Quota::new(settings, Counter::Shared(shared, if_down))
}

#[test]
fn quotas_are_counted_there_too() {
    if redis_is_missing() {
        return;
    }
    let (mut server, runtime) = (RedisServer::start(), runtime());
    let shared = shared(&runtime, server.address(), false);
    let ledger = Ledger::new(Arc::new(Quotas::in_memory(QuotaSettings::default())), "plan");
    let policy = monthly(2, shared.clone(), IfDown::Local(ledger));
    for left in [1, 0] {
        let (verdict, _) = serve(&runtime, &policy, &mut Gate::default());
        assert!(matches!(verdict, Verdict::Continue(Some(l)) if l == left), "{verdict:?}");
    }
    let (Verdict::Refuse(refused), _) = serve(&runtime, &policy, &mut Gate::default()) else { panic!() };
    assert_eq!(refused.reason, Reason::QuotaExceeded);
    server.kill();
    // Down or not yet known to be: this instance has not counted any alone so far.
    let (verdict, _) = serve(&runtime, &policy, &mut Gate::default());
    assert!(matches!(verdict, Verdict::Noted(Some(1), _)), "{verdict:?}");
}
