//! Balancers: who of the usable endpoints gets the next exchange. A file each, and a row in [`BALANCERS`].

pub mod least_requests;
pub mod random;
pub mod round_robin;
pub mod two_choices;

use std::fmt;

use crate::admission::room;
use crate::loads::{Load, Loads};
use crate::upstream::Upstream;
use crate::view::{Vacancy, View};

/// Chooses an endpoint. A pure function: the same arguments and the same counts in flight give the same
/// choice.
///
/// An implementation picks members of the view only, avoids those in [`PickKey::tried`] as long as there is
/// another, and picks by weight. It asks for counts in flight with [`PickKey::load`] only, so that a choice can
/// be made again with the counts of then. It does not allocate.
pub trait Balancer: fmt::Debug + Send + Sync {
    /// Chooses an endpoint of `upstream`, of which `view` is a fresh view.
    fn pick(&self, upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick;
}

/// What a choice depends on besides the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct PickKey<'a> {
    /// The worker's count of picks, from a random start, so that workers do not walk in step.
    pub turn: u64,
    /// The seed of the exchange.
    pub seed: u64,
    /// Endpoints that this exchange was tried at already: few.
    pub tried: &'a [u32],
    /// Where counts in flight come from.
    pub loads: Loads<'a>,
    /// Endpoints that are full, a bit each by index: avoided as those that were tried. Left empty by all but
    /// [`Upstream::pick`], which finds out itself.
    pub full: &'a [u64],
}

impl PickKey<'_> {
    /// Whether the exchange was tried at this endpoint already, or would find it full.
    pub fn has_tried(&self, endpoint: u32) -> bool {
        self.tried.contains(&endpoint) || room::has(self.full, endpoint)
    }

    /// How busy an endpoint is, and its weight in the view; `None` if there is no such endpoint.
    #[inline]
    pub fn load(&self, upstream: &Upstream, view: &View, endpoint: u32) -> Option<Load> {
        upstream.endpoint(endpoint).map(|known| self.loads.read(known, endpoint, view.weight(endpoint)))
    }
}

/// A balancer's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The endpoint of this index.
    Endpoint(u32),
    /// Nobody, and why.
    None(Vacancy),
}

impl Pick {
    fn of(endpoint: Option<u32>, view: &View) -> Self {
        endpoint.map_or_else(|| Self::None(view.vacancy()), Self::Endpoint)
    }
}

/// One balancer as the document, the reference and the tests know it.
#[derive(Clone, Copy, Debug)]
pub struct BalancerRow {
    /// Its name in the document.
    pub name: &'static str,
    /// One sentence for the reference.
    pub doc: &'static str,
    /// Makes one.
    pub make: fn() -> Box<dyn Balancer>,
}

/// All balancers. The first is the default.
pub const BALANCERS: &[BalancerRow] = &[
    BalancerRow {
        name: "round_robin",
        doc: "Endpoints take turns, by weight and evenly spaced.",
        make: || Box::new(round_robin::RoundRobin),
    },
    BalancerRow {
        name: "least_requests",
        doc: "The endpoint with the fewest requests in flight for its weight; looks at every endpoint.",
        make: || Box::new(least_requests::LeastRequests),
    },
    BalancerRow {
        name: "two_choices",
        doc: "The one with fewer requests in flight for its weight out of two drawn at random.",
        make: || Box::new(two_choices::TwoChoices),
    },
    BalancerRow {
        name: "random",
        doc: "An endpoint drawn at random, by weight.",
        make: || Box::new(random::Random),
    },
];

/// The balancer of this name.
pub fn balancer(name: &str) -> Option<&'static BalancerRow> {
    BALANCERS.iter().find(|row| row.name == name)
}

/// How busy an endpoint would be with one exchange more, relative to its weight. Compared without division.
#[derive(Clone, Copy, Debug)]
struct Busyness {
    with_this: u64,
    weight: u64,
}

impl Busyness {
    fn is_idle(self) -> bool {
        self.with_this == 1
    }

    fn is_below(self, other: Self) -> bool {
        self.with_this * other.weight < other.with_this * self.weight
    }
}

fn busyness(upstream: &Upstream, view: &View, endpoint: u32, key: &PickKey<'_>) -> Option<Busyness> {
    let load = key.load(upstream, view, endpoint)?;
    Some(Busyness { with_this: u64::from(load.in_flight) + 1, weight: u64::from(load.weight) })
}

#[cfg(test)]
#[path = "balancers/suite.rs"]
mod suite;
