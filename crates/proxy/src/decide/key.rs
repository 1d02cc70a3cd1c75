//! The key that a balancer keeps requests together by: only its hash goes on, into picks, records and
//! explanations.

use std::net::IpAddr;

use tollgate_policy::{Asked, Caller, KeySource};
use tollgate_upstream::key_hash;

use super::again::Understood;
use super::gate::{self, Arrival};
use crate::snapshot::Snapshot;

/// What the balancer of an upstream goes by; `None` where it goes by nothing of the request.
#[inline]
pub fn source(snapshot: &Snapshot, upstream: u32) -> Option<&KeySource> {
    snapshot.keys.get(upstream as usize)?.as_ref()
}

/// The hash of a request's key. The key is made in `space`.
pub fn of_request(source: &KeySource, asked: &Asked<'_>, caller: &Caller, space: &mut Vec<u8>) -> u64 {
    space.clear();
    source.write(asked, caller, space);
    key_hash(space)
}

/// The same of a request that is explained, by whom policies found that it comes.
pub fn explained(
    snapshot: &Snapshot,
    route: u32,
    source: &KeySource,
    understood: &Understood<'_>,
    arrival: &Arrival<'_>,
    caller: Option<&Caller>,
) -> Option<u64> {
    let route = snapshot.routes.get(route as usize)?;
    let (nobody, mut space) = (Caller::default(), Vec::new());
    Some(gate::explained(snapshot, &route.name, understood, arrival, |asked| {
        of_request(source, asked, caller.unwrap_or(&nobody), &mut space)
    }))
}

/// The hash of the key of a connection or flow, of which nothing but the client's address is known; `None` where the
/// balancer of its upstream goes by nothing.
pub fn of_address(snapshot: &Snapshot, upstream: u32, client: IpAddr) -> Option<u64> {
    let source = source(snapshot, upstream)?;
    let mut key = Vec::with_capacity(32);
    source.write_address(client, &mut key);
    Some(key_hash(&key))
}
