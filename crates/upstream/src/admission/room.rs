//! Picking among endpoints of which some are full.

use crate::balancers::{Pick, PickKey};
use crate::upstream::Upstream;
use crate::view::{Vacancy, View};

/// Endpoints that a pick must pass over, by index.
#[derive(Debug)]
struct Full {
    /// Enough for most upstreams without allocating.
    few: [u64; 8],
    many: Vec<u64>,
}

impl Full {
    fn new(endpoints: usize) -> Self {
        let words = endpoints.div_ceil(64);
        Self { few: [0; 8], many: if words > 8 { vec![0; words] } else { Vec::new() } }
    }

    fn words(&mut self) -> &mut [u64] {
        if self.many.is_empty() { &mut self.few } else { &mut self.many }
    }

    fn add(&mut self, endpoint: u32) {
        self.words()[endpoint as usize / 64] |= 1 << (endpoint % 64);
    }
}

/// Whether a set of endpoints has this one.
pub(crate) fn has(words: &[u64], endpoint: u32) -> bool {
    words.get(endpoint as usize / 64).is_some_and(|word| word & 1 << (endpoint % 64) != 0)
}

/// The balancer's choice among the endpoints that have room: one that was not tried, if there is one. Costs one look at the
/// one that it chooses, unless that is full; then one look at each and at most two choices more. No balancer
/// knows of it: to them, full endpoints are such as were tried.
///
/// All looks go through [`PickKey::load`], so that the choice can be made again.
pub(crate) fn pick(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick {
    let is_full = |endpoint| key.load(upstream, view, endpoint).is_some_and(|load| load.full);
    let first = upstream.balanced(view, key);
    let Pick::Endpoint(chosen) = first else { return first };
    if !is_full(chosen) {
        return first;
    }
    let mut full = Full::new(upstream.slots());
    let mut with_room = None;
    // An exchange that has tried all members chooses among the spare endpoints.
    let spares = if view.is_member(chosen) { &[] } else { view.spares() };
    for &member in view.members().iter().chain(spares) {
        match is_full(member) {
            true => full.add(member),
            false => with_room = with_room.or(Some(member)),
        }
    }
    let Some(with_room) = with_room else { return Pick::None(Vacancy::Full) };
    let words = full.words();
    for tried in [key.tried, &[]] {
        if let Pick::Endpoint(chosen) = upstream.balanced(view, &PickKey { tried, full: words, ..*key })
            && !has(words, chosen)
        {
            return Pick::Endpoint(chosen);
        }
    }
    Pick::Endpoint(with_room)
}
