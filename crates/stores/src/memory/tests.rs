use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_runtime::{Clock, Random};

use super::{Concurrency, Entry, Table};
use crate::{Gcra, KeyHash, Limit, Rule, SlidingWindow};

/// How many distinct keys a flood has: ten million where the code is as fast as it will run.
const FLOOD: u64 = if cfg!(debug_assertions) { 400_000 } else { 10_000_000 };

fn limits() -> [Limit; 2] {
    [Limit::Gcra(Gcra::new(100, 1_000_000, 20)), Limit::SlidingWindow(SlidingWindow::new(100, 1_000_000))]
}

#[test]
fn a_table_decides_as_the_arithmetic_does() {
    for (seed, limit) in (0..20).flat_map(|seed| limits().map(|limit| (seed, limit))) {
        let mut random = Random::from_seed(seed);
        let (table, hash) = (Table::new(1000), KeyHash::from_secret([seed, 7]));
        let mut model: HashMap<u64, u64> = HashMap::new();
        let mut now_us = random.next_u64() >> 24;
        for step in 0..5_000 {
            now_us += random.next_u64() % 3_000;
            let (name, cost) = (random.next_u64() % 50, random.next_u64() % 4);
            let key = hash.key(1, &name.to_le_bytes());
            let state = model.entry(name).or_default();
            let (expected, new) = limit.decide(*state, now_us * 1000, cost);
            assert_eq!(
                table.peek(key, &limit, now_us, cost),
                expected,
                "seed {seed}, step {step}, {limit:?}"
            );
            assert_eq!(
                table.decide(key, &limit, now_us, cost),
                expected,
                "seed {seed}, step {step}, {limit:?}"
            );
            *state = new;
        }
        assert_eq!(table.usage().evicted_live, 0, "seed {seed}");
    }
}

/// An honest key's limit is exact while a flood of keys that are seen once, or twice, runs over the table, and the
/// table does not grow.
#[test]
fn a_flood_neither_grows_the_table_nor_drives_out_keys_that_come_again() {
    for (limit, twice) in limits().into_iter().flat_map(|limit| [(limit, false), (limit, true)]) {
        let (table, hash) = (Table::new(10_000), KeyHash::from_secret([3, 4]));
        let honest = (0..20u64).map(|name| hash.key(1, &[b'h', name as u8]));
        let mut honest: Vec<_> = honest.map(|key| (key, 0u64)).collect();
        let mut largest = 0;
        for round in 0..FLOOD / 100 {
            // A flood of a hundred thousand in a second.
            let now_us = 1_000_000 + round * 1_000;
            for n in 0..100u64 {
                let key = hash.key(1, &(round * 100 + n).to_le_bytes());
                assert!(table.decide(key, &limit, now_us, 1).allowed);
                if twice {
                    table.decide(key, &limit, now_us, 1);
                }
            }
            for (key, state) in &mut honest {
                let (expected, new) = limit.decide(*state, now_us * 1000, 1);
                assert_eq!(table.decide(*key, &limit, now_us, 1), expected, "round {round}, {limit:?}");
                *state = new;
            }
            if round == FLOOD / 200 {
                largest = table.usage().bytes;
            }
        }
        let usage = table.usage();
        assert_eq!(usage.bytes, largest, "{usage:?}");
        assert!(usage.bytes < 10_000 * 60, "{usage:?}");
        assert!(usage.evicted_live > 0 || !twice, "{usage:?}");
    }
}

/// A slow key whose only request is long past is no better protected than the flood, but one that came a few times
/// is: it is refused all the while.
#[test]
fn a_key_at_its_limit_stays_refused_under_a_flood() {
    let limit = Limit::Gcra(Gcra::new(1, 60_000_000, 3));
    let (table, hash) = (Table::new(1_000), KeyHash::from_secret([5, 6]));
    let slow = hash.key(1, b"slow");
    for _ in 0..3 {
        assert!(table.decide(slow, &limit, 0, 1).allowed);
    }
    for n in 0..FLOOD / 10 {
        table.decide(hash.key(1, &n.to_le_bytes()), &limit, 1_000, 1);
    }
    assert!(!table.decide(slow, &limit, 2_000, 1).allowed);
}

#[test]
fn many_threads_admit_exactly_the_limit() {
    for limit in limits() {
        let (table, hash, admitted) = (Table::new(64), KeyHash::from_machine(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (table, hash, admitted) = (&table, &hash, &admitted);
                scope.spawn(move || {
                    for n in 0..20_000u64 {
                        let hot = table.decide(hash.key(1, b"hot"), &limit, 1_000_000, 1);
                        admitted.fetch_add(u64::from(hot.allowed), Ordering::Relaxed);
                        // Others come and go in the same buckets all the while.
                        let other = hash.key(1, &(thread << 32 | n).to_le_bytes());
                        table.decide(other, &limit, 1_000_000, 1);
                    }
                });
            }
        });
        let expected = match limit {
            Limit::Gcra(gcra) => gcra.burst(),
            Limit::SlidingWindow(window) => window.limit(),
        };
        assert_eq!(admitted.into_inner(), expected, "{limit:?}");
    }
}

#[test]
fn permits_count_and_are_given_back() {
    let (inside, hash) = (Concurrency::new(100), KeyHash::from_machine());
    let key = hash.key(1, b"a");
    let permits: Vec<_> = (0..3).map(|_| inside.enter(key, 3)).collect();
    assert!(permits.iter().all(|entry| matches!(entry, Entry::Admitted(_))));
    assert!(matches!(inside.enter(key, 3), Entry::Full));
    assert!(matches!(inside.enter(key, 0), Entry::Full));
    assert!(matches!(inside.enter(hash.key(1, b"b"), 1), Entry::Admitted(_)));
    assert_eq!((inside.inside(key), inside.inside(hash.key(1, b"b"))), (3, 0));
    drop(permits);
    assert_eq!(inside.inside(key), 0);
    assert!(matches!(inside.enter(key, 3), Entry::Admitted(_)));
}

#[test]
fn a_table_full_of_requests_inside_says_so_and_forgets_none() {
    let (inside, hash) = (Concurrency::new(1), KeyHash::from_machine());
    let mut held = Vec::new();
    let mut uncounted = 0;
    for n in 0..2_000u64 {
        match inside.enter(hash.key(1, &n.to_le_bytes()), 1) {
            Entry::Admitted(permit) => held.push((n, permit)),
            Entry::Full => panic!("key {n} came once"),
            Entry::Uncounted => uncounted += 1,
        }
    }
    assert!(uncounted > 1_000 && inside.uncounted() == uncounted);
    assert!(held.iter().all(|(n, _)| inside.inside(hash.key(1, &n.to_le_bytes())) == 1));
    held.clear();
    assert!((0..50u64).all(|n| matches!(inside.enter(hash.key(2, &n.to_le_bytes()), 1), Entry::Admitted(_))));
}

#[test]
fn never_more_than_the_limit_inside_at_once() {
    let (inside, hash) = (Concurrency::new(8), KeyHash::from_machine());
    let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (inside, hash, now, most) = (&inside, &hash, &now, &most);
            scope.spawn(move || {
                for n in 0..20_000u64 {
                    if let Entry::Admitted(permit) = inside.enter(hash.key(1, b"hot"), 2) {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                    // Keys that take each other's places, the hot one's too.
                    drop(inside.enter(hash.key(1, &(thread << 32 | n).to_le_bytes()), 1));
                }
            });
        }
    });
    assert!(most.into_inner() <= 2);
    assert_eq!(inside.inside(hash.key(1, b"hot")), 0);
}

/// Prints what a decision costs. `cargo test --release -p tollgate-stores -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_decision() {
    let (clock, hash) = (Clock::new(), KeyHash::from_machine());
    let rounds = 5_000_000u64;
    let report = |what: &str, begun: u64| {
        let ns = (clock.now_us() - begun) * 1000 / rounds;
        eprintln!("{what}: {ns} ns");
    };
    let begun = clock.now_us();
    for n in 0..rounds {
        black_box(hash.key(1, black_box(b"192.0.2.1 and some")).tag ^ n);
    }
    report("hash of 18 bytes", begun);
    for limit in [Limit::Gcra(Gcra::new(1_000_000_000, 1_000_000, 20)), limits()[1]] {
        let table = Table::new(100_000);
        let key = hash.key(1, b"one");
        let begun = clock.now_us();
        for n in 0..rounds {
            black_box(table.decide(key, &limit, n, 1));
        }
        report(&format!("one known key, {limit:?}"), begun);
        let keys: Vec<_> = (0..100_000u64).map(|n| hash.key(1, &n.to_le_bytes())).collect();
        for key in &keys {
            table.decide(*key, &limit, 0, 1);
        }
        let begun = clock.now_us();
        for n in 0..rounds {
            black_box(table.decide(keys[(n * 7919 % 100_000) as usize], &limit, n, 1));
        }
        report("100,000 known keys in turn", begun);
        let begun = clock.now_us();
        for n in 0..rounds {
            black_box(table.decide(hash.key(2, &n.to_le_bytes()), &limit, n, 1));
        }
        report("new keys only, hash included", begun);
        let begun = clock.now_us();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..rounds).for_each(|n| _ = black_box(table.decide(key, &limit, n, 1))));
            }
        });
        report("one key by two threads at once, per decision of each", begun);
    }
    let (inside, key) = (Concurrency::new(100_000), hash.key(1, b"one"));
    let begun = clock.now_us();
    for _ in 0..rounds {
        drop(black_box(inside.enter(key, 10)));
    }
    report("in and out", begun);
}
