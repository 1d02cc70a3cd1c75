//! What the operator has set while the process runs, as it is handed to another process.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_upstream::{Endpoint, Member, MembersChange, OperatorMembers, Removal, Upstream};

/// What the operator has set and no document says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorChanges {
    /// By upstream name; only those at which something is set.
    pub upstreams: BTreeMap<String, UpstreamChanges>,
}

/// What the operator has set at one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamChanges {
    /// Endpoints that were added, with their weights.
    pub added: Vec<ListedEndpoint>,
    /// Endpoints that were removed.
    pub removed: Vec<RemovedEndpoint>,
    /// Endpoints that are drained.
    pub drained: Vec<(String, SocketAddr)>,
    /// Endpoints that have another weight than the one that they are listed with.
    pub weights: Vec<ListedEndpoint>,
}

/// An endpoint with a weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEndpoint {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// The weight.
    pub weight: u32,
}

/// An endpoint that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedEndpoint {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// The weight that the document listed it with; `None` where it did not.
    pub listed: Option<u32>,
}

impl OperatorChanges {
    /// What the operator has set at these upstreams.
    pub fn of(upstreams: &[Arc<Upstream>]) -> Self {
        let changes =
            upstreams.iter().map(|upstream| (upstream.name().to_string(), UpstreamChanges::of(upstream)));
        Self { upstreams: changes.filter(|(_, changes)| *changes != UpstreamChanges::default()).collect() }
    }

    /// Sets it at the upstreams of a process that takes the place of another, before anything else uses them. What is
    /// not in their document any more, or is there otherwise, is left out, as at a reload.
    pub fn restore(&self, upstreams: &[Arc<Upstream>], now_ms: u64) {
        for upstream in upstreams {
            if let Some(changes) = self.upstreams.get(&**upstream.name()) {
                changes.set_at(upstream, now_ms);
            }
        }
    }
}

impl UpstreamChanges {
    fn of(upstream: &Upstream) -> Self {
        let OperatorMembers { added, removed } = upstream.operator_members();
        let added =
            added.into_iter().map(|Member { name, address, weight, .. }| listed(&name, address, weight));
        let removed = removed.into_iter().map(|Removal { name, address, listed }| RemovedEndpoint {
            name: name.to_string(),
            address,
            listed,
        });
        let live = || upstream.live_endpoints().map(|(_, endpoint)| endpoint);
        let drained = live().filter(|endpoint| endpoint.is_drained());
        let weight = |e: &Endpoint| Some(listed(e.name(), e.address(), e.weight_override()?));
        Self {
            added: added.collect(),
            removed: removed.collect(),
            drained: drained.map(|e| (e.name().to_string(), e.address())).collect(),
            weights: live().filter_map(weight).collect(),
        }
    }

    fn set_at(&self, upstream: &Upstream, now_ms: u64) -> MembersChange {
        let added = self
            .added
            .iter()
            .map(|ListedEndpoint { name, address, weight }| Member::new(name.as_str(), *address, *weight));
        let removed = self.removed.iter().map(|RemovedEndpoint { name, address, listed }| Removal {
            name: name.as_str().into(),
            address: *address,
            listed: *listed,
        });
        let members = OperatorMembers { added: added.collect(), removed: removed.collect() };
        let change = upstream.set_operator_members(&members, now_ms);
        let live: HashMap<_, _> =
            upstream.live_endpoints().map(|(index, e)| ((&**e.name(), e.address()), index)).collect();
        let find = |name: &str, address: SocketAddr| live.get(&(name, address)).copied();
        for (name, address) in &self.drained {
            find(name, *address).map(|index| upstream.set_drained(index, true));
        }
        for ListedEndpoint { name, address, weight } in &self.weights {
            find(name, *address).map(|index| upstream.set_weight(index, Some(*weight)));
        }
        change
    }
}

fn listed(name: &str, address: SocketAddr, weight: u32) -> ListedEndpoint {
    ListedEndpoint { name: name.to_owned(), address, weight }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tollgate_upstream::{BALANCERS, Endpoint, HealthEvents, Member, Upstream, UpstreamSettings};

    use super::OperatorChanges;

    fn upstream(name: &str) -> Arc<Upstream> {
        let endpoint = |n: u8| Endpoint::new(format!("e{n}"), ([10, 0, 0, n], 80).into(), 1);
        let endpoints = (1..4).map(endpoint).collect();
        let settings = UpstreamSettings::default();
        Arc::new(Upstream::new(name, endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard()))
    }

    #[test]
    fn what_was_set_in_one_process_is_set_in_another() {
        let (one, plain) = (upstream("api"), upstream("plain"));
        let added = Member::new("new:80", ([10, 0, 0, 9], 80).into(), 4);
        one.operator_add(&[added], None, 0).unwrap();
        one.operator_remove(&[1], 0).unwrap();
        one.set_drained(0, true);
        one.set_weight(2, Some(7));
        let changes = OperatorChanges::of(&[one.clone(), plain]);
        assert_eq!(changes.upstreams.keys().collect::<Vec<_>>(), ["api"]);
        let text = serde_json::to_string(&changes).unwrap();
        let changes: OperatorChanges = serde_json::from_str(&text).unwrap();
        let other = upstream("api");
        let change = changes.upstreams["api"].set_at(&other, 0);
        assert_eq!((change.added, change.removed), (vec![3], vec![1]));
        assert_eq!(OperatorChanges::of(&[other]), changes);
    }
}
