//! Upstreams of a document.

use std::net::SocketAddr;
use std::sync::Arc;

use tollgate_config::{self as config, Diagnostic, EndpointAddress, Located};
use tollgate_proxy::snapshot::{ProxyHeader, Transport, UpstreamProtocol};
use tollgate_tls::Connector;
use tollgate_upstream::{PoolSettings, ProbePlan, RetryBudgetSettings, Upstream, UpstreamSettings};

use super::health::outliers;
use super::predecessor::{Plan, TransportPlan};
use super::tls::ConnectorPlan;
use super::{Compiler, balance};

/// Streams of one connection that are used at once, where the document says nothing: what servers allow at least
/// (RFC 9113 section 6.5.2).
const MAX_STREAMS: u32 = 100;

impl Compiler<'_> {
    /// Compiles all named upstreams.
    pub(super) fn upstreams(&mut self) {
        for (name, upstream) in self.document.upstreams.iter() {
            let mut endpoints = Vec::new();
            for endpoint in upstream.endpoints.iter() {
                let weight = endpoint.weight.get();
                self.resolve(name.value.as_str(), &endpoint.address, weight, &mut endpoints);
            }
            let settings = Some(Arc::new(upstream.value.clone()));
            let transport = self.transport_plan(upstream);
            let plan = Plan { settings, budget: self.budget(Some(upstream)), endpoints, transport };
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
        self.resolve(&name, address, 1, &mut endpoints);
        let transport = self.inline_transport_plan(address);
        self.add(name, Plan { settings: None, budget: self.budget(None), endpoints, transport })
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
        let key = plan.settings.as_ref().and_then(|settings| self.balancing_key(&settings.balance));
        self.upstreams.push(upstream);
        self.spoken.push((transport, key));
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
                (settings(upstream, plan.budget, probes), balance::made(&upstream.balance))
            }
            None => (
                UpstreamSettings { retries: plan.budget, ..UpstreamSettings::default() },
                tollgate_upstream::BALANCERS[0].standard(),
            ),
        };
        let endpoints = self.before.endpoints(name, plan);
        Upstream::new(name, endpoints, balancer, settings, self.events.clone())
    }

    /// One endpoint for each address that the name has now. A name that cannot be resolved keeps the
    /// addresses that it has in the snapshot that runs: what serves is not lost to a name server's bad minute.
    fn resolve(
        &mut self,
        upstream: &str,
        address: &Located<EndpointAddress>,
        weight: u32,
        endpoints: &mut Vec<(Arc<str>, SocketAddr, u32)>,
    ) {
        let name: Arc<str> = address.value.authority().into();
        if let Some(socket) = address.value.socket() {
            endpoints.push((name, socket, weight));
            return;
        }
        let (host, port) = (address.value.host(), address.value.port());
        let addresses = self.resolver.resolve(host, port).unwrap_or_else(|error| {
            let message = format!("the name `{host}` cannot be resolved: {error}");
            let known = self.before.addresses(upstream, &name);
            self.diagnostics.push(match known.is_empty() {
                true => Diagnostic::error(address.origin, message),
                false => {
                    Diagnostic::warning(address.origin, message + "; the addresses that it had are kept")
                }
            });
            known
        });
        endpoints.extend(addresses.into_iter().map(|socket| (name.clone(), socket, weight)));
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

fn settings(
    upstream: &config::Upstream,
    retries: RetryBudgetSettings,
    probes: Option<ProbePlan>,
) -> UpstreamSettings {
    UpstreamSettings {
        panic_threshold_percent: u32::from(upstream.panic_threshold.basis_points()) / 100,
        outliers: outliers(&upstream.ejection.value),
        probes,
        retries,
        pool: PoolSettings {
            max_idle: upstream.pool.max_idle.get() as usize,
            idle_timeout_ms: upstream.pool.idle_timeout.get().as_millis() as u64,
        },
        ..UpstreamSettings::default()
    }
}
