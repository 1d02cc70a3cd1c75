//! Two choices by latency.

use super::{Balancer, Busyness, Pick, PickKey};
use crate::latency::Decay;
use crate::loads::Load;
use crate::random::Random;
use crate::upstream::Upstream;
use crate::view::View;

/// Draws two endpoints at random by weight and takes the one of the smaller latency × (in flight + 1) / weight, the
/// first among equals, as Finagle and linkerd do. The latency is a peak-sensitive average: see
/// [`Decay`] for how fast it falls.
///
/// An endpoint of which nothing was heard yet counts as fast as the one that it is compared with: so a new one is
/// tried at once, gets no more at a time than the other, and there is no guess that would be wrong by a factor
/// of a hundred for some upstream. Two idle endpoints are compared by latency only: their weights were in
/// the draw, and the heavier would always win. O(log n) in the number of usable endpoints, O(1) where all weigh the
/// same.
#[derive(Clone, Copy, Debug)]
pub struct PeakEwma {
    /// How fast latencies are forgotten.
    pub decay: Decay,
}

impl Balancer for PeakEwma {
    fn pick(&self, upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
        Pick::of(choose(upstream, view, key), view)
    }

    fn wants_latency(&self) -> Option<Decay> {
        Some(self.decay)
    }
}

fn choose(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Option<u32> {
    let mut random = Random::new(key.seed);
    let Some(first) = view.draw_avoiding(&mut random, |endpoint| key.has_tried(endpoint)) else {
        return view.draw(&mut random);
    };
    let avoid = |endpoint| endpoint == first || key.has_tried(endpoint);
    let Some(second) = view.draw_avoiding(&mut random, avoid) else { return Some(first) };
    let (one, other) = (key.load(upstream, view, first)?, key.load(upstream, view, second)?);
    Some(if is_better(&other, &one) { second } else { first })
}

/// Whether an endpoint is a better choice than the one that was drawn before it.
fn is_better(one: &Load, other: &Load) -> bool {
    let (latency, other_latency) = match (one.latency_us, other.latency_us) {
        (0, 0) => (1, 1),
        (0, known) | (known, 0) => (known, known),
        both => both,
    };
    let (busy, other_busy) = (Busyness::of(one), Busyness::of(other));
    if busy.is_idle() && other_busy.is_idle() {
        return latency < other_latency;
    }
    let cost = |latency: u32, busy: Busyness, other: Busyness| {
        u128::from(latency) * u128::from(busy.with_this) * u128::from(other.weight)
    };
    cost(latency, busy, other_busy) < cost(other_latency, other_busy, busy)
}

#[cfg(test)]
mod tests {
    use super::is_better;
    use crate::loads::Load;

    fn load(latency_us: u32, in_flight: u32, weight: u32) -> Load {
        Load { endpoint: 0, in_flight, weight, full: false, latency_us }
    }

    #[test]
    fn the_smaller_cost_wins_and_the_unknown_is_as_good_as_the_other() {
        assert!(is_better(&load(100, 5, 1), &load(1000, 0, 1)), "six times 100 is less than 1000");
        assert!(!is_better(&load(100, 9, 1), &load(1000, 0, 1)), "equals keep the first");
        assert!(is_better(&load(100, 9, 2), &load(1000, 0, 1)), "weights count under load");
        assert!(!is_better(&load(100, 0, 9), &load(100, 0, 1)), "and not while both are idle");
        for known in [1, 1000, u32::MAX] {
            assert!(is_better(&load(0, 0, 1), &load(known, 1, 1)));
            assert!(!is_better(&load(0, 1, 1), &load(known, 1, 1)), "no flood to who has not answered");
            assert!(!is_better(&load(known, 2, 1), &load(0, 2, 1)));
        }
        assert!(!is_better(&load(u32::MAX, u32::MAX, u32::MAX), &load(u32::MAX, u32::MAX, u32::MAX)));
    }
}
