//! How busy endpoints are, as a balancer reads it: as it is now, and perhaps noted; or as it was noted.

use std::cell::{Cell, RefCell};

use crate::endpoint::Endpoint;
use crate::latency::Decay;

/// Stands for all endpoints together.
const ALL: u32 = u32::MAX;

/// What a balancer read of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The endpoint's index.
    pub endpoint: u32,
    /// How many exchanges were in flight at it.
    pub in_flight: u32,
    /// Its weight in the view.
    pub weight: u32,
    /// Whether it had as many exchanges as it may.
    pub full: bool,
    /// Its latency estimate in microseconds; 0 where there is none, or nobody asked for one.
    pub latency_us: u32,
}

/// Where a balancer reads how busy endpoints are.
#[derive(Clone, Copy, Debug, Default)]
pub enum Loads<'a> {
    /// From the endpoints.
    #[default]
    Live,
    /// From the endpoints, and each that is read is noted.
    Noted(&'a NotedLoads),
    /// From a record, in the order in which they were noted.
    Recorded(&'a RecordedLoads<'a>),
}

impl Loads<'_> {
    /// How busy one endpoint is, known by its index, that has this weight; with its latency as it counts at a time, where
    /// that is asked for.
    #[inline]
    pub(crate) fn read(
        &self,
        endpoint: &Endpoint,
        index: u32,
        weight: u32,
        latency: Option<(u64, Decay)>,
    ) -> Load {
        self.take(index, || Load {
            endpoint: index,
            in_flight: endpoint.in_flight(),
            weight,
            full: endpoint.is_full(),
            latency_us: latency.map_or(0, |(now_us, decay)| endpoint.latency().estimate_us(now_us, decay)),
        })
    }

    /// How many exchanges are in flight at all endpoints. Noted and recorded as one of an endpoint that is none.
    #[inline]
    pub(crate) fn read_all(&self, in_flight: u32) -> u64 {
        u64::from(
            self.take(ALL, || Load { endpoint: ALL, in_flight, weight: 0, full: false, latency_us: 0 })
                .in_flight,
        )
    }

    #[inline]
    fn take(&self, index: u32, live: impl FnOnce() -> Load) -> Load {
        match self {
            Self::Live => live(),
            Self::Noted(noted) => {
                let load = live();
                noted.0.borrow_mut().push(load);
                load
            }
            Self::Recorded(recorded) => recorded.next(index),
        }
    }
}

/// A buffer for the counts that balancers read, to be used again.
#[derive(Debug, Default)]
pub struct NotedLoads(RefCell<Vec<Load>>);

impl NotedLoads {
    /// How many are noted.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether none is noted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that are noted.
    pub fn get_mut(&mut self) -> &mut Vec<Load> {
        self.0.get_mut()
    }

    /// A copy of all that are noted.
    pub fn to_vec(&self) -> Vec<Load> {
        self.0.borrow().clone()
    }
}

/// The counts that one pick read, to make it again.
#[derive(Debug)]
pub struct RecordedLoads<'a> {
    recorded: &'a [Load],
    next: Cell<usize>,
    diverged: Cell<bool>,
}

impl<'a> RecordedLoads<'a> {
    /// These counts, to be read in this order.
    pub fn new(recorded: &'a [Load]) -> Self {
        Self { recorded, next: Cell::new(0), diverged: Cell::new(false) }
    }

    /// Whether exactly these counts were read, in this order.
    pub fn are_used_up(&self) -> bool {
        !self.diverged.get() && self.next.get() == self.recorded.len()
    }

    /// Who reads something else than was recorded gets an idle endpoint, and it is noted.
    fn next(&self, endpoint: u32) -> Load {
        let next = self.next.get();
        match self.recorded.get(next).filter(|load| load.endpoint == endpoint) {
            Some(load) => {
                self.next.set(next + 1);
                *load
            }
            None => {
                self.diverged.set(true);
                Load { endpoint, in_flight: 0, weight: 1, full: false, latency_us: 0 }
            }
        }
    }
}
