//! What is known of endpoints goes with a hand-over: what operators have set, which no document says, and their health,
//! which would take requests to find out again.

use std::collections::HashMap;

use tollgate_control::membership::{OperatorChanges, UpstreamChanges};
use tollgate_proxy::Snapshot;
use tollgate_runtime::Clock;
use tollgate_upstream::KnownHealth;

use super::wire::HealthNote;
use crate::serving::note;

/// How many of what was set at an upstream are told one by one.
const TOLD: usize = 10;

/// What is known of the health of a snapshot's endpoints.
pub fn health(snapshot: &Snapshot) -> Vec<HealthNote> {
    let now_ms = Clock::new().now_ms();
    let notes = snapshot.upstreams.iter().flat_map(|upstream| {
        upstream.live_endpoints().filter_map(move |(index, endpoint)| {
            let KnownHealth { is_up, ejected_ms, ejections } = upstream.known_health(index, now_ms)?;
            let (upstream, address) = (upstream.name().to_string(), endpoint.address());
            let endpoint = endpoint.name().to_string();
            Some(HealthNote { upstream, endpoint, address, is_up, ejected_ms, ejections })
        })
    });
    notes.collect()
}

/// Goes on from both at the endpoints of another snapshot that nobody uses yet, as far as that has them, and tells what
/// of operators' words holds there.
pub fn restore(snapshot: &Snapshot, operator: &OperatorChanges, health: &[HealthNote]) {
    let now_ms = Clock::new().now_ms();
    operator.restore(&snapshot.upstreams, now_ms);
    for (upstream, changes) in &OperatorChanges::of(&snapshot.upstreams).upstreams {
        tell(upstream, changes);
    }
    let known: HashMap<_, _> =
        health.iter().map(|known| ((&*known.upstream, &*known.endpoint, known.address), known)).collect();
    for upstream in &snapshot.upstreams {
        let known = upstream.live_endpoints().filter_map(|(index, endpoint)| {
            let known = known.get(&(&**upstream.name(), &**endpoint.name(), endpoint.address()))?;
            let HealthNote { is_up, ejected_ms, ejections, .. } = **known;
            Some((index, KnownHealth { is_up, ejected_ms, ejections }))
        });
        upstream.go_on_from(known, now_ms);
    }
}

fn tell(upstream: &str, changes: &UpstreamChanges) {
    let UpstreamChanges { added, removed, drained, weights } = changes;
    let added = added.iter().map(|endpoint| format!("{} stays added", endpoint.name));
    let removed = removed.iter().map(|endpoint| format!("{} stays removed", endpoint.name));
    let drained = drained.iter().map(|(name, _)| format!("{name} stays drained"));
    let weights =
        weights.iter().map(|endpoint| format!("{} keeps weight {}", endpoint.name, endpoint.weight));
    let all: Vec<_> = added.chain(removed).chain(drained).chain(weights).collect();
    for told in all.iter().take(TOLD) {
        note(&format!("{upstream}: {told} by the operator"));
    }
    if all.len() > TOLD {
        note(&format!("{upstream}: and {} more", all.len() - TOLD));
    }
}
