//! Deciding: which route, which upstream, which endpoint. Functions of the snapshot, the state view,
//! the request, the turn and the seed; nothing else. Serving an exchange and explaining a made-up one
//! run the same functions.

use tollgate_decision::Reason;
use tollgate_routing::{Found, RequestView, Scratch};
use tollgate_upstream::{Pick, PickKey, Upstream, View};

use crate::snapshot::{Destination, Snapshot};

/// The route of a request, and how much of its path the route matched.
pub fn route(snapshot: &Snapshot, request: &RequestView<'_>, scratch: &mut Scratch) -> Result<Found, Reason> {
    snapshot.table.find(request, scratch).ok_or(Reason::NoRoute)
}

/// The upstream for a request of a route.
pub fn upstream(destination: &Destination, seed: u64) -> Result<u32, Reason> {
    destination.choose(seed).ok_or(Reason::NoDestination)
}

/// The endpoint for an attempt.
pub fn endpoint(upstream: &Upstream, view: &View, key: &PickKey<'_>) -> Result<u32, Reason> {
    match upstream.pick(view, key) {
        Pick::Endpoint(index) => Ok(index),
        Pick::None(_) => Err(Reason::NoEndpoint),
    }
}
