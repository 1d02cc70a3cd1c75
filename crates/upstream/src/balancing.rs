//! How an upstream's endpoints are picked: its balancer, and what is kept for it.

use std::sync::Arc;

use crate::balancers::Balancer;
use crate::endpoint::{Endpoint, Total};
use crate::latency::Decay;
use crate::tables::{Seats, Table, Tables};

/// The balancer of an upstream, and what is kept for it.
#[derive(Debug)]
pub(crate) struct Balancing {
    balancer: Arc<dyn Balancer>,
    /// What it says of itself, asked once.
    latency_decay: Option<Decay>,
    /// Counts what is in flight at all endpoints, where the balancer wants to know.
    total: Option<Arc<Total>>,
    tables: Tables,
}

impl Balancing {
    /// For these endpoints. Makes the table, so that no worker has to stop for it.
    pub(crate) fn new(balancer: Arc<dyn Balancer>, endpoints: &mut [Endpoint]) -> Self {
        // Exchanges begun before a reload count on: whose successors these are had a count already. Those
        // that were not counted when they began are not counted now either, and have soon ended.
        let known = || endpoints.iter().find_map(Endpoint::total).cloned().unwrap_or_default();
        let total = balancer.bounds_load().then(known);
        endpoints.iter_mut().for_each(|endpoint| endpoint.count_in(total.clone()));
        let latency_decay = balancer.wants_latency();
        let balancing = Self { balancer, latency_decay, total, tables: Tables::default() };
        balancing.table((0..).zip(endpoints.iter()));
        balancing
    }

    pub(crate) fn balancer(&self) -> &dyn Balancer {
        &*self.balancer
    }

    /// The same balancer, for an upstream that takes this one's place.
    pub(crate) fn shared_balancer(&self) -> Arc<dyn Balancer> {
        Arc::clone(&self.balancer)
    }

    /// An endpoint comes to the others: what is in flight at it is counted with theirs.
    pub(crate) fn count_in(&self, endpoint: &mut Endpoint) {
        endpoint.count_in(self.total.clone());
    }

    pub(crate) fn latency_decay(&self) -> Option<Decay> {
        self.latency_decay
    }

    /// Where what is in flight is counted, if it is.
    pub(crate) fn total(&self) -> Option<&Arc<Total>> {
        self.total.as_ref()
    }

    /// How many exchanges are in flight; 0 where they are not counted.
    pub(crate) fn in_flight(&self) -> u32 {
        self.total.as_ref().map_or(0, |total| total.in_flight())
    }

    /// The table for the endpoints as they are now, with their indexes; `None` where the balancer needs none.
    pub(crate) fn table<'e>(
        &self,
        endpoints: impl Iterator<Item = (u32, &'e Endpoint)>,
    ) -> Option<(Seats, Arc<Table>)> {
        self.tables.current(&*self.balancer, endpoints.filter(|(_, endpoint)| !endpoint.is_removed()))
    }
}
