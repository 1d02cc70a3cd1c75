use super::*;
use std::sync::atomic::{AtomicU64, Ordering};
use tollgate_runtime::Clock;
use tollgate_stores::redis::{LeaseSettings, Leased, Leases};
use tollgate_stores::{Period, SlidingWindow};

async fn passes(leases: &Leases, take: &Take<'_>, asked: &AtomicU64) -> bool {
    match leases.take(take, Clock::new().now_us()) {
        Leased::Decided(decision) => decision.allowed,
        Leased::Ask(asking) => {
            asked.fetch_add(1, Ordering::Relaxed);
            asking.await.unwrap().allowed
        }
        Leased::Unavailable(problem) => panic!("{problem}"),
    }
}

/// Three instances that ask as fast as they can: how many pass in at least that time, until it is at least so many, and how
/// long it really was.
fn run(counting: Counting, lease: LeaseSettings, time: Duration, least: u64) -> (u64, Duration, [u64; 2]) {
    let (server, runtime) = (RedisServer::start(), runtime());
    let (asked, total, admitted) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let leases = Leases::start(RedisStore::start(settings(&server), runtime.handle()), lease);
            let (asked, total, admitted) = (&asked, &total, &admitted);
            let goes_on = move || {
                let time = if admitted.load(Ordering::Relaxed) < least { PATIENCE } else { time };
                begun.elapsed() < time
            };
            scope.spawn(move || {
                on_a_worker(async {
                    while goes_on() {
                        total.fetch_add(1, Ordering::Relaxed);
                        let passed = passes(&leases, &take(b"x", counting), asked).await;
                        admitted.fetch_add(u64::from(passed), Ordering::Relaxed);
                    }
                });
            });
        }
    });
    (admitted.into_inner(), begun.elapsed(), [asked.into_inner(), total.into_inner()])
}

#[test]
fn three_instances_stay_within_the_stated_bound() {
    if redis_is_missing() {
        return;
    }
    let lease = LeaseSettings { lifetime: Duration::from_millis(100), share: 10, max_keys: 100 };
    let (burst, rate) = (100, 2_000);
    let counting = Counting::Gcra(Gcra::new(rate, 1_000_000, burst));
    let (admitted, time, [asked, total]) = run(counting, lease, Duration::from_secs(2), burst + 1);
    let most = burst + (rate as f64 * time.as_secs_f64()) as u64 + 3 * (burst / 10) + 1;
    assert!(admitted <= most, "{admitted} of {most}");
    assert!(admitted > burst, "{admitted}");
    assert!(asked * 2 < total, "{asked} round trips for {total} requests");
}

#[test]
fn what_does_not_come_back_is_admitted_once_among_all() {
    if redis_is_missing() {
        return;
    }
    let lease = LeaseSettings { lifetime: Duration::from_millis(200), share: 10, max_keys: 100 };
    let kinds = [
        hourly(500),
        Counting::Quota { limit: 500, period: Period::Month },
        Counting::SlidingWindow(SlidingWindow::new(500, 1_000_000_000_000)),
    ];
    for counting in kinds {
        let (admitted, ..) = run(counting, lease, Duration::from_millis(700), 350);
        assert!((350..=500).contains(&admitted), "{admitted}: {counting:?}");
    }
}

#[test]
fn what_is_not_used_is_given_back_and_can_be_used_by_others() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let lease = LeaseSettings { lifetime: Duration::from_millis(50), share: 1, max_keys: 100 };
    let asked = AtomicU64::new(0);
    on_a_worker(async {
        let quota = Counting::Quota { limit: 10, period: Period::Month };
        for (limit, counting) in [("g", hourly(10)), ("q", quota)] {
            let store = RedisStore::start(settings(&server), runtime.handle());
            let leases = Leases::start(store.clone(), lease);
            let take = Take { limit, ..take(b"x", counting) };
            let look = Take { cost: 0, ..take };
            assert!(passes(&leases, &take, &asked).await);
            // Of a rate that comes back by the hour a part of one unit has faded meanwhile, so one is not given back.
            until(async || one(&store, look).await.remaining >= 8).await;
            let left = one(&store, look).await.remaining;
            assert!(left <= 9, "{limit}: {left}");
            assert!(passes(&leases, &take, &asked).await);
            leases.give_back().await;
            assert!(one(&store, look).await.remaining >= left - 2, "{limit}");
        }
    });
}

#[test]
fn refusals_are_remembered_and_more_than_the_limit_is_never_admitted() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(settings(&server), runtime.handle());
    let lease = LeaseSettings { lifetime: Duration::from_secs(3600), share: 10, max_keys: 100 };
    let (leases, asked) = (Leases::start(store, lease), AtomicU64::new(0));
    on_a_worker(async {
        let take = take(b"x", hourly(20));
        let mut admitted = 0;
        for _ in 0..1_000 {
            admitted += u64::from(passes(&leases, &take, &asked).await);
            // So that what is fetched in the background can come.
            tokio::task::yield_now().await;
        }
        assert_eq!(admitted, 20);
        assert!(asked.load(Ordering::Relaxed) <= 60, "{asked:?}");
        let over = Take { cost: 21, ..take };
        assert!(!passes(&leases, &over, &asked).await);
        assert!(passes(&leases, &Take { cost: 0, ..take }, &asked).await);
    });
}

#[test]
fn keys_beyond_the_table_are_decided_in_redis() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(settings(&server), runtime.handle());
    let lease = LeaseSettings { lifetime: Duration::from_secs(3600), share: 2, max_keys: 1 };
    let (leases, asked) = (Leases::start(store, lease), AtomicU64::new(0));
    on_a_worker(async {
        for key in 0..300u16 {
            let key = key.to_le_bytes();
            let take = take(&key, hourly(2));
            let mut admitted = 0;
            for _ in 0..4 {
                admitted += u64::from(passes(&leases, &take, &asked).await);
            }
            assert_eq!(admitted, 2, "{key:?}");
        }
    });
}

#[test]
fn an_instance_without_redis_says_so_at_once() {
    if redis_is_missing() {
        return;
    }
    let (mut server, runtime) = (RedisServer::start(), runtime());
    let settings = RedisSettings { timeout: Duration::from_millis(30), ..settings(&server) };
    let store = RedisStore::start(settings, runtime.handle());
    let leases = Leases::start(store.clone(), LeaseSettings::default());
    on_a_worker(async {
        server.kill();
        until(async || store.problem().is_some()).await;
        let take = take(b"x", hourly(20));
        assert!(matches!(leases.take(&take, Clock::new().now_us()), Leased::Unavailable(_)));
    });
}

/// Prints what decisions cost. `cargo test --release -p tollgate-stores --test redis -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_decision() {
    let (server, runtime) = (RedisServer::start(), runtime());
    let (store, clock) = (RedisStore::start(settings(&server), runtime.handle()), Clock::new());
    let lease = LeaseSettings { lifetime: Duration::from_secs(3600), share: 1, max_keys: 100 };
    let leases = Leases::start(store.clone(), lease);
    on_a_worker(async {
        let take = take(b"192.0.2.1", hourly(1 << 20));
        let rounds = 20_000;
        let begun = clock.now_us();
        for _ in 0..rounds {
            assert!(one(&store, Take { limit: "other", ..take }).await.allowed);
        }
        eprintln!("exact, one after the other: {} us", (clock.now_us() - begun) / rounds);
        let (rounds, asked) = (300_000, AtomicU64::new(0));
        // So that it holds as many as it may.
        for _ in 0..rounds {
            passes(&leases, &take, &asked).await;
        }
        asked.store(0, Ordering::Relaxed);
        let begun = clock.now_us();
        for _ in 0..rounds {
            assert!(passes(&leases, &take, &asked).await);
        }
        let ns = (clock.now_us() - begun) * 1000 / rounds;
        eprintln!("leased: {ns} ns, the clock included, {asked:?} round trips of {rounds}");
    });
}
