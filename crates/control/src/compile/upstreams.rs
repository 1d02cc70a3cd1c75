//! Upstreams of a document.

use std::net::SocketAddr;
use std::sync::Arc;

use tollgate_config::{
    self as config, Balance, Diagnostic, EndpointAddress, Located, Origin, Probe as ProbeSetting, Switch,
};
use tollgate_proxy::snapshot::{ProxyHeader, Transport, UpstreamProtocol};
use tollgate_tls::Connector;
use tollgate_upstream::balancers::balancer;
use tollgate_upstream::probes::{GrpcProbe, HttpProbe, HttpProbeSettings, TcpProbe, Thresholds};
use tollgate_upstream::{
    OutlierSettings, PoolSettings, Probe, ProbePlan, RetryBudgetSettings, Upstream, UpstreamSettings,
};

use super::Compiler;
use super::predecessor::{Plan, TransportPlan};
use super::sources::SourcePlan;
use super::tls::ConnectorPlan;
use crate::dial::UpstreamDial;

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
                match (SourcePlan::of(endpoint), endpoint.address()) {
                    (Some(source), _) => {
                        let upstream = name.value.as_str();
                        self.begin(upstream, &source, endpoint.origin, &mut endpoints);
                        sources.push(source);
                    }
                    (None, Some(address)) => self.fixed(address, endpoint.weight.get(), &mut endpoints),
                    (None, None) => {}
                }
            }
            let settings = Some(Arc::new(upstream.value.clone()));
            let transport = self.transport_plan(upstream);
            let plan = Plan { settings, budget: self.budget(Some(upstream)), endpoints, sources, transport };
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
            Some(source) => self.begin(&name, source, address.origin, &mut endpoints),
            None => self.fixed(address, 1, &mut endpoints),
        }
        let (transport, sources) = (self.inline_transport_plan(address), source.into_iter().collect());
        self.add(name, Plan { settings: None, budget: self.budget(None), endpoints, sources, transport })
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
        self.upstreams.push(upstream);
        self.transports.push(transport);
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
        let (settings, balance) = match &plan.settings {
            Some(upstream) => {
                let probes = upstream
                    .health
                    .as_ref()
                    .and_then(|health| self.probes(health, &plan.transport, transport));
                (settings(upstream, plan.budget, probes), upstream.balance)
            }
            None => (
                UpstreamSettings { retries: plan.budget, ..UpstreamSettings::default() },
                Balance::RoundRobin,
            ),
        };
        let row = balancer(balance.word()).unwrap_or(&tollgate_upstream::BALANCERS[0]);
        let endpoints = self.before.endpoints(name, plan);
        Upstream::new(name, endpoints, (row.make)(), settings, self.events.clone())
    }

    /// The endpoints at an address that is not followed: one, or all that this machine's own names have.
    fn fixed(
        &mut self,
        address: &Located<EndpointAddress>,
        weight: u32,
        endpoints: &mut Vec<(Arc<str>, SocketAddr, u32)>,
    ) {
        let name: Arc<str> = address.value.authority().into();
        if let Some(socket) = address.value.socket() {
            endpoints.push((name, socket, weight));
            return;
        }
        match self.resolver.resolve(address.value.host(), address.value.port()) {
            Ok(found) => endpoints.extend(found.into_iter().map(|socket| (name.clone(), socket, weight))),
            Err(error) => {
                let message = format!("the name `{}` cannot be resolved: {error}", address.value.host());
                self.diagnostics.push(Diagnostic::error(address.origin, message));
            }
        }
    }

    /// The endpoints that a source begins with.
    fn begin(
        &mut self,
        upstream: &str,
        source: &SourcePlan,
        origin: Origin,
        endpoints: &mut Vec<(Arc<str>, SocketAddr, u32)>,
    ) {
        let found = self.begin_with(upstream, source, origin);
        let found = found.iter().flat_map(|found| found.iter());
        endpoints.extend(found.map(|found| (found.name.clone(), found.address, found.weight)));
    }

    fn budget(&self, upstream: Option<&config::Upstream>) -> RetryBudgetSettings {
        let budget = self.document.retry_budget(upstream);
        RetryBudgetSettings { min: budget.min, percent: u32::from(budget.share.basis_points()) / 100 }
    }

    /// What probes connect with, which speak HTTP/1.1 whatever the requests speak.
    fn http1_connector(&mut self, plan: &TransportPlan, transport: &Transport) -> Option<Arc<Connector>> {
        match &plan.tls {
            Some(tls) if tls.http2 => self.connector(&ConnectorPlan { http2: false, ..tls.clone() }),
            _ => transport.tls.clone(),
        }
    }

    fn probes(
        &mut self,
        health: &Located<config::Health>,
        plan: &TransportPlan,
        transport: &Transport,
    ) -> Option<ProbePlan> {
        let probe: Arc<dyn Probe> = match &health.probe {
            ProbeSetting::Tcp(_) => Arc::new(TcpProbe),
            ProbeSetting::Grpc(grpc) => {
                let dial = UpstreamDial { proxy_header: transport.proxy_header, tls: transport.tls.clone() };
                Arc::new(GrpcProbe::new(grpc.service.as_str()).over(Arc::new(dial), transport.tls.is_some()))
            }
            ProbeSetting::Http(http) => {
                let settings = HttpProbeSettings {
                    method: http.method.to_string(),
                    path: http.path.as_str().to_owned(),
                    host: http.host.as_ref().map(|h| h.as_str().to_owned()),
                    headers: http
                        .headers
                        .iter()
                        .map(|(n, v)| (n.value.to_string(), v.reveal().to_owned()))
                        .collect(),
                    expected: http.statuses.iter().map(|s| s.first()..=s.last()).collect(),
                };
                match HttpProbe::new(settings) {
                    Ok(probe) => {
                        let tls = self.http1_connector(plan, transport);
                        let dial = UpstreamDial { proxy_header: transport.proxy_header, tls };
                        Arc::new(probe.over(Arc::new(dial)))
                    }
                    Err(error) => {
                        self.diagnostics.push(Diagnostic::error(health.origin, error.to_string()));
                        return None;
                    }
                }
            }
        };
        let thresholds = Thresholds { rise: health.rise.get(), fall: health.fall.get() };
        Some(ProbePlan { probe, interval: health.every.get(), timeout: health.timeout.get(), thresholds })
    }
}

fn settings(
    upstream: &config::Upstream,
    retries: RetryBudgetSettings,
    probes: Option<ProbePlan>,
) -> UpstreamSettings {
    let outliers = match &upstream.ejection.value {
        Switch::Off => OutlierSettings { consecutive_failures: 0, ..OutlierSettings::default() },
        Switch::On(ejection) => OutlierSettings {
            consecutive_failures: ejection.consecutive_failures.get(),
            base_ejection_ms: ejection.base.get().as_millis() as u64,
            max_ejection_ms: ejection.max.get().as_millis() as u64,
            max_ejected_percent: u32::from(ejection.max_percent.basis_points()) / 100,
        },
    };
    UpstreamSettings {
        panic_threshold_percent: u32::from(upstream.panic_threshold.basis_points()) / 100,
        outliers,
        probes,
        retries,
        pool: PoolSettings {
            max_idle: upstream.pool.max_idle.get() as usize,
            idle_timeout_ms: upstream.pool.idle_timeout.get().as_millis() as u64,
        },
        ..UpstreamSettings::default()
    }
}
