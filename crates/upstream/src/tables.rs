//! Tables in which hash balancers look endpoints up: made once for all workers, and again only when the endpoints
//! with weight or their weights change. Health changes none: who is not usable is stepped over.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::balancers::Balancer;
use crate::endpoint::Endpoint;
use crate::key_hash::numbered_hash;

/// An endpoint as a table is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// Who it is, whatever its index: a hash of its name and address. Never the same for two seats.
    pub identity: u64,
    /// Its weight, above 0.
    pub weight: u32,
    /// Its index in the upstream.
    pub endpoint: u32,
}

/// The endpoints with weight of an upstream, ordered by identity.
pub type Seats = Arc<[Seat]>;

/// The bits of an endpoint under those of its point.
const LOWER: u64 = u32::MAX as u64;

/// Endpoints in the order in which keys meet them: a key begins at some place, and goes on from there for as long
/// as who stands there cannot be had, around the end. A function of its seats and its balancer's settings, so
/// that it is the same wherever it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Table(Places);

#[derive(Clone, PartialEq, Eq)]
enum Places {
    /// All are equally long. Who stands at each.
    Even(Box<[u32]>),
    Ring {
        /// Where each place lies on a ring of 2^32, ascending, above who stands there: one fetch for both.
        points: Box<[u64]>,
        /// The first place at or behind the beginning of each part of the ring, so that a look-up is no search.
        starts: Box<[u32]>,
    },
}

impl Table {
    /// A table of equally long places.
    pub(crate) fn even(owners: Vec<u32>) -> Self {
        Self(Places::Even(owners.into()))
    }

    /// A ring: each of these endpoints owns the stretch up to its point.
    pub(crate) fn ring(mut points: Vec<(u64, u32)>) -> Self {
        // By all bits, so that those that share the upper half are in the same order wherever they are sorted.
        points.sort_unstable();
        let points: Box<[u64]> =
            points.iter().map(|(point, owner)| (point & !LOWER) | u64::from(*owner)).collect();
        // As many parts as there are points, about, so that a part has one or two of them.
        let bits = points.len().clamp(2, 1 << 31).ilog2();
        let mut starts = Vec::with_capacity(1 << bits);
        for part in 0..1u64 << bits {
            let from = starts.last().map_or(0, |start: &u32| *start as usize);
            let before = points[from..].iter().take_while(|point| **point < part << (64 - bits)).count();
            starts.push((from + before) as u32);
        }
        Self(Places::Ring { points, starts: starts.into() })
    }

    /// How many places it has.
    pub fn len(&self) -> usize {
        match &self.0 {
            Places::Even(owners) => owners.len(),
            Places::Ring { points, .. } => points.len(),
        }
    }

    /// Whether it has none: then there was no endpoint with weight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Places::Even(owners) => size_of_val(&**owners),
            Places::Ring { points, starts } => size_of_val(&**points) + size_of_val(&**starts),
        }
    }

    /// Everybody from a hash's place on, once around; places of one endpoint may follow each other.
    #[inline]
    pub(crate) fn walk(&self, hash: u64) -> impl Iterator<Item = u32> {
        let (first, len) = (self.place(hash), self.len());
        (first..len).chain(0..first).map(|place| match &self.0 {
            Places::Even(owners) => owners[place],
            Places::Ring { points, .. } => points[place] as u32,
        })
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        let (points, starts) = match &self.0 {
            Places::Even(owners) => {
                return ((u128::from(hash) * owners.len() as u128) >> 64) as usize;
            }
            Places::Ring { points, starts } => (points, starts),
        };
        let part = (hash >> (64 - starts.len().trailing_zeros())) as usize;
        let start = starts[part] as usize;
        let behind = points[start..].iter().take_while(|point| **point < hash & !LOWER).count();
        // Behind the last point the ring begins again.
        if start + behind == points.len() { 0 } else { start + behind }
    }
}

/// Without the places, of which there may be a million.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("places", &self.len()).finish_non_exhaustive()
    }
}

/// The latest table of an upstream. Locked when a view is rebuilt or weights change, never for a pick.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<Option<(Seats, Arc<Table>)>>);

impl Tables {
    /// The table for the endpoints as they are now, made where it is not there; `None` where the balancer needs
    /// none. Whoever comes while it is being made waits for it, and does not make another.
    pub(crate) fn current<'e>(
        &self,
        balancer: &dyn Balancer,
        endpoints: impl Iterator<Item = (u32, &'e Endpoint)>,
    ) -> Option<(Seats, Arc<Table>)> {
        if !balancer.uses_table() {
            return None;
        }
        let seats = seats(endpoints);
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, table)) = &*latest
            && **of == *seats
        {
            return Some((Arc::clone(of), Arc::clone(table)));
        }
        let table = Arc::new(balancer.table(&seats)?);
        let seats: Seats = seats.into();
        *latest = Some((Arc::clone(&seats), Arc::clone(&table)));
        Some((seats, table))
    }
}

fn seats<'e>(endpoints: impl Iterator<Item = (u32, &'e Endpoint)>) -> Vec<Seat> {
    let mut seats: Vec<Seat> = endpoints
        .map(|(endpoint, known)| Seat {
            identity: identity(known.name(), known.address()),
            weight: known.weight(),
            endpoint,
        })
        .filter(|seat| seat.weight > 0)
        .collect();
    seats.sort_unstable();
    // An address that stands twice is two endpoints, the heavier one second.
    for at in 1..seats.len() {
        if seats[at].identity <= seats[at - 1].identity {
            seats[at].identity = seats[at - 1].identity.saturating_add(1);
        }
    }
    seats
}

/// Who an endpoint is, wherever it is.
pub(crate) fn identity(name: &str, address: SocketAddr) -> u64 {
    let number = match address {
        SocketAddr::V4(v4) => u64::from(v4.ip().to_bits()),
        SocketAddr::V6(v6) => numbered_hash(&v6.ip().octets(), 6),
    };
    numbered_hash(name.as_bytes(), number ^ u64::from(address.port()).rotate_left(40))
}

#[cfg(test)]
mod tests {
    use super::{Seat, Table, Tables, seats};
    use crate::balancers::{BalancerSettings, balancer};
    use crate::endpoint::Endpoint;
    use crate::random::Random;

    #[test]
    fn a_ring_finds_what_a_search_finds() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let shift = random.below(60);
            let count = 1 + random.below(400) as usize;
            let points: Vec<(u64, u32)> = (0..count as u32).map(|o| (random.next() >> shift, o)).collect();
            let ring = Table::ring(points.clone());
            let mut sorted = points;
            sorted.sort_unstable();
            for hash in (0..200).map(|_| random.next() >> shift).chain([0, u64::MAX, sorted[0].0]) {
                let is_behind = |(point, _): &&(u64, u32)| point >> 32 >= hash >> 32;
                let first = sorted.iter().find(is_behind).unwrap_or(&sorted[0]);
                assert_eq!(ring.walk(hash).next(), Some(first.1), "seed {seed}");
                assert_eq!(ring.walk(hash).count(), count, "seed {seed}");
            }
        }
    }

    fn endpoint(address: &str, weight: u32) -> Endpoint {
        Endpoint::new(address, address.parse().unwrap(), weight)
    }

    #[test]
    fn seats_know_endpoints_by_name_and_address_only() {
        let (a, b, none) =
            (endpoint("192.0.2.1:80", 2), endpoint("[2001:db8::1]:80", 3), endpoint("192.0.2.9:1", 0));
        let there = seats([(0, &a), (1, &b), (2, &none)].into_iter());
        let back = seats([(7, &none), (1, &a), (0, &b)].into_iter());
        let bare = |seats: &[Seat]| seats.iter().map(|s| (s.identity, s.weight)).collect::<Vec<_>>();
        assert_eq!(bare(&there), bare(&back));
        assert_eq!(there.len(), 2);
        let twice = seats([(0, &a), (1, &a)].into_iter());
        assert_ne!(twice[0].identity, twice[1].identity);
    }

    #[test]
    fn a_table_is_made_once_for_the_same_endpoints() {
        for name in ["ring_hash", "maglev"] {
            let balancer = (balancer(name).unwrap().make)(&BalancerSettings::default());
            let tables = Tables::default();
            let (a, b) = (endpoint("192.0.2.1:80", 1), endpoint("192.0.2.2:80", 1));
            let (_, first) = tables.current(&*balancer, [(0, &a), (1, &b)].into_iter()).unwrap();
            let (_, same) = tables.current(&*balancer, [(0, &a), (1, &b)].into_iter()).unwrap();
            assert!(std::sync::Arc::ptr_eq(&first, &same));
            b.set_weight(Some(2));
            let (seats, other) = tables.current(&*balancer, [(0, &a), (1, &b)].into_iter()).unwrap();
            assert_ne!(first, other);
            assert_eq!(balancer.table(&seats), Some((*other).clone()), "a function of its seats");
        }
        let plain = (balancer("random").unwrap().make)(&BalancerSettings::default());
        assert!(
            Tables::default().current(&*plain, [(0, &endpoint("192.0.2.1:80", 1))].into_iter()).is_none()
        );
    }
}
