//! What the hash balancers share: walking their table, and bounding loads on the way.

use super::{Balancer, Busyness, Pick, PickKey, busyness};
use crate::random::Random;
use crate::tables::Table;
use crate::upstream::Upstream;
use crate::view::View;

/// How many places are looked at before a pick is made in another way. Where half of an upstream is not to be
/// had, one walk of 2^64 ends here.
const STEPS: usize = 64;
/// How many endpoints are looked at for one that has room, where the walk has found none.
const SCANNED: usize = 1024;

/// How busy an endpoint may be, in per cent of the average for its weight, before its keys go to the next one
/// (Mirrokni, Thorup, Zadimoghaddam 2016).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedLoad {
    percent: u32,
}

impl BoundedLoad {
    /// The least that can be asked for: closer to the average, too many endpoints would be full at any time.
    pub const LEAST_PERCENT: u32 = 110;

    /// From a percentage; one below [`BoundedLoad::LEAST_PERCENT`] counts as that.
    pub fn from_percent(percent: u32) -> Self {
        Self { percent: percent.max(Self::LEAST_PERCENT) }
    }

    /// Whether one exchange more at an endpoint keeps it within the bound. Rounded up, so that there is always room
    /// for one at an idle endpoint, and at some endpoint of those with all the load.
    fn has_room(self, busy: Busyness, total: u64, weights: u64) -> bool {
        let (percent, all) = (u128::from(self.percent), u128::from(total) + 1);
        let most = (percent * all * u128::from(busy.weight)).div_ceil(100 * u128::from(weights.max(1)));
        u128::from(busy.with_this) <= most
    }
}

/// Picks for a key's hash, or for the exchange's seed where it has none: the first from the hash's place on who is
/// usable, untried, and within the bound.
pub(super) fn pick(
    balancer: &dyn Balancer,
    bound: Option<BoundedLoad>,
    upstream: &Upstream,
    view: &View,
    key: &PickKey<'_>,
) -> Pick {
    // Keys are hashed well; seeds are random. One round more costs nothing and makes other sources good too.
    let hash = Random::new(key.hash.unwrap_or(key.seed)).next();
    let picked = view.with_table(balancer, |table| match bound {
        None => nearest(table, view, key, hash),
        Some(bound) => within(bound, table, upstream, view, key, hash),
    });
    // A view that was never refreshed has no table, and no members either.
    Pick::of(picked.flatten(), view)
}

fn nearest(table: &Table, view: &View, key: &PickKey<'_>, hash: u64) -> Option<u32> {
    let mut walk = table.walk(hash).take(STEPS);
    walk.find(|owner| is_free(view, key, *owner)).or_else(|| anybody(view, key, hash))
}

fn is_free(view: &View, key: &PickKey<'_>, endpoint: u32) -> bool {
    view.holds(endpoint) && !key.has_tried(endpoint)
}

/// Where nearly nobody on the way can be had: one drawn by the hash, so that a key still stays where it is for as
/// long as the same endpoints are usable.
fn anybody(view: &View, key: &PickKey<'_>, hash: u64) -> Option<u32> {
    let mut random = Random::new(hash);
    let untried = view.draw_avoiding(&mut random, |endpoint| key.has_tried(endpoint));
    untried.or_else(|| view.draw(&mut random))
}

/// As [`nearest`], but past endpoints that are too busy. Nobody else has room only where all are at their bound,
/// which cannot be while the average is theirs; in an upstream of more than 1,024 endpoints, also where none of the
/// 1,024 that are looked at in the end has. Then it is the least busy of those.
fn within(
    bound: BoundedLoad,
    table: &Table,
    upstream: &Upstream,
    view: &View,
    key: &PickKey<'_>,
    hash: u64,
) -> Option<u32> {
    let (total, weights) = (key.in_flight(upstream), view.total_weight());
    let mut last = None;
    for owner in table.walk(hash).take(STEPS) {
        // Places of one endpoint that follow each other are one.
        if last == Some(owner) || !is_free(view, key, owner) {
            continue;
        }
        last = Some(owner);
        let Some(busy) = busyness(upstream, view, owner, key) else { continue };
        if bound.has_room(busy, total, weights) {
            return Some(owner);
        }
    }
    let members = view.members();
    let start = Random::new(hash).below(members.len() as u64) as usize;
    let (before, from) = members.split_at(start);
    let mut least: Option<(u32, Busyness)> = None;
    for &endpoint in from.iter().chain(before).filter(|member| is_free(view, key, **member)).take(SCANNED) {
        let Some(busy) = busyness(upstream, view, endpoint, key) else { continue };
        if bound.has_room(busy, total, weights) {
            return Some(endpoint);
        }
        if least.is_none_or(|(_, other)| busy.is_below(other)) {
            least = Some((endpoint, busy));
        }
    }
    least.map(|(endpoint, _)| endpoint).or_else(|| anybody(view, key, hash))
}

#[cfg(test)]
mod tests;
