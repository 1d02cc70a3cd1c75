//! Weighted random.

use super::{Balancer, Pick, PickKey};
use crate::random;
use crate::upstream::Upstream;
use crate::view::View;

/// An endpoint drawn at random by weight. O(log n) in the number of usable endpoints, O(1) where all weigh
/// the same.
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl Balancer for Random {
    fn pick(&self, _: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
        let mut random = random::Random::new(key.seed);
        let untried = view.draw_avoiding(&mut random, |endpoint| key.has_tried(endpoint));
        Pick::of(untried.or_else(|| view.draw(&mut random)), view)
    }
}
