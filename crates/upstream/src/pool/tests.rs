use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{Pool, PoolSettings};
use crate::endpoint::EndpointId;
use crate::random::Random;

fn ids(count: usize) -> Vec<EndpointId> {
    (0..count).map(|_| EndpointId::unique()).collect()
}

#[test]
fn the_connection_used_last_is_taken_first() {
    let id = ids(1)[0];
    let mut pool = Pool::new();
    for connection in 1..=3 {
        pool.put(id, connection, PoolSettings::default(), 0);
    }
    assert_eq!(pool.take(id, 1, |_| true), Some(3));
    pool.put(id, 4, PoolSettings::default(), 2);
    let taken: Vec<_> = std::iter::from_fn(|| pool.take(id, 3, |_| true)).collect();
    assert_eq!(taken, [4, 2, 1]);
    assert_eq!((pool.idle(), pool.counts().reused, pool.counts().missed), (0, 4, 1));
}

#[test]
fn endpoints_do_not_share_connections() {
    let ids = ids(2);
    let mut pool = Pool::new();
    pool.put(ids[0], 'a', PoolSettings::default(), 0);
    assert_eq!(pool.take(ids[1], 0, |_| true), None);
    assert_eq!(pool.idle_at(ids[0]), 1);
    pool.forget(ids[0]);
    assert_eq!(pool.take(ids[0], 0, |_| true), None);
    assert_eq!(pool.idle(), 0);
}

#[test]
fn dead_ones_are_skipped_and_old_ones_never_taken() {
    let id = ids(1)[0];
    let mut pool = Pool::new();
    for (connection, at) in [(1, 0), (2, 50), (3, 60)] {
        pool.put(id, connection, PoolSettings { max_idle: 8, idle_timeout_ms: 100 }, at);
    }
    assert_eq!(pool.take(id, 149, |c| *c != 3), Some(2));
    assert_eq!(pool.take(id, 149, |_| panic!("an expired connection was asked for")), None);
    assert_eq!(pool.sweep(149, |_| true), 1);
    assert_eq!((pool.counts().dead, pool.counts().expired, pool.idle()), (1, 1, 0));
}

#[test]
fn the_oldest_makes_room() {
    let id = ids(1)[0];
    let mut pool = Pool::new();
    let two = PoolSettings { max_idle: 2, idle_timeout_ms: 100 };
    (1..=5).for_each(|connection| pool.put(id, connection, two, 0));
    let taken: Vec<_> = std::iter::from_fn(|| pool.take(id, 0, |_| true)).collect();
    assert_eq!((taken, pool.counts().evicted), (vec![5, 4], 3));

    let mut none = Pool::new();
    none.put(id, 1, PoolSettings { max_idle: 0, idle_timeout_ms: 100 }, 0);
    assert_eq!((none.idle(), none.counts().evicted), (0, 1));
}

#[test]
fn sweeping_forgets_endpoints_that_are_gone() {
    let mut pool = Pool::new();
    for id in ids(1000) {
        pool.put(id, (), PoolSettings { max_idle: 2, idle_timeout_ms: 100 }, 0);
    }
    assert_eq!(pool.sweep(100, |_| true), 1000);
    assert!(pool.queues.is_empty());
}

#[test]
fn a_steady_load_does_not_grow_the_pool() {
    let ids = ids(10);
    let mut pool = Pool::new();
    let mut capacity = Vec::new();
    for round in 0..1000u64 {
        for &id in &ids {
            let taken: Vec<_> = (0..8).map(|_| pool.take(id, round, |_| true).unwrap_or(round)).collect();
            taken.into_iter().for_each(|connection| pool.put(id, connection, PoolSettings::default(), round));
        }
        pool.sweep(round, |_| true);
        let now: Vec<_> = ids.iter().map(|id| pool.queues[id].connections.capacity()).collect();
        if round > 0 {
            assert_eq!(now, capacity, "round {round}");
        }
        capacity = now;
    }
    assert_eq!((pool.idle(), pool.counts().missed), (80, 80));
}

/// Counts itself, so that a connection that is lost or kept twice shows.
struct Counted {
    open: Rc<Cell<i64>>,
    endpoint: usize,
    since_ms: u64,
    live: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

#[test]
fn any_order_of_calls_keeps_the_promises() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let ids = ids(1 + random.below(6) as usize);
        let settings =
            PoolSettings { max_idle: random.below(5) as usize, idle_timeout_ms: 1 + random.below(200) };
        let mut pool = Pool::new();
        let open = Rc::new(Cell::new(0));
        let mut now_ms = 0;
        for step in 0..600 {
            let at = format!("seed {seed} step {step}");
            now_ms += random.below(20);
            let endpoint = random.below(ids.len() as u64) as usize;
            match random.below(10) {
                0..5 => {
                    open.set(open.get() + 1);
                    let live = random.below(5) != 0;
                    pool.put(
                        ids[endpoint],
                        Counted { open: open.clone(), endpoint, since_ms: now_ms, live },
                        settings,
                        now_ms,
                    );
                }
                5..9 => {
                    if let Some(taken) = pool.take(ids[endpoint], now_ms, |c| c.live) {
                        assert_eq!(taken.endpoint, endpoint, "{at}");
                        assert!(taken.live && now_ms - taken.since_ms < settings.idle_timeout_ms, "{at}");
                    }
                }
                _ => {
                    pool.sweep(now_ms, |c| c.live);
                }
            }
            let by_endpoint: HashMap<_, _> = ids.iter().map(|id| (*id, pool.idle_at(*id))).collect();
            assert!(by_endpoint.values().all(|n| *n <= settings.max_idle), "{at}");
            assert_eq!(by_endpoint.values().sum::<usize>(), pool.idle(), "{at}");
            assert_eq!(open.get(), pool.idle() as i64, "{at}");
        }
        drop(pool);
        assert_eq!(open.get(), 0, "seed {seed}");
    }
}
