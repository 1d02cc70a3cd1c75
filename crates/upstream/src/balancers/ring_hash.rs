//! Consistent hashing on a ring.

use super::hashed::{self, BoundedLoad};
use super::{Balancer, Pick, PickKey};
use crate::key_hash::numbered_hash;
use crate::tables::{Seat, Table};
use crate::upstream::Upstream;
use crate::view::View;

/// How many points an endpoint of average weight gets at least, and less than twice as many: shares are then even to about 5 %.
const POINTS: u64 = 512;
/// Rings of more points than this give each endpoint fewer, down to [`FEWEST_POINTS`].
const LARGE: u64 = 1 << 20;
/// Even to about 12 %.
const FEWEST_POINTS: u64 = 64;

/// Each endpoint has points on a ring of 2^32, as many as its weight says, and the keys up to each (Karger and
/// others 1997, as in ketama). When an endpoint goes, its keys go to those behind its points; all others stay.
///
/// Where an endpoint's points lie depends on its name, address and the point's number only, and how many it has
/// on its weight and a scale for the whole ring, which is a power of two: so that only keys of the endpoint
/// that comes or goes move, unless the scale changes with it, which it does when the average weight or the number
/// of endpoints has about doubled or halved. O(1) with a table of 10 to 12 bytes a point.
#[derive(Clone, Copy, Debug)]
pub struct RingHash {
    /// How many points there are at least.
    pub min_size: u32,
    /// How many points there are at most; but each endpoint has one.
    pub max_size: u32,
    /// How much busier than the average an endpoint may be.
    pub bounded_load: Option<BoundedLoad>,
}

impl Balancer for RingHash {
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
        let scale = self.scale(seats);
        let points = seats.iter().flat_map(|seat| {
            let identity = seat.identity.to_le_bytes();
            (0..points_of(seat.weight, scale))
                .map(move |number| (numbered_hash(&identity, number), seat.endpoint))
        });
        Some(Table::ring(points.collect()))
    }
}

impl RingHash {
    /// How many points, in powers of two, a weight of 1 is worth.
    fn scale(&self, seats: &[Seat]) -> i32 {
        let (count, total) = (seats.len().max(1) as u64, weight_of(seats).max(1));
        let wanted = (LARGE / count).clamp(FEWEST_POINTS, POINTS) * count;
        // The next power of two: up to twice as many as wanted. Two endpoints then have the smallest ring's size, or
        // the scale of a usual one would change with how few there are.
        let mut scale = (wanted as f64 / total as f64).log2().ceil() as i32;
        let size = |scale: i32| seats.iter().map(|seat| points_of(seat.weight, scale)).sum::<u64>();
        while size(scale) < u64::from(self.min_size) && scale < 31 && !seats.is_empty() {
            scale += 1;
        }
        while size(scale) > u64::from(self.max_size) && scale > -32 {
            scale -= 1;
        }
        scale
    }
}

fn weight_of(seats: &[Seat]) -> u64 {
    seats.iter().map(|seat| u64::from(seat.weight)).sum()
}

/// How many points a weight has at this scale: at least one, else the nearest number.
fn points_of(weight: u32, scale: i32) -> u64 {
    let weight = u64::from(weight);
    let points = match scale {
        0.. => weight << scale,
        _ => ((weight << 1) >> -scale).div_ceil(2),
    };
    points.max(1)
}

#[cfg(test)]
mod tests {
    use super::{RingHash, points_of};
    use crate::balancers::Balancer;
    use crate::random::Random;
    use crate::tables::Seat;

    fn seats(weights: impl Iterator<Item = u32>) -> Vec<Seat> {
        let seat = |(index, weight): (u32, u32)| Seat { identity: index.into(), weight, endpoint: index };
        (0..).zip(weights).map(seat).collect()
    }

    const RING: RingHash = RingHash { min_size: 1024, max_size: 8 << 20, bounded_load: None };

    #[test]
    fn sizes_stay_within_their_bounds() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let bits = random.below(17);
            let most = 1 + random.below(1 << bits) as u32;
            let weights: Vec<u32> =
                (0..1 + random.below(50)).map(|_| 1 + random.below(u64::from(most)) as u32).collect();
            let ring = RING.table(&seats(weights.iter().copied())).unwrap();
            assert!((1024..=1 << 17).contains(&ring.len()), "seed {seed}: {} for {weights:?}", ring.len());
            let small = RingHash { min_size: 1, max_size: 100, bounded_load: None };
            assert!(small.table(&seats(weights.into_iter())).unwrap().len() <= 100, "seed {seed}");
        }
        let scale = |count: usize| RING.scale(&seats(std::iter::repeat_n(1, count)));
        assert_eq!([2, 3, 10, 2048, 4096, 16_384, 100_000].map(scale), [9, 9, 9, 9, 8, 6, 6]);
        assert!(RING.table(&[]).unwrap().is_empty());
    }

    #[test]
    fn points_are_the_nearest_number() {
        assert_eq!([1, 2, 3, 5, 6, 7, 100].map(|weight| points_of(weight, -2)), [1, 1, 1, 1, 2, 2, 25]);
        assert_eq!(points_of(u32::MAX, 31), u64::from(u32::MAX) << 31);
        assert_eq!(points_of(u32::MAX, -32), 1);
    }
}
