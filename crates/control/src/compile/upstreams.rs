//! Upstreams of a document.

use std::sync::Arc;

use tollgate_config::{
    self as config, Balance, Diagnostic, EndpointAddress, Located, Probe as ProbeSetting, Switch,
};
use tollgate_upstream::balancers::balancer;
use tollgate_upstream::probes::{HttpProbe, HttpProbeSettings, TcpProbe, Thresholds};
use tollgate_upstream::{
    Endpoint, OutlierSettings, PoolSettings, Probe, ProbePlan, RetryBudgetSettings, Upstream,
    UpstreamSettings,
};

use super::Compiler;

impl Compiler<'_> {
    /// Compiles all named upstreams.
    pub(super) fn upstreams(&mut self) {
        for (name, upstream) in self.document.upstreams.iter() {
            let settings = self.settings(upstream);
            let mut endpoints = Vec::new();
            for endpoint in upstream.endpoints.iter() {
                self.resolve(&endpoint.address, endpoint.weight.get(), &mut endpoints);
            }
            self.add(name.value.to_string(), endpoints, upstream.balance, settings);
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
        self.resolve(address, 1, &mut endpoints);
        let settings = UpstreamSettings { retries: self.budget(None), ..UpstreamSettings::default() };
        self.add(name, endpoints, Balance::RoundRobin, settings)
    }

    fn add(
        &mut self,
        name: String,
        endpoints: Vec<Endpoint>,
        balance: Balance,
        settings: UpstreamSettings,
    ) -> u32 {
        let index = self.upstreams.len() as u32;
        self.by_name.insert(name.clone(), index);
        let row = balancer(balance.word()).unwrap_or(&tollgate_upstream::BALANCERS[0]);
        self.upstreams.push(Arc::new(Upstream::new(
            name,
            endpoints,
            (row.make)(),
            settings,
            self.events.clone(),
        )));
        index
    }

    /// One endpoint for each address that the name has now.
    fn resolve(&mut self, address: &Located<EndpointAddress>, weight: u32, endpoints: &mut Vec<Endpoint>) {
        let (host, port) = (address.value.host(), address.value.port());
        if let Some(socket) = address.value.socket() {
            endpoints.push(Endpoint::new(address.value.to_string(), socket, weight));
            return;
        }
        match self.resolver.resolve(host, port) {
            Ok(addresses) => {
                for socket in addresses {
                    endpoints.push(Endpoint::new(address.value.to_string(), socket, weight));
                }
            }
            Err(error) => {
                let message = format!("the name `{host}` cannot be resolved: {error}");
                self.diagnostics.push(Diagnostic::error(address.origin, message));
            }
        }
    }

    fn budget(&self, upstream: Option<&config::Upstream>) -> RetryBudgetSettings {
        let budget = self.document.retry_budget(upstream);
        RetryBudgetSettings { min: budget.min, percent: u32::from(budget.share.basis_points()) / 100 }
    }

    fn settings(&mut self, upstream: &config::Upstream) -> UpstreamSettings {
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
            probes: upstream.health.as_ref().and_then(|health| self.probes(health)),
            retries: self.budget(Some(upstream)),
            pool: PoolSettings {
                max_idle: upstream.pool.max_idle.get() as usize,
                idle_timeout_ms: upstream.pool.idle_timeout.get().as_millis() as u64,
            },
        }
    }

    fn probes(&mut self, health: &Located<config::Health>) -> Option<ProbePlan> {
        let probe: Arc<dyn Probe> = match &health.probe {
            ProbeSetting::Tcp(_) => Arc::new(TcpProbe),
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
                    Ok(probe) => Arc::new(probe),
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
