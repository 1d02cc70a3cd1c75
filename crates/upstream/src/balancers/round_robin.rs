//! Smooth weighted round robin.

use super::{Balancer, Pick, PickKey};
use crate::upstream::Upstream;
use crate::view::View;

/// Endpoints take turns as the view's schedule says. O(1); stepping over endpoints already tried costs a
/// step each.
#[derive(Clone, Copy, Debug)]
pub struct RoundRobin;

impl Balancer for RoundRobin {
    fn pick(&self, _: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
        Pick::of(turn(view, key), view)
    }
}

/// Whose turn it is: the next in the schedule that was not tried, or plainly the next if all were.
pub(super) fn turn(view: &View, key: &PickKey<'_>) -> Option<u32> {
    let schedule = view.schedule();
    let start = key.turn.checked_rem(schedule.len() as u64)? as usize;
    let next = schedule[start];
    if !key.has_tried(next) {
        return Some(next);
    }
    let (before, from) = schedule.split_at(start);
    let untried = from.iter().chain(before).copied().find(|endpoint| !key.has_tried(*endpoint));
    Some(untried.unwrap_or(next))
}
