//! Consistent hashing with Google's Maglev table.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::hashed::{self, BoundedLoad};
use super::{Balancer, Pick, PickKey};
use crate::key_hash::numbered_hash;
use crate::tables::{Seat, Table};
use crate::upstream::Upstream;
use crate::view::View;

/// How many places there are at least for an endpoint of average weight: shares are then even to 1 %
/// (Eisenbud and others 2016, section 5.3).
const PLACES: u64 = 100;
/// The largest table: 2^26 places, 256 MiB.
const LARGEST: u64 = 1 << 26;
/// Nobody.
const FREE: u32 = u32::MAX;

/// Endpoints fill a table of a prime number of places in turns, each in an order of its own (Eisenbud and others
/// 2016). Shares are as even as weights and the table's size allow, much more so than on a ring of the same
/// size. When an endpoint comes or goes for good, its keys move and a few per cent of the others'; when it is only
/// unusable for a while, only its own do, since the table stays and its places are stepped over.
///
/// O(1), 4 bytes a place. The table is the prime at or above the size of the document, or above 100 places for each endpoint if
/// that is more.
#[derive(Clone, Copy, Debug)]
pub struct Maglev {
    /// How many places there are at least.
    pub size: u32,
    /// How much busier than the average an endpoint may be.
    pub bounded_load: Option<BoundedLoad>,
}

impl Balancer for Maglev {
    fn pick(&self, upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
        hashed::pick(self, self.bounded_load, upstream, view, key)
    }

    fn uses_key(&self) -> bool {
        true
    }

    fn bounds_load(&self) -> bool {
        self.bounded_load.is_some()
    }

    fn uses_table(&self) -> bool {
        true
    }

    fn table(&self, seats: &[Seat]) -> Option<Table> {
        let wanted = u64::from(self.size).max(PLACES * seats.len() as u64).min(LARGEST);
        Some(Table::even(fill(seats, prime_from(wanted))))
    }
}

/// The next place that an endpoint would like to have, and the way to the one after it.
struct Wish {
    next: u64,
    skip: u64,
}

/// Fills a table of so many places. The heaviest have a turn in each round, the others in their share of them; within
/// a round turns go by identity.
fn fill(seats: &[Seat], size: u64) -> Vec<u32> {
    let Some(heaviest) = seats.iter().map(|seat| u64::from(seat.weight)).max() else { return Vec::new() };
    let wish = |seat: &Seat| {
        let identity = seat.identity.to_le_bytes();
        let (offset, skip) = (numbered_hash(&identity, 1), numbered_hash(&identity, 2));
        Wish { next: offset % size, skip: skip % (size - 1) + 1 }
    };
    let mut wishes: Vec<Wish> = seats.iter().map(wish).collect();
    let round_of = |turn: u64, seat: &Seat| (turn * heaviest).div_ceil(u64::from(seat.weight));
    // Who is next, by round and identity; and which of its turns that is.
    let turns = seats.iter().enumerate().map(|(at, seat)| Reverse((round_of(1, seat), at, 1)));
    let mut turns: BinaryHeap<Reverse<(u64, usize, u64)>> = turns.collect();
    let mut owners = vec![FREE; size as usize];
    for _ in 0..size {
        let Some(mut next) = turns.peek_mut() else { break };
        let Reverse((_, at, turn)) = *next;
        *next = Reverse((round_of(turn + 1, &seats[at]), at, turn + 1));
        let wish = &mut wishes[at];
        // An order of wishes has all places, as the size is a prime: one is free while any is left.
        while owners[wish.next as usize] != FREE {
            wish.step(size);
        }
        owners[wish.next as usize] = seats[at].endpoint;
        wish.step(size);
    }
    owners
}

impl Wish {
    fn step(&mut self, size: u64) {
        self.next += self.skip;
        if self.next >= size {
            self.next -= size;
        }
    }
}

/// The smallest prime that is not below this number.
fn prime_from(number: u64) -> u64 {
    let is_prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (number.max(3)..).find(is_prime).unwrap_or(65_537)
}

#[cfg(test)]
mod tests {
    use super::{Maglev, fill, prime_from};
    use crate::balancers::Balancer;
    use crate::random::Random;
    use crate::tables::Seat;

    fn seats(seed: u64, weights: &[u32]) -> Vec<Seat> {
        let mut random = Random::new(seed);
        let seat =
            |(index, weight): (u32, &u32)| Seat { identity: random.next(), weight: *weight, endpoint: index };
        let mut seats: Vec<Seat> = (0..).zip(weights).map(seat).collect();
        seats.sort_unstable();
        seats
    }

    #[test]
    fn sizes_are_primes_and_large_enough() {
        assert_eq!(
            [0, 3, 4, 65_536, 65_537, 1_000_000].map(prime_from),
            [3, 3, 5, 65_537, 65_537, 1_000_003]
        );
        let maglev = Maglev { size: 1000, bounded_load: None };
        assert_eq!(maglev.table(&seats(1, &[1; 5])).unwrap().len(), 1009);
        assert_eq!(maglev.table(&seats(1, &[1; 20])).unwrap().len(), 2003);
        assert!(maglev.table(&[]).unwrap().is_empty());
    }

    /// Whatever the weights, the table is full, and the shares of places are off by two turns at most.
    #[test]
    fn places_are_shared_by_weight() {
        for seed in 0..100 {
            let mut random = Random::new(seed);
            let bits = random.below(16);
            let most = 1 + random.below(1 << bits);
            let weights: Vec<u32> =
                (0..1 + random.below(30)).map(|_| 1 + random.below(most) as u32).collect();
            let owners = fill(&seats(seed, &weights), 5003);
            let total: u32 = weights.iter().sum();
            for (index, weight) in (0..).zip(&weights) {
                let places = owners.iter().filter(|owner| **owner == index).count() as f64;
                let ideal = 5003.0 * f64::from(*weight) / f64::from(total);
                assert!((places - ideal).abs() <= 2.0, "seed {seed}: {places} of {ideal} in {weights:?}");
            }
        }
    }

    /// What the page of upstreams promises: besides the keys of the endpoint itself, few move.
    #[test]
    fn one_that_goes_for_good_takes_few_keys_of_others_along() {
        for seed in 0..30 {
            let count = 2 + Random::new(seed).below(30) as usize;
            let all = seats(seed, &vec![1; count]);
            let gone = all[seed as usize % count];
            let less: Vec<Seat> = all.iter().copied().filter(|seat| *seat != gone).collect();
            let (before, after) = (fill(&all, 65_537), fill(&less, 65_537));
            let moved = before.iter().zip(&after).filter(|(b, a)| **b != gone.endpoint && b != a).count();
            let share = moved as f64 / before.len() as f64;
            assert!(share < 0.05, "seed {seed}: {share} of all keys, {count} endpoints");
        }
    }
}
