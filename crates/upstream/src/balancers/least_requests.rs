//! The endpoint with the fewest requests in flight.

use super::{Balancer, Busyness, Pick, PickKey, busyness, round_robin};
use crate::upstream::Upstream;
use crate::view::View;

/// Up to how many endpoints all are looked at.
const FEW: usize = 32;
/// How many of more are.
const LOOKED_AT: usize = 16;

/// The endpoint whose turn it is (as in round robin), if it is idle; else the one with the fewest requests
/// for its weight, this one counted in: (in flight + 1) / weight. The first from the turn on among equals.
///
/// The turn comes first because otherwise, in a quiet upstream where all are idle, the heaviest would get
/// everything: so each gets its share by weight.
///
/// All endpoints are looked at where there are up to 32. With more it is the least of 16: those that have the next
/// turns, so that heavy ones are looked at as often as they should be picked, and none is left out for long. To
/// look at all would cost microseconds from some hundreds on, nearly all of it in fetching counters that other
/// workers write, and buys next to nothing: with the least of two the busiest endpoint is already within a few
/// requests of the average, with 16 within one or two (ln ln n / ln 16 for n endpoints; Azar and others 1999). And all
/// workers would run to the same endpoint at the same moment. O(1).
#[derive(Clone, Copy, Debug)]
pub struct LeastRequests;

impl Balancer for LeastRequests {
    fn pick(&self, upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
        let next = round_robin::turn(view, key);
        let Some((first, busy)) = next.and_then(|first| Some((first, busyness(upstream, view, first, key)?)))
        else {
            return Pick::of(next, view);
        };
        if busy.is_idle() {
            return Pick::Endpoint(first);
        }
        let (turns, count) = match view.members() {
            all if all.len() <= FEW => (all, all.len()),
            _ => (view.schedule(), LOOKED_AT),
        };
        Pick::Endpoint(least((upstream, view), turns, count, key, (first, busy)))
    }
}

/// The least busy of so many that have the next turns, and of the one whose turn it is.
fn least(
    (upstream, view): (&Upstream, &View),
    turns: &[u32],
    count: usize,
    key: &PickKey<'_>,
    first: (u32, Busyness),
) -> u32 {
    let start = key.turn.checked_rem(turns.len() as u64).unwrap_or(0) as usize;
    let (before, from) = turns.split_at(start);
    let turns = from.iter().chain(before).take(count);
    let (least, _) = turns.fold(first, |least, &endpoint| {
        if endpoint == first.0 || key.has_tried(endpoint) {
            return least;
        }
        match busyness(upstream, view, endpoint, key) {
            Some(busy) if busy.is_below(least.1) => (endpoint, busy),
            _ => least,
        }
    });
    least
}
