//! What a document is compiled after: the snapshot that runs, and what its upstreams were made from.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tollgate_acme::Challenges;
use tollgate_config as config;
use tollgate_discovery::dns::Settings;
use tollgate_proxy::Snapshot;
use tollgate_proxy::snapshot::{ProxyHeader, Transport, UpstreamProtocol};
use tollgate_telemetry::trace::Tracing;
use tollgate_upstream::{Endpoint, RetryBudgetSettings, Traits, Upstream};

use super::acceptors::ListenerTls;
use super::acme::AcmePlan;
use super::policies::{Carried, Say};
use super::sources::{FirstFound, Known, SourcePlan};
use super::sticky::SessionKey;
use super::tls::ConnectorPlan;
use crate::beside::Watched;

/// What an endpoint is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointPlan {
    /// Host and port as written. With the address, what it is found again by.
    pub name: Arc<str>,
    /// Where it is.
    pub address: SocketAddr,
    /// Its weight.
    pub weight: u32,
    /// Its tier, zone and labels. One that gets others stays the same endpoint.
    pub traits: Arc<Traits>,
}

/// What an upstream was made from. The same plan makes the same upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its part of the document; `None` for an address that stands in a route.
    pub settings: Option<Arc<config::Upstream>>,
    /// Its retry budget, which may come from the document's defaults.
    pub budget: RetryBudgetSettings,
    /// Its endpoints that are addresses.
    pub endpoints: Vec<EndpointPlan>,
    /// Where its endpoints come from besides.
    pub sources: Vec<SourcePlan>,
    /// Tollgate's own zone, if it prefers the endpoints there.
    pub zone: Option<Arc<str>>,
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
    /// Whom its sources ask for names.
    pub dns: Settings,
    /// What its sources had found when it was loaded.
    pub first_found: FirstFound,
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
    dns: Settings,
    found: FirstFound,
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
            dns: plans.dns.clone(),
            found: plans.first_found.clone(),
        }
    }

    /// The same with what its sources have found since.
    #[must_use]
    pub fn with_found(mut self, found: FirstFound) -> Self {
        self.found = found;
        self
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
        let joins = !before.is_empty();
        let endpoint = |plan: &EndpointPlan| {
            // Taken out, so that an address that stands twice is not one endpoint twice.
            let endpoint = match before.remove(&(plan.name.clone(), plan.address)) {
                Some(endpoint) => endpoint.successor(plan.weight),
                // Where all are new, none has anybody to be slower than.
                None if joins => Endpoint::new(plan.name.clone(), plan.address, plan.weight).joining(),
                None => Endpoint::new(plan.name.clone(), plan.address, plan.weight),
            };
            endpoint.with(plan.traits.clone())
        };
        plan.endpoints.iter().map(endpoint).collect()
    }

    /// What the source of this key has found for the upstream of this name.
    pub fn found(&self, upstream: &str, key: &str) -> Option<&Known> {
        self.found.get(upstream, key)
    }

    /// What a source has found that is followed already, as this plan and these settings say.
    pub fn followed(&self, upstream: &str, plan: &SourcePlan, dns: &Settings) -> Option<&Known> {
        let running = self.upstreams.get(upstream)?;
        let is_followed = running.plan.sources.contains(plan) && (self.dns == *dns || !plan.asks());
        self.found(upstream, &plan.key).filter(|_| is_followed)
    }
}
