//! Upstreams of a document.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tollgate_config::{self as config, Diagnostic, EndpointAddress, Located};
use tollgate_proxy::snapshot::{ProxyHeader, Transport, UpstreamProtocol};
use tollgate_runtime::Clock;
use tollgate_tls::Connector;
use tollgate_upstream::{
    Endpoint, Locality, PoolSettings, ProbePlan, RetryBudgetSettings, SlowStart, Source, Traits, Upstream,
    UpstreamSettings,
};

use super::destinations::labels_of;
use super::health::outliers;
use super::predecessor::{EndpointPlan, Plan, TransportPlan};
use super::sources::{SourcePlan, members_of};
use super::tls::ConnectorPlan;
use super::{Compiler, balance, overload};

/// Streams of one connection that are used at once, where the document says nothing: what servers allow at least
/// (RFC 9113 section 6.5.2).
const MAX_STREAMS: u32 = 100;

impl Compiler<'_> {
    /// Compiles all named upstreams.
    pub(super) fn upstreams(&mut self) {
        self.look_at_sources();
        for (name, upstream) in self.document.upstreams.iter() {
            let (mut endpoints, mut sources) = (Vec::new(), Vec::new());
            for endpoint in upstream.endpoints.iter() {
                let traits = traits(endpoint);
                match (SourcePlan::of(endpoint, &traits), endpoint.address()) {
                    (Some(source), _) => {
                        self.begin_with(name.value.as_str(), &source, endpoint.origin);
                        sources.push(source);
                    }
                    (None, Some(address)) => {
                        self.fixed(address, (endpoint.weight.get(), traits), &mut endpoints);
                    }
                    (None, None) => {}
                }
            }
            let own_zone = self.document.zone.as_ref().filter(|_| upstream.locality().is_some());
            let zone = own_zone.map(|zone| zone.as_str().into());
            let settings = Some(Arc::new(upstream.value.clone()));
            let transport = self.transport_plan(upstream);
            let budget = self.budget(Some(upstream));
            let plan = Plan { settings, budget, endpoints, sources, zone, transport };
            self.add(name.value.to_string(), plan);
        }
    }

    /// The index of the upstream for an address that stands in a route. Routes with the same address
    /// share it.
    pub(super) fn inline(&mut self, address: &Located<EndpointAddress>) -> u32 {
        let name = address.value.to_string();
        if let Some(index) = self.by_name.get(&name) {
            return *index;
        }
        let mut endpoints = Vec::new();
        let source = SourcePlan::of_address(address);
        match &source {
            Some(source) => self.begin_with(&name, source, address.origin),
            None => self.fixed(address, (1, Arc::default()), &mut endpoints),
        }
        let (transport, sources) = (self.inline_transport_plan(address), source.into_iter().collect());
        let budget = self.budget(None);
        self.add(name, Plan { settings: None, budget, endpoints, sources, zone: None, transport })
    }

    /// The upstream of a plan: the one that runs, if it was made from the same.
    fn add(&mut self, name: String, plan: Plan) -> u32 {
        let index = self.upstreams.len() as u32;
        self.by_name.insert(name.clone(), index);
        let transport = match self.before.same_transport(&name, &plan.transport) {
            Some(transport) => transport.clone(),
            None => Arc::new(self.transport(&plan.transport)),
        };
        let (upstream, plan) = match self.before.same(&name, &plan) {
            Some((upstream, plan)) => (upstream.clone(), plan.clone()),
            None => (Arc::new(self.upstream(&name, &plan, &transport)), Arc::new(plan)),
        };
        let keys = plan.settings.as_ref().map(|settings| self.keys(settings)).unwrap_or_default();
        self.upstreams.push(upstream);
        self.spoken.push((transport, keys));
        self.plans.insert(name, plan);
        index
    }

    fn transport(&mut self, plan: &TransportPlan) -> Transport {
        let connector = plan.tls.as_ref().and_then(|tls| self.connector(tls));
        Transport::new(plan.protocol, connector, plan.proxy_header, plan.max_streams)
    }

    fn transport_plan(&mut self, upstream: &config::Upstream) -> TransportPlan {
        let http2 = upstream.is_http2();
        TransportPlan {
            protocol: if http2 { UpstreamProtocol::Http2 } else { UpstreamProtocol::Http1 },
            tls: upstream.encryption().and_then(|tls| self.connector_plan(&tls, http2)),
            proxy_header: upstream.proxy_protocol.as_ref().map(|header| match header.value {
                config::ProxyHeader::V1 => ProxyHeader::V1,
                config::ProxyHeader::V2 => ProxyHeader::V2,
            }),
            max_streams: match http2 {
                true => upstream.max_streams.as_ref().map_or(MAX_STREAMS, |max| max.get()),
                false => 1,
            },
        }
    }

    fn inline_transport_plan(&mut self, address: &EndpointAddress) -> TransportPlan {
        let tls = address.is_https().then(config::UpstreamTls::standard);
        TransportPlan {
            protocol: UpstreamProtocol::Http1,
            tls: tls.and_then(|tls| self.connector_plan(&tls, false)),
            proxy_header: None,
            max_streams: 1,
        }
    }

    fn upstream(&mut self, name: &str, plan: &Plan, transport: &Transport) -> Upstream {
        let (settings, balancer) = match &plan.settings {
            Some(upstream) => {
                let probes = upstream
                    .health
                    .as_ref()
                    .and_then(|health| self.probes(health, &plan.transport, transport));
                (settings(upstream, plan, probes), balance::made(&upstream.balance))
            }
            None => (
                UpstreamSettings {
                    retries: plan.budget,
                    sources: sources(plan),
                    ..UpstreamSettings::default()
                },
                tollgate_upstream::BALANCERS[0].standard(),
            ),
        };
        let endpoints = capped(self.before.endpoints(name, plan), plan);
        let upstream = Upstream::new(name, endpoints, balancer, settings, self.events.clone());
        let upstream = match self.before.upstream(name) {
            Some(before) => upstream.following(before),
            None => upstream,
        };
        let found = plan.sources.iter().filter_map(|source| {
            let found = self.beside.first_found.get(name, &source.key)?;
            Some((source.key.clone(), members_of(&found.list, &source.traits)))
        });
        // The document's tests are tried with the endpoints that it will have.
        let before = self.before.upstream(name).map(|before| &**before);
        upstream.begin_with(found.collect(), before, Clock::new().now_ms());
        upstream
    }

    /// The endpoints at an address that is not followed: one, or all that this machine's own names have.
    fn fixed(
        &mut self,
        address: &Located<EndpointAddress>,
        (weight, traits): (u32, Arc<Traits>),
        endpoints: &mut Vec<EndpointPlan>,
    ) {
        let name: Arc<str> = address.value.authority().into();
        if let Some(socket) = address.value.socket() {
            endpoints.push(EndpointPlan { name, address: socket, weight, traits });
            return;
        }
        match self.resolver.resolve(address.value.host(), address.value.port()) {
            Ok(found) => {
                // A resolver may tell an address twice.
                let mut told = HashSet::new();
                let found = found.into_iter().filter(|socket| told.insert(*socket));
                let plan =
                    |address| EndpointPlan { name: name.clone(), address, weight, traits: traits.clone() };
                endpoints.extend(found.map(plan));
            }
            Err(error) => {
                let message = format!("the name `{}` cannot be resolved: {error}", address.value.host());
                self.diagnostics.push(Diagnostic::error(address.origin, message));
            }
        }
    }

    fn budget(&self, upstream: Option<&config::Upstream>) -> RetryBudgetSettings {
        let budget = self.document.retry_budget(upstream);
        RetryBudgetSettings { min: budget.min, percent: u32::from(budget.share.basis_points()) / 100 }
    }

    /// What probes connect with, which speak HTTP/1.1 whatever the requests speak.
    pub(super) fn http1_connector(
        &mut self,
        plan: &TransportPlan,
        transport: &Transport,
    ) -> Option<Arc<Connector>> {
        match &plan.tls {
            Some(tls) if tls.http2 => self.connector(&ConnectorPlan { http2: false, ..tls.clone() }),
            _ => transport.tls.clone(),
        }
    }
}

/// The endpoints with the caps that the document gives them. An address whose name stands twice has the first's.
fn capped(endpoints: Vec<Endpoint>, plan: &Plan) -> Vec<Endpoint> {
    let Some(settings) = &plan.settings else { return endpoints };
    if settings.endpoints.iter().all(|endpoint| endpoint.max_requests.is_none()) {
        return endpoints;
    }
    let mut caps = HashMap::new();
    for endpoint in settings.endpoints.iter() {
        let cap = endpoint.max_requests.as_ref().map(|max| max.value.get());
        if let Some(address) = endpoint.address() {
            caps.entry(address.value.authority().to_string()).or_insert(cap);
        }
    }
    let cap = |endpoint: &Endpoint| caps.get(&**endpoint.name()).copied().flatten();
    endpoints
        .into_iter()
        .map(|endpoint| {
            let cap = cap(&endpoint);
            endpoint.capped(cap)
        })
        .collect()
}

/// The sources of a plan, as its upstream knows them.
fn sources(plan: &Plan) -> Vec<Source> {
    plan.sources.iter().map(SourcePlan::source).collect()
}

/// What an endpoint is besides its address.
pub(super) fn traits(endpoint: &config::Endpoint) -> Arc<Traits> {
    Arc::new(Traits {
        priority: endpoint.tier(),
        zone: endpoint.zone.as_ref().map(|zone| zone.as_str().into()),
        labels: labels_of(&endpoint.labels),
    })
}

fn settings(upstream: &config::Upstream, plan: &Plan, probes: Option<ProbePlan>) -> UpstreamSettings {
    UpstreamSettings {
        panic_threshold_percent: u32::from(upstream.panic_threshold.basis_points()) / 100,
        overprovisioning_percent: upstream.shares.overprovisioning.percent(),
        slow_start: upstream.shares.slow_start.as_ref().map(|slow_start| SlowStart {
            window_ms: slow_start.window.get().as_millis() as u64,
            aggression: slow_start.aggression.get(),
            min_percent: u32::from(slow_start.min_weight.basis_points()) / 100,
        }),
        locality: upstream.locality().zip(plan.zone.clone()).map(|(prefer, zone)| Locality {
            zone,
            min_usable_percent: u32::from(prefer.min_usable.basis_points()) / 100,
            min_endpoints: prefer.min_endpoints.get(),
        }),
        outliers: outliers(&upstream.ejection.value),
        probes,
        retries: plan.budget,
        pool: PoolSettings {
            max_idle: upstream.pool.max_idle.get() as usize,
            idle_timeout_ms: upstream.pool.idle_timeout.get().as_millis() as u64,
        },
        admission: overload::admission(upstream),
        breaker: overload::breaker(upstream),
        sources: sources(plan),
    }
}
