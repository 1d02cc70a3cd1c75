//! The endpoint with the fewest requests in flight.

use super::{Balancer, Pick, PickKey, busyness, round_robin};
use crate::upstream::Upstream;
use crate::view::View;

/// The endpoint whose turn it is (as in round robin), if it is idle; else the one with the fewest requests
/// for its weight, this one counted in: (in flight + 1) / weight. The first from the turn on among equals.
///
/// The turn comes first because otherwise, in a quiet upstream where all are idle, the heaviest would get
/// everything: so each gets its share by weight. O(1) while quiet, else O(n) in the number of usable
/// endpoints.
#[derive(Clone, Copy, Debug)]
pub struct LeastRequests;

impl Balancer for LeastRequests {
    fn pick(&self, upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
        let next = round_robin::turn(view, key);
        let busy = next.and_then(|endpoint| busyness(upstream, view, endpoint, key));
        let idle = busy.is_some_and(|busy| busy.is_idle());
        let least = if idle { None } else { least(upstream, view, key) };
        // None is left over only where all were tried: then it is whose turn it is.
        Pick::of(least.or(next), view)
    }
}

fn least(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Option<u32> {
    let members = view.members();
    let start = key.turn.checked_rem(members.len() as u64)? as usize;
    let (before, from) = members.split_at(start);
    let mut least = None;
    for &endpoint in from.iter().chain(before) {
        if key.has_tried(endpoint) {
            continue;
        }
        let busy = busyness(upstream, view, endpoint, key)?;
        if least.is_none_or(|(_, other)| busy.is_below(other)) {
            least = Some((endpoint, busy));
        }
    }
    least.map(|(endpoint, _)| endpoint)
}
