//! What a caller that sends fifty times as much as the others costs them, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ticket;
use crate::admission::queue::Queue;
use crate::admission::settings::{Class, QueueSettings};
use crate::random::Random;

const QUIET: usize = 10;
const NOISY: usize = QUIET;
/// Places at the upstream, and how long an exchange takes: 1000 a second.
const PLACES: u32 = 10;
const SERVICE_US: u64 = 10_000;
/// What a quiet caller sends: 50 a second. The noisy one sends 2500.
const QUIET_EVERY_US: u64 = 20_000;
const FOR_US: u64 = 20_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ends,
    Comes(usize),
}

/// How many exchanges of each caller were served. `key` is what callers are told apart by.
fn served(noisy: bool, key: impl Fn(usize) -> u64, settings: QueueSettings, seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    let mut queue: Queue<usize> = Queue::new(settings);
    let (mut served, mut busy) = (vec![0; QUIET + 1], 0);
    let mut events = BinaryHeap::new();
    (0..QUIET + usize::from(noisy)).for_each(|caller| events.push(Reverse((0, Event::Comes(caller)))));
    while let Some(Reverse((now_us, event))) = events.pop().filter(|event| event.0.0 < FOR_US) {
        match event {
            Event::Ends => {
                busy -= 1;
                while let Some(left) = queue.pop(now_us) {
                    let Some(caller) = queue.collect(left.token) else { continue };
                    if left.why.is_none() {
                        busy += 1;
                        served[caller] += 1;
                        events.push(Reverse((now_us + SERVICE_US, Event::Ends)));
                        break;
                    }
                }
            }
            Event::Comes(caller) => {
                let every_us = if caller == NOISY { QUIET_EVERY_US / 50 } else { QUIET_EVERY_US };
                // Between nothing and twice the usual.
                let next_us = now_us + 1 + random.below(2 * every_us);
                events.push(Reverse((next_us, Event::Comes(caller))));
                if busy < PLACES && queue.is_empty() {
                    busy += 1;
                    served[caller] += 1;
                    events.push(Reverse((now_us + SERVICE_US, Event::Ends)));
                } else if let Ok((_, Some(out))) =
                    queue.push(&ticket(Class::Normal, key(caller)), now_us, caller)
                {
                    queue.collect(out.token);
                }
            }
        }
    }
    served
}

/// What the quiet callers keep of their throughput beside the noisy one, the worst of them.
fn kept(key: impl Fn(usize) -> u64 + Copy, settings: QueueSettings, seed: u64) -> f64 {
    let (alone, beside) = (served(false, key, settings, seed), served(true, key, settings, seed));
    let share = |caller: usize| beside[caller] as f64 / alone[caller] as f64;
    (0..QUIET).map(share).fold(f64::INFINITY, f64::min)
}

#[test]
fn a_noisy_caller_costs_the_others_less_than_a_tenth_with_turns_and_most_of_it_without() {
    let plain = QueueSettings { length: 200, timeout_ms: 1000, ..QueueSettings::default() };
    let shedding = QueueSettings { target_ms: Some(5), ..plain };
    for seed in 0..10 {
        for settings in [plain, shedding] {
            let by_key = kept(|caller| 1 + caller as u64, settings, seed);
            assert!(by_key > 0.9, "seed {seed}, {settings:?}: {by_key}");
        }
        let in_one_line = kept(|_| 0, plain, seed);
        assert!(in_one_line < 0.5, "seed {seed}: {in_one_line}");
    }
}

#[test]
fn nothing_is_lost_by_turns_all_places_stay_busy() {
    let settings = QueueSettings { length: 200, timeout_ms: 1000, ..QueueSettings::default() };
    for seed in 0..10 {
        let all: u64 = served(true, |caller| 1 + caller as u64, settings, seed).iter().sum();
        assert!(
            all as f64 > 0.99 * FOR_US as f64 / SERVICE_US as f64 * f64::from(PLACES),
            "seed {seed}: {all}"
        );
    }
}
