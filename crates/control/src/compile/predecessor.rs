//! What a document is compiled after: the snapshot that runs, and what its upstreams were made from.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tollgate_acme::Challenges;
use tollgate_config as config;
use tollgate_proxy::Snapshot;
use tollgate_proxy::snapshot::{ProxyHeader, Transport, UpstreamProtocol};
use tollgate_telemetry::trace::Tracing;
use tollgate_upstream::{Endpoint, RetryBudgetSettings, Upstream};

use super::acceptors::ListenerTls;
use super::acme::AcmePlan;
use super::policies::{Carried, Say};
use super::sticky::SessionKey;
use super::tls::ConnectorPlan;
use crate::beside::Watched;

/// What an upstream was made from. The same plan makes the same upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its part of the document; `None` for an address that stands in a route.
    pub settings: Option<Arc<config::Upstream>>,
    /// Its retry budget, which may come from the document's defaults.
    pub budget: RetryBudgetSettings,
    /// Name, address and weight of each endpoint, names resolved.
    pub endpoints: Vec<(Arc<str>, SocketAddr, u32)>,
    /// How it is spoken to.
    pub transport: TransportPlan,
}

/// What a transport was made from. The same plan makes the same transport.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportPlan {
    /// The protocol of its endpoints.
    pub protocol: UpstreamProtocol,
    /// How its connections are encrypted; `None` for plain ones.
    pub tls: Option<ConnectorPlan>,
    /// The PROXY header that they begin with.
    pub proxy_header: Option<ProxyHeader>,
    /// How many streams of one connection are used at once.
    pub max_streams: u32,
}

/// What a snapshot was made from, for the document after it, and what is to be done while it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plans {
    /// By upstream name.
    pub upstreams: HashMap<String, Arc<Plan>>,
    /// The TLS of the listeners, with their certificates.
    pub tls: ListenerTls,
    /// The certificates to get by ACME; `None` for none.
    pub acme: Option<AcmePlan>,
    /// What its policies count and remember.
    pub carried: Carried,
    /// What is made from files that are looked at while the document is in force.
    pub watched: Watched,
}

/// An upstream of the snapshot that runs.
#[derive(Clone, Debug)]
struct Running {
    upstream: Arc<Upstream>,
    transport: Arc<Transport>,
    plan: Arc<Plan>,
}

/// The snapshot that runs while a document is compiled. The default is that none does.
#[derive(Clone, Debug, Default)]
pub struct Predecessor {
    /// Its number; 0 where none runs.
    pub number: u64,
    upstreams: HashMap<String, Running>,
    tracing: Option<Arc<Tracing>>,
    tls: ListenerTls,
    challenges: Option<Arc<Challenges>>,
    carried: Carried,
}

impl Predecessor {
    /// Of a process that begins: none runs yet, and `say` tells the operator what happens.
    pub fn starting(say: Say) -> Self {
        Self { carried: Carried::starting(say), ..Self::default() }
    }

    /// The same for a process that takes the place of another, whose TLS clients come back with their tickets.
    #[must_use]
    pub fn restoring_tickets(self, saved: &[u8]) -> Self {
        Self { tls: ListenerTls::restoring_tickets(saved), ..self }
    }

    /// The same for a process that takes the place of another, whose sessions go on.
    #[must_use]
    pub fn restoring_session_key(mut self, saved: &[u8]) -> Self {
        self.carried.session_key = SessionKey::restore(saved);
        self
    }

    /// Of a snapshot and its plans.
    pub fn of(snapshot: &Snapshot, plans: &Plans) -> Self {
        let known = |(upstream, transport): (&Arc<Upstream>, &Arc<Transport>)| {
            let name = upstream.name().to_string();
            let plan = plans.upstreams.get(&name)?.clone();
            Some((name, Running { upstream: upstream.clone(), transport: transport.clone(), plan }))
        };
        Self {
            number: snapshot.number,
            upstreams: snapshot.upstreams.iter().zip(&snapshot.transports).filter_map(known).collect(),
            tracing: snapshot.tracing.clone(),
            tls: plans.tls.clone(),
            challenges: snapshot.challenges.clone(),
            carried: plans.carried.clone(),
        }
    }

    /// The same for documents that are only looked at: nothing is connected or opened for them.
    #[must_use]
    pub fn looking(mut self) -> Self {
        self.carried = self.carried.looking();
        self
    }

    /// What its policies count and remember.
    pub fn carried(&self) -> &Carried {
        &self.carried
    }

    /// Its tracing, which goes on where the settings stay.
    pub fn tracing(&self) -> Option<&Arc<Tracing>> {
        self.tracing.as_ref()
    }

    /// The TLS of its listeners.
    pub fn tls(&self) -> &ListenerTls {
        &self.tls
    }

    /// What its workers answer an authority with, if it gets certificates by ACME.
    pub fn challenges(&self) -> Option<&Arc<Challenges>> {
        self.challenges.as_ref()
    }

    /// The upstream of this name, if it was made from this plan.
    pub fn same(&self, name: &str, plan: &Plan) -> Option<(&Arc<Upstream>, &Arc<Plan>)> {
        let running = self.upstreams.get(name)?;
        (*running.plan == *plan).then_some((&running.upstream, &running.plan))
    }

    /// The upstream of this name, whatever it was made from.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.get(name).map(|running| &running.upstream)
    }

    /// The transport of the upstream of this name, if it was made from this plan. Its connections go on.
    pub fn same_transport(&self, name: &str, plan: &TransportPlan) -> Option<&Arc<Transport>> {
        let running = self.upstreams.get(name)?;
        (running.plan.transport == *plan).then_some(&running.transport)
    }

    /// The endpoints of a plan; those that the upstream of this name has now go on.
    pub fn endpoints(&self, name: &str, plan: &Plan) -> Vec<Endpoint> {
        let mut before: HashMap<(Arc<str>, SocketAddr), &Endpoint> = HashMap::new();
        if let Some(running) = self.upstreams.get(name) {
            let live = running.upstream.live_endpoints();
            before = live.map(|(_, e)| ((e.name().clone(), e.address()), e)).collect();
        }
        let endpoint = |(name, address, weight): &(Arc<str>, SocketAddr, u32)| {
            // Taken out, so that an address that stands twice is not one endpoint twice.
            match before.remove(&(name.clone(), *address)) {
                Some(endpoint) => endpoint.successor(*weight),
                None => Endpoint::new(name.clone(), *address, *weight),
            }
        };
        plan.endpoints.iter().map(endpoint).collect()
    }

    /// The addresses that the upstream of this name has for an endpoint name.
    pub fn addresses(&self, upstream: &str, endpoint: &str) -> Vec<SocketAddr> {
        let Some(running) = self.upstreams.get(upstream) else { return Vec::new() };
        let same = running.plan.endpoints.iter().filter(|(name, ..)| **name == *endpoint);
        same.map(|(_, address, _)| *address).collect()
    }
}
