use super::*;
use tollgate_stores::{Period, SlidingWindow};

#[test]
fn three_instances_admit_exactly_the_limit_between_them() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let kinds = [
        ("g", hourly(50)),
        ("w", Counting::SlidingWindow(SlidingWindow::new(50, 1_000_000_000_000))),
        ("q", Counting::Quota { limit: 50, period: Period::Month }),
    ];
    for (limit, counting) in kinds {
        let instances: Vec<_> = (0..3)
            .map(|_| {
                let store = RedisStore::start(settings(&server), runtime.handle());
                std::thread::spawn(move || {
                    on_a_worker(async {
                        let mut admitted = 0;
                        for _ in 0..40 {
                            let take = Take { limit, ..take(b"alice", counting) };
                            admitted += usize::from(one(&store, take).await.allowed);
                        }
                        admitted
                    })
                })
            })
            .collect();
        let admitted: usize = instances.into_iter().map(|instance| instance.join().unwrap()).sum();
        assert_eq!(admitted, 50, "{counting:?}");
    }
}

#[test]
fn what_is_told_is_what_the_arithmetic_tells() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(settings(&server), runtime.handle());
    on_a_worker(async {
        let costs = |cost, counting| Take { cost, ..take(b"a", counting) };
        let first = one(&store, costs(3, hourly(5))).await;
        assert_eq!((first.allowed, first.remaining, first.retry_after_us), (true, 2, Some(0)));
        assert!((3 * 3_599_000_000..=3 * 3_600_000_000).contains(&first.reset_after_us), "{first:?}");
        let refused = one(&store, costs(3, hourly(5))).await;
        assert_eq!((refused.allowed, refused.remaining), (false, 2));
        let retry = refused.retry_after_us.unwrap();
        assert!((3_500_000_000..=3_600_000_000).contains(&retry), "{refused:?}");
        assert_eq!(one(&store, costs(6, hourly(5))).await.retry_after_us, None);
        assert!(one(&store, costs(0, hourly(5))).await.allowed);
        let window = Counting::SlidingWindow(SlidingWindow::new(4, 3_600_000_000));
        let quota = Counting::Quota { limit: 4, period: Period::Day };
        for (limit, counting, longest) in [("w", window, 7_200_000_000), ("q", quota, 86_400_000_000)] {
            let with = |cost| Take { limit, ..costs(cost, counting) };
            let first = one(&store, with(4)).await;
            assert_eq!((first.allowed, first.remaining), (true, 0), "{limit}");
            assert!((1..=longest).contains(&first.reset_after_us), "{limit}: {first:?}");
            let refused = one(&store, with(1)).await;
            assert!(!refused.allowed && refused.retry_after_us.unwrap() > 0, "{limit}: {refused:?}");
            assert_eq!(one(&store, with(5)).await.retry_after_us, None, "{limit}");
            assert!(one(&store, with(0)).await.allowed, "{limit}");
        }
    });
}

#[test]
fn several_limits_are_one_call_each_key_for_itself() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(settings(&server), runtime.handle());
    on_a_worker(async {
        let request = [
            Take { limit: "a", ..take(b"x", hourly(1)) },
            Take { limit: "b", ..take(b"x", hourly(2)) },
            Take { limit: "a", ..take(b"y", hourly(1)) },
        ];
        let allowed = async || {
            let decisions = store.take(&request).await.unwrap();
            decisions.iter().map(|decision| decision.allowed).collect::<Vec<_>>()
        };
        assert_eq!(allowed().await, [true, true, true]);
        assert_eq!(allowed().await, [false, true, false]);
        assert_eq!(allowed().await, [false, false, false]);
        assert_eq!(store.take(&[]).await.unwrap(), []);
    });
    let calls = server.command(&["INFO", "commandstats"]);
    // The first by its text, the others by its hash.
    assert!(calls.contains("cmdstat_eval:calls=1,"), "{calls}");
    assert!(calls.contains("cmdstat_evalsha:calls=3,"), "{calls}");
}

#[test]
fn keys_end_by_themselves_and_other_databases_and_prefixes_are_others() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let base = settings(&server);
    let other = |prefix: &str, database| {
        let settings = RedisSettings { prefix: prefix.to_owned(), database, ..base.clone() };
        RedisStore::start(settings, runtime.handle())
    };
    on_a_worker(async {
        for store in [other("a:", 0), other("b:", 0), other("a:", 3)] {
            assert!(one(&store, take(b"x", hourly(1))).await.allowed);
            assert!(!one(&store, take(b"x", hourly(1))).await.allowed);
        }
    });
    let keys = server.command(&["INFO", "keyspace"]);
    assert!(keys.contains("db0:keys=2,expires=2,") && keys.contains("db3:keys=1,expires=1,"), "{keys}");
}

#[test]
fn a_rate_in_steady_state_is_the_rate() {
    if redis_is_missing() {
        return;
    }
    let (server, runtime) = (RedisServer::start(), runtime());
    let store = RedisStore::start(settings(&server), runtime.handle());
    let limit = Counting::Gcra(Gcra::new(1_000, 1_000_000, 10));
    on_a_worker(async {
        let begun = Instant::now();
        let mut admitted = 0;
        while begun.elapsed() < Duration::from_millis(500) {
            admitted += u128::from(one(&store, take(b"x", limit)).await.allowed);
        }
        let most = 10 + begun.elapsed().as_millis() + 1;
        assert!(admitted <= most, "{admitted} of {most}");
    });
}
