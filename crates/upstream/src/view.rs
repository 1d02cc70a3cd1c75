//! What a worker keeps of an upstream: who may be used now, with which weight, and in which order.
//!
//! Who takes part is decided in this order: the subset's labels; what the operator and the document say; health;
//! tiers (with the panic of each); zones. Tiers, zones and slow start do not choose for each exchange: they are
//! folded into the weights of one list of members. So every balancer follows them without knowing, a choice is
//! made again from the view alone, and a balancer that hashes moves no more keys than weight has moved: nothing
//! at all as long as the first tier and the own zone suffice.

mod build;
mod exclusion;
mod locality;
mod lookup;
mod subset;
mod tiers;

use std::sync::{Arc, OnceLock};

pub use self::exclusion::{Exclusion, Vacancy};
pub use self::locality::Locality;
use self::lookup::Lookup;
pub use self::subset::{IfNone, Subset};
use crate::balancers::PickKey;
use crate::random::Random;
use crate::session::SessionNumbers;
use crate::upstream::Upstream;

/// A worker's own picture of one upstream or of a subset of it, rebuilt only when something changed. A new view
/// ([`View::default`], [`View::of`]) is empty until its first [`View::refresh`].
#[derive(Clone, Debug, Default)]
pub struct View {
    version: u64,
    valid_until_ms: u64,
    /// `None` for the whole upstream.
    part: Option<Part>,
    panicking: bool,
    /// The endpoints that are used by index, ascending; their weights; for each the sum of weights up to and with
    /// it.
    members: Vec<u32>,
    weights: Vec<u32>,
    sums: Vec<u64>,
    /// The weights without slow start; empty where they are the same.
    lasting: Vec<u32>,
    /// Whether all members weigh the same, so that a weighted draw is a plain one.
    uniform: bool,
    /// Whether weights are the endpoints' own.
    plain: bool,
    schedule: Vec<u32>,
    /// The usable endpoints that would be used next, for exchanges that have tried all members.
    spares: Vec<u32>,
    standings: Vec<Standing>,
    /// Only where the balancer looks endpoints up in a table.
    lookup: Option<Box<Lookup>>,
    /// From when a session is first looked for.
    session_numbers: OnceLock<Arc<SessionNumbers>>,
}

/// Which part of an upstream a view is of.
#[derive(Clone, Debug)]
struct Part {
    subset: Arc<Subset>,
    /// No endpoint of the subset is usable, and all of the upstream are used.
    beside: bool,
}

/// What a view knows of one endpoint.
#[derive(Clone, Copy, Debug)]
struct Standing {
    exclusion: Option<Exclusion>,
    /// Its own weight.
    own: u32,
    /// Its weight in the view; 0 if it is no member.
    weight: u32,
    /// How much of its share it has; 1 where it is not new or back.
    warmth: f64,
    healthy: bool,
    /// Its tier, whether it is in Tollgate's own zone, and whether it has the subset's labels.
    priority: u32,
    in_own_zone: bool,
    in_subset: bool,
    drained_since_ms: Option<u64>,
}

impl View {
    /// A view of a subset.
    pub fn of(subset: Arc<Subset>) -> Self {
        Self { part: Some(Part { subset, beside: false }), ..Self::default() }
    }

    /// Brings the view up to date with `upstream`; whether it had to be rebuilt. One load and two compares
    /// where nothing changed. A view that was made for another upstream is always rebuilt.
    #[inline]
    pub fn refresh(&mut self, upstream: &Upstream, now_ms: u64) -> bool {
        if upstream.version() == self.version && now_ms < self.valid_until_ms {
            return false;
        }
        self.rebuild(upstream, now_ms);
        true
    }

    /// As [`View::refresh`] for a view that others may hold: they keep what they have, and a new view takes its
    /// place.
    #[inline]
    pub fn refresh_shared(view: &mut Arc<Self>, upstream: &Upstream, now_ms: u64) -> bool {
        if upstream.version() == view.version && now_ms < view.valid_until_ms {
            return false;
        }
        match Arc::get_mut(view) {
            Some(view) => view.rebuild(upstream, now_ms),
            None => {
                let (part, session_numbers) = (view.part.clone(), view.session_numbers.clone());
                let mut fresh = Self { version: view.version, part, session_numbers, ..Self::default() };
                fresh.rebuild(upstream, now_ms);
                *view = Arc::new(fresh);
            }
        }
        true
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.members.capacity() * size_of::<u32>()
            + self.weights.capacity() * size_of::<u32>()
            + self.lasting.capacity() * size_of::<u32>()
            + self.sums.capacity() * size_of::<u64>()
            + self.lookup.as_ref().map_or(0, |lookup| lookup.bytes())
            + (self.schedule.capacity() + self.spares.capacity()) * size_of::<u32>()
            + self.standings.capacity() * size_of::<Standing>()
            + self.session_numbers.get().map_or(0, |numbers| numbers.len() * size_of::<(u64, u32)>())
    }

    /// The endpoints that may be picked, by index, ascending.
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// The usable endpoints that exchanges get which have tried all members.
    pub(crate) fn spares(&self) -> &[u32] {
        &self.spares
    }

    /// Whether an endpoint may be picked.
    pub fn is_member(&self, endpoint: u32) -> bool {
        self.weight(endpoint) > 0
    }

    /// The weights of the members, in their order. Never 0, and of meaning only relative to each other: they are
    /// the endpoints' own where that says all, else finer ones that tiers, zones and slow start are folded into.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// The same as they are without slow start, for what is worth building only for a while. Change with health
    /// and with the operator's word only, not with time alone.
    pub fn lasting_weights(&self) -> &[u32] {
        if self.lasting.is_empty() { &self.weights } else { &self.lasting }
    }

    /// The weight of an endpoint among [`View::weights`]; 0 for one that is no member.
    #[inline]
    pub fn weight(&self, endpoint: u32) -> u32 {
        self.standings.get(endpoint as usize).map_or(0, |standing| standing.weight)
    }

    /// The endpoint's own weight, as the document or the operator has it; `None` if there is no such endpoint.
    pub fn own_weight(&self, endpoint: u32) -> Option<u32> {
        self.standings.get(endpoint as usize).map(|standing| standing.own)
    }

    /// The part of the traffic that is meant for an endpoint, from 0 to 1; `None` where its own weight among those
    /// of the other members says it.
    pub fn share(&self, endpoint: u32) -> Option<f64> {
        let total = self.sums.last().filter(|_| !self.plain)?;
        Some(f64::from(self.weight(endpoint)) / *total as f64)
    }

    /// How much of its share an endpoint has that is new or back, above 0 and below 1; `None` for one that has all.
    pub fn warmth(&self, endpoint: u32) -> Option<f64> {
        self.standings.get(endpoint as usize).map(|standing| standing.warmth).filter(|warmth| *warmth < 1.0)
    }

    /// One cycle of turns over the members, by weight and evenly spaced. Empty only if there are no members.
    pub fn schedule(&self) -> &[u32] {
        &self.schedule
    }

    /// Whether so few endpoints of a tier are usable that all with weight are used: those left could not carry the
    /// load.
    pub fn is_panicking(&self) -> bool {
        self.panicking
    }

    /// Which endpoints it is for; `None` for all.
    pub fn subset(&self) -> Option<&Arc<Subset>> {
        self.part.as_ref().map(|part| &part.subset)
    }

    /// Whether no endpoint of the subset is usable, and all of the upstream are used instead.
    pub fn is_beside_subset(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.beside)
    }

    /// Why the endpoint is not used (in a panic: would not be); `None` for a usable one.
    pub fn exclusion(&self, endpoint: u32) -> Option<Exclusion> {
        self.standings.get(endpoint as usize).and_then(|standing| standing.exclusion)
    }

    /// Whether an endpoint may go on to serve those that it has served before: it is used; or it is healthy, and out
    /// only for new ones (drained, without weight, a backup, in another zone). How long a drained one may is for
    /// who asks, by [`View::drained_since_ms`].
    pub fn may_keep(&self, endpoint: u32) -> bool {
        let Some(standing) = self.standings.get(endpoint as usize) else { return false };
        let is_out = matches!(standing.exclusion, Some(Exclusion::Removed | Exclusion::OtherLabels));
        let out_for_all = is_out || !standing.healthy;
        standing.weight > 0 || !out_for_all
    }

    /// Since when the endpoint is drained, in milliseconds since the process started; `None` if it is not.
    pub fn drained_since_ms(&self, endpoint: u32) -> Option<u64> {
        self.standings.get(endpoint as usize)?.drained_since_ms
    }

    /// The endpoint that a number stands for in tokens of sessions; `None` if the upstream, of which the view is, has none of
    /// the kind, or none any more. The first call after the set has changed costs as much as there are endpoints.
    pub fn session_endpoint(&self, upstream: &Upstream, number: u64) -> Option<u32> {
        let numbers = self.session_numbers.get_or_init(|| Arc::new(SessionNumbers::of(upstream)));
        let is_here = |endpoint: &u32| {
            let standing = self.standings.get(*endpoint as usize);
            standing.is_some_and(|standing| standing.exclusion != Some(Exclusion::Removed))
        };
        numbers.find(number).find(is_here)
    }

    /// Whether it was made for this upstream, at whatever time: its indexes mean that one's endpoints.
    pub fn is_of(&self, upstream: &Upstream) -> bool {
        Self::same_upstream(self.version, upstream.version())
    }

    /// Whether two versions are of one upstream.
    fn same_upstream(one: u64, other: u64) -> bool {
        one >> 32 == other >> 32
    }

    /// How many endpoints the view knows: those of an index below this, removed ones counted in.
    pub fn endpoints(&self) -> u32 {
        self.standings.len() as u32
    }

    /// When the view is out of date by the clock, in milliseconds since the process started; `u64::MAX` for
    /// never.
    pub fn valid_until_ms(&self) -> u64 {
        self.valid_until_ms
    }

    /// The version of the upstream that the view shows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Why there is nobody to pick. Of meaning only while there are no members.
    pub fn vacancy(&self) -> Vacancy {
        Vacancy::of(self.standings.iter().map(|standing| standing.exclusion))
    }

    /// A spare endpoint for an exchange that has tried all members: of the nearest zone or tier, one that it has not
    /// tried and that is not full. `None` while there are members that it has not tried, and where nobody is spare.
    pub(crate) fn spare_after(&self, key: &PickKey<'_>) -> Option<u32> {
        let tried = key.tried;
        if tried.is_empty() || self.spares.is_empty() || self.members.iter().any(|m| !tried.contains(m)) {
            return None;
        }
        let start = Random::new(key.seed).below(self.spares.len() as u64) as usize;
        let (before, from) = self.spares.split_at(start);
        from.iter().chain(before).copied().find(|spare| !key.has_tried(*spare))
    }

    /// The weight of all members.
    pub(crate) fn total_weight(&self) -> u64 {
        self.sums.last().copied().unwrap_or(0)
    }

    /// Draws a member at random, by weight: in one step where all weigh the same, else in a binary search.
    pub(crate) fn draw(&self, random: &mut Random) -> Option<u32> {
        if self.uniform {
            return self.members.get(random.below(self.members.len() as u64) as usize).copied();
        }
        let point = random.below(*self.sums.last()?);
        self.members.get(self.sums.partition_point(|&sum| sum <= point)).copied()
    }

    /// Draws a member that `avoid` does not name; `None` if it names all. Draws a few times before it looks
    /// at each.
    pub(crate) fn draw_avoiding(&self, random: &mut Random, avoid: impl Fn(u32) -> bool) -> Option<u32> {
        const DRAWS: usize = 8;
        if let [only] = self.members[..] {
            return Some(only).filter(|only| !avoid(*only));
        }
        for _ in 0..DRAWS {
            let drawn = self.draw(random)?;
            if !avoid(drawn) {
                return Some(drawn);
            }
        }
        // Heavy members are in the way. From a random place on, so that it is not always the same one that
        // stands in.
        let start = random.below(self.members.len() as u64) as usize;
        let (before, from) = self.members.split_at(start);
        from.iter().chain(before).copied().find(|member| !avoid(*member))
    }
}

#[cfg(test)]
#[path = "view/suite.rs"]
mod suite;
#[cfg(test)]
#[path = "view/tests.rs"]
mod tests;
