//! Balancers: who of the usable endpoints gets the next exchange. A file each, and a row in [`BALANCERS`].

mod hashed;
pub mod least_requests;
pub mod maglev;
pub mod peak_ewma;
pub mod random;
pub mod ring_hash;
pub mod round_robin;
pub mod two_choices;

use std::fmt;

use crate::admission::room;
use crate::latency::Decay;
use crate::loads::{Load, Loads};
use crate::session::Preferred;
use crate::tables::{Seat, Table};
use crate::upstream::Upstream;
use crate::view::{Vacancy, View};

pub use hashed::BoundedLoad;

/// Chooses an endpoint. A pure function: the same arguments and the same loads give the same choice.
///
/// An implementation picks members of the view only, avoids those in [`PickKey::tried`] as long as there is
/// another, and picks by weight. It asks for loads with [`PickKey::load`] and [`PickKey::in_flight`] only, so that a
/// choice can be made again with the loads of then. It does not allocate, and takes well below a microsecond
/// whatever the number of endpoints: `cargo run -p tollgate-bench -- picks` measures it.
pub trait Balancer: fmt::Debug + Send + Sync {
    /// Chooses an endpoint of `upstream`, of which `view` is a fresh view.
    fn pick(&self, upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Pick;

    /// How fast the latencies are forgotten that it picks by; `None` where it asks for none, so that nobody has to
    /// measure any.
    fn wants_latency(&self) -> Option<Decay> {
        None
    }

    /// Whether it picks by [`PickKey::hash`].
    fn uses_key(&self) -> bool {
        false
    }

    /// Whether it asks for the number of exchanges in flight at all endpoints, which then is counted.
    fn bounds_load(&self) -> bool {
        false
    }

    /// Whether it looks endpoints up in a table.
    fn uses_table(&self) -> bool {
        false
    }

    /// Makes the table for these endpoints, ordered by identity. May take a while: a million places take some tens
    /// of milliseconds.
    fn table(&self, _seats: &[Seat]) -> Option<Table> {
        None
    }
}

/// What a choice depends on besides the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct PickKey<'a> {
    /// The worker's count of picks, from a random start, so that workers do not walk in step.
    pub turn: u64,
    /// The seed of the exchange.
    pub seed: u64,
    /// The hash of what exchanges go by that should meet the same endpoint: see [`key_hash`](crate::key_hash()).
    /// `None` where there is nothing of the kind; a balancer that wants one then takes the seed.
    pub hash: Option<u64>,
    /// Microseconds since the process started. Only latencies that are read live depend on it.
    pub now_us: u64,
    /// The endpoint that the exchange's session is at. [`Upstream::pick`] sees to it, and no balancer.
    pub preferred: Option<Preferred>,
    /// Endpoints that this exchange was tried at already: few.
    pub tried: &'a [u32],
    /// Where loads come from.
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
        let latency = upstream.latency_decay().map(|decay| (self.now_us, decay));
        upstream
            .endpoint(endpoint)
            .map(|known| self.loads.read(known, endpoint, view.weight(endpoint), latency))
    }

    /// How many exchanges are in flight at all endpoints, where the balancer [bounds](Balancer::bounds_load) loads.
    pub fn in_flight(&self, upstream: &Upstream) -> u64 {
        self.loads.read_all(upstream.counted_in_flight())
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
    pub make: fn(&BalancerSettings) -> Box<dyn Balancer>,
}

/// What the document says about a balancer. Each takes what concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalancerSettings {
    /// In which time latencies fall to 37 %.
    pub decay: Decay,
    /// How much busier than the average an endpoint may be; `None` for no bound.
    pub bounded_load: Option<BoundedLoad>,
    /// How many points a ring has at least and at most.
    pub ring_size: (u32, u32),
    /// How many places a Maglev table has at least.
    pub maglev_size: u32,
}

impl Default for BalancerSettings {
    fn default() -> Self {
        Self {
            decay: Decay::from_us(10_000_000),
            bounded_load: None,
            ring_size: (1024, 8 << 20),
            maglev_size: 65_537,
        }
    }
}

impl BalancerRow {
    /// One with the settings that it has where nothing is said.
    pub fn standard(&self) -> Box<dyn Balancer> {
        (self.make)(&BalancerSettings::default())
    }
}

/// All balancers. The first is the default.
pub const BALANCERS: &[BalancerRow] = &[
    BalancerRow {
        name: "round_robin",
        doc: "Endpoints take turns, by weight and evenly spaced.",
        make: |_| Box::new(round_robin::RoundRobin),
    },
    BalancerRow {
        name: "least_requests",
        doc: "The endpoint with the fewest requests in flight for its weight, of 16 where there are many.",
        make: |_| Box::new(least_requests::LeastRequests),
    },
    BalancerRow {
        name: "two_choices",
        doc: "The one with fewer requests in flight for its weight out of two drawn at random.",
        make: |_| Box::new(two_choices::TwoChoices),
    },
    BalancerRow {
        name: "random",
        doc: "An endpoint drawn at random, by weight.",
        make: |_| Box::new(random::Random),
    },
    BalancerRow {
        name: "peak_ewma",
        doc: "The one with the smaller latency and fewer requests in flight out of two drawn at random.",
        make: |settings| Box::new(peak_ewma::PeakEwma { decay: settings.decay }),
    },
    BalancerRow {
        name: "ring_hash",
        doc: "The same endpoint for the same key, on a ring: when one goes, only its keys move.",
        make: |settings| {
            let (min_size, max_size) = settings.ring_size;
            Box::new(ring_hash::RingHash { min_size, max_size, bounded_load: settings.bounded_load })
        },
    },
    BalancerRow {
        name: "maglev",
        doc: "The same endpoint for the same key, from a table: evener than a ring.",
        make: |settings| {
            let (size, bounded_load) = (settings.maglev_size, settings.bounded_load);
            Box::new(maglev::Maglev { size, bounded_load })
        },
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
    fn of(load: &Load) -> Self {
        Self { with_this: u64::from(load.in_flight) + 1, weight: u64::from(load.weight) }
    }

    fn is_idle(self) -> bool {
        self.with_this == 1
    }

    fn is_below(self, other: Self) -> bool {
        self.with_this * other.weight < other.with_this * self.weight
    }
}

fn busyness(upstream: &Upstream, view: &View, endpoint: u32, key: &PickKey<'_>) -> Option<Busyness> {
    key.load(upstream, view, endpoint).map(|load| Busyness::of(&load))
}

#[cfg(test)]
#[path = "balancers/suite.rs"]
mod suite;
