//! What operators have set at endpoints goes with a hand-over. The document does not say it, so nobody else would.

use tollgate_proxy::Snapshot;

use super::wire::EndpointNote;
use crate::serving::note;

/// What operators have set at the endpoints of a snapshot.
pub fn save(snapshot: &Snapshot) -> Vec<EndpointNote> {
    let mut notes = Vec::new();
    for upstream in &snapshot.upstreams {
        for (_, endpoint) in upstream.live_endpoints() {
            let (drained, weight) = (endpoint.is_drained(), endpoint.weight_override());
            if drained || weight.is_some() {
                let (upstream, address) = (upstream.name().to_string(), endpoint.address());
                let endpoint = endpoint.name().to_string();
                notes.push(EndpointNote { upstream, endpoint, address, drained, weight });
            }
        }
    }
    notes
}

/// Sets it at the same endpoints of another snapshot, as far as that has them, and tells of each.
pub fn restore(snapshot: &Snapshot, notes: &[EndpointNote]) {
    for saved in notes {
        let upstream = snapshot.upstreams.iter().find(|upstream| **upstream.name() == *saved.upstream);
        let places = upstream.into_iter().flat_map(|upstream| {
            let same = |endpoint: &tollgate_upstream::Endpoint| {
                **endpoint.name() == *saved.endpoint && endpoint.address() == saved.address
            };
            upstream.live_endpoints().filter(move |(_, e)| same(e)).map(move |(i, _)| (upstream, i))
        });
        for (upstream, endpoint) in places {
            if saved.drained {
                upstream.set_drained(endpoint, true);
            }
            if saved.weight.is_some() {
                upstream.set_weight(endpoint, saved.weight);
            }
            note(&told(saved));
        }
    }
}

fn told(saved: &EndpointNote) -> String {
    let drained = if saved.drained { " drained" } else { "" };
    let weight = saved.weight.map_or_else(String::new, |weight| format!(" with weight {weight}"));
    format!("{} {} stays{drained}{weight} by the operator", saved.upstream, saved.endpoint)
}
