//! The power of two choices.

use super::{Balancer, Pick, PickKey, busyness};
use crate::random::Random;
use crate::upstream::Upstream;
use crate::view::View;

/// Draws one endpoint at random by weight and takes it if it is idle; else draws a second one and takes the
/// one with the smaller (in flight + 1) / weight, the first among equals.
///
/// Nearly as even as looking at all endpoints (Mitzenmacher 2001), and many workers that look at the same
/// counts do not all run to the same endpoint. Taking an idle one at once keeps the shares by weight in a
/// quiet upstream, where the heavier of two would always win. O(log n) in the number of usable endpoints,
/// O(1) where all weigh the same.
#[derive(Clone, Copy, Debug)]
pub struct TwoChoices;

impl Balancer for TwoChoices {
    fn pick(&self, upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
        Pick::of(choose(upstream, view, key), view)
    }
}

fn choose(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Option<u32> {
    let mut random = Random::new(key.seed);
    let Some(first) = view.draw_avoiding(&mut random, |endpoint| key.has_tried(endpoint)) else {
        return view.draw(&mut random);
    };
    let busy = busyness(upstream, view, first, key)?;
    if busy.is_idle() {
        return Some(first);
    }
    let avoid = |endpoint| endpoint == first || key.has_tried(endpoint);
    let second = view.draw_avoiding(&mut random, avoid);
    let other = second.and_then(|endpoint| busyness(upstream, view, endpoint, key));
    if other.is_some_and(|other| other.is_below(busy)) { second } else { Some(first) }
}
